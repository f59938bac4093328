"""Protocol ``seed``: the evaluation that the guided codec's paper reports.

Coding is scored on the clips of the split. Conversion takes the words of a clip of the split and the voice of another
speaker, and is compared with that speaker's own recording of the same sentence (``sentence_id`` of the manifest).
Probes read emotion from level 2 and words from level 1; the paper does not describe its probes further.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vocable.audio import Audio
from vocable.data.manifest import read_manifest
from vocable.evaluate.card import Card, Column, Entry, ProbeRow
from vocable.evaluate.codecs.base import Identity, Noise
from vocable.evaluate.judges.find import find_optional_scorer
from vocable.evaluate.measures import find_measures
from vocable.evaluate.pairs import Pair, ScoredClip
from vocable.evaluate.plan import Plan, as_scored, common_settings, select_clips, short_names
from vocable.evaluate.probes.run import encode_clips, run_probe
from vocable.evaluate.runner import Evaluation, ResultRow, Results
from vocable.evaluate.summary import check_anchors, entry_figures
from vocable.systems import registry as hub
from vocable.systems.guided.tokenizer import mix_levels
from vocable_lab.guided.conversion import PARALLEL, UNCONVERTED, draw_conversions, score_conversion
from vocable_lab.guided.teachers import describe_teachers

_PAPER = "arXiv:2507.06802, as its summary gives it; it names neither corpus nor band of PESQ"
_REPORTED = {
    "pesq_wb": 3.085, "vc_mcd": 6.076, "vc_pitch_correlation": 0.310, "ser_accuracy": 0.553, "asr_wer": 0.253,
}  # fmt: skip
_COLUMNS = (
    *PARALLEL,
    Column(key="ser_accuracy", title="SER top-1 accuracy", unit="%", better="higher", form=".1f",
           caption="Emotion predicted from level 2 by a probe, on speakers it was not fitted on."),
    Column(key="asr_wer", title="ASR WER", unit="%", better="lower", form=".1f",
           caption="Words recognized from level 1 by a BLSTM with CTC over letters, decoded greedily."),
)  # fmt: skip
_VIEWS = {"emotion": ["level 2"], "characters": ["level 1"]}
_PROBE_COLUMNS = {"ser_accuracy": ("emotion", "top-1 accuracy"), "asr_wer": ("characters", "WER")}


class GuidedSeed(Evaluation):
    """The paper's table; an :class:`~vocable.evaluate.runner.Evaluation`.

    Args:
        plan: One tokenizer, manifests, split, ``limit`` of clips and seed.
        out: Not used.

    Raises:
        CheckpointError: If the tokenizer cannot be loaded.
    """

    def __init__(self, plan: Plan, out: Path) -> None:
        self.plan = plan
        (self.name, source), *_ = short_names(plan.tokenizers).items()
        self.tokenizer = hub.load(source)
        self.clips = select_clips(plan)
        self.measures, _ = find_measures(("pesq_wb", "pesq_nb"))
        self.conversions = draw_conversions(self.clips, list(select_clips(plan, every=True).values()), plan.seed)
        self.tracker, self.left_out = find_optional_scorer("pitch", plan.scorers.pitch, "F0 of conversions")

    def items(self) -> Sequence[str]:
        """Return the names of the clips to code, then of the sentences to convert."""
        return [*(f"code {key}" for key in self.clips), *self.conversions]

    def work(self, item: str) -> Sequence[ResultRow]:
        """Return the rows of one item."""
        return self._convert(item) if item in self.conversions else self._code(item)

    def settings(self) -> dict[str, Any]:
        """Return all settings that the rows depend on."""
        return common_settings(self.plan, self.clips, {self.name: self.tokenizer.digest}) | {
            "task": "guided seed",
            "conversions": len(self.conversions),
            "pitch": self.tracker.name,
            "metrics": {measure.column.key: measure.column.caption for measure in self.measures},
        }

    def card(self, results: Results) -> Card:
        """Return a card of the paper's table, with reported figures beside measured ones."""
        rows = {name: [row for row in results.rows if row.entry == name] for name in self._entries()}
        columns = [*(measure.column for measure in self.measures), *_COLUMNS]
        entries = [
            Entry(
                name=name, kind=kind, family=name, note=note,  # type: ignore[arg-type]
                figures=entry_figures(rows[name], columns, self.plan.seed),
            )
            for name, (kind, note) in self._entries().items() if rows[name]
        ]  # fmt: skip
        probes = self._probe_rows()
        own_figures = dict(entries[0].figures) | {
            key: row.figure for row in probes for key, place in _PROBE_COLUMNS.items()
            if (row.probe, row.metric) == place
        }  # fmt: skip
        entries[0] = replace(
            entries[0], figures=own_figures, bit_rate=self.tokenizer.format.bit_rate(10.0),
            reported={key: (value, _PAPER) for key, value in _REPORTED.items() if key in own_figures},
        )  # fmt: skip
        return Card(
            title=f"{self.name}: the paper's table",
            lead=f"{len(self.clips)} clips coded, {len(self.conversions)} sentences converted. "
            f"{describe_teachers(short_names(self.plan.tokenizers))} Reported figures ({_PAPER}) are of "
            "another corpus and a model trained on 500 hours: they show the distance to it, not which codec is better.",
            columns=[column for column in columns if any(column.key in entry.figures for entry in entries)],
            entries=entries, probes=probes, alarms=check_anchors(self.measures, entries),
            quarantined=results.quarantined, settings=self.settings(), left_out=list(self._missing(probes)),
        )  # fmt: skip

    def _missing(self, probes: Sequence[ProbeRow]) -> Iterator[str]:
        """Yield what the machine and the manifests lack, for each figure that is left out."""
        yield from self.left_out
        probed = {row.probe for row in probes}
        required = {
            "conversion: no 'sentence_id' of the split is another speaker's in the same mood": bool(self.conversions),
            "SER: no clip has 'emotion'": "emotion" in probed,
            "ASR: no manifest has a 'text' in its train split": "characters" in probed,
        }
        yield from (reason for reason, is_available in required.items() if not is_available)

    def _entries(self) -> dict[str, tuple[str, str]]:
        """Return kind and note of each entry of the card."""
        return {
            self.name: ("tokenizer", self.tokenizer.digest),
            UNCONVERTED: ("anchor", "the source beside the target: what conversion must improve on"),
            "identity": ("anchor", Identity().note),
            "noise": ("anchor", Noise(self.plan.seed).note),
        }

    def _code(self, item: str) -> list[ResultRow]:
        key = item.removeprefix("code ")
        clip = Audio.read(self.clips[key].audio_path)
        reference = ScoredClip(as_scored(clip))
        decoded = {
            self.name: self.tokenizer.decode(self.tokenizer.encode(clip)),
            "identity": Identity().code(clip, key).audio,
            "noise": Noise(self.plan.seed).code(clip, key).audio,
        }
        return [
            ResultRow(entry=name, item=item, scores={
                measure.column.key: measure(Pair(reference=reference, decoded=ScoredClip(as_scored(audio))))
                for measure in self.measures
            }) for name, audio in decoded.items()
        ]  # fmt: skip

    def _convert(self, item: str) -> list[ResultRow]:
        conversion = self.conversions[item]
        source, voice = (Audio.read(clip.audio_path) for clip in (conversion.source, conversion.voice))
        mixed = mix_levels(self.tokenizer.encode(source), self.tokenizer.encode(voice))
        converted = {self.name: self.tokenizer.decode(mixed), UNCONVERTED: source}
        return [
            ResultRow(entry=name, item=item, scores=score_conversion(self.tracker, conversion, audio))
            for name, audio in converted.items()
        ]

    def _probe_rows(self) -> list[ProbeRow]:
        """Probe level 2 for emotion and, where a train split has texts, level 1 for letters."""
        corpora = [read_manifest(manifest) for manifest in self.plan.manifests]
        labelled = {
            "emotion": [clip for clips in corpora for clip in clips if clip.extra.get("emotion")],
            "characters": [
                clip for clips in corpora for clip in clips if any(one.text and one.split == "train" for one in clips)
            ],
        }
        rows: list[ProbeRow] = []
        for probe, utterances in labelled.items():
            if utterances:
                clips, _ = encode_clips(self.tokenizer, utterances)
                rows += run_probe(probe, self.tokenizer, self.name, clips, views=_VIEWS[probe], seed=self.plan.seed)
        return rows
