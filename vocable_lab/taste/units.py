"""How well TASTE predicts units, one model or several in a table: beside text alone, repeating, and where it looks."""

from collections.abc import Mapping, Sequence
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
from vocable.systems import registry as hub
from vocable.systems.taste.data import TasteBatch
from vocable.systems.taste.model import UnitPrediction, predict_units
from vocable.systems.taste.tokenizer import TasteTokenizer
from vocable_lab.shared.phones import without_path
from vocable_lab.taste import columns as taste_columns
from vocable_lab.taste.figures import (
    attended,
    attention_entropy,
    predicted,
    unit_figures,
    weighed,
)
from vocable_lab.taste.words import Spans, Words

_LONGEST = 30.0  # seconds that Whisper hears at a time
_OFF = "off_ms"  # a row's fact: milliseconds of each subword from its place to where the model looks
_SHOWN = (
    "top1", "top5", "loss", "text_only_top1", "text_only_top5", "repeat_last_top1", "units_in_use",
    "alignment_error_ms", "heard_to_said", "attention_entropy",
)  # fmt: skip
COLUMNS = [next(column for column in taste_columns.COLUMNS if column.key == key) for key in _SHOWN]


class TasteUnits(Evaluation):
    """Clips with their text, each looked at with what is heard and without; an Evaluation that no judge takes part in.

    Args:
        plan: Tokenizers, manifests, split, ``limit`` of clips and seed.
        out: Nothing but the results is kept there.

    Raises:
        TextError: No clip says what is said in it.
        CheckpointError: A tokenizer, its Whisper or the source of its units is not at hand.
    """

    takes_several: ClassVar[bool] = True

    def __init__(self, plan: Plan, out: Path) -> None:
        self.plan = plan
        self.tokenizers: dict[str, TasteTokenizer] = {
            name: hub.load_as(source, TasteTokenizer) for name, source in short_names(plan.tokenizers).items()
        }
        for tokenizer in self.tokenizers.values():
            _ = tokenizer.source  # which is missed here, and not at every clip
        self.clips, self.unsaid = said_clips(plan)
        self.words = Words()

    def items(self) -> Sequence[str]:
        """Clips."""
        return list(self.clips)

    def work(self, item: str) -> Sequence[ResultRow]:
        """A clip as each tokenizer hears it."""
        audio, clip = read(self.clips[item]), self.clips[item]
        spans = aligned(self.words, clip, audio)
        known: dict[tuple[str, int], Int[Tensor, " N"]] = {}
        rows = []
        for name, tokenizer in self.tokenizers.items():
            spec = tokenizer.source.spec
            units = known.setdefault((spec.digest, spec.level), tokenizer.source.units(audio))
            rows.append(_row(name, item, tokenizer, audio, clip.text or "", units, spans))
        return rows

    def settings(self) -> dict[str, Any]:
        """All that the rows depend on."""
        digests = {name: tokenizer.digest for name, tokenizer in self.tokenizers.items()}
        return common_settings(self.plan, self.clips, digests) | {"task": "taste units"}

    def card(self, results: Results) -> Card:
        """A row for each tokenizer."""
        entries = [self._entry(name, [row for row in results.rows if row.entry == name]) for name in self.tokenizers]
        return Card(
            title=f"{', '.join(self.tokenizers)}: units foretold",
            lead=f"{len(self.clips) - len(results.quarantined)} clips, {describe_split(self.plan.split)}. "
            + "; ".join(dict.fromkeys(map(_teachers, self.tokenizers.values()))),
            columns=COLUMNS, entries=entries, quarantined=results.quarantined, settings=self.settings(), main=_SHOWN,
            left_out=[f"{key}: {reason}" for key, reason in self.unsaid.items()],
        )  # fmt: skip

    def _entry(self, name: str, rows: Sequence[ResultRow]) -> Entry:
        tokenizer = self.tokenizers[name]
        found = unit_entry(rows, self.clips, tokenizer.source.spec.size, self.plan.seed)
        return Entry(
            name=name, kind="tokenizer", family=name, note=tokenizer.digest,
            figures={key: found[key] for key in _SHOWN if key in found},
        )  # fmt: skip


