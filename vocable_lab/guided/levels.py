"""What each level of a guided codec keeps, in a minute: how it sounds, what is said, in which mood, by whom.

Clips of the split are coded, from fewer levels too, and said in another speaker's voice by mixing levels: the first of
the clip, the others of the voice up to as many; sentences that another speaker recorded too are held against that
recording. Probes ask level 1 for phones and speakers, level 2
and all for moods. It is what studies measure their variants by. What a manifest does not tell of has no figure.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from vocable.audio import Audio
from vocable.evaluate.card import Card, Column, Entry, ProbeRow
from vocable.evaluate.judges.base import PitchTracker, SpeakerEncoder
from vocable.evaluate.judges.find import find_judge
from vocable.evaluate.measures import Heard, Pair, find_measures
from vocable.evaluate.plan import Plan, as_filed, clips_of, level_counts, names_of, settings_of, split_words, spread
from vocable.evaluate.probes.run import encoded, run_probe
from vocable.evaluate.probes.views import all_views
from vocable.evaluate.runner import Results, Row
from vocable.evaluate.summary import BIT_RATE, summed
from vocable.metrics.score import Figure, Score
from vocable.systems import registry as hub
from vocable.systems.guided.tokenizer import GuidedTokenizer, mix_levels
from vocable.tokens import Tokens, TokenSpec
from vocable_lab.guided.taught import teachers_of
from vocable_lab.guided.told import Told, told_of
from vocable_lab.guided.voices import PARALLEL, UNCONVERTED, compared, conversions
from vocable_lab.shared import codes, voices
from vocable_lab.shared.voices import likeness, pairings

_CODED = ("pesq_wb", "stoi", "log_mel_distance")
_RATES = {column.key: column for column in codes.COLUMNS}
_PHONES = "phone_error"
_MAIN = (  # beside the bit rate, which every entry has
    "pesq_wb", "stoi", _PHONES, "ser_accuracy", "ser_all", "speaker_accuracy", "vc_target_closer_share", "vc_mcd",
)  # fmt: skip
COLUMNS = (
    _RATES["tokens_per_second"],
    BIT_RATE,
    Column(key="pesq_wb", title="PESQ-WB", better="higher",
           caption="Perceptual quality, ITU-T P.862.2, wide band at 16 kHz: 1.0 to 4.64."),
    Column(key="stoi", title="STOI", better="higher", form=".3f",
           caption="Short-time objective intelligibility, up to 1."),
    Column(key="log_mel_distance", title="log-mel distance", unit="dB", better="lower",
           caption="Mean absolute difference of 80 log-mel bands."),
    Column(key=_PHONES, title="phone error, level 1", unit="%", better="lower", form=".1f",
           caption="Share of frames whose phone a linear probe does not tell from level 1, on speakers it was not "
           "fitted on; phones of the manifest's 'alignment', else of its 'phone_marks'."),
    Column(key="ser_accuracy", title="SER top-1, level 2", unit="%", better="higher", form=".1f",
           caption="Emotion from level 2, read by a probe on speakers it was not fitted on."),
    Column(key="ser_all", title="SER top-1, all levels", unit="%", better="higher", form=".1f",
           caption="Emotion from all levels, read likewise."),
    Column(key="speaker_accuracy", title="speaker top-1, level 1", unit="%", better="lower", form=".1f",
           caption="Speaker from level 1, read by a probe on other clips of these speakers: a first level that says "
           "what is said, and nothing else, does not tell."),
    Column(key="speaker_accuracy_rest", title="speaker top-1, levels 2 and up", unit="%", better="higher", form=".1f",
           caption="Speaker from the levels after the first, read likewise."),
    *voices.COLUMNS,
    *PARALLEL,
)  # fmt: skip


class GuidedLevels:
    """Coding by levels, conversion, probes; an :class:`~vocable.evaluate.benchmark.Evaluation`.

    Args:
        plan: Tokenizers, manifests, split, ``levels`` to decode from beside all, ``limit`` of clips and of sentences to
            convert, judges and seed. Judged on another split than test, probes see nothing of test either.
        out: Not used.

    Raises:
        CheckpointError: A tokenizer cannot be loaded.
    """

    several: ClassVar = True

    def __init__(self, plan: Plan, out: Path) -> None:
        self.plan = plan
        self.tokenizers: dict[str, GuidedTokenizer] = {
            name: hub.load_as(source, GuidedTokenizer) for name, source in names_of(plan.tokenizers).items()
        }
        self.clips = clips_of(plan)
        split, everything = (clips_of(replace(plan, limit=None), every=every) for every in (False, True))
        alone = len({one.speaker for one in split.values()}) < 2  # then voices are lent by other splits
        self.pairs = pairings(self.clips, list((everything if alone else split).values()), plan.seed)
        found = conversions(split, list(everything.values()), plan.seed)
        self.conversions = {name: found[name] for name in spread(list(found), plan.limit)}
        self.told: Told = told_of(plan, split.values(), everything.values())
        self.measures, _ = find_measures(_CODED)

    def items(self) -> Sequence[str]:
        """Clips, then sentences to convert."""
        return [*(f"clip {key}" for key in self.clips), *self.conversions]

    def work(self, item: str) -> Sequence[Row]:
        """The rows of one of them."""
        return self._convert(item) if item in self.conversions else list(self._code(item))

    def settings(self) -> dict[str, Any]:
        """All that the rows depend on."""
        digests = {name: tokenizer.digest for name, tokenizer in self.tokenizers.items()}
        return settings_of(self.plan, self.clips, digests) | {
            "task": "guided levels",
            "levels": list(self.plan.levels),
            "pairs": len(self.pairs),
            "conversions": len(self.conversions),
            "phones": self.told.phones_from,
            "metrics": {measure.column.key: measure.column.caption for measure in self.measures},
            "speaker judge": self.plan.judges.speaker or "resemblyzer",
        }

    def card(self, results: Results) -> Card:
        """A row for each tokenizer at each number of levels, and of the sources themselves beside the targets."""
        speakers = {f"clip {key}": clip.speaker or key for key, clip in self.clips.items()}
        rows: dict[str, list[Row]] = {}
        for row in results.rows:
            rows.setdefault(row.entry, []).append(row)
        found = {
            name: summed(some, COLUMNS, speakers, self.plan.seed, tuple(column.key for column in PARALLEL))
            for name, some in rows.items()
        }
        entries, probes = [], []
        for name, tokenizer in self.tokenizers.items():
            told = list(self._probes(name, tokenizer))
            probes += told
            for count in level_counts(self.plan.levels, tokenizer.spec.num_codebooks):
                spec = _first(tokenizer.spec, count)
                here = found.get(_entry(name, count), {}) | _rates(spec, len(self.clips) - len(results.quarantined))
                here |= _read(told, tokenizer.spec.num_codebooks) if count is None else {}
                entries.append(
                    Entry(name=_entry(name, count), kind="tokenizer", family=name, note=tokenizer.digest,
                          bit_rate=spec.bit_rate, figures=here)
                )  # fmt: skip
        if UNCONVERTED in found:
            note = "the source beside the target: what conversion begins with"
            entries.append(
                Entry(name=UNCONVERTED, kind="anchor", family=UNCONVERTED, note=note, figures=found[UNCONVERTED])
            )
        return Card(
            title=f"{', '.join(self.tokenizers)}: what each level keeps",
            lead=f"{len(self.clips)} clips coded, {split_words(self.plan.split)}; {len(self.pairs)} of them said in "
            f"another voice; {len(self.conversions)} sentences beside another speaker's recording. "
            f"{teachers_of(names_of(self.plan.tokenizers))} The judge of voices may be the model's teacher: then it "
            "hears what it asked for.",
            columns=[column for column in COLUMNS if any(column.key in entry.figures for entry in entries)],
            entries=entries, probes=probes, quarantined=results.quarantined, settings=self.settings(),
            left_out=list(self._left_out()), main=_MAIN,
        )  # fmt: skip

    # ---- the work -------------------------------------------------------------------------------------------------

    def _code(self, item: str) -> Iterator[Row]:
        key = item.removeprefix("clip ")
        clip = Audio.read(self.clips[key].audio_path)
        reference = Heard(as_filed(clip))
        pair = self.pairs.get(key)
        voice, other = (
            (None, None) if pair is None else (Audio.read(one.audio_path) for one in (pair.voice, pair.other))
        )
        alike = {} if voice is None else {UNCONVERTED: clip}
        scores: dict[str, dict[str, Score]] = {}
        for name, tokenizer in self.tokenizers.items():
            tokens = tokenizer.encode(clip)
            for count in level_counts(self.plan.levels, tokenizer.spec.num_codebooks):
                made = Heard(as_filed(tokenizer.decode(_kept(tokens, count))))
                asked = Pair(reference=reference, made=made)
                scores[_entry(name, count)] = {one.column.key: one.score(asked) for one in self.measures}
            alike |= {} if voice is None else self._mixed(name, tokens, voice)
        if other is not None:
            for name, heard in likeness(self._judge, clip, other, alike).items():
                scores[name] = scores.get(name, {}) | heard
        yield from (Row(entry=name, item=item, scores=one) for name, one in scores.items())

    def _convert(self, item: str) -> list[Row]:
        asked = self.conversions[item]
        source, voice = (Audio.read(part.audio_path) for part in (asked.source, asked.voice))
        made = {UNCONVERTED: source}
        for name, tokenizer in self.tokenizers.items():
            made |= self._mixed(name, tokenizer.encode(source), voice)
        return [
            Row(entry=name, item=item, scores=compared(self._tracker, asked, audio)) for name, audio in made.items()
        ]

    def _mixed(self, name: str, tokens: Tokens, voice: Audio) -> dict[str, Audio]:
        """A clip with the voice's levels after the first, up to each number of levels, by entry."""
        tokenizer = self.tokenizers[name]
        lent = tokenizer.encode(voice)
        return {
            _entry(name, count): tokenizer.decode(mix_levels(_kept(tokens, count), _kept(lent, count)))
            for count in level_counts(self.plan.levels, tokenizer.spec.num_codebooks)
            if (count or tokenizer.spec.num_codebooks) > 1
        }  # fmt: skip

    def _probes(self, name: str, tokenizer: GuidedTokenizer) -> Iterator[ProbeRow]:
        each = {one.audio_path: one for utterances in self.told.clips.values() for one in utterances}
        tokens = {one.audio_path: made for one, made in encoded(tokenizer, list(each.values()))[0]} if each else {}
        for probe, utterances in self.told.clips.items():
            clips = [(one, tokens[one.audio_path]) for one in utterances if one.audio_path in tokens]
            if clips:
                views = list(dict.fromkeys(_views(tokenizer.spec.num_codebooks)[probe]))
                yield from run_probe(probe, tokenizer, name, clips, views=views, seed=self.plan.seed)

    def _left_out(self) -> Iterator[str]:
        lacking = {
            "conversion: there are no two speakers": self.pairs,
            "parallel sentences: no 'sentence_id' of the split is another speaker's in the same mood": self.conversions,
            "phones: no clip has 'alignment' or 'phone_marks' and a speaker": self.told.clips["phoneme"],
            "emotion: no clip has 'emotion' and a speaker": self.told.clips["emotion"],
            "speakers: there are no two with several clips": self.told.clips["speaker"],
        }  # fmt: skip
        yield from (reason for reason, there in lacking.items() if not there)

    @cached_property
    def _judge(self) -> SpeakerEncoder:
        return find_judge("speaker", self.plan.judges.speaker)

    @cached_property
    def _tracker(self) -> PitchTracker:
        return find_judge("pitch", self.plan.judges.pitch)


