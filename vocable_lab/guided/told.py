"""Which clips the probes of a guided codec are shown: enough to tell, and few enough for a study of many variants."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from vocable.data.alignment import alignment_of
from vocable.data.manifest import Utterance
from vocable.evaluate.plan import Plan, spread
from vocable.text.phonemes import SILENCE, bare

_MOST = 300  # clips of a probe, spread over all that could be
_SPEAKERS, _EACH = 40, 8  # to be told apart, and clips of each
_MARKS = "phone_marks"


@dataclass(frozen=True, kw_only=True)
class Told:
    """Clips by probe.

    Attributes:
        clips: No clip where the manifests do not tell what the probe asks for.
        phones_from: The manifest's key that phones are from; empty where no clip has one.
    """

    clips: Mapping[str, Sequence[Utterance]]
    phones_from: str


def told_of(plan: Plan, split: Collection[Utterance], everything: Collection[Utterance]) -> Told:
    """The clips of each probe.

    Phones are from ``alignment`` where any clip has one, else from ``phone_marks``: labels of two languages do not mix.

    Args:
        plan: Of which the split is judged on.
        split: Clips of that split.
        everything: Clips of all splits.
    """
    known = [one for one in parted(plan.split, everything) if one.speaker]
    source, spoken = "alignment", [with_marks(one) for one in known if one.extra.get("alignment")]
    if not spoken:
        source, spoken = _MARKS, [one for one in known if one.extra.get(_MARKS)]
    judged = {one.audio_path for one in split}
    clips = {
        "phoneme": _some(spoken, _MOST),
        "emotion": _some([one for one in known if one.value("emotion")], _MOST),
        "speaker": speakers(known, {one.speaker or "" for one in known if one.audio_path in judged}),
    }
    return Told(clips=clips, phones_from=source if spoken else "")


def parted(split: str | None, clips: Collection[Utterance]) -> list[Utterance]:
    """Clips as probes are to part them: a split that is judged on takes the place of test, which nobody sees then.

    Example:
        >>> clips = [Utterance(audio_path=f"{name}.flac", split=name) for name in ("train", "dev", "test")]
        >>> [one.split for one in parted("dev", clips)], [one.split for one in parted(None, clips)]
        (['train', 'test'], ['train', 'dev', 'test'])
    """
    if split in (None, "all", "test"):
        return list(clips)
    there = [one for one in clips if one.split != "test"]
    return [one.model_copy(update={"split": "test"}) if one.split == split else one for one in there]


def with_marks(clip: Utterance) -> Utterance:
    """A clip whose alignment is told as ``phone_marks``, without stress; silence is no phone.

    Example:
        >>> spoken = [["SIL", 0.0, 0.1], ["AH1", 0.1, 0.3], ["SIL", 0.3, 0.4]]
        >>> clip = with_marks(Utterance(audio_path="a.flac", duration=0.4, extra={"alignment": spoken}))
        >>> clip.extra["phone_marks"]
        [(0.0, '.'), (0.1, 'AH'), (0.3, '.'), (0.4, '.')]

    Raises:
        AlignmentError: The alignment cannot be used.
    """
    alignment = alignment_of(clip)
    assert alignment is not None
    segments = alignment.segments
    marks = [(one.start, "." if one.symbol == SILENCE else bare(one.symbol)) for one in segments]
    return clip.model_copy(update={"extra": {**clip.extra, _MARKS: [*marks, (segments[-1].end, ".")]}})


def speakers(clips: Sequence[Utterance], first: Collection[str]) -> list[Utterance]:
    """Some clips of some speakers who have two or more: those named first, then those with the most.

    Example:
        >>> clips = [Utterance(audio_path=f"{name}.flac", speaker=name[0]) for name in ("a1", "b1", "b2", "c1", "c2")]
        >>> [one.audio_path.stem for one in speakers(clips, {"c"})]
        ['c1', 'c2', 'b1', 'b2']
    """
    of: dict[str, list[Utterance]] = {}
    for one in clips:
        of.setdefault(one.speaker or "", []).append(one)
    several = [name for name in of if len(of[name]) > 1]
    chosen = sorted(several, key=lambda name: (name not in first, -min(len(of[name]), _EACH), name))[:_SPEAKERS]
    return [one for name in chosen for one in _some(of[name], _EACH)]


def _some(clips: Sequence[Utterance], most: int) -> list[Utterance]:
    by_place = {str(at): one for at, one in enumerate(clips)}
    return [by_place[at] for at in spread(list(by_place), most)]
