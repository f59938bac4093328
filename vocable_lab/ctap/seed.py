"""The evaluation that VQ-CTAP's seed asks for: do speech and phonemes meet, what do codes keep, whose voice is heard.

Every clip is encoded, decoded in its own voice and in another speaker's, and read by the model's own recogniser. In
batches of utterances every speech frame looks for its phoneme frame, beside two controls. Ten sentences are spoken
where the model can. Probes ask codes and voice who speaks.
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
from vocable.evaluate.judges.base import Recogniser, SpeakerEncoder
from vocable.evaluate.judges.find import find_judge
from vocable.evaluate.measures import RATE
from vocable.evaluate.plan import Plan, as_filed, clips_of, names_of, seeded, settings_of, split_words, spread
from vocable.evaluate.probes.run import encoded, run_probe
from vocable.evaluate.probes.views import VOICE
from vocable.evaluate.runner import Results, Row
from vocable.evaluate.summary import summed, usage
from vocable.files import make_folder
from vocable.metrics.score import Score
from vocable.metrics.spectral import log_mel_distance
from vocable.metrics.text import per, wer
from vocable.systems import registry as hub
from vocable.systems.ctap.tokenizer import CtapTokenizer
from vocable.tokens import Tokens
from vocable_lab.ctap import sentences as ctap_sentences
from vocable_lab.ctap.figures import (
    COLUMNS,
    MAIN,
    OPINIONS,
    OVER_ITEMS,
    SPEEDS,
    disentangled,
    reported,
)
from vocable_lab.ctap.frames import TOGETHER, batches, compared, untrained
from vocable_lab.ctap.look import SHOWN, Look, pictures, samples
from vocable_lab.shared.codes import commonest, mel_error, token_figures
from vocable_lab.shared.phones import Phones, plain
from vocable_lab.shared.voices import likeness, pairings

_RECOGNISED = 30  # clips that the recogniser hears, where the plan says nothing: three seconds of work for each
_ANCHORS = {
    "shuffled": "control: the phonemes of every utterance have changed places; durations and pauses stay",
    "untrained": "control: the same sizes with random weights",
    "unconverted": "the source beside the target: what conversion begins with",
    "own voice": "decoded in the source's own voice: what decoding alone does",
    "target": "the recording that lends its voice: what conversion could reach",
}


class CtapSeed:
    """Retrieval, recognition, conversion, speech from text; a :class:`~vocable.evaluate.benchmark.Evaluation`.

    Args:
        plan: One tokenizer, manifests, split, ``limit`` of clips, ``recognise`` (30 by default), judges and seed.
        out: Tokens of the clips are kept here.

    Raises:
        AlignmentError: No clip says what is said in it.
        CheckpointError: The tokenizer cannot be loaded.
    """

    def __init__(self, plan: Plan, out: Path) -> None:
        self.plan, self.out = plan, out
        (self.name, source), *_ = names_of(plan.tokenizers).items()
        self.tokenizer = hub.load_as(source, CtapTokenizer)
        self.clips = clips_of(plan)
        self.phones = Phones()
        self.references, self.unsaid = self.phones.of_all(self.clips)
        self.commonest = commonest(self.references.values())
        self.split = clips_of(replace(plan, limit=None))
        self.pairs = pairings(self.clips, list(self.split.values()), plan.seed)
        self.batches = {
            f"batch {number} of {len(keys)}": keys
            for number, keys in enumerate(batches({key: self.clips[key] for key in self.references}, plan.seed), 1)
            if len(keys) > 1
        }
        speaks = bool(int(self.tokenizer.model.trained))
        self.sentences = {f"sentence {text}": text for text in ctap_sentences.SENTENCES if speaks}
        with_text = [key for key in self.references if self.clips[key].text]
        self.recognised = frozenset(spread(with_text, plan.recognise or _RECOGNISED))

    def items(self) -> Sequence[str]:
        """Clips, batches, sentences."""
        return [*(f"clip {key}" for key in self.clips), *self.batches, *self.sentences]

    def work(self, item: str) -> Sequence[Row]:
        """The rows of one of them."""
        if item in self.batches:
            return self._retrieve(item)
        return [self._speak(item)] if item in self.sentences else self._clip(item)

    def settings(self) -> dict[str, Any]:
        """All that the rows depend on."""
        return settings_of(self.plan, self.clips, {self.name: self.tokenizer.digest}) | {
            "task": "ctap seed",
            "pairs": len(self.pairs),
            "batches": f"{len(self.batches)} of up to {TOGETHER} utterances",
            "commonest phone": self.commonest,
            "recognised": len(self.recognised),
            "sentences": len(self.sentences),
            "vocoder": self.tokenizer.vocoder.name,
            "speaker judge": self.plan.judges.speaker or "resemblyzer",
            "recogniser": self.plan.judges.recogniser or "pocketsphinx",
        }

    def card(self, results: Results) -> Card:
        """All figures, what the paper says beside them, and pictures."""
        speakers = {f"clip {key}": clip.speaker or key for key, clip in self.clips.items()}
        rows = {name: [row for row in results.rows if row.entry == name] for name in (self.name, *_ANCHORS)}
        found = {name: summed(some, COLUMNS, speakers, self.plan.seed, OVER_ITEMS) for name, some in rows.items()}
        clips = [row.item.removeprefix("clip ") for row in rows[self.name] if row.item in speakers]
        tokens = {key: Tokens.read(self._file(key)) for key in clips}
        levels = usage(tokens.values(), 1) if tokens else ()
        probes: list[ProbeRow] = []
        if tokens:
            found[self.name] |= token_figures(self.tokenizer, list(tokens.values()), self.plan.seed)
            probes = self._probes(tokens)
            found[self.name] |= disentangled([row for row in probes if row.probe == "speaker"])
        own = Entry(
            name=self.name, kind="tokenizer", family=self.name, note=self.tokenizer.digest, usage=levels,
            bit_rate=self.tokenizer.spec.bit_rate, figures=found[self.name],
            reported={key: value for key, value in reported().items() if key in found[self.name]},
        )  # fmt: skip
        anchors = [
            Entry(name=name, kind="anchor", family=name, note=note, figures=found[name])
            for name, note in _ANCHORS.items() if found[name]
        ]  # fmt: skip
        look = self._look(clips)
        return Card(
            title=f"{self.name}: speech and phonemes in one space",
            lead=f"{len(clips)} clips of {len({clip.speaker for clip in self.clips.values()})} speakers, "
            f"{split_words(self.plan.split)}; {len(self.batches)} batches. {OPINIONS}",
            columns=[column for column in COLUMNS if any(column.key in entry.figures for entry in (own, *anchors))],
            entries=[own, *anchors], probes=probes, quarantined=results.quarantined,
            left_out=list(self._left_out(results)), settings=self.settings(), main=MAIN,
            samples=[] if look is None else list(samples(look)), pictures=[] if look is None else list(pictures(look)),
        )  # fmt: skip

    # ---- the work -------------------------------------------------------------------------------------------------

    def _clip(self, item: str) -> list[Row]:
        key = item.removeprefix("clip ")
        clip = self._hear(key)
        tokens = self.tokenizer.encode(clip)
        make_folder(self._file(key).parent)
        tokens.write(self._file(key))
        again = self.tokenizer.decode(tokens)
        made = {"per": tokens, "per_reconstructed": self.tokenizer.encode(again)}
        scores = {
            "mel_error": mel_error(self.tokenizer, clip, tokens),
            "log_mel_distance": log_mel_distance(as_filed(clip).samples, as_filed(again).samples, RATE),
        }
        rows, heard = [], {"wer_recording": clip, "wer_reconstructed": again}
        if key in self.pairs:
            voice = Audio.read(self.pairs[key].voice.audio_path)
            converted = heard["wer_after_conversion"] = self.tokenizer.decode(tokens, voice)
            made["per_after_conversion"] = self.tokenizer.encode(converted)
            alike = {"unconverted": clip, "own voice": again, "target": voice, self.name: converted}
            other = Audio.read(self.pairs[key].other.audio_path)
            found = likeness(self._judge, clip, other, alike)
            scores |= found.pop(self.name)
            rows = [Row(entry=name, item=item, scores=one) for name, one in found.items()]
        if key in self.references:
            said = self.references[key]
            scores |= {name: per(said, self.tokenizer.transcribe(one)).score() for name, one in made.items()}
            scores["per_majority"] = per(said, [self.commonest] * len(said)).score()
            if "per_after_conversion" in scores:
                before, after = scores["per_reconstructed"], scores["per_after_conversion"]
                scores["per_lost_by_conversion"] = Score(after.value - before.value, weight=before.weight)
        if key in self.recognised:
            text = self.clips[key].text or ""
            scores |= {
                name: wer(text, self._recogniser.transcribe(as_filed(one))).score() for name, one in heard.items()
            }
        return [Row(entry=self.name, item=item, scores=scores), *rows]

    def _retrieve(self, item: str) -> list[Row]:
        spoken_by: dict[str, tuple[Audio, Alignment]] = {}
        failed: dict[str, str] = {}
        for key in self.batches[item]:
            try:
                audio = self._hear(key)
                alignment = self.phones.alignment(self.clips[key], audio)
                self.tokenizer.phonemes.ids(alignment.symbols, "the alignment")
            except (AlignmentError, AudioError, TextError) as error:
                failed[key] = plain(error, self.clips[key])
            else:
                spoken_by[key] = (audio, alignment)
        if len(spoken_by) < 2:
            raise AlignmentError("; ".join(failed.values()))
        found = compared(self.tokenizer, self._untrained, spoken_by, self.plan.seed, SPEEDS)
        return [
            Row(entry=self.name if name == "own" else name, item=item, scores=scores, facts={"unaligned": failed})
            for name, scores in found.items()
        ]

    def _speak(self, item: str) -> Row:
        key = self._speaker_of(item)
        voice = Audio.read(self.clips[key].audio_path)
        scores = ctap_sentences.judged(
            self.tokenizer, self.sentences[item], voice, self._recogniser, seed=self.plan.seed
        )
        return Row(entry=self.name, item=item, scores=scores, facts={"voice": key})

    def _speaker_of(self, item: str) -> str:
        """The clip that lends a sentence its voice: of those that are long enough, one for each."""
        long = [key for key, clip in self.clips.items() if clip.duration is None or clip.duration >= 1.0]
        return long[seeded(self.plan.seed, item) % len(long)] if long else next(iter(self.clips))

    # ---- what it says together ------------------------------------------------------------------------------------

    def _probes(self, tokens: Mapping[str, Tokens]) -> list[ProbeRow]:
        """Who speaks and how, from codes and voices; of the speakers judged, all clips of the split."""
        speakers = {self.clips[key].speaker for key in tokens}
        others = [one for key, one in self.split.items() if key not in self.clips and one.speaker in speakers]
        told = [(self.clips[key], one) for key, one in tokens.items()]
        told += encoded(self.tokenizer, others)[0] if others else []
        asked = ["speaker", *(["emotion"] if any(clip.value("emotion") for clip, _ in told) else [])]
        views, seed = ["level 1", VOICE], self.plan.seed
        return [row for one in asked for row in run_probe(one, self.tokenizer, self.name, told, views=views, seed=seed)]

    def _left_out(self, results: Results) -> Iterator[str]:
        """What could not be done, and why."""
        for key, reason in self.unsaid.items():
            yield f"{key}: no phones to compare with: {reason}"
        for key, reason in self._unaligned(results).items():
            yield f"{key}: could not be aligned, and is in no batch: {reason}"
        if not self.batches:
            yield "retrieval: there are not two clips by different speakers whose phones are known"
        if not self.pairs:
            yield "conversion: there are no two speakers"
        if not self.sentences:
            yield "speech from text: this model's connector is not trained, so it reads no text yet"

    def _unaligned(self, results: Results) -> dict[str, str]:
        """Clips that batches went without; those of a batch that could not be judged are named with it."""
        rows = [row for row in results.rows if row.entry == self.name and row.item in self.batches]
        return {key: reason for row in rows for key, reason in row.facts["unaligned"].items()}

    def _look(self, clips: Sequence[str]) -> Look | None:
        """What there is to see: clips that were judged, of different speakers, the first with its phonemes aligned."""
        shown = [key for key in clips if key in self.references and key in self.pairs]
        return Look(
            name=self.name, tokenizer=self.tokenizer, phones=self.phones,
            clips={key: self.clips[key] for key in spread(shown, SHOWN)},
            voices={key: self.pairs[key].voice for key in shown},
            sentences={text: self.clips[self._speaker_of(item)] for item, text in self.sentences.items()},
            seed=self.plan.seed,
        ) if shown else None  # fmt: skip

    def _hear(self, key: str) -> Audio:
        try:
            return Audio.read(self.clips[key].audio_path)
        except AudioError as error:
            raise AudioError(plain(error, self.clips[key])) from error

    def _file(self, key: str) -> Path:
        return self.out / "tokens" / f"{list(self.clips).index(key):05d}.tokens"

    @cached_property
    def _untrained(self) -> CtapTokenizer:
        return untrained(self.tokenizer, self.plan.seed)

    @cached_property
    def _judge(self) -> SpeakerEncoder:
        return find_judge("speaker", self.plan.judges.speaker)

    @cached_property
    def _recogniser(self) -> Recogniser:
        return find_judge("recogniser", self.plan.judges.recogniser)
