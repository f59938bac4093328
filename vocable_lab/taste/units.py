"""Evaluation of TASTE's unit prediction, of one or several models: beside text alone and repetition, with alignment."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from jaxtyping import Int
from torch import Tensor

from vocable.audio import Audio, header_seconds
from vocable.data.alignment import alignment_of
from vocable.data.manifest import Utterance
from vocable.errors import AlignmentError, AudioError, TextError
from vocable.evaluate.card import Card, Entry
from vocable.evaluate.plan import Plan, common_settings, describe_split, select_clips, short_names
from vocable.evaluate.runner import Evaluation, ResultRow, Results
from vocable.evaluate.summary import speaker_figures
from vocable.metrics.score import Figure, median_figure
from vocable.systems.registry import load_as
from vocable.systems.taste.data import TasteBatch
from vocable.systems.taste.model import UnitPrediction, predict_units
from vocable.systems.taste.tokenizer import TasteTokenizer
from vocable_lab.shared.phones import without_path
from vocable_lab.taste import columns as taste_columns
from vocable_lab.taste.figures import (
    attention_entropy,
    attention_error,
    length_ratio,
    prediction_scores,
    unit_figures,
)
from vocable_lab.taste.words import Spans, Words

_MAX_SECONDS = 30.0  # window of Whisper
_SUBWORD_ERRORS = "off_ms"  # fact of a row: distance of each subword's attention from the subword, in ms
_SHOWN = (
    "top1", "top1_length_found", "top5", "loss", "loss_length_found", "text_only_top1", "text_only_top5",
    "repeat_last_top1", "units_in_use", "alignment_error_ms", "heard_to_said", "attention_entropy",
)  # fmt: skip
COLUMNS = [next(column for column in taste_columns.COLUMNS if column.key == key) for key in _SHOWN]


class TasteUnits(Evaluation):
    """Unit prediction on clips with a text, with and without their speech; no scorer takes part.

    An :class:`~vocable.evaluate.runner.Evaluation`.

    Args:
        plan: Tokenizers, manifests, split, ``limit`` of clips and seed.
        out: Folder of the results.

    Raises:
        TextError: If no clip has a text.
        CheckpointError: If a tokenizer, its Whisper or the source of its units is not at hand.
    """

    takes_several: ClassVar[bool] = True

    def __init__(self, plan: Plan, out: Path) -> None:
        self.plan = plan
        self.tokenizers: dict[str, TasteTokenizer] = {
            name: load_as(source, TasteTokenizer, beam=plan.beam)
            for name, source in short_names(plan.tokenizers).items()
        }
        for tokenizer in self.tokenizers.values():
            _ = tokenizer.source  # raises here if it is missing, not at every clip
        self.clips, self.excluded = clips_with_text(plan)
        self.words = Words()

    def items(self) -> Sequence[str]:
        """Return the keys of the clips."""
        return list(self.clips)

    def work(self, item: str) -> Sequence[ResultRow]:
        """Score one clip with each tokenizer."""
        audio, clip = read_audio(self.clips[item]), self.clips[item]
        spans = align_words(self.words, clip, audio)
        units_of: dict[tuple[str, int], Int[Tensor, " N"]] = {}
        rows = []
        for name, tokenizer in self.tokenizers.items():
            spec = tokenizer.source.spec
            units = units_of.setdefault((spec.digest, spec.level), tokenizer.source.units(audio))
            row = tokenizer.example(audio, clip.text or "", units)
            batch, model = TasteBatch.of([row]).to(tokenizer.device), tokenizer.model
            predict = partial(predict_units, model, batch, row.subwords)
            quantize = has_trained_quantizer(tokenizer)
            found = clip_row(
                predict(quantize=quantize), predict(text_only=True), spans,
                predict(quantize=quantize, known_length=False),
            )  # fmt: skip
            rows.append(ResultRow(entry=name, item=item, scores=found.scores, extra=found.extra))
        return rows

    def settings(self) -> dict[str, Any]:
        """Return everything that the rows depend on."""
        digests = {name: tokenizer.digest for name, tokenizer in self.tokenizers.items()}
        return common_settings(self.plan, self.clips, digests) | {"task": "taste units"}

    def card(self, results: Results) -> Card:
        """Return a table with one row for each tokenizer."""
        entries = [self._entry(name, [row for row in results.rows if row.entry == name]) for name in self.tokenizers]
        return Card(
            title=f"{', '.join(self.tokenizers)}: unit prediction",
            lead=f"{len(self.clips) - len(results.quarantined)} clips, {describe_split(self.plan.split)}. "
            + "; ".join(dict.fromkeys(map(_inputs, self.tokenizers.values()))),
            columns=COLUMNS, entries=entries, quarantined=results.quarantined, settings=self.settings(), main=_SHOWN,
            left_out=[f"{key}: {reason}" for key, reason in self.excluded.items()],
        )  # fmt: skip

    def _entry(self, name: str, rows: Sequence[ResultRow]) -> Entry:
        tokenizer = self.tokenizers[name]
        found = prediction_figures(rows, self.clips, tokenizer.source.spec.size, self.plan.seed)
        return Entry(
            name=name, kind="tokenizer", family=name, note=tokenizer.digest,
            figures={key: found[key] for key in _SHOWN if key in found},
        )  # fmt: skip


def clips_with_text(plan: Plan) -> tuple[dict[str, Utterance], dict[str, str]]:
    """Return the plan's clips that have a text and are short enough, and the reasons why others are excluded.

    Raises:
        TextError: If no clip is left.
        ManifestError: If a manifest cannot be read.
    """
    clips = select_clips(plan)
    excluded = {key: reason for key, clip in clips.items() if (reason := _reason_to_exclude(clip))}
    if len(excluded) == len(clips):
        key, reason = next(iter(excluded.items()))
        raise TextError(f"not one of {len(clips)} clips can be evaluated; the first: {key}: {reason}")
    return {key: clip for key, clip in clips.items() if key not in excluded}, excluded


def read_audio(clip: Utterance) -> Audio:
    """Read a clip's audio.

    Raises:
        AudioError: If it cannot be read. The message names no folder, as results are published.
    """
    try:
        return Audio.read(clip.audio_path)
    except AudioError as error:
        raise AudioError(without_path(error, clip)) from error


def align_words(words: Words, clip: Utterance, audio: Audio) -> Spans | None:
    """Return the times of a clip's words from its line's ``alignment``; None where there is none that fits."""
    try:
        return words.spans(clip, audio) if alignment_of(clip, audio.duration) is not None else None
    except AlignmentError:
        return None


def has_trained_quantizer(tokenizer: TasteTokenizer) -> bool:
    """Return whether training has reached the quantizer; before, its vectors are 0 and it is left out."""
    return tokenizer.model.quantizer is not None and tokenizer.model.quantizer.is_initialized


def clip_row(
    prediction: UnitPrediction, control: UnitPrediction, spans: Spans | None,
    length_found: UnitPrediction | None = None,
) -> ResultRow:  # fmt: skip
    """Score one clip, as a row without names.

    Args:
        prediction: Prediction with speech, quantized where the model :func:`has_trained_quantizer`.
        control: Prediction without speech.
        spans: Times of the words; None where they are unknown.
        length_found: Prediction with speech that is not given the number of units; None to leave it out.
    """
    scores = prediction_scores(prediction, None, control, length_found)
    scores |= {"heard_to_said": length_ratio(prediction), "attention_entropy": attention_entropy(prediction)}
    facts: dict[str, Any] = {"units": prediction.units.tolist()}
    if spans is not None:
        try:
            found = attention_error(prediction, spans)
            facts[_SUBWORD_ERRORS] = found.subwords.round(1).tolist()
            scores["attention_coverage"] = found.coverage
        except AlignmentError:
            pass  # the text has other words than the alignment
    return ResultRow(entry="", item="", scores=scores, extra=facts)


def prediction_figures(
    rows: Sequence[ResultRow], clips: Mapping[str, Utterance], size: int, seed: int
) -> dict[str, Figure]:
    """Compute the figures of one tokenizer's rows.

    Args:
        rows: Rows of :func:`clip_row`, with names.
        clips: Manifest lines by item.
        size: Number K of units.
        seed: Seed of the intervals.
    """
    if not rows:
        return {}
    speakers = {key: clip.speaker or key for key, clip in clips.items()}
    found = speaker_figures(rows, taste_columns.COLUMNS, speakers, seed)
    found |= unit_figures({row.item: row.extra["units"] for row in rows}, speakers, size, seed)
    aligned = [row for row in rows if _SUBWORD_ERRORS in row.extra]
    if aligned:
        errors = [row.extra[_SUBWORD_ERRORS] for row in aligned]
        found["alignment_error_ms"] = median_figure(errors, [speakers[row.item] for row in aligned], seed)
    return found


def _inputs(tokenizer: TasteTokenizer) -> str:
    """Return a description of a model's encoder, layers and units."""
    (keys, *values), spec = tokenizer.config.layers, tokenizer.source.spec
    layers = " and ".join(map(str, values))
    return (
        f"speech: {tokenizer.config.encoder.name}, keys of layer {keys}, values of layer {layers}; units: {spec.name}, "
        f"level {spec.level}, {spec.size} at {spec.frame_rate:g} Hz"
    )


def _reason_to_exclude(clip: Utterance) -> str | None:
    """Return why a clip is excluded, or None. A file that cannot be read is reported when its turn comes."""
    if not clip.text or not clip.text.strip():
        return "its line has no 'text'"
    try:
        seconds = header_seconds(clip.audio_path)
    except AudioError:
        return None
    return f"lasts {seconds:.1f} s, and Whisper's window is {_MAX_SECONDS:g} s" if seconds > _MAX_SECONDS else None
