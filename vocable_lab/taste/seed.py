"""The evaluation that TASTE's seed asks for: are units predicted better for what is heard, and is it heard where it is.

Every clip with a text is looked at three times: with what is heard quantized, as it is, and not heard at all. Some are
said again, with units drawn one by one, and go to the recogniser and to the aligner. Of every clip a middle word is
swapped for another recording's.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from torch import Tensor

from vocable.audio import Audio
from vocable.data.manifest import Utterance
from vocable.errors import (
    AlignmentError,
    AudioError,
    ConfigError,
    MissingDependencyError,
    SpecError,
    TextError,
    VocableError,
)
from vocable.evaluate.card import Card, Entry
from vocable.evaluate.judges.base import SpeechRecognizer
from vocable.evaluate.judges.find import find_scorer
from vocable.evaluate.plan import (
    Plan,
    as_scored,
    common_settings,
    derive_seed,
    describe_split,
    short_names,
    spread_evenly,
)
from vocable.evaluate.runner import Evaluation, ResultRow, Results
from vocable.evaluate.summary import level_usage, usage_figures
from vocable.files import make_folder
from vocable.metrics.codebook import LevelUsage
from vocable.metrics.score import Score, median_figure
from vocable.metrics.text import wer
from vocable.systems import registry as hub
from vocable.systems.taste.data import TasteBatch
from vocable.systems.taste.model import UnitPrediction, predict_units
from vocable.systems.taste.tokenizer import TasteTokenizer
from vocable.tokens import Tokens
from vocable_lab.shared.phones import without_path
from vocable_lab.taste.columns import COLUMNS, MAIN, NOTE, REPORTED, anchors
from vocable_lab.taste.figures import (
    attended,
    attention_entropy,
    guessed,
    places,
    predicted,
    rates,
    weighed,
)
from vocable_lab.taste.look import Views, pictures, samples
from vocable_lab.taste.speech import SLOWER, Swap, donors, edited, said, swap
from vocable_lab.taste.units import read, said_clips, unit_entry
from vocable_lab.taste.words import Words, lasting

_RECOGNISED = 20  # clips that are said again, where the plan says nothing
_SHOWN = 4  # clips to look at and to listen to
_OFF = "off_words_ms"  # a row's fact: milliseconds of each word from its middle to where the model looks


class TasteSeed(Evaluation):
    """Prediction of units, alignment, speech from units, edits; a :class:`~vocable.evaluate.runner.Evaluation`.

    Args:
        plan: One tokenizer, manifests, split, ``limit`` of clips, ``recognise`` (20 by default), judges and seed.
        out: Tokens of the clips are kept here.

    Raises:
        TextError: No clip says what is said in it.
        CheckpointError: The tokenizer, the source of its units or a recogniser that is named is not at hand.
        SpecError: What has the name of the source is another model.
    """

    def __init__(self, plan: Plan, out: Path) -> None:
        self.plan, self.out = plan, out
        (self.name, source), *_ = short_names(plan.tokenizers).items()
        self.tokenizer = hub.load_as(source, TasteTokenizer)
        self.source = self.tokenizer.source
        self.quantizes = self.tokenizer.config.quantizer is not None
        self.words = Words()
        self.clips, self.unsaid = said_clips(plan)
        self.donors = donors({key: clip.text or "" for key, clip in self.clips.items()})
        self.spoken = frozenset(spread_evenly(list(self.clips), plan.recognise or _RECOGNISED))
        if plan.scorers.recognizer is not None:  # one that is asked for must be there
            _ = self._recogniser

    def items(self) -> Sequence[str]:
        """Clips."""
        return list(self.clips)

    def work(self, item: str) -> Sequence[ResultRow]:
        """One clip."""
        clip = self.clips[item]
        audio, text = read(clip), clip.text or ""
        units = self.source.units(audio)
        spoken = self.tokenizer.example(audio, text, units)
        look = partial(
            predict_units, self.tokenizer.model, TasteBatch.of([spoken]).to(self.tokenizer.device), spoken.subwords
        )
        heard, control = look(), look(text_only=True)
        free = look(quantize=False) if self.quantizes else None
        row = _Growing(clip, scores=predicted(heard, free, control), extra={"units": units.tolist()})
        row.scores |= {"heard_to_said": weighed(heard), "attention_entropy": attention_entropy(heard)}
        row.tried("alignment", partial(self._aligned, item, audio, heard, control, row.extra))
        tokens = None
        if self.quantizes:
            row.scores |= rates(len(heard.subwords.ids), audio.duration, self.tokenizer.config.bits)
            tokens = self.tokenizer.encode(audio, text)
            make_folder(self._file(item).parent)
            tokens.write(self._file(item))
            row.tried("edits", partial(self._edited, item, audio, tokens))
        if item in self.spoken:
            if tokens is not None:
                row.tried("edits that are spoken", partial(self._edited_speech, item, audio, tokens))
            self._speak(item, audio, units, tokens, row)
        return [ResultRow(entry=self.name, item=item, scores=row.scores, extra=row.extra)]

    def settings(self) -> dict[str, Any]:
        """All that the rows depend on."""
        return common_settings(self.plan, self.clips, {self.name: self.tokenizer.digest}) | {
            "task": "taste seed",
            "encoder": self.tokenizer.config.encoder.name,
            "units": f"{self.source.spec.name}, level {self.source.spec.level}, {self.source.spec.digest}",
            "spoken again": len(self.spoken),
            "sampling": vars(self.tokenizer.sampling) if self.quantizes else None,
            "donors": f"{sum(donor is not None for donor in self.donors.values())} recordings of the same text, "
            f"{sum(donor is None for donor in self.donors.values())} clips at {SLOWER:g} × speed",
            "recogniser": self.plan.scorers.recognizer or "pocketsphinx",
        }

    def card(self, results: Results) -> Card:
        """All figures, what the seed says beside them, and pictures."""
        rows, seed = results.rows, self.plan.seed
        speakers = {key: clip.speaker or key for key, clip in self.clips.items()}
        figures = unit_entry(rows, self.clips, self.source.spec.size, seed)
        told = [row for row in rows if _OFF in row.extra]
        if told:
            who = [speakers[row.item] for row in told]
            figures["alignment_error_words_ms"] = median_figure([row.extra[_OFF] for row in told], who, seed)
        tokens = [Tokens.read(self._file(row.item)) for row in rows] if self.quantizes else []
        levels: tuple[LevelUsage, ...] = ()
        if tokens:
            levels = level_usage(tokens, self.tokenizer.spec.num_codebooks)
            figures |= usage_figures(levels, figures["pieces_per_second"].mean, len(tokens))
        own = Entry(
            name=self.name, kind="tokenizer", family=self.name, note=f"{self.tokenizer.digest}. {NOTE}", usage=levels,
            figures=figures, reported={key: value for key, value in REPORTED.items() if key in figures},
            bit_rate=figures["bits_per_second"].mean if self.quantizes and rows else float("nan"),
        )  # fmt: skip
        entries, spec = [own, *anchors(figures)], self.source.spec
        views = self._views([row.item for row in rows])
        return Card(
            title=f"{self.name}: speech for each subword of a text",
            lead=f"{len(rows)} clips of {len(set(speakers.values()))} speakers, {describe_split(self.plan.split)}; "
            f"units: {spec.name}, level {spec.level}, {spec.size} at {spec.frame_rate:g} Hz. {NOTE}",
            columns=[column for column in COLUMNS if any(column.key in entry.figures for entry in entries)],
            entries=entries, quarantined=results.quarantined, left_out=list(self._left_out(results)),
            settings=self.settings(), main=MAIN, samples=list(samples(views)) if views and self.quantizes else [],
            pictures=list(pictures(views, rows, tokens)) if views else [],
        )  # fmt: skip

    # ---- the work -------------------------------------------------------------------------------------------------

    def _aligned(
        self, item: str, audio: Audio, heard: UnitPrediction, control: UnitPrediction, facts: dict[str, Any]
    ) -> Mapping[str, Score]:
        """What is looked at against when it is said, and how units are predicted by their place in the word."""
        spans = self.words.said(self.clips[item], audio)
        found = attended(heard, spans)
        where = places(len(heard.units), self.source.spec.frame_rate, spans)
        facts |= {
            "off_ms": found.subwords.round(1).tolist(), _OFF: found.words.round(1).tolist(),
            "places": where.tolist(), "hits": guessed(heard).top1.astype(int).tolist(),
            "text_only_hits": guessed(control).top1.astype(int).tolist(),
        }  # fmt: skip
        mean = Score(float(found.subwords.mean()), weight=float(len(found.subwords)))
        return {"alignment_error_mean_ms": mean, "attention_coverage": found.coverage}

    def _swap(self, item: str, audio: Audio, tokens: Tokens) -> Swap:
        """A clip with its middle word from another recording of the text, or from itself played slower."""
        other = self.donors[item]
        played = audio.played(SLOWER) if other is None else read(self.clips[other])
        return swap(self.tokenizer, tokens, self.tokenizer.encode(played, self.clips[item].text))

    def _edited(self, item: str, audio: Audio, tokens: Tokens) -> Mapping[str, Score]:
        """What becomes of words as tokens have them."""
        made = self._swap(item, audio, tokens)
        before, after = (self.tokenizer.seconds(one) for one in (tokens, made.tokens))
        found = edited(before, after, made.word, made.longer)
        scores = {"edit_changed_toward_donor": found["toward_donor"], "edit_carried": found["carried"]}
        if found["carried"].defined:
            longer = int(made.tokens.samples[0]) - int(tokens.samples[0])
            scores["edit_units_toward_donor"] = Score(float(longer * made.longer > 0))
        return scores | {"edit_others_ms": found["others_ms"]}

    def _edited_speech(self, item: str, audio: Audio, tokens: Tokens) -> Mapping[str, Score]:
        """What becomes of words in the speech before and after."""
        clip, made = self.clips[item], self._swap(item, audio, tokens)
        _ = self.words.found(clip, audio)  # where they are not found in the recording, nothing can be said
        try:
            before, after = (lasting(self.words.found(clip, self._say(item, one))) for one in (tokens, made.tokens))
        except AlignmentError:
            return {"edit_spoken_toward_donor": Score(0.0)}
        found = edited(before.tolist(), after.tolist(), made.word, made.longer)
        return {"edit_spoken_toward_donor": found["toward_donor"], "edit_spoken_others_ms": found["others_ms"]}

    def _speak(self, item: str, audio: Audio, units: Tensor, tokens: Tokens | None, row: "_Growing") -> None:
        """Say a clip again, for the recogniser and the aligner."""
        speech = {"_recording": audio}
        try:
            speech["_codec"] = self._codec(audio, units)
            if tokens is not None:
                speech[""] = self._say(item, tokens)
                speech["_text_only"] = self._say(item, tokens, text_only=True)
        except ConfigError as error:
            row.failed("speech", error)
        row.tried("what the recogniser hears", partial(self._recognised, item, speech))
        del speech["_recording"]
        row.tried("durations of words", partial(self._kept, item, audio, speech))

    def _recognised(self, item: str, speech: Mapping[str, Audio]) -> Mapping[str, Score]:
        text = self.clips[item].text or ""
        found = {
            f"wer{name}": wer(text, self._recogniser.transcribe(as_scored(one))).score() for name, one in speech.items()
        }
        if "wer" in found:
            own = found["wer"]
            found["wer_over_codec"] = Score(own.value - found["wer_codec"].value, weight=own.weight)
        return found

    def _kept(self, item: str, audio: Audio, speech: Mapping[str, Audio]) -> Mapping[str, Score]:
        clip = self.clips[item]
        spans = self.words.found(clip, audio)
        return {f"duration_consistency{name}": self.words.kept(clip, spans, one) for name, one in speech.items()}

    def _codec(self, audio: Audio, units: Tensor) -> Audio:
        """What the source of the units makes of a recording's own units."""
        samples = audio.resample(self.source.spec.sample_rate).samples.size
        return self.source.speech(units, self.source.voice(audio), samples=samples)

    def _say(self, item: str, tokens: Tokens, *, text_only: bool = False) -> Audio:
        """A clip's tokens as speech, with units drawn one by one."""
        return said(self.tokenizer, tokens, seed=derive_seed(self.plan.seed, item), text_only=text_only)

    # ---- what it says together ------------------------------------------------------------------------------------

    def _left_out(self, results: Results) -> Iterator[str]:
        """What could not be done, and why."""
        for key, reason in self.unsaid.items():
            yield f"{key}: left out: {reason}"
        if not self.quantizes:
            yield "tokens, edits and speech from tokens: this model has no quantizer"
        told: dict[str, list[str]] = {}
        for row in results.rows:
            for what, reason in row.extra.get("failed", {}).items():
                told.setdefault(what, []).append(f"{row.item}: {reason}")
        for what, reasons in told.items():
            yield f"{what}: not of {len(reasons)} of {len(results.rows)} clips; the first: {reasons[0]}"

    def _views(self, items: Sequence[str]) -> Views | None:
        """What there is to see: clips that were judged."""
        shown = [key for key in items if key in self.spoken] or list(items)
        return Views(
            name=self.name, tokenizer=self.tokenizer, words=self.words, seed=self.plan.seed,
            clips={key: self.clips[key] for key in spread_evenly(shown, _SHOWN)},
        ) if shown else None  # fmt: skip

    def _file(self, key: str) -> Path:
        return self.out / "tokens" / f"{list(self.clips).index(key):05d}.tokens"

    @cached_property
    def _recogniser(self) -> SpeechRecognizer:
        return find_scorer("recognizer", self.plan.scorers.recognizer)


class _Growing:
    """A row in the making: what cannot be measured here is told, and the rest goes on."""

    def __init__(self, clip: Utterance, scores: dict[str, Score], extra: dict[str, Any]) -> None:
        self.clip, self.scores, self.extra = clip, scores, extra

    def tried(self, what: str, measure: Callable[[], Mapping[str, Score]]) -> None:
        """Scores, or why there are none."""
        try:
            self.scores |= measure()
        except (AlignmentError, AudioError, ConfigError, MissingDependencyError, SpecError, TextError) as error:
            self.failed(what, error)

    def failed(self, what: str, error: VocableError) -> None:
        """Remember why there is something that was not measured."""
        self.extra.setdefault("failed", {})[what] = without_path(error, self.clip)
