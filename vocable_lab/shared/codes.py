"""Protocol of tokens that keep phones, for one or several models: rates, mel error, phone errors, codebook usage."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from vocable.audio import Audio
from vocable.errors import AudioError
from vocable.evaluate.card import Card, Column, Entry
from vocable.evaluate.plan import Plan, common_settings, describe_split, select_clips, short_names
from vocable.evaluate.runner import Evaluation, ResultRow, Results
from vocable.evaluate.summary import PERPLEXITY, USED, level_usage, speaker_figures, usage_figures
from vocable.files import make_folder
from vocable.metrics.codebook import usage_figure
from vocable.metrics.score import Figure, Score, point_figure
from vocable.metrics.text import per
from vocable.systems import registry as hub
from vocable.systems.base import BaseTokenizer
from vocable.systems.voiced import VoicedTokenizer
from vocable.tokens import Tokens
from vocable_lab.shared.phones import PhoneReader, without_path
from vocable_lab.shared.rates import RATE_COLUMNS, mean_bit_rate, rate_figures

_Tokenizer = VoicedTokenizer[Any]

PHONES = "errors of all clips over phones of all clips, without stress and silence; interval over speakers"
COLUMNS = (
    Column(key="tokens_per_second", title="tokens/s", better="neither", form=".4g", caption="From the spec."),
    *RATE_COLUMNS,
    Column(key="mel_error", title="mel error", unit="dB", better="lower",
           caption="Mean absolute difference of the model's own mel spectra before the vocoder, in its range of "
           "levels."),
    Column(key="per", title="PER from codes", unit="%", better="lower", form=".1f",
           caption=f"Phones that the phoneme decoder reads from the codes against those of the manifest: {PHONES}."),
    Column(key="per_majority", title="PER of the commonest phone", unit="%", better="lower", form=".1f",
           caption="Baseline: the most common phone of these clips, repeated as often as the reference is long."),
    Column(key="codebook_usage", title="codebook usage", unit="%", better="higher", form=".1f",
           caption="Share of the codebook's entries that occur in these clips; the interval is that of a bootstrap "
           "over clips, moved onto the figure, as fewer clips in a resample hold fewer entries."),
    PERPLEXITY,
    Column(key="codebook_usage_trained", title="usage in training", unit="%", better="higher", form=".1f",
           caption="Share of entries that were in use when training ended, by moving counts."),
)  # fmt: skip


class Codes(Evaluation):
    """Evaluation of clips that are encoded, decoded to spectra, and transcribed.

    It is an :class:`~vocable.evaluate.runner.Evaluation`.

    Args:
        plan: Plan with tokenizers, manifests, split, ``limit`` of clips and seed.
        out: Folder in which the tokens of the clips are kept.

    Raises:
        AlignmentError: If no clip has phones.
        CheckpointError: If a tokenizer cannot be loaded.
    """

    takes_several: ClassVar[bool] = True
    columns: ClassVar[Sequence[Column]] = COLUMNS

    def __init__(self, plan: Plan, out: Path) -> None:
        self.plan, self.out = plan, out
        self.tokenizers: dict[str, _Tokenizer] = {
            name: hub.load_as(source, VoicedTokenizer, beam=plan.beam)  # type: ignore[type-abstract]
            for name, source in short_names(plan.tokenizers).items()
        }
        self.clips = select_clips(plan)
        self.references, self.without_phones = PhoneReader().read_all(self.clips)
        self.most_common = most_common_phone(self.references.values())

    def items(self) -> Sequence[str]:
        """Return the keys of the clips."""
        return list(self.clips)

    def work(self, item: str) -> Sequence[ResultRow]:
        """Return a row for each tokenizer on a clip."""
        try:
            clip = Audio.read(self.clips[item].audio_path)
        except AudioError as error:
            raise AudioError(without_path(error, self.clips[item])) from error
        return [self._row(name, item, clip) for name in self.tokenizers]

    def settings(self) -> dict[str, Any]:
        """Return everything that the rows depend on."""
        digests = {name: tokenizer.digest for name, tokenizer in self.tokenizers.items()}
        return common_settings(self.plan, self.clips, digests) | {"task": "codes", "commonest phone": self.most_common}

    def card(self, results: Results) -> Card:
        """Return the card, with an entry for each tokenizer."""
        entries = [self._entry(name, [row for row in results.rows if row.entry == name]) for name in self.tokenizers]
        return Card(
            title=f"{', '.join(self.tokenizers)}: what codes cost and keep",
            lead=f"{len(self.clips) - len(results.quarantined)} clips, {describe_split(self.plan.split)}",
            columns=self.columns, entries=entries, quarantined=results.quarantined, settings=self.settings(),
            main=[column.key for column in self.columns],
            left_out=[f"{key}: no phones to compare with: {reason}" for key, reason in self.without_phones.items()],
        )  # fmt: skip

    def _row(self, name: str, item: str, clip: Audio) -> ResultRow:
        tokenizer, phones = self.tokenizers[name], self.references.get(item)
        tokens = tokenizer.encode(clip)
        make_folder(self._file(name, item).parent)
        tokens.write(self._file(name, item))
        scores = {"mel_error": mel_error(tokenizer, clip, tokens)}
        if phones:
            scores["per"] = per(phones, tokenizer.transcribe(tokens)).score()
            scores["per_majority"] = per(phones, [self.most_common] * len(phones)).score()
        return ResultRow(entry=name, item=item, scores=scores)

    def _entry(self, name: str, rows: Sequence[ResultRow]) -> Entry:
        tokenizer = self.tokenizers[name]
        tokens = [Tokens.read(self._file(name, row.item)) for row in rows]
        speakers = {key: clip.speaker or key for key, clip in self.clips.items()}
        figures = speaker_figures(rows, self.columns, speakers, self.plan.seed)
        figures |= token_figures(tokenizer, tokens, self.plan.seed) if tokens else {}
        return Entry(
            name=name, kind="tokenizer", family=name, note=describe_model(tokenizer),
            bit_rate=mean_bit_rate(tokenizer.format, tokens),
            figures={column.key: figures[column.key] for column in self.columns if column.key in figures},
            usage=level_usage(tokens, 1) if tokens else (),
        )  # fmt: skip

    def _file(self, name: str, item: str) -> Path:
        return self.out / "tokens" / name / f"{list(self.clips).index(item):05d}.tokens"


def describe_model(tokenizer: BaseTokenizer[Any]) -> str:
    """Return a tokenizer's digest and its rates with all that a clip carries, for the note of its row."""
    return f"{tokenizer.digest}; with all that a clip carries, {tokenizer.format.rate_text()}"


