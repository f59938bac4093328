"""Choice of the clips that probes of a guided codec are trained and tested on, few enough for studies."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from vocable.data.alignment import alignment_of
from vocable.data.manifest import Utterance
from vocable.evaluate.plan import Plan, spread_evenly
from vocable.text.phonemes import SILENCE, strip_stress

_MAX_CLIPS = 300  # of a probe, spread over all candidates
_MAX_SPEAKERS, _CLIPS_PER_SPEAKER = 40, 8
_MARKS = "phone_marks"


@dataclass(frozen=True, kw_only=True)
class ProbeClips:
    """Clips of each probe.

    Attributes:
        clips: Clips by probe (``phoneme``, ``emotion``, ``speaker``); none where the manifests lack its labels.
        phone_key: Manifest key that the phones come from; empty where no clip has phones.
    """

    clips: Mapping[str, Sequence[Utterance]]
    phone_key: str


def select_probe_clips(plan: Plan, split: Collection[Utterance], everything: Collection[Utterance]) -> ProbeClips:
    """Select the clips of each probe.

    Phones come from ``alignment`` where any clip has one, else from ``phone_marks``, because labels of two languages
    must not mix.

    Args:
        plan: Plan whose split is evaluated.
        split: Clips of that split.
        everything: Clips of all splits.
    """
    candidates = [clip for clip in hide_test_split(plan.split, everything) if clip.speaker]
    phone_key = "alignment"
    with_phones = [with_phone_marks(clip) for clip in candidates if clip.extra.get("alignment")]
    if not with_phones:
        phone_key, with_phones = _MARKS, [clip for clip in candidates if clip.extra.get(_MARKS)]
    evaluated = {clip.audio_path for clip in split}
    clips = {
        "phoneme": _spread_clips(with_phones, _MAX_CLIPS),
        "emotion": _spread_clips([clip for clip in candidates if clip.value("emotion")], _MAX_CLIPS),
        "speaker": select_speakers(candidates, {c.speaker or "" for c in candidates if c.audio_path in evaluated}),
    }
    return ProbeClips(clips=clips, phone_key=phone_key if with_phones else "")


def hide_test_split(split: str | None, clips: Collection[Utterance]) -> list[Utterance]:
    """Return the clips with the evaluated split in the place of ``test``, and without the real test clips.

    Example:
        >>> clips = [Utterance(audio_path=f"{name}.flac", split=name) for name in ("train", "dev", "test")]
        >>> [clip.split for clip in hide_test_split("dev", clips)]
        ['train', 'test']
        >>> len(hide_test_split(None, clips))
        3
    """
    if split in (None, "all", "test"):
        return list(clips)
    visible = [clip for clip in clips if clip.split != "test"]
    return [clip.model_copy(update={"split": "test"}) if clip.split == split else clip for clip in visible]


def with_phone_marks(clip: Utterance) -> Utterance:
    """Return a copy of a clip with its alignment as ``phone_marks``: without stress, silence as no phone.

    Example:
        >>> alignment = [["SIL", 0.0, 0.1], ["AH1", 0.1, 0.3], ["SIL", 0.3, 0.4]]
        >>> clip = with_phone_marks(Utterance(audio_path="a.flac", duration=0.4, extra={"alignment": alignment}))
        >>> clip.extra["phone_marks"]
        [(0.0, '.'), (0.1, 'AH'), (0.3, '.'), (0.4, '.')]

    Raises:
        AlignmentError: If the alignment cannot be used.
    """
    alignment = alignment_of(clip)
    assert alignment is not None
    segments = alignment.segments
    marks = [
        (segment.start, "." if segment.symbol == SILENCE else strip_stress(segment.symbol)) for segment in segments
    ]
    return clip.model_copy(update={"extra": {**clip.extra, _MARKS: [*marks, (segments[-1].end, ".")]}})


def select_speakers(clips: Sequence[Utterance], preferred: Collection[str]) -> list[Utterance]:
    """Select clips of speakers who have two or more: the preferred speakers first, then those with the most clips.

    Example:
        >>> clips = [Utterance(audio_path=f"{name}.flac", speaker=name[0]) for name in ("a1", "b1", "b2", "c1", "c2")]
        >>> [clip.audio_path.stem for clip in select_speakers(clips, {"c"})]
        ['c1', 'c2', 'b1', 'b2']
    """
    by_speaker: dict[str, list[Utterance]] = {}
    for clip in clips:
        by_speaker.setdefault(clip.speaker or "", []).append(clip)
    repeated = [name for name, own in by_speaker.items() if len(own) > 1]
    chosen = sorted(
        repeated, key=lambda name: (name not in preferred, -min(len(by_speaker[name]), _CLIPS_PER_SPEAKER), name)
    )[:_MAX_SPEAKERS]
    return [clip for name in chosen for clip in _spread_clips(by_speaker[name], _CLIPS_PER_SPEAKER)]


def _spread_clips(clips: Sequence[Utterance], count: int) -> list[Utterance]:
    by_index = {str(index): clip for index, clip in enumerate(clips)}
    return [by_index[index] for index in spread_evenly(list(by_index), count)]
