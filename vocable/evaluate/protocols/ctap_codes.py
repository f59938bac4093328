"""What codes of phones cost and keep, one model or several in a table: rates, mel error, phones read, codebook use."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from vocable.audio import Audio
from vocable.errors import AudioError
from vocable.evaluate.card import Card, Entry
from vocable.evaluate.plan import Plan, clips_of, names_of, settings_of, split_words
from vocable.evaluate.protocols import ctap_figures
from vocable.evaluate.protocols.ctap_figures import commonest, mel_error, token_figures
from vocable.evaluate.protocols.ctap_phones import Phones, plain
from vocable.evaluate.runner import Results, Row
from vocable.evaluate.summary import summed, usage
from vocable.files import make_folder
from vocable.metrics.text import per
from vocable.systems import hub
from vocable.systems.ctap.tokenizer import CtapTokenizer
from vocable.systems.supervised.tokenizer import SupervisedTokenizer
from vocable.tokens import Tokens

_SHOWN = (
    "tokens_per_second", "bit_rate", "mel_error", "per", "per_majority", "codebook_usage", "codebook_perplexity",
    "codebook_usage_trained",
)  # fmt: skip
COLUMNS = [next(column for column in ctap_figures.COLUMNS if column.key == key) for key in _SHOWN]


class CtapCodes:
    """Clips encoded, decoded to spectra, read; an :class:`~vocable.evaluate.benchmark.Evaluation`.

    Args:
        plan: Tokenizers, manifests, split, ``limit`` of clips and seed.
        out: Tokens of the clips are kept here.

    Raises:
        AlignmentError: No clip says what is said in it.
        CheckpointError: A tokenizer cannot be loaded.
    """

    several: ClassVar = True

    def __init__(self, plan: Plan, out: Path) -> None:
        self.plan, self.out = plan, out
        self.tokenizers: dict[str, CtapTokenizer | SupervisedTokenizer] = {
            name: hub.load(source) for name, source in names_of(plan.tokenizers).items()
        }
        self.clips = clips_of(plan)
        self.references, self.unsaid = Phones().of_all(self.clips)
        self.commonest = commonest(self.references.values())

    def items(self) -> Sequence[str]:
        """Clips."""
        return list(self.clips)

    def work(self, item: str) -> Sequence[Row]:
        """A clip as each tokenizer has it."""
        try:
            clip = Audio.read(self.clips[item].audio_path)
        except AudioError as error:
            raise AudioError(plain(error, self.clips[item])) from error
        return [self._row(name, item, clip) for name in self.tokenizers]

    def settings(self) -> dict[str, Any]:
        """All that the rows depend on."""
        digests = {name: tokenizer.digest for name, tokenizer in self.tokenizers.items()}
        return settings_of(self.plan, self.clips, digests) | {"task": "ctap codes", "commonest phone": self.commonest}

    def card(self, results: Results) -> Card:
        """A row for each tokenizer."""
        entries = [self._entry(name, [row for row in results.rows if row.entry == name]) for name in self.tokenizers]
        return Card(
            title=f"{', '.join(self.tokenizers)}: what codes cost and keep",
            lead=f"{len(self.clips) - len(results.quarantined)} clips, {split_words(self.plan.split)}",
            columns=COLUMNS, entries=entries, quarantined=results.quarantined, settings=self.settings(), main=_SHOWN,
            left_out=[f"{key}: no phones to compare with: {reason}" for key, reason in self.unsaid.items()],
        )  # fmt: skip

    def _row(self, name: str, item: str, clip: Audio) -> Row:
        tokenizer, said = self.tokenizers[name], self.references.get(item)
        tokens = tokenizer.encode(clip)
        make_folder(self._file(name, item).parent)
        tokens.write(self._file(name, item))
        scores = {"mel_error": mel_error(tokenizer, clip, tokens)}
        if said:
            scores["per"] = per(said, tokenizer.transcribe(tokens)).score()
            scores["per_majority"] = per(said, [self.commonest] * len(said)).score()
        return Row(entry=name, item=item, scores=scores)

    def _entry(self, name: str, rows: Sequence[Row]) -> Entry:
        tokenizer = self.tokenizers[name]
        tokens = [Tokens.read(self._file(name, row.item)) for row in rows]
        speakers = {key: clip.speaker or key for key, clip in self.clips.items()}
        found = summed(rows, COLUMNS, speakers, self.plan.seed)
        found |= token_figures(tokenizer, tokens, self.plan.seed) if tokens else {}
        return Entry(
            name=name, kind="tokenizer", family=name, note=tokenizer.digest, bit_rate=tokenizer.spec.bit_rate,
            figures={key: found[key] for key in _SHOWN if key in found}, usage=usage(tokens, 1) if tokens else (),
        )  # fmt: skip

    def _file(self, name: str, item: str) -> Path:
        return self.out / "tokens" / name / f"{list(self.clips).index(item):05d}.tokens"