def mel_error(tokenizer: _Tokenizer, clip: Audio, tokens: Tokens) -> Score:
    """Return the mean absolute difference of decoded spectra and the clip's own spectra, in dB, before the vocoder."""
    config, model = tokenizer.config, tokenizer.model
    samples = clip.resample(config.mel.sample_rate).samples
    padded = torch.from_numpy(np.pad(samples, (0, -samples.size % config.hop)))[None]
    with torch.inference_mode():
        reference = model.to_decibels(model.frames(padded.to(tokenizer.device)))[0].cpu()
    assert tokens.voice is not None
    return Score(float((tokenizer.spectra(tokens, tokens.voice) - reference).abs().mean()))


def most_common_phone(transcripts: Iterable[Sequence[str]]) -> str:
    """Return the most common phone of all clips; among equals the first in the alphabet.

    Example:
        >>> most_common_phone([["T", "AH"], ["AH"]])
        'AH'
    """
    counts = Counter(phone for phones in transcripts for phone in phones)
    return min(counts, key=lambda phone: (-counts[phone], phone))


def token_figures(tokenizer: _Tokenizer, clips: Sequence[Tokens], seed: int) -> dict[str, Figure]:
    """Return figures of token rates, and of codebook usage in these clips and at the end of training."""
    spec, n = tokenizer.spec, len(clips)
    assert spec.hop is not None
    figures = usage_figures(level_usage(clips, 1), spec.frame_rate, n)
    del figures[USED.key]  # reported as codebook_usage, with an interval
    trained = tokenizer.codebooks[0].stats()["used"]
    values: dict[str, float] = {
        "samples_per_token": float(spec.hop), "tokens_per_second": spec.token_rate,
        "codebook_usage_trained": float(trained),
    }  # fmt: skip
    figures |= {key: point_figure(value, n) for key, value in values.items()} | rate_figures(tokenizer.format, n)
    return figures | {"codebook_usage": usage_figure([one.ids[0, 0] for one in clips], spec.codebook_size, seed)}
