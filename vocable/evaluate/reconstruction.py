"""Speech made again by tokenizers and codecs, scored beside the recording: the task behind ``vocable evaluate``."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vocable.audio import Audio
from vocable.errors import ConfigError, VocableError
from vocable.evaluate.card import Card, Entry, ProbeRow, Sample
from vocable.evaluate.codecs.base import Codec, Coded
from vocable.evaluate.codecs.find import find_codecs
from vocable.evaluate.codecs.own import TokenizerCodec
from vocable.evaluate.measures import Heard, Pair, find_measures
from vocable.evaluate.plan import Plan, as_filed, clips_of, level_counts, names_of, settings_of, split_words, spread
from vocable.evaluate.probes.run import MATRIX, TAUGHT, encoded, find_probe, run_probe
from vocable.evaluate.probes.views import Clip
from vocable.evaluate.runner import Results, Row
from vocable.evaluate.samples import choose_samples, make_sample
from vocable.evaluate.summary import BIT_RATE, COUNTED, figures, groups, off_anchor, usage, usage_figures
from vocable.files import make_folder
from vocable.metrics.codebook import LevelUsage
from vocable.metrics.score import undefined
from vocable.systems import registry as hub
from vocable.tokens import Tokens

_GROUPED = ("speaker", "gender")  # keys of the manifest whose values get figures of their own


class Reconstruction:
    """Every clip through every codec, then through every metric; a :class:`~vocable.evaluate.runner.Task`."""

    def __init__(self, plan: Plan, out: Path) -> None:
        self.plan, self.out = plan, out
        for probe in plan.probes:
            find_probe("content" if probe == "matrix" else probe)  # an unknown one is refused before hours of work
        self.clips = clips_of(plan)
        self._heard = set(spread(list(self.clips), plan.recognise))
        self._number = {item: number for number, item in enumerate(self.clips)}
        self.tokenizers = {name: hub.load(source) for name, source in names_of(plan.tokenizers).items()}
        own = [
            TokenizerCodec(name, tokenizer, levels)
            for name, tokenizer in self.tokenizers.items()
            for levels in level_counts(plan.levels, tokenizer.spec.num_codebooks)
        ]
        outside, self.left_out = find_codecs(
            plan.codecs, lyra=plan.lyra, models=plan.models, decoded=plan.decoded, seed=plan.seed
        )
        self.codecs: list[Codec] = [*own, *outside]
        twice = sorted({codec.name for codec in self.codecs if [c.name for c in self.codecs].count(codec.name) > 1})
        if twice:
            raise ConfigError(f"'{twice[0]}' names two entries; give one of them another name")
        self.measures, missing = find_measures(plan.metrics, plan.judges)
        self.left_out += missing

    def items(self) -> Sequence[str]:
        """The clips' keys: their paths from the manifest."""
        return list(self.clips)

    def work(self, item: str) -> Sequence[Row]:
        """The rows of one clip."""
        try:
            clip = Audio.read(self.clips[item].audio_path)
        except VocableError as error:  # a result names no machine's folders
            raise type(error)(str(error).removeprefix(f"{self.clips[item].audio_path}: ")) from error
        reference = Heard(as_filed(clip))
        return [self._row(codec, clip, reference, item) for codec in self.codecs]

    def settings(self) -> dict[str, Any]:
        """All that the rows depend on."""
        digests = {name: tokenizer.digest for name, tokenizer in self.tokenizers.items()}
        return settings_of(self.plan, self.clips, digests) | {
            "task": "reconstruction",
            "recognise": self.plan.recognise,
            "entries": {codec.name: codec.note for codec in self.codecs},
            "metrics": {measure.column.key: measure.column.caption for measure in self.measures},
        }

    def card(self, results: Results) -> Card:
        """What all rows together say."""
        rows = {codec.name: [row for row in results.rows if row.entry == codec.name] for codec in self.codecs}
        columns = [*(measure.column for measure in self.measures), *COUNTED]
        entries = [self._entry(codec, rows[codec.name]) for codec in self.codecs]
        shown = {key for entry in entries for key in entry.figures}
        return Card(
            title=", ".join([*self.tokenizers, *self.plan.decoded]) or "Codecs",
            lead=self._lead(len(self.clips) - len(results.quarantined)),
            columns=[column for column in columns if column.key in shown],
            entries=entries,
            samples=self._samples(rows),
            probes=self._probes(results),
            alarms=off_anchor(self.measures, entries),
            quarantined=results.quarantined,
            left_out=self.left_out,
            settings=self.settings(),
        )

    def token_path(self, entry: str, item: str) -> Path:
        """Where the tokens of a clip are kept."""
        return self.out / "tokens" / entry / f"{self._number[item]:05d}.tokens"

    def _row(self, codec: Codec, clip: Audio, reference: Heard, item: str) -> Row:
        facts: dict[str, Any] = {"seconds": clip.duration}
        try:
            coded = codec.code(clip, item)
        except VocableError as error:
            scores = {measure.column.key: undefined(f"not coded: {error}") for measure in self.measures}
            return Row(entry=codec.name, item=item, scores=scores, facts=facts)
        if coded.payload_bits is not None:
            facts |= {"payload_bits": coded.payload_bits, "container_bits": coded.container_bits}
        if isinstance(codec, TokenizerCodec) and codec.levels is None:
            self._keep(codec.name, item, coded)
        filed = as_filed(coded.audio)
        same = np.array_equal(filed.samples, reference.audio.samples)
        made = reference if same else Heard(filed)  # what is the recording need not be heard again
        pair = Pair(reference=reference, made=made, text=self.clips[item].text, recognised=item in self._heard)
        scores = {measure.column.key: measure(pair) for measure in self.measures}
        return Row(entry=codec.name, item=item, scores=scores, facts=facts)

    def _keep(self, entry: str, item: str, coded: Coded) -> None:
        assert isinstance(coded.tokens, Tokens)
        path = self.token_path(entry, item)
        make_folder(path.parent)
        coded.tokens.write(path)

    def _entry(self, codec: Codec, rows: Sequence[Row]) -> Entry:
        columns = [measure.column for measure in self.measures]
        found = figures(rows, columns, self.plan.seed)
        levels = self._usage(codec, rows)
        if levels and isinstance(codec, TokenizerCodec):
            spec, seconds = codec.tokenizer.spec, sum(float(row.facts["seconds"]) for row in rows)
            rate = levels[0].frames / seconds if spec.hop is None else spec.frame_rate  # without a clock: on average
            found |= usage_figures(levels, rate, len(rows))
        return Entry(
            name=codec.name, kind=codec.kind, family=codec.family, note=codec.note,
            bit_rate=found[BIT_RATE.key].mean if BIT_RATE.key in found else math.nan,
            figures=found, groups=groups(rows, columns, self.plan.seed, self._values), usage=levels,
        )  # fmt: skip

    def _usage(self, codec: Codec, rows: Sequence[Row]) -> Sequence[LevelUsage]:
        if not isinstance(codec, TokenizerCodec):
            return ()
        levels = codec.levels or codec.tokenizer.spec.num_codebooks
        paths = [self.token_path(codec.family, row.item) for row in rows if "payload_bits" in row.facts]
        return usage([Tokens.read(path) for path in paths], levels) if paths else ()

    def _values(self, item: str) -> dict[str, str]:
        """What groups a clip belongs to."""
        utterance = self.clips[item]
        values = {key: getattr(utterance, key, None) or utterance.extra.get(key) for key in _GROUPED}
        return {key: str(value) for key, value in values.items() if value is not None}

    def _samples(self, rows: Mapping[str, Sequence[Row]]) -> list[Sample]:
        """Clips to listen to, ranked by the first metric that compares."""
        columns = [measure.column for measure in self.measures if measure.ceiling is not None]
        if not columns:
            return []
        full = [codec for codec in self.codecs if not (isinstance(codec, TokenizerCodec) and codec.levels)]
        names = [codec.name for codec in full if codec.kind in ("tokenizer", "decoded")]
        names += [codec.name for codec in full if codec.kind == "codec"]
        by_name = {codec.name: codec for codec in full}
        scored = {(row.entry, row.item): row.scores for entry in rows.values() for row in entry}

        def caption(entry: str, item: str) -> str:
            scores = scored[entry, item]
            return ", ".join(f"{column.title} {scores[column.key].text(column.form)}" for column in columns[:3])

        ranked = {name: rows[name] for name in names if by_name[name].kind != "codec"}
        return [
            make_sample(
                item, why, Audio.read(self.clips[item].audio_path), [by_name[name] for name in whose],
                self._facts(item), as_filed, caption,
            )
            for item, why, whose in choose_samples(ranked, columns[0], names)
        ]  # fmt: skip

    def _facts(self, item: str) -> dict[str, str]:
        text = self.clips[item].text
        return self._values(item) | ({"text": text} if text else {})

    def _probes(self, results: Results) -> list[ProbeRow]:
        """What small models read out of the tokens; those that need a train split are shown every split."""
        asked = [probe for name in self.plan.probes for probe in (MATRIX if name == "matrix" else (name,))]
        rows: list[ProbeRow] = []
        for name, tokenizer in self.tokenizers.items():
            paths = {row.item: self.token_path(name, row.item) for row in results.rows if row.entry == name}
            kept = [(self.clips[item], Tokens.read(path)) for item, path in paths.items() if path.exists()]
            everything: list[Clip] = []
            for probe in dict.fromkeys(asked):
                if probe in TAUGHT and not everything:
                    everything, _ = encoded(tokenizer, list(clips_of(self.plan, every=True).values()))
                clips = everything if probe in TAUGHT else kept
                rows += run_probe(probe, tokenizer, name, clips, seed=self.plan.seed) if clips else []
        return rows

    def _lead(self, judged: int) -> str:
        names = " and ".join(path.absolute().parent.name for path in self.plan.manifests)
        return f"{judged} clips of {names}, {split_words(self.plan.split)}"