def _views(levels: int) -> dict[str, tuple[str, ...]]:
    """What each probe is shown."""
    return {
        "phoneme": ("level 1",),
        "emotion": ("level 2", "all levels"),
        "speaker": ("level 1", all_views(levels)[1]),
    }


def _read(probes: Sequence[ProbeRow], levels: int) -> dict[str, Figure]:
    """Figures of those probes that have one."""
    views = _views(levels)
    where = {
        _PHONES: ("phoneme", views["phoneme"][0]),
        "ser_accuracy": ("emotion", views["emotion"][0]),
        "ser_all": ("emotion", views["emotion"][1]),
        "speaker_accuracy": ("speaker", views["speaker"][0]),
        "speaker_accuracy_rest": ("speaker", views["speaker"][1]),
    }
    told: dict[tuple[str, str], Figure] = {}
    for row in probes:
        if row.figure.n and row.metric.endswith("top-1 accuracy"):
            told[row.probe, row.view] = row.figure
    found = {key: told[asked] for key, asked in where.items() if asked in told}
    if _PHONES in found:
        right = found[_PHONES]
        found[_PHONES] = replace(right, mean=1 - right.mean, low=1 - right.high, high=1 - right.low)
    return found


def _rates(spec: TokenSpec, n: int) -> dict[str, Figure]:
    nan = float("nan")
    values: Mapping[str, float] = {"tokens_per_second": spec.token_rate, BIT_RATE.key: spec.bit_rate}
    return {key: Figure(mean=value, low=nan, high=nan, n=n) for key, value in values.items()}


def _entry(name: str, count: int | None) -> str:
    return name if count is None else f"{name}@{count}"


def _kept(tokens: Tokens, count: int | None) -> Tokens:
    return tokens if count is None else tokens.keep_levels(count)


def _first(spec: TokenSpec, count: int | None) -> TokenSpec:
    return spec if count is None else replace(spec, num_codebooks=count)
