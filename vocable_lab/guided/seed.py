"""The evaluation that the guided codec's paper reports: coding, voice conversion, emotion and recognition.

Coding is scored on the clips of the split. Conversion takes the words of a clip of the split and the voice of another
speaker, and compares with that speaker's own recording of the same sentence (``sentence_id`` of the manifest).
Emotion is read from level 2 and words from level 1 by probes, of which the paper says no more than that.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vocable.audio import Audio
from vocable.data.manifest import read_manifest
from vocable.evaluate.card import Card, Column, Entry, ProbeRow
from vocable.evaluate.codecs.anchors import Identity, Noise
from vocable.evaluate.judges.find import find_judge
from vocable.evaluate.measures import Heard, Pair, find_measures
from vocable.evaluate.plan import Plan, as_filed, clips_of, names_of, settings_of
from vocable.evaluate.probes.run import encoded, run_probe
from vocable.evaluate.runner import Results, Row
from vocable.evaluate.summary import figures, off_anchor
from vocable.systems import registry as hub
from vocable.systems.guided.tokenizer import mix_levels
from vocable_lab.guided.taught import teachers_of
from vocable_lab.guided.voices import PARALLEL, UNCONVERTED, compared, conversions

_PAPER = "arXiv:2507.06802, as its summary gives it; corpus and band of PESQ unsaid"
_REPORTED = {
    "pesq_wb": 3.085, "vc_mcd": 6.076, "vc_pitch_correlation": 0.310, "ser_accuracy": 0.553, "asr_wer": 0.253,
}  # fmt: skip
_COLUMNS = (
    *PARALLEL,
    Column(key="ser_accuracy", title="SER top-1 accuracy", unit="%", better="higher", form=".1f",
           caption="Emotion from level 2, read by a probe on speakers it was not fitted on."),
    Column(key="asr_wer", title="ASR WER", unit="%", better="lower", form=".1f",
           caption="Words from level 1, read by a BLSTM with CTC over letters, greedy."),
)  # fmt: skip
_VIEWS = {"emotion": ["level 2"], "characters": ["level 1"]}
_READ = {"ser_accuracy": ("emotion", "top-1 accuracy"), "asr_wer": ("characters", "WER")}


class GuidedSeed:
    """The paper's table; a :class:`~vocable.evaluate.benchmark.Evaluation`."""

    def __init__(self, plan: Plan, out: Path) -> None:
        self.plan = plan
        (self.name, source), *_ = names_of(plan.tokenizers).items()
        self.tokenizer = hub.load(source)
        self.clips = clips_of(plan)
        self.measures, _ = find_measures(("pesq_wb", "pesq_nb"))
        self.conversions = conversions(self.clips, list(clips_of(plan, every=True).values()), plan.seed)
        self.tracker = find_judge("pitch")

    def items(self) -> Sequence[str]:
        """Clips to code, then sentences to convert."""
        return [*(f"code {key}" for key in self.clips), *self.conversions]

    def work(self, item: str) -> Sequence[Row]:
        """The rows of one of them."""
        return self._convert(item) if item in self.conversions else self._code(item)

    def settings(self) -> dict[str, Any]:
        """All that the rows depend on."""
        return settings_of(self.plan, self.clips, {self.name: self.tokenizer.digest}) | {
            "task": "guided seed",
            "conversions": len(self.conversions),
            "pitch": self.tracker.name,
            "metrics": {measure.column.key: measure.column.caption for measure in self.measures},
        }

    def card(self, results: Results) -> Card:
        """The paper's table, reported beside measured."""
        rows = {name: [row for row in results.rows if row.entry == name] for name in self._kinds()}
        columns = [*(measure.column for measure in self.measures), *_COLUMNS]
        entries = [
            Entry(
                name=name, kind=kind, family=name, note=note,  # type: ignore[arg-type]
                figures=figures(rows[name], columns, self.plan.seed),
            )
            for name, (kind, note) in self._kinds().items() if rows[name]
        ]  # fmt: skip
        probes = self._probes()
        shown = dict(entries[0].figures) | {
            key: row.figure for row in probes for key, wanted in _READ.items() if (row.probe, row.metric) == wanted
        }
        entries[0] = replace(
            entries[0], figures=shown, bit_rate=self.tokenizer.spec.bit_rate,
            reported={key: (value, _PAPER) for key, value in _REPORTED.items() if key in shown},
        )  # fmt: skip
        return Card(
            title=f"{self.name}: the paper's table",
            lead=f"{len(self.clips)} clips coded, {len(self.conversions)} sentences converted. "
            f"{teachers_of(names_of(self.plan.tokenizers))} Reported figures ({_PAPER}) are of "
            "another corpus and a model trained on 500 hours: they say where this one stands, not which is better.",
            columns=[column for column in columns if any(column.key in entry.figures for entry in entries)],
            entries=entries, probes=probes, alarms=off_anchor(self.measures, entries),
            quarantined=results.quarantined, settings=self.settings(), left_out=list(self._left_out(probes)),
        )  # fmt: skip

    def _left_out(self, probes: Sequence[ProbeRow]) -> Iterator[str]:
        """Which figures the manifests tell too little for."""
        read = {row.probe for row in probes}
        lacking = {
            "conversion: no 'sentence_id' of the split is another speaker's in the same mood": bool(self.conversions),
            "SER: no clip has 'emotion'": "emotion" in read,
            "ASR: no manifest has a 'text' in its train split": "characters" in read,
        }
        yield from (reason for reason, there in lacking.items() if not there)

    def _kinds(self) -> dict[str, tuple[str, str]]:
        return {
            self.name: ("tokenizer", self.tokenizer.digest),
            UNCONVERTED: ("anchor", "the source beside the target: what conversion must improve on"),
            "identity": ("anchor", Identity().note),
            "noise": ("anchor", Noise(self.plan.seed).note),
        }

    def _code(self, item: str) -> list[Row]:
        key = item.removeprefix("code ")
        clip = Audio.read(self.clips[key].audio_path)
        reference = Heard(as_filed(clip))
        made = {
            self.name: self.tokenizer.decode(self.tokenizer.encode(clip)),
            "identity": Identity().code(clip, key).audio,
            "noise": Noise(self.plan.seed).code(clip, key).audio,
        }
        return [
            Row(entry=name, item=item, scores={
                measure.column.key: measure(Pair(reference=reference, made=Heard(as_filed(audio))))
                for measure in self.measures
            }) for name, audio in made.items()
        ]  # fmt: skip

    def _convert(self, item: str) -> list[Row]:
        asked = self.conversions[item]
        source, voice = (Audio.read(part.audio_path) for part in (asked.source, asked.voice))
        mixed = mix_levels(self.tokenizer.encode(source), self.tokenizer.encode(voice))
        made = {self.name: self.tokenizer.decode(mixed), UNCONVERTED: source}
        return [Row(entry=name, item=item, scores=compared(self.tracker, asked, audio)) for name, audio in made.items()]

    def _probes(self) -> list[ProbeRow]:
        """Emotion from level 2 of every clip that has one; letters from level 1 where a train split has texts."""
        corpora = [read_manifest(manifest) for manifest in self.plan.manifests]
        spoken = {
            "emotion": [clip for clips in corpora for clip in clips if clip.extra.get("emotion")],
            "characters": [
                clip for clips in corpora for clip in clips if any(one.text and one.split == "train" for one in clips)
            ],
        }
        rows: list[ProbeRow] = []
        for probe, utterances in spoken.items():
            if utterances:
                clips, _ = encoded(self.tokenizer, utterances)
                rows += run_probe(probe, self.tokenizer, self.name, clips, views=_VIEWS[probe], seed=self.plan.seed)
        return rows
