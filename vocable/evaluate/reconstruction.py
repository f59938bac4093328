"""Reconstruction by tokenizers and codecs, scored against the recording: the evaluation behind ``vocable evaluate``."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vocable.audio import Audio
from vocable.errors import ConfigError, VocableError
from vocable.evaluate.card import Card, Entry, LevelFigures, ProbeRow, Sample
from vocable.evaluate.codecs.base import Codec, Coded, TokenCodec
from vocable.evaluate.codecs.find import find_codecs
from vocable.evaluate.codecs.tokenizer import TokenizerCodec
from vocable.evaluate.measures import find_measures, find_token_metrics
from vocable.evaluate.pairs import Pair, ScoredClip
from vocable.evaluate.plan import (
    Plan,
    as_scored,
    common_settings,
    describe_split,
    level_counts,
    select_clips,
    short_names,
    spread_evenly,
)
from vocable.evaluate.probes.run import MATRIX, NEEDS_TRAIN_SPLIT, encode_clips, find_probe, run_probe
from vocable.evaluate.probes.views import Clip
from vocable.evaluate.recognition import describe_failures
from vocable.evaluate.runner import Evaluation, ResultRow, Results
from vocable.evaluate.samples import choose_samples, make_sample
from vocable.evaluate.summary import (
    BIT_RATE,
    COUNTED,
    check_anchors,
    entry_figures,
    group_figures,
    level_usage,
    usage_figures,
)
from vocable.evaluate.token_metrics import (
    MODELABILITY,
    MODELABILITY_COLUMNS,
    STABILITY,
    STABILITY_COLUMNS,
    level_changes,
    modelability_figures,
    score_stability,
)
from vocable.files import exists, make_folder
from vocable.metrics.codebook import LevelUsage
from vocable.metrics.score import Figure, undefined
from vocable.systems import registry
from vocable.tokens import Tokens

_GROUP_KEYS = ("speaker", "gender")  # keys of the manifest whose values have figures of their own


class Reconstruction(Evaluation):
    """Every clip coded by every codec and scored by every metric.

    Args:
        plan: Plan of the evaluation.
        out: Folder of the run.

    Raises:
        ConfigError: If a name in the plan is unknown, or names two entries.
    """

    takes_several = True

    def __init__(self, plan: Plan, out: Path) -> None:
        self.plan, self.out = plan, out
        for probe in plan.probes:
            find_probe("content" if probe == "matrix" else probe)  # refuse an unknown one before hours of work
        self.clips = select_clips(plan)
        self._recognized = set(spread_evenly(list(self.clips), plan.recognise))
        self._number = {item: number for number, item in enumerate(self.clips)}
        sources = short_names(plan.tokenizers)
        self.tokenizers = {name: registry.load(source, plan.device, beam=plan.beam) for name, source in sources.items()}
        for tokenizer in self.tokenizers.values():
            tokenizer.check_encoding()
            tokenizer.check_decoding()
        texts = {key: clip.text for key, clip in self.clips.items() if clip.text is not None}
        tokenizers = [
            TokenizerCodec(name, tokenizer, levels, texts)
            for name, tokenizer in self.tokenizers.items()
            for levels in level_counts(plan.levels, tokenizer.spec.num_codebooks)
        ]
        others, self.left_out = find_codecs(
            plan.codecs, lyra=plan.lyra, models=plan.models, decoded=plan.decoded, seed=plan.seed
        )
        self.codecs: list[Codec] = [*tokenizers, *others]
        names = [codec.name for codec in self.codecs]
        duplicates = sorted({name for name in names if names.count(name) > 1})
        if duplicates:
            raise ConfigError(f"'{duplicates[0]}' names two entries; give one of them another name")
        self.measures, missing = find_measures(plan.metrics, plan.scorers, plan.device)
        self.token_metrics = find_token_metrics(plan.metrics)
        self.left_out += missing

    def items(self) -> Sequence[str]:
        """Return the keys of the clips: their paths relative to the manifest."""
        return list(self.clips)

    def work(self, item: str) -> Sequence[ResultRow]:
        """Return the rows of one clip."""
        try:
            clip = Audio.read(self.clips[item].audio_path)
        except VocableError as error:  # without the path: a result names no folder of this machine
            path = self.clips[item].audio_path
            reason = str(error).removeprefix(f"{path}: ").replace(str(path), path.name)
            raise type(error)(reason) from error
        reference = ScoredClip(as_scored(clip))
        return [self._row(codec, clip, reference, item) for codec in self.codecs]

    def settings(self) -> dict[str, Any]:
        """Return all values that the rows depend on."""
        digests = {name: tokenizer.digest for name, tokenizer in self.tokenizers.items()}
        return common_settings(self.plan, self.clips, digests) | {
            "task": "reconstruction",
            "recognise": self.plan.recognise,
            "entries": {codec.name: codec.note for codec in self.codecs},
            "metrics": {measure.column.key: measure.column.caption for measure in self.measures},
        }

    def card(self, results: Results) -> Card:
        """Return the figures of all rows as a card."""
        rows = {codec.name: [row for row in results.rows if row.entry == codec.name] for codec in self.codecs}
        columns = [*(measure.column for measure in self.measures), *COUNTED, *MODELABILITY_COLUMNS, *STABILITY_COLUMNS]
        entries = [self._entry(codec, rows[codec.name]) for codec in self.codecs]
        measured = {key for entry in entries for key in entry.figures}
        return Card(
            title=", ".join([*self.tokenizers, *self.plan.decoded]) or "Codecs",
            lead=self._lead(len(self.clips) - len(results.quarantined)),
            columns=[column for column in columns if column.key in measured],
            entries=entries,
            samples=self._samples(rows),
            probes=self._probes(results),
            alarms=check_anchors(self.measures, entries),
            quarantined=results.quarantined,
            left_out=self.left_out,
            findings=describe_failures(columns, entries),
            settings=self.settings(),
        )

    def token_path(self, entry: str, item: str) -> Path:
        """Return the path of the token file of a clip."""
        return self.out / "tokens" / entry / f"{self._number[item]:05d}.tokens"

    def _row(self, codec: Codec, clip: Audio, reference: ScoredClip, item: str) -> ResultRow:
        extra: dict[str, Any] = {"seconds": clip.duration}
        try:
            coded = codec.code(clip, item)
        except VocableError as error:
            scores = {measure.column.key: undefined(f"not coded: {error}") for measure in self.measures}
            return ResultRow(entry=codec.name, item=item, scores=scores, extra=extra)
        if coded.payload_bits is not None:
            extra |= {"payload_bits": coded.payload_bits, "container_bits": coded.container_bits}
        if coded.tokens is not None:
            extra["levels"] = coded.tokens.spec.num_codebooks
        if self._keeps_tokens(codec):
            self._write_tokens(codec.name, item, coded)
        audio = as_scored(coded.audio)
        is_same = np.array_equal(audio.samples, reference.audio.samples)
        decoded = reference if is_same else ScoredClip(audio)  # do not ask the scorers twice for the same samples
        utterance = self.clips[item]
        pair = Pair(
            reference=reference, decoded=decoded, text=utterance.text, is_recognized=item in self._recognized,
            language=utterance.value("language") or "en",
        )  # fmt: skip
        scores = {measure.column.key: measure(pair) for measure in self.measures}
        if STABILITY in self.token_metrics and self._keeps_tokens(codec):
            scores |= score_stability(codec, clip, item, coded.tokens)
        return ResultRow(entry=codec.name, item=item, scores=scores, extra=extra)

    def _keeps_tokens(self, codec: Codec) -> bool:
        """Tell whether the tokens of a codec are written: those of all levels, of others only if they are measured."""
        if isinstance(codec, TokenizerCodec):
            return codec.levels is None
        return bool(self.token_metrics) and isinstance(codec, TokenCodec)

    def _write_tokens(self, entry: str, item: str, coded: Coded) -> None:
        assert isinstance(coded.tokens, Tokens)
        path = self.token_path(entry, item)
        make_folder(path.parent)
        coded.tokens.write(path)

    def _entry(self, codec: Codec, rows: Sequence[ResultRow]) -> Entry:
        columns = [*(measure.column for measure in self.measures), *STABILITY_COLUMNS]
        figures = entry_figures(rows, columns, self.plan.seed)
        levels = self._usage(codec, rows)
        if levels and isinstance(codec, TokenizerCodec):
            spec, seconds = codec.tokenizer.spec, sum(float(row.extra["seconds"]) for row in rows)
            rate = levels[0].frames / seconds if spec.hop is None else spec.frame_rate  # tokens of a text: on average
            figures |= usage_figures(levels, rate, len(rows))
        modeled, by_level = self._level_figures(codec, rows)
        figures |= modeled
        return Entry(
            name=codec.name, kind=codec.kind, family=codec.family, note=codec.note,
            bit_rate=figures[BIT_RATE.key].mean if BIT_RATE.key in figures else math.nan,
            figures=figures, groups=group_figures(rows, columns, self.plan.seed, self._groups), usage=levels,
            by_level=by_level,
        )  # fmt: skip

    def _level_figures(
        self, codec: Codec, rows: Sequence[ResultRow]
    ) -> tuple[dict[str, Figure], tuple[LevelFigures, ...]]:
        """Return the modelability of a codec, and the stability and modelability of each of its levels."""
        coded = [row for row in rows if "payload_bits" in row.extra]
        if not self.token_metrics or not self._keeps_tokens(codec) or not coded:
            return {}, ()
        clips = {row.item: Tokens.read(self.token_path(codec.name, row.item)) for row in coded}
        figures: dict[str, Figure] = {}
        perplexities: list[tuple[float, float]] = []
        if MODELABILITY in self.token_metrics:
            seconds = {row.item: float(row.extra["seconds"]) for row in coded}
            speakers = {item: str(self.clips[item].value("speaker") or item) for item in clips}
            figures, perplexities = modelability_figures(clips, speakers, seconds, self.plan.seed)
        levels = [
            LevelFigures(
                level=number,
                changes=level_changes([row.scores for row in coded], number, self.plan.seed),
                perplexities=perplexities[number - 1] if perplexities else None,
            )
            for number in range(1, next(iter(clips.values())).spec.num_codebooks + 1)
        ]
        return figures, tuple(levels)

    def _usage(self, codec: Codec, rows: Sequence[ResultRow]) -> Sequence[LevelUsage]:
        if not isinstance(codec, TokenizerCodec):
            return ()
        levels = codec.levels or codec.tokenizer.spec.num_codebooks
        paths = [self.token_path(codec.family, row.item) for row in rows if "payload_bits" in row.extra]
        return level_usage([Tokens.read(path) for path in paths], levels) if paths else ()

    def _groups(self, item: str) -> dict[str, str]:
        """Return the groups of a clip by key."""
        values = {key: self.clips[item].value(key) for key in _GROUP_KEYS}
        return {key: str(value) for key, value in values.items() if value is not None}

    def _samples(self, rows: Mapping[str, Sequence[ResultRow]]) -> list[Sample]:
        """Return clips to listen to, ranked by the first metric that compares with the recording."""
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
                item, why, Audio.read(self.clips[item].audio_path), [by_name[name] for name in entries],
                self._description(item), caption,
            )
            for item, why, entries in choose_samples(ranked, columns[0], names)
        ]  # fmt: skip

    def _description(self, item: str) -> dict[str, str]:
        text = self.clips[item].text
        return self._groups(item) | ({"text": text} if text else {})

    def _probes(self, results: Results) -> list[ProbeRow]:
        """Return the rows of the probes; those that need the split train are given all splits."""
        requested = [probe for name in self.plan.probes for probe in (MATRIX if name == "matrix" else (name,))]
        rows: list[ProbeRow] = []
        for name, tokenizer in self.tokenizers.items():
            paths = {row.item: self.token_path(name, row.item) for row in results.rows if row.entry == name}
            evaluated = [(self.clips[item], Tokens.read(path)) for item, path in paths.items() if exists(path)]
            every: list[Clip] = []
            for probe in dict.fromkeys(requested):
                if probe in NEEDS_TRAIN_SPLIT and not every:
                    every, _ = encode_clips(tokenizer, list(select_clips(self.plan, every=True).values()))
                clips = every if probe in NEEDS_TRAIN_SPLIT else evaluated
                rows += run_probe(probe, tokenizer, name, clips, seed=self.plan.seed) if clips else []
        return rows

    def _lead(self, evaluated: int) -> str:
        names = " and ".join(path.absolute().parent.name for path in self.plan.manifests)
        return f"{evaluated} clips of {names}, {describe_split(self.plan.split)}"
