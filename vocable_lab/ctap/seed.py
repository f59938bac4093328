"""Protocol of VQ-CTAP: retrieval between speech and phonemes, what tokens keep, voice conversion, text to speech.

Every clip is encoded, decoded in its own voice and in another speaker's, and transcribed by the model. Retrieval is
scored in batches of utterances, with two controls. Ten sentences are synthesized if the model can. Probes recognize
the speaker from tokens and from voices.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from vocable.audio import Audio
from vocable.data.alignment import Alignment
from vocable.errors import AlignmentError, AudioError, TextError
from vocable.evaluate.card import Card, Entry, ProbeRow
from vocable.evaluate.judges.find import default_scorer, find_optional_scorer
from vocable.evaluate.measures import RATE
from vocable.evaluate.plan import (
    Plan,
    as_scored,
    common_settings,
    derive_seed,
    describe_split,
    select_clips,
    short_names,
    spread_evenly,
)
from vocable.evaluate.probes.run import encode_clips, run_probe
from vocable.evaluate.probes.views import VOICE
from vocable.evaluate.recognition import score_transcript
from vocable.evaluate.runner import Evaluation, ResultRow, Results
from vocable.evaluate.summary import level_usage, speaker_figures
from vocable.files import make_folder
from vocable.metrics.score import Score
from vocable.metrics.spectral import log_mel_distance
from vocable.metrics.text import per
from vocable.systems import registry as hub
from vocable.systems.ctap.tokenizer import CtapTokenizer
from vocable.tokens import Tokens
from vocable_lab.ctap.figures import (
    COLUMNS,
    MAIN,
    OPINIONS,
    OVER_ITEMS,
    SPEEDS,
    disentanglement_figures,
    reported_figures,
)
from vocable_lab.ctap.frames import BATCH_SIZE, draw_batches, make_untrained, score_retrieval
from vocable_lab.ctap.sentences import SENTENCES, score_sentence
from vocable_lab.ctap.showcase import MAX_CLIPS, Showcase, draw_pictures, make_samples
from vocable_lab.shared.codes import describe_model, mel_error, most_common_phone, token_figures
from vocable_lab.shared.phones import PhoneReader, without_path
from vocable_lab.shared.rates import mean_bit_rate
from vocable_lab.shared.voices import draw_targets, score_similarity

_RECOGNIZED = 30  # clips transcribed by the recognizer, unless the plan says otherwise; each takes three seconds
_ANCHORS = {
    "shuffled": "control: the phonemes of every utterance have changed places; durations and pauses stay",
    "untrained": "control: the same sizes with random weights",
    "unconverted": "the source beside the target: what conversion begins with",
    "own voice": "decoded in the source's own voice: what decoding alone does",
    "target": "the recording that lends its voice: what conversion could reach",
}


class CtapSeed(Evaluation):
    """Evaluation of retrieval, recognition, conversion and text to speech.

    It is an :class:`~vocable.evaluate.runner.Evaluation`.

    Args:
        plan: Plan with one tokenizer, manifests, split, ``limit`` of clips, scorers, seed, and ``recognise``: the
            number of sentences to transcribe, 30 by default.
        out: Folder in which the tokens of the clips are kept.

    Raises:
        AlignmentError: If no clip has phones.
        CheckpointError: If the tokenizer cannot be loaded.
    """

    def __init__(self, plan: Plan, out: Path) -> None:
        self.plan, self.out = plan, out
        (self.name, source), *_ = short_names(plan.tokenizers).items()
        self.tokenizer = hub.load_as(source, CtapTokenizer, beam=plan.beam)
        self.clips = select_clips(plan)
        self.phones = PhoneReader()
        self.references, self.without_phones = self.phones.read_all(self.clips)
        self.most_common = most_common_phone(self.references.values())
        self.split = select_clips(replace(plan, limit=None))
        self.pairs = draw_targets(self.clips, list(self.split.values()), plan.seed)
        self.batches = {
            f"batch {number} of {len(keys)}": keys
            for number, keys in enumerate(draw_batches({key: self.clips[key] for key in self.references}, plan.seed), 1)
            if len(keys) > 1
        }
        is_trained = bool(int(self.tokenizer.model.trained))
        self.sentences = {f"sentence {text}": text for text in SENTENCES if is_trained}
        with_text = [key for key in self.references if self.clips[key].text]
        self.recognized = frozenset(spread_evenly(with_text, plan.recognise or _RECOGNIZED))
        scorers = plan.scorers
        self._speaker_encoder, no_speaker = find_optional_scorer("speaker", scorers.speaker, "speaker similarity")
        self._recognizer, no_words = find_optional_scorer("recognizer", scorers.recognizer, "WER")
        self.left_out = [*no_speaker, *no_words]
        if reason := self.phones.why_not_aligned(self.clips[key] for key in self.references):
            self.batches = {}
            self.left_out.append(f"retrieval: undefined: {reason}")

    def items(self) -> Sequence[str]:
        """Return the names of clips, batches and sentences."""
        return [*(f"clip {key}" for key in self.clips), *self.batches, *self.sentences]

    def work(self, item: str) -> Sequence[ResultRow]:
        """Return the result rows of an item."""
        if item in self.batches:
            return self._retrieve(item)
        return [self._speak(item)] if item in self.sentences else self._clip(item)

    def settings(self) -> dict[str, Any]:
        """Return everything that the rows depend on."""
        return common_settings(self.plan, self.clips, {self.name: self.tokenizer.digest}) | {
            "task": "ctap seed",
            "pairs": len(self.pairs),
            "batches": f"{len(self.batches)} of up to {BATCH_SIZE} utterances",
            "commonest phone": self.most_common,
            "recognised": len(self.recognized),
            "sentences": len(self.sentences),
            "vocoder": self.tokenizer.vocoder.name,
            "speaker judge": self.plan.scorers.speaker or "resemblyzer",
            "recogniser": self.plan.scorers.recognizer or default_scorer("recognizer"),
        }

    def card(self, results: Results) -> Card:
        """Return the card: figures, those that the paper reports, pictures and sounds."""
        speakers = {f"clip {key}": clip.speaker or key for key, clip in self.clips.items()}
        rows = {name: [row for row in results.rows if row.entry == name] for name in (self.name, *_ANCHORS)}
        found = {
            name: speaker_figures(some, COLUMNS, speakers, self.plan.seed, OVER_ITEMS) for name, some in rows.items()
        }
        clips = [row.item.removeprefix("clip ") for row in rows[self.name] if row.item in speakers]
        tokens = {key: Tokens.read(self._file(key)) for key in clips}
        levels = level_usage(tokens.values(), 1) if tokens else ()
        probes: list[ProbeRow] = []
        if tokens:
            found[self.name] |= token_figures(self.tokenizer, list(tokens.values()), self.plan.seed)
            probes = self._probes(tokens)
            found[self.name] |= disentanglement_figures([row for row in probes if row.probe == "speaker"])
        own = Entry(
            name=self.name, kind="tokenizer", family=self.name, note=describe_model(self.tokenizer), usage=levels,
            bit_rate=mean_bit_rate(self.tokenizer.format, list(tokens.values())), figures=found[self.name],
            reported={key: value for key, value in reported_figures().items() if key in found[self.name]},
        )  # fmt: skip
        anchors = [
            Entry(name=name, kind="anchor", family=name, note=note, figures=found[name])
            for name, note in _ANCHORS.items() if found[name]
        ]  # fmt: skip
        showcase = self._showcase(clips)
        return Card(
            title=f"{self.name}: speech and phonemes in one space",
            lead=f"{len(clips)} clips of {len({clip.speaker for clip in self.clips.values()})} speakers, "
            f"{describe_split(self.plan.split)}; {len(self.batches)} batches. {OPINIONS}",
            columns=[column for column in COLUMNS if any(column.key in entry.figures for entry in (own, *anchors))],
            entries=[own, *anchors], probes=probes, quarantined=results.quarantined,
            left_out=list(self._left_out(results)), settings=self.settings(), main=MAIN,
            samples=[] if showcase is None else list(make_samples(showcase)),
            pictures=[] if showcase is None else list(draw_pictures(showcase)),
        )  # fmt: skip

    def _clip(self, item: str) -> list[ResultRow]:
        key = item.removeprefix("clip ")
        clip = self._read(key)
        tokens = self.tokenizer.encode(clip)
        make_folder(self._file(key).parent)
        tokens.write(self._file(key))
        reconstruction = self.tokenizer.decode(tokens)
        transcribed = {"per": tokens, "per_reconstructed": self.tokenizer.encode(reconstruction)}
        scores = {
            "mel_error": mel_error(self.tokenizer, clip, tokens),
            "log_mel_distance": log_mel_distance(as_scored(clip).samples, as_scored(reconstruction).samples, RATE),
        }
        rows, speech = [], {"wer_recording": clip, "wer_reconstructed": reconstruction}
        if key in self.pairs:
            voice = Audio.read(self.pairs[key].voice.audio_path)
            converted = speech["wer_after_conversion"] = self.tokenizer.decode(tokens, voice)
            transcribed["per_after_conversion"] = self.tokenizer.encode(converted)
            versions = {"unconverted": clip, "own voice": reconstruction, "target": voice, self.name: converted}
            reference = Audio.read(self.pairs[key].reference.audio_path)
            similarities = score_similarity(self._speaker_encoder, clip, reference, versions)
            scores |= similarities.pop(self.name)
            rows = [ResultRow(entry=name, item=item, scores=one) for name, one in similarities.items()]
        if key in self.references:
            phones = self.references[key]
            scores |= {name: per(phones, self.tokenizer.transcribe(one)).score() for name, one in transcribed.items()}
            scores["per_majority"] = per(phones, [self.most_common] * len(phones)).score()
            if "per_after_conversion" in scores:
                before, after = scores["per_reconstructed"], scores["per_after_conversion"]
                scores["per_lost_by_conversion"] = Score(after.value - before.value, weight=before.weight)
        if key in self.recognized:
            text = self.clips[key].text or ""
            scores |= {name: score_transcript(self._recognizer, text, as_scored(one)) for name, one in speech.items()}
        return [ResultRow(entry=self.name, item=item, scores=scores), *rows]

    def _retrieve(self, item: str) -> list[ResultRow]:
        aligned: dict[str, tuple[Audio, Alignment]] = {}
        failed: dict[str, str] = {}
        for key in self.batches[item]:
            try:
                audio = self._read(key)
                alignment = self.phones.alignment(self.clips[key], audio)
                self.tokenizer.phonemes.ids(alignment.symbols, "the alignment")
            except (AlignmentError, AudioError, TextError) as error:
                failed[key] = without_path(error, self.clips[key])
            else:
                aligned[key] = (audio, alignment)
        if len(aligned) < 2:
            raise AlignmentError("; ".join(failed.values()))
        scored = score_retrieval(self.tokenizer, self._untrained, aligned, self.plan.seed, SPEEDS)
        return [
            ResultRow(entry=self.name if name == "own" else name, item=item, scores=scores, extra={"unaligned": failed})
            for name, scores in scored.items()
        ]

    def _speak(self, item: str) -> ResultRow:
        key = self._speaker_of(item)
        voice = Audio.read(self.clips[key].audio_path)
        scores = score_sentence(self.tokenizer, self.sentences[item], voice, self._recognizer, seed=self.plan.seed)
        return ResultRow(entry=self.name, item=item, scores=scores, extra={"voice": key})

    def _speaker_of(self, item: str) -> str:
        """Return the key of the clip that lends its voice to a sentence, drawn from those of at least a second."""
        long = [key for key, clip in self.clips.items() if clip.duration is None or clip.duration >= 1.0]
        return long[derive_seed(self.plan.seed, item) % len(long)] if long else next(iter(self.clips))

    def _probes(self, tokens: Mapping[str, Tokens]) -> list[ProbeRow]:
        """Return rows of the probes on tokens and voices, trained on all clips of the split by these speakers."""
        speakers = {self.clips[key].speaker for key in tokens}
        others = [one for key, one in self.split.items() if key not in self.clips and one.speaker in speakers]
        material = [(self.clips[key], one) for key, one in tokens.items()]
        material += encode_clips(self.tokenizer, others)[0] if others else []
        probes = ["speaker", *(["emotion"] if any(clip.value("emotion") for clip, _ in material) else [])]
        views, seed = ["level 1", VOICE], self.plan.seed
        return [
            row
            for probe in probes
            for row in run_probe(probe, self.tokenizer, self.name, material, views=views, seed=seed)
        ]

    def _left_out(self, results: Results) -> Iterator[str]:
        """Yield a line about everything that could not be measured, with the reason."""
        yield from self.left_out
        for key, reason in self.without_phones.items():
            yield f"{key}: no phones to compare with: {reason}"
        for key, reason in self._unaligned(results).items():
            yield f"{key}: could not be aligned, and is in no batch: {reason}"
        if not self.batches and not any(line.startswith("retrieval: ") for line in self.left_out):
            yield "retrieval: there are not two clips by different speakers whose phones are known"
        if not self.pairs:
            yield "conversion: there are no two speakers"
        if not self.sentences:
            yield "speech from text: this model's connector is not trained, so it reads no text yet"

    def _unaligned(self, results: Results) -> dict[str, str]:
        """Return the clips that batches were scored without, with the reasons."""
        rows = [row for row in results.rows if row.entry == self.name and row.item in self.batches]
        return {key: reason for row in rows for key, reason in row.extra["unaligned"].items()}

    def _showcase(self, clips: Sequence[str]) -> Showcase | None:
        """Return the evaluated clips to show, of different speakers; None if there are none."""
        shown = [key for key in clips if key in self.references and key in self.pairs]
        return Showcase(
            name=self.name, tokenizer=self.tokenizer, phones=self.phones,
            clips={key: self.clips[key] for key in spread_evenly(shown, MAX_CLIPS)},
            voices={key: self.pairs[key].voice for key in shown},
            sentences={text: self.clips[self._speaker_of(item)] for item, text in self.sentences.items()},
            seed=self.plan.seed,
        ) if shown else None  # fmt: skip

    def _read(self, key: str) -> Audio:
        try:
            return Audio.read(self.clips[key].audio_path)
        except AudioError as error:
            raise AudioError(without_path(error, self.clips[key])) from error

    def _file(self, key: str) -> Path:
        return self.out / "tokens" / f"{list(self.clips).index(key):05d}.tokens"

    @cached_property
    def _untrained(self) -> CtapTokenizer:
        return make_untrained(self.tokenizer, self.plan.seed)
