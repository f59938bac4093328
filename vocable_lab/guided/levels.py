"""Protocol ``levels``: what each level of a guided codec keeps of quality, phones, emotion and speaker.

Clips of the split are coded with all levels and with fewer, and converted to another speaker's voice by mixing levels.
Sentences that another speaker recorded, too, are compared with that recording. Probes read phones and speakers from
level 1, and emotions from level 2 and from all levels. Where a manifest lacks labels, there is no figure. Studies
measure their variants by this protocol.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from vocable.audio import Audio
from vocable.evaluate.card import Card, Column, Entry, ProbeRow
from vocable.evaluate.judges.find import find_optional_scorer
from vocable.evaluate.measures import find_measures
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
from vocable.evaluate.probes.run import encode_clips, run_probe
from vocable.evaluate.probes.views import all_views
from vocable.evaluate.runner import Evaluation, ResultRow, Results
from vocable.evaluate.summary import speaker_figures
from vocable.metrics.score import Figure, Score, point_figure
from vocable.systems import registry as hub
from vocable.systems.guided.tokenizer import GuidedTokenizer, mix_levels
from vocable.tokens import Tokens
from vocable_lab.guided.conversion import PARALLEL, UNCONVERTED, draw_conversions, score_conversion
from vocable_lab.guided.probe_clips import ProbeClips, select_probe_clips
from vocable_lab.guided.teachers import describe_teachers
from vocable_lab.shared import codes, voices
from vocable_lab.shared.rates import RATE_COLUMNS, rate_figures
from vocable_lab.shared.voices import draw_targets, score_similarity

_MEASURES = ("pesq_wb", "stoi", "log_mel_distance")
_TOKEN_RATE = next(column for column in codes.COLUMNS if column.key == "tokens_per_second")
_PHONE_ERROR = "phone_error"
_MAIN_COLUMNS = (  # beside the bit rate, which every entry has
    "pesq_wb", "stoi", _PHONE_ERROR, "ser_accuracy", "ser_all", "speaker_accuracy", "vc_target_closer_share", "vc_mcd",
)  # fmt: skip
COLUMNS = (
    _TOKEN_RATE,
    *RATE_COLUMNS,
    Column(key="pesq_wb", title="PESQ-WB", better="higher",
           caption="Perceptual quality, ITU-T P.862.2, wide band at 16 kHz: 1.0 to 4.64."),
    Column(key="stoi", title="STOI", better="higher", form=".3f",
           caption="Short-time objective intelligibility, up to 1."),
    Column(key="log_mel_distance", title="log-mel distance", unit="dB", better="lower",
           caption="Mean absolute difference of 80 log-mel bands."),
    Column(key=_PHONE_ERROR, title="phone error, level 1", unit="%", better="lower", form=".1f",
           caption="Share of frames whose phone a linear probe on level 1 gets wrong, on other speakers than it was "
           "fitted on; phones of the manifest's 'alignment', else of its 'phone_marks'."),
    Column(key="ser_accuracy", title="SER top-1, level 2", unit="%", better="higher", form=".1f",
           caption="Emotion predicted from level 2 by a probe, on speakers it was not fitted on."),
    Column(key="ser_all", title="SER top-1, all levels", unit="%", better="higher", form=".1f",
           caption="Emotion predicted from all levels, likewise."),
    Column(key="speaker_accuracy", title="speaker top-1, level 1", unit="%", better="lower", form=".1f",
           caption="Speaker predicted from level 1 by a probe, on other clips of these speakers. A first level of "
           "linguistic content alone does not reveal the speaker."),
    Column(key="speaker_accuracy_rest", title="speaker top-1, levels 2 and up", unit="%", better="higher", form=".1f",
           caption="Speaker predicted from the levels after the first, likewise."),
    *voices.COLUMNS,
    *PARALLEL,
)  # fmt: skip


class GuidedLevels(Evaluation):
    """Coding by levels, conversion and probes; an :class:`~vocable.evaluate.runner.Evaluation`.

    Args:
        plan: Tokenizers, manifests, split, ``levels`` to decode from in addition to all, ``limit`` of clips and of
            sentences to convert, scorers and seed. Where another split than test is evaluated, no probe sees test.
        out: Not used.

    Raises:
        CheckpointError: If a tokenizer cannot be loaded.
    """

    takes_several: ClassVar[bool] = True

    def __init__(self, plan: Plan, out: Path) -> None:
        self.plan = plan
        self.tokenizers: dict[str, GuidedTokenizer] = {
            name: hub.load_as(source, GuidedTokenizer, beam=plan.beam)
            for name, source in short_names(plan.tokenizers).items()
        }
        self.clips = select_clips(plan)
        split, everything = (select_clips(replace(plan, limit=None), every=every) for every in (False, True))
        has_one_speaker = len({clip.speaker for clip in split.values()}) < 2  # then other splits lend their voices
        voice_clips = everything if has_one_speaker else split
        self.pairs = draw_targets(self.clips, list(voice_clips.values()), plan.seed)
        drawn = draw_conversions(split, list(everything.values()), plan.seed)
        self.conversions = {name: drawn[name] for name in spread_evenly(list(drawn), plan.limit)}
        self.probe_clips: ProbeClips = select_probe_clips(plan, split.values(), everything.values())
        self.measures, _ = find_measures(_MEASURES)
        scorers = plan.scorers
        self._speaker_encoder, no_speaker = find_optional_scorer("speaker", scorers.speaker, "speaker similarity")
        self._pitch_tracker, no_pitch = find_optional_scorer("pitch", scorers.pitch, "F0 of conversions")
        self.left_out = [*no_speaker, *no_pitch]

    def items(self) -> Sequence[str]:
        """Return the names of the clips, then of the sentences to convert."""
        return [*(f"clip {key}" for key in self.clips), *self.conversions]

    def work(self, item: str) -> Sequence[ResultRow]:
        """Score one clip or conversion sentence; return a row for each tokenizer and number of levels."""
        return self._convert(item) if item in self.conversions else list(self._code(item))

    def settings(self) -> dict[str, Any]:
        """Return all settings that the rows depend on."""
        digests = {name: tokenizer.digest for name, tokenizer in self.tokenizers.items()}
        return common_settings(self.plan, self.clips, digests) | {
            "task": "guided levels",
            "levels": list(self.plan.levels),
            "pairs": len(self.pairs),
            "conversions": len(self.conversions),
            "phones": self.probe_clips.phone_key,
            "metrics": {measure.column.key: measure.column.caption for measure in self.measures},
            "speaker judge": self.plan.scorers.speaker or "resemblyzer",
        }

    def card(self, results: Results) -> Card:
        """Return a card with a row for each tokenizer at each number of levels, and one for unconverted sources."""
        speakers = {f"clip {key}": clip.speaker or key for key, clip in self.clips.items()}
        rows: dict[str, list[ResultRow]] = {}
        for row in results.rows:
            rows.setdefault(row.entry, []).append(row)
        figures = {
            name: speaker_figures(own, COLUMNS, speakers, self.plan.seed, tuple(column.key for column in PARALLEL))
            for name, own in rows.items()
        }
        entries, probes = [], []
        for name, tokenizer in self.tokenizers.items():
            probe_rows = list(self._probe_rows(name, tokenizer))
            probes += probe_rows
            for count in level_counts(self.plan.levels, tokenizer.spec.num_codebooks):
                spec = tokenizer.spec if count is None else replace(tokenizer.spec, num_codebooks=count)
                coded = len(self.clips) - len(results.quarantined)
                token_format = replace(tokenizer.format, spec=spec)
                rates = {_TOKEN_RATE.key: point_figure(spec.token_rate, coded)} | rate_figures(token_format, coded)
                probed = probe_figures(probe_rows, tokenizer.spec.num_codebooks) if count is None else {}
                entries.append(
                    Entry(name=_entry(name, count), kind="tokenizer", family=name, note=tokenizer.digest,
                          bit_rate=rates["bit_rate_10s"].mean,
                          figures=figures.get(_entry(name, count), {}) | rates | probed)
                )  # fmt: skip
        if UNCONVERTED in figures:
            note = "the source beside the target: where conversion starts from"
            entries.append(
                Entry(name=UNCONVERTED, kind="anchor", family=UNCONVERTED, note=note, figures=figures[UNCONVERTED])
            )
        return Card(
            title=f"{', '.join(self.tokenizers)}: what each level keeps",
            lead=f"{len(self.clips)} clips coded, {describe_split(self.plan.split)}; {len(self.pairs)} of them "
            f"converted to another voice; {len(self.conversions)} sentences compared with another speaker's recording. "
            f"{describe_teachers(short_names(self.plan.tokenizers))} The speaker scorer may be the model's teacher: "
            "then it rewards what it taught.",
            columns=[column for column in COLUMNS if any(column.key in entry.figures for entry in entries)],
            entries=entries, probes=probes, quarantined=results.quarantined, settings=self.settings(),
            left_out=list(self._missing()), main=_MAIN_COLUMNS,
        )  # fmt: skip

    def _code(self, item: str) -> Iterator[ResultRow]:
        key = item.removeprefix("clip ")
        clip = Audio.read(self.clips[key].audio_path)
        reference = ScoredClip(as_scored(clip))
        pair = self.pairs.get(key)
        voice, other = (
            (None, None) if pair is None else (Audio.read(one.audio_path) for one in (pair.voice, pair.reference))
        )
        converted = {} if voice is None else {UNCONVERTED: clip}
        scores: dict[str, dict[str, Score]] = {}
        for name, tokenizer in self.tokenizers.items():
            tokens = tokenizer.encode(clip)
            for count in level_counts(self.plan.levels, tokenizer.spec.num_codebooks):
                decoded = ScoredClip(as_scored(tokenizer.decode(_first_levels(tokens, count))))
                compared = Pair(reference=reference, decoded=decoded)
                scores[_entry(name, count)] = {one.column.key: one.score(compared) for one in self.measures}
            converted |= {} if voice is None else self._mix(name, tokens, voice)
        if other is not None:
            for name, similarities in score_similarity(self._speaker_encoder, clip, other, converted).items():
                scores[name] = scores.get(name, {}) | similarities
        yield from (ResultRow(entry=name, item=item, scores=own) for name, own in scores.items())

    def _convert(self, item: str) -> list[ResultRow]:
        conversion = self.conversions[item]
        source, voice = (Audio.read(clip.audio_path) for clip in (conversion.source, conversion.voice))
        converted = {UNCONVERTED: source}
        for name, tokenizer in self.tokenizers.items():
            converted |= self._mix(name, tokenizer.encode(source), voice)
        return [
            ResultRow(entry=name, item=item, scores=score_conversion(self._pitch_tracker, conversion, audio))
            for name, audio in converted.items()
        ]

    def _mix(self, name: str, tokens: Tokens, voice: Audio) -> dict[str, Audio]:
        """Decode a clip's level 1 with the voice's other levels, up to each number of levels; return audio by entry."""
        tokenizer = self.tokenizers[name]
        reference = tokenizer.encode(voice)
        return {
            _entry(name, count): tokenizer.decode(
                mix_levels(_first_levels(tokens, count), _first_levels(reference, count))
            )
            for count in level_counts(self.plan.levels, tokenizer.spec.num_codebooks)
            if (count or tokenizer.spec.num_codebooks) > 1
        }

    def _probe_rows(self, name: str, tokenizer: GuidedTokenizer) -> Iterator[ProbeRow]:
        clips = {clip.audio_path: clip for own in self.probe_clips.clips.values() for clip in own}
        encoded_clips = encode_clips(tokenizer, list(clips.values()))[0] if clips else []
        tokens = {clip.audio_path: clip_tokens for clip, clip_tokens in encoded_clips}
        for probe, utterances in self.probe_clips.clips.items():
            labelled = [(clip, tokens[clip.audio_path]) for clip in utterances if clip.audio_path in tokens]
            if labelled:
                views = list(dict.fromkeys(_views(tokenizer.spec.num_codebooks)[probe]))
                yield from run_probe(probe, tokenizer, name, labelled, views=views, seed=self.plan.seed)

    def _missing(self) -> Iterator[str]:
        """Yield what the machine and the manifests lack, for each figure that is left out."""
        yield from self.left_out
        required = {
            "conversion: there are no two speakers": self.pairs,
            "parallel sentences: no 'sentence_id' of the split is another speaker's in the same mood": self.conversions,
            "phones: no clip has 'alignment' or 'phone_marks' and a speaker": self.probe_clips.clips["phoneme"],
            "emotion: no clip has 'emotion' and a speaker": self.probe_clips.clips["emotion"],
            "speakers: there are no two with several clips": self.probe_clips.clips["speaker"],
        }  # fmt: skip
        yield from (reason for reason, available in required.items() if not available)


def probe_figures(probes: Sequence[ProbeRow], levels: int) -> dict[str, Figure]:
    """Return the figures of probes by column, of those that have one.

    Args:
        probes: Rows of all probes of one tokenizer.
        levels: Number of levels of the tokenizer.
    """
    views = _views(levels)
    columns = {
        _PHONE_ERROR: ("phoneme", views["phoneme"][0]),
        "ser_accuracy": ("emotion", views["emotion"][0]),
        "ser_all": ("emotion", views["emotion"][1]),
        "speaker_accuracy": ("speaker", views["speaker"][0]),
        "speaker_accuracy_rest": ("speaker", views["speaker"][1]),
    }
    accuracies: dict[tuple[str, str], Figure] = {
        (row.probe, row.view): row.figure
        for row in probes if row.figure.n and row.metric.endswith("top-1 accuracy")
    }  # fmt: skip
    figures = {key: accuracies[place] for key, place in columns.items() if place in accuracies}
    if _PHONE_ERROR in figures:
        figures[_PHONE_ERROR] = figures[_PHONE_ERROR].complement()
    return figures


def _views(levels: int) -> dict[str, tuple[str, ...]]:
    """Return the views of the tokens that each probe reads."""
    return {
        "phoneme": ("level 1",),
        "emotion": ("level 2", "all levels"),
        "speaker": ("level 1", all_views(levels)[1]),
    }


def _entry(name: str, count: int | None) -> str:
    return name if count is None else f"{name}@{count}"


def _first_levels(tokens: Tokens, count: int | None) -> Tokens:
    return tokens if count is None else tokens.keep_levels(count)
