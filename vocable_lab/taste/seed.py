"""Evaluation of TASTE: whether speech improves the prediction of units, and whether attention finds the words.

Every clip with a text passes through the model four times: with quantized speech, with unquantized speech, with the
text alone, and with quantized speech but without the recording's number of units. Some clips are synthesized, with
units sampled one by one, and go to the recognizer and to the aligner.
In every clip the middle word is swapped for that of another recording.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
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
from vocable.evaluate.judges.find import default_scorer, find_optional_scorer
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
from vocable.metrics.text import normalize_english, wer
from vocable.shapes import frames_for
from vocable.systems.registry import load_as
from vocable.systems.taste.data import TasteBatch
from vocable.systems.taste.model import UnitPrediction, predict_units
from vocable.systems.taste.tokenizer import TasteTokenizer
from vocable.tokens import Tokens
from vocable_lab.shared.codes import describe_model
from vocable_lab.shared.phones import without_path
from vocable_lab.shared.rates import clip_rates
from vocable_lab.taste.columns import COLUMNS, MAIN, NOTE, REPORTED, anchors
from vocable_lab.taste.figures import (
    attention_entropy,
    attention_error,
    bit_rates,
    length_error,
    length_ratio,
    prediction_hits,
    prediction_scores,
    word_parts,
)
from vocable_lab.taste.pictures import ClipViews, pictures, samples
from vocable_lab.taste.speech import (
    SLOWER,
    Swap,
    find_donors,
    score_edit,
    score_heard_edit,
    swap_middle_word,
    synthesize,
)  # fmt: skip
from vocable_lab.taste.units import clips_with_text, prediction_figures, read_audio
from vocable_lab.taste.words import Words, durations

_SYNTHESIZED = 20  # clips that are synthesized by default
_SHOWN = 4  # clips with pictures and audio
_WORD_ERRORS = "off_words_ms"  # fact of a row: distance of each word's attention from the word, in ms


class TasteSeed(Evaluation):
    """Evaluation of one model: unit prediction, alignment, speech and edits.

    An :class:`~vocable.evaluate.runner.Evaluation`.

    Args:
        plan: One tokenizer, manifests, split, ``limit`` of clips, ``recognise`` (20 by default), judges and seed.
        out: Folder in which the tokens of the clips are kept.

    Raises:
        TextError: If no clip has a text.
        CheckpointError: If the tokenizer, the source of its units or a named recognizer is not at hand.
        SpecError: If the model with the name of the source is another one.
    """

    def __init__(self, plan: Plan, out: Path) -> None:
        self.plan, self.out = plan, out
        (self.name, source), *_ = short_names(plan.tokenizers).items()
        self.tokenizer = load_as(source, TasteTokenizer, beam=plan.beam)
        self.source = self.tokenizer.source
        self.quantizes = self.tokenizer.config.quantizer is not None
        self.words = Words()
        self.clips, self.excluded = clips_with_text(plan)
        self.donors = find_donors({key: clip.text or "" for key, clip in self.clips.items()})
        self.synthesized = frozenset(spread_evenly(list(self.clips), plan.recognise or _SYNTHESIZED))
        self._recogniser, self.left_out = find_optional_scorer("recognizer", plan.scorers.recognizer, "recognition")

    def items(self) -> Sequence[str]:
        """Return the keys of the clips."""
        return list(self.clips)

    def work(self, item: str) -> Sequence[ResultRow]:
        """Score one clip."""
        clip = self.clips[item]
        audio, text = read_audio(clip), clip.text or ""
        units = self.source.units(audio)
        inputs = self.tokenizer.example(audio, text, units)
        predict = partial(
            predict_units, self.tokenizer.model, TasteBatch.of([inputs]).to(self.tokenizer.device), inputs.subwords
        )
        speech, control = predict(), predict(text_only=True)
        free = predict(quantize=False) if self.quantizes else None
        scores = prediction_scores(speech, free, control, predict(known_length=False))
        row = _RowBuilder(clip, scores=scores, extra={"units": units.tolist()})
        row.scores |= {"heard_to_said": length_ratio(speech), "attention_entropy": attention_entropy(speech)}
        row.measure("alignment", partial(self._score_alignment, item, audio, speech, control, row.extra))
        tokens = None
        if self.quantizes:
            row.scores |= bit_rates(len(speech.subwords.ids), audio.duration, self.tokenizer.config.bits)
            tokens = self.tokenizer.encode(audio, text)
            make_folder(self._file(item).parent)
            tokens.write(self._file(item))
            row.measure("edits", partial(self._score_edit, item, audio, tokens))
        if item in self.synthesized:
            if tokens is not None:
                row.measure("edits in speech", partial(self._score_spoken_edit, item, audio, tokens))
                row.measure("words of edits", partial(self._score_heard_edit, item, audio, tokens))
            self._score_speech(item, audio, units, tokens, row)
        return [ResultRow(entry=self.name, item=item, scores=row.scores, extra=row.extra)]

    def settings(self) -> dict[str, Any]:
        """Return everything that the rows depend on."""
        return common_settings(self.plan, self.clips, {self.name: self.tokenizer.digest}) | {
            "task": "taste seed",
            "encoder": self.tokenizer.config.encoder.name,
            "units": f"{self.source.spec.name}, level {self.source.spec.level}, {self.source.spec.digest}",
            "spoken again": len(self.synthesized),
            "sampling": vars(self.tokenizer.sampling) if self.quantizes else None,
            "donors": f"{sum(donor is not None for donor in self.donors.values())} recordings of the same text, "
            f"{sum(donor is None for donor in self.donors.values())} clips at {SLOWER:g} × speed",
            "recogniser": self.plan.scorers.recognizer or default_scorer("recognizer"),
        }

    def card(self, results: Results) -> Card:
        """Return all figures with those reported, and pictures."""
        rows, seed = results.rows, self.plan.seed
        speakers = {key: clip.speaker or key for key, clip in self.clips.items()}
        figures = prediction_figures(rows, self.clips, self.source.spec.size, seed)
        aligned = [row for row in rows if _WORD_ERRORS in row.extra]
        if aligned:
            errors = [row.extra[_WORD_ERRORS] for row in aligned]
            figures["alignment_error_words_ms"] = median_figure(errors, [speakers[row.item] for row in aligned], seed)
        tokens = [Tokens.read(self._file(row.item)) for row in rows] if self.quantizes else []
        levels: tuple[LevelUsage, ...] = ()
        if tokens:
            levels = level_usage(tokens, self.tokenizer.spec.num_codebooks)
            figures |= usage_figures(levels, figures["pieces_per_second"].mean, len(tokens))
            figures |= clip_rates(self.tokenizer.format, len(tokens))
        model = describe_model(self.tokenizer) if self.quantizes else self.tokenizer.digest
        own = Entry(
            name=self.name, kind="tokenizer", family=self.name, note=f"{model}. {NOTE}", usage=levels,
            figures=figures, reported={key: value for key, value in REPORTED.items() if key in figures},
            bit_rate=figures["bit_rate_10s"].mean if tokens else float("nan"),
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

    # ---- rows -----------------------------------------------------------------------------------------------------

    def _score_alignment(
        self, item: str, audio: Audio, speech: UnitPrediction, control: UnitPrediction, facts: dict[str, Any]
    ) -> Mapping[str, Score]:
        """Compare the attention with the times of the words, and note the part of its word that each unit lies in."""
        spans = self.words.spans(self.clips[item], audio)
        found = attention_error(speech, spans)
        parts = word_parts(len(speech.units), self.source.spec.frame_rate, spans)
        facts |= {
            "off_ms": found.subwords.round(1).tolist(), _WORD_ERRORS: found.words.round(1).tolist(),
            "places": parts.tolist(), "hits": prediction_hits(speech).top1.astype(int).tolist(),
            "text_only_hits": prediction_hits(control).top1.astype(int).tolist(),
        }  # fmt: skip
        mean = Score(float(found.subwords.mean()), weight=float(len(found.subwords)))
        return {"alignment_error_mean_ms": mean, "attention_coverage": found.coverage}

    def _swap(self, item: str, audio: Audio, tokens: Tokens) -> Swap:
        """Swap the middle word for that of another recording of the text, or of the clip played slower."""
        other = self.donors[item]
        donor = audio.played(SLOWER) if other is None else read_audio(self.clips[other])
        return swap_middle_word(self.tokenizer, tokens, self.tokenizer.encode(donor, self.clips[item].text))

    def _score_edit(self, item: str, audio: Audio, tokens: Tokens) -> Mapping[str, Score]:
        """Score the durations of words after a swap, by the tokens."""
        swap = self._swap(item, audio, tokens)
        before, after = (self.tokenizer.seconds(one) for one in (tokens, swap.tokens))
        found = score_edit(before, after, swap.word, swap.longer)
        scores = {"edit_changed_toward_donor": found["toward_donor"], "edit_carried": found["carried"]}
        if found["carried"].defined:
            longer = int(swap.tokens.samples[0]) - int(tokens.samples[0])
            scores["edit_units_toward_donor"] = Score(float(longer * swap.longer > 0))
        return scores | {"edit_others_ms": found["others_ms"]}

    def _score_spoken_edit(self, item: str, audio: Audio, tokens: Tokens) -> Mapping[str, Score]:
        """Score the durations of words after a swap, by alignment of the speech before and after."""
        clip, swap = self.clips[item], self._swap(item, audio, tokens)
        _ = self.words.align(clip, audio)  # raises where the recording itself cannot be aligned
        try:
            before, after = (
                durations(self.words.align(clip, self._synthesize(item, one))) for one in (tokens, swap.tokens)
            )
        except AlignmentError:
            return {"edit_spoken_toward_donor": Score(0.0)}
        found = score_edit(before.tolist(), after.tolist(), swap.word, swap.longer)
        return {"edit_spoken_toward_donor": found["toward_donor"], "edit_spoken_others_ms": found["others_ms"]}

    def _score_heard_edit(self, item: str, audio: Audio, tokens: Tokens) -> Mapping[str, Score]:
        """Score whether the recognizer hears the swapped word and the others, in the speech before and after a swap."""
        swap = self._swap(item, audio, tokens)
        before, after = (
            self._recogniser.transcribe(as_scored(self._synthesize(item, one))) for one in (tokens, swap.tokens)
        )
        found = score_heard_edit(self.tokenizer.words(tokens), before, after, swap.word)
        return {f"edit_{name}": score for name, score in found.items()}

    def _score_speech(self, item: str, audio: Audio, units: Tensor, tokens: Tokens | None, row: "_RowBuilder") -> None:
        """Synthesize a clip, and score the speech by the recognizer and the aligner."""
        speech = {"_recording": audio}
        try:
            speech["_codec"] = self._codec(audio, units)
            if tokens is not None:
                speech[""] = self._synthesize(item, tokens)
                speech["_length_found"] = found = self._synthesize(item, tokens, known_length=False)
                found_units = frames_for(found.samples.size, self.source.spec.hop)
                row.scores["length_error"] = length_error(found_units, len(units))
                speech["_text_only"] = self._synthesize(item, tokens, text_only=True)
        except ConfigError as error:
            row.fail("speech", error)
        row.measure("recognition", partial(self._score_recognition, item, speech))
        del speech["_recording"]
        speech.pop("_length_found", None)  # words of another length say nothing of durations kept
        row.measure("durations of words", partial(self._score_durations, item, audio, speech))

    def _score_recognition(self, item: str, speech: Mapping[str, Audio]) -> Mapping[str, Score]:
        text = self.clips[item].text or ""
        found = {
            f"wer{name}": wer(text, self._recogniser.transcribe(as_scored(one)), normalizer=normalize_english).score()
            for name, one in speech.items()
        }
        if "wer" in found:
            own = found["wer"]
            found["wer_over_codec"] = Score(own.value - found["wer_codec"].value, weight=own.weight)
        return found

    def _score_durations(self, item: str, audio: Audio, speech: Mapping[str, Audio]) -> Mapping[str, Score]:
        clip = self.clips[item]
        spans = self.words.align(clip, audio)
        return {f"duration_consistency{name}": self.words.consistency(clip, spans, one) for name, one in speech.items()}

    def _codec(self, audio: Audio, units: Tensor) -> Audio:
        """Decode a recording's own units."""
        samples = audio.resample(self.source.spec.sample_rate).samples.size
        return self.source.speech(units, self.source.voice(audio), samples=samples)

    def _synthesize(self, item: str, tokens: Tokens, *, text_only: bool = False, known_length: bool = True) -> Audio:
        """Decode a clip's tokens to speech, with units sampled one by one."""
        seed = derive_seed(self.plan.seed, item)
        return synthesize(self.tokenizer, tokens, seed=seed, text_only=text_only, known_length=known_length)

    # ---- figures --------------------------------------------------------------------------------------------------

    def _left_out(self, results: Results) -> Iterator[str]:
        """Yield what could not be measured, and why."""
        yield from self.left_out
        for key, reason in self.excluded.items():
            yield f"{key}: left out: {reason}"
        if not self.quantizes:
            yield "tokens, edits and speech from tokens: this model has no quantizer"
        failures: dict[str, list[str]] = {}
        for row in results.rows:
            for name, reason in row.extra.get("failed", {}).items():
                failures.setdefault(name, []).append(f"{row.item}: {reason}")
        for name, reasons in failures.items():
            yield f"{name}: not of {len(reasons)} of {len(results.rows)} clips; the first: {reasons[0]}"

    def _views(self, items: Sequence[str]) -> ClipViews | None:
        """Return some of the evaluated clips, to show; None if there is none."""
        shown = [key for key in items if key in self.synthesized] or list(items)
        return ClipViews(
            name=self.name, tokenizer=self.tokenizer, words=self.words, seed=self.plan.seed,
            clips={key: self.clips[key] for key in spread_evenly(shown, _SHOWN)},
        ) if shown else None  # fmt: skip

    def _file(self, key: str) -> Path:
        return self.out / "tokens" / f"{list(self.clips).index(key):05d}.tokens"


class _RowBuilder:
    """Builder of a row that keeps the reasons why something could not be measured."""

    def __init__(self, clip: Utterance, scores: dict[str, Score], extra: dict[str, Any]) -> None:
        self.clip, self.scores, self.extra = clip, scores, extra

    def measure(self, name: str, function: Callable[[], Mapping[str, Score]]) -> None:
        """Add the scores that a function returns, or the reason why it fails."""
        try:
            self.scores |= function()
        except (AlignmentError, AudioError, ConfigError, MissingDependencyError, SpecError, TextError) as error:
            self.fail(name, error)

    def fail(self, name: str, error: VocableError) -> None:
        """Add the reason why something was not measured."""
        self.extra.setdefault("failed", {})[name] = without_path(error, self.clip)