def said_clips(plan: Plan) -> tuple[dict[str, Utterance], dict[str, str]]:
    """The plan's clips that can be looked at, and why the others cannot.

    Raises:
        TextError: There is none.
        ManifestError: A manifest cannot be read.
    """
    clips = select_clips(plan)
    unsaid = {key: reason for key, clip in clips.items() if (reason := _unfit(clip))}
    if len(unsaid) == len(clips):
        key, reason = next(iter(unsaid.items()))
        raise TextError(f"not one of {len(clips)} clips can be judged; the first: {key}: {reason}")
    return {key: clip for key, clip in clips.items() if key not in unsaid}, unsaid


def read(clip: Utterance) -> Audio:
    """A clip's audio.

    Raises:
        AudioError: It cannot be read; the message does not tell where it lies.
    """
    try:
        return Audio.read(clip.audio_path)
    except AudioError as error:
        raise AudioError(without_path(error, clip)) from error


def aligned(words: Words, clip: Utterance, audio: Audio) -> Spans | None:
    """When a clip's words are said, as its line has it; None where it does not tell, or of other words."""
    try:
        known = alignment_of(clip, audio.duration) is not None
        return words.said(clip, audio) if known else None
    except AlignmentError:
        return None


def quantizes(tokenizer: TasteTokenizer) -> bool:
    """Whether training has come to the quantizer yet; until then its vectors are 0, and it is left out."""
    return tokenizer.model.quantizer is not None and tokenizer.model.quantizer.is_initialized


def looked(
    look: UnitPrediction, control: UnitPrediction, free: UnitPrediction | None, spans: Spans | None
) -> ResultRow:
    """What a clip's looks say, in a row that has no name yet.

    Args:
        look: With what is heard, through the quantizer where it :func:`quantizes`.
        control: When nothing is heard.
        free: With what is heard as it is; None where there is no quantizer.
        spans: When the words are said, where that is known.
    """
    scores = predicted(look, free, control)
    scores |= {"heard_to_said": weighed(look), "attention_entropy": attention_entropy(look)}
    facts: dict[str, Any] = {"units": look.units.tolist()}
    if spans is not None:
        try:
            found = attended(look, spans)
            facts[_OFF] = found.subwords.round(1).tolist()
            scores["attention_coverage"] = found.coverage
        except AlignmentError:
            pass  # the text has other words than the alignment
    return ResultRow(entry="", item="", scores=scores, extra=facts)


def unit_entry(rows: Sequence[ResultRow], clips: Mapping[str, Utterance], size: int, seed: int) -> dict[str, Figure]:
    """Figures of one tokenizer's rows.

    Args:
        rows: As :func:`looked` makes them, with names.
        clips: By item.
        size: K, how many units there are.
        seed: Of the intervals.
    """
    if not rows:
        return {}
    speakers = {key: clip.speaker or key for key, clip in clips.items()}
    found = speaker_figures(rows, taste_columns.COLUMNS, speakers, seed)
    found |= unit_figures({row.item: row.extra["units"] for row in rows}, speakers, size, seed)
    told = [row for row in rows if _OFF in row.extra]
    if told:
        who = [speakers[row.item] for row in told]
        found["alignment_error_ms"] = median_figure([row.extra[_OFF] for row in told], who, seed)
    return found


def _row(
    name: str, item: str, tokenizer: TasteTokenizer, audio: Audio, text: str, units: Tensor, spans: Spans | None
) -> ResultRow:
    row = tokenizer.example(audio, text, units)
    batch, model = TasteBatch.of([row]).to(tokenizer.device), tokenizer.model
    look = predict_units(model, batch, row.subwords, quantize=quantizes(tokenizer))
    found = looked(look, predict_units(model, batch, row.subwords, text_only=True), None, spans)
    return ResultRow(entry=name, item=item, scores=found.scores, extra=found.extra)


def _teachers(tokenizer: TasteTokenizer) -> str:
    """Whose frames are heard, at which layers, and whose units are foretold."""
    (keys, values), spec = tokenizer.config.layers, tokenizer.source.spec
    return (
        f"heard: {tokenizer.config.encoder.name}, keys of layer {keys}, values of layer {values}; units: {spec.name}, "
        f"level {spec.level}, {spec.size} at {spec.frame_rate:g} Hz"
    )


def _unfit(clip: Utterance) -> str | None:
    """Why a clip is no item; None where it is one. What cannot be read is told when its turn comes."""
    if not clip.text or not clip.text.strip():
        return "its line has no 'text'"
    try:
        seconds = header_seconds(clip.audio_path)
    except AudioError:
        return None
    return f"lasts {seconds:.1f} s, and {_LONGEST:g} s are heard at a time" if seconds > _LONGEST else None
