"""Alignments: whole, in order, and as many frames as the audio has."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from vocable.data.alignment import Alignment, Segment, alignment_of
from vocable.data.alignment.record import SLACK
from vocable.data.manifest import Utterance
from vocable.errors import AlignmentError

_LENGTHS = some.lists(some.floats(0.002, 2.0), min_size=1, max_size=60)


def behind_one_another(lengths: list[float]) -> Alignment:
    ends = [sum(lengths[: at + 1]) for at in range(len(lengths))]
    return Alignment(
        tuple(
            Segment("AB"[at % 2], start, end) for at, (start, end) in enumerate(zip([0.0, *ends], ends, strict=False))
        )
    )


@settings(deadline=None)
@given(_LENGTHS, some.floats(1.0, 24_000.0))
def test_durations_sum_to_the_frames_and_no_end_is_off_by_more_than_half_a_frame(
    lengths: list[float], rate: float
) -> None:
    alignment = behind_one_another(lengths)
    frames = max(1, round(alignment.end * rate))
    durations = alignment.durations(frames, rate)
    assert (sum(durations), len(durations)) == (frames, len(lengths))
    assert min(durations) >= 0
    done = 0
    for segment, duration in zip(alignment.segments, durations, strict=True):
        done += duration
        assert abs(done - segment.end * rate) <= 0.5 + 1e-6 or done == frames


@settings(deadline=None)
@given(_LENGTHS, some.floats(-0.04, 0.04))
def test_a_fitted_alignment_ends_with_its_audio(lengths: list[float], off: float) -> None:
    alignment = behind_one_another(lengths)
    seconds = alignment.end + off
    if seconds <= 0.002:
        return
    fitted = alignment.fitted(seconds, whole=True)
    assert abs(fitted.end - seconds) <= 0.001
    assert sum(fitted.durations(max(1, round(seconds * 50)), 50.0)) == max(1, round(seconds * 50))


def test_gaps_are_silence_and_silences_are_one() -> None:
    alignment = Alignment((Segment("A", 0.5, 0.7), Segment("SIL", 0.8, 0.9), Segment("B", 0.9004, 1.0)))
    assert alignment.values() == [["SIL", 0.0, 0.5], ["A", 0.5, 0.7], ["SIL", 0.7, 0.9], ["B", 0.9, 1.0]]
    assert Alignment((Segment("A", 0.0, 0.5004), Segment("B", 0.5, 1.0))).values()[1] == ["B", 0.5004, 1.0]
    assert alignment.fitted(2.0).symbols[-1] == "SIL"
    with pytest.raises(AlignmentError, match=r"ends at 1\.000 s, its audio at 2\.000 s; align it with this very file"):
        alignment.fitted(2.0, whole=True)
    with pytest.raises(AlignmentError, match=r"ends at 1\.000 s, its audio at 0\.900 s"):
        alignment.fitted(0.9)


def test_frames_of_other_audio_are_refused() -> None:
    alignment = Alignment((Segment("A", 0.0, 1.0),))
    assert alignment.durations(103, 100.0) == [103]
    for frames, rate in ((120, 100.0), (80, 100.0), (0, 100.0), (100, 0.0), (100, float("nan"))):
        with pytest.raises(AlignmentError, match="frames at"):
            alignment.durations(frames, rate)


def test_what_is_no_stretch_of_time_is_named() -> None:
    nan, inf = float("nan"), float("inf")
    for segments, message in (
        ((), "has no segments"),
        ((("A", -0.1, 0.5),), r"'A' from -0\.1 to 0\.5 s, is no span of time"),
        ((("A", 0.5, 0.5),), "no span of time"),
        ((("A", nan, 0.5),), "no span of time"),
        ((("A", 0.0, inf),), "no span of time"),
        ((("A", 0.0, 0.5), ("B", 0.4, 0.6)), r"segment 2 of 2, 'B' .* begins before the previous one ends, at 0\.5 s"),
        ((("A", 0.0, 0.5), ("B", 0.4999, 0.5)), "begins before"),
        ((("A b", 0.0, 0.5),), "has no symbol"),
        ((("", 0.0, 0.5),), "has no symbol"),
        ((("A" * 201, 0.0, 0.5),), "has no symbol"),
    ):
        with pytest.raises(AlignmentError, match=message):
            Alignment(tuple(Segment(*one) for one in segments))


def line(alignment: object, duration: float | None = 1.0) -> Utterance:
    return Utterance(audio_path="a.wav", duration=duration, extra={"alignment": alignment})


def test_a_manifest_line_has_an_alignment_or_none() -> None:
    assert alignment_of(Utterance(audio_path="a.wav")) is None
    found = alignment_of(line([["A", 0, 0.5], ["B", 0.5, 0.98]]))
    assert found is not None
    assert found.values() == [["A", 0.0, 0.5], ["B", 0.5, 0.98], ["SIL", 0.98, 1.0]]
    longer = alignment_of(line([["A", 0, 1 + SLACK - 0.01]]))
    assert longer is not None
    assert longer.end == 1.0
    free = alignment_of(line([["A", 0, 7]], None))
    assert free is not None
    assert free.end == 7.0
    assert alignment_of(line(found.values())) == found
    told = alignment_of(line([["A", 0, 7]]), 7.0)
    assert told is not None
    assert told.end == 7.0


_HOSTILE: list[Any] = [
    "A", {"A": 1}, 7, [], [["A", 0]], [["A", 0, 1, 2]], [["A", "0", "1"]], [[1, 0, 1]], [["A", True, 1]],
    [["A", 0, 10**400]], [["A", float("nan"), 1]], [["A", 0, float("inf")]], [["A", -1, 1]], [["A", 1, 0]], [None],
    [["A", 0, 0.9]], [["A", 0, 1.2]], [[["A"] * 9, 0, 1]],
]  # fmt: skip


@pytest.mark.parametrize("value", _HOSTILE, ids=lambda value: json.dumps(value)[:30])
def test_what_is_no_alignment_names_the_file_and_the_remedy(value: object) -> None:
    with pytest.raises(AlignmentError, match=r"^\S*a\.wav: .*\(the manifest's key 'alignment'; `vocable data align`"):
        alignment_of(line(value))


_SHORT_LENGTHS = some.lists(some.sampled_from([2.27e-5, 1e-9, 4.9e-5, 0.001, 0.5]) | some.floats(1e-7, 0.3), min_size=1)


@settings(deadline=None)
@given(_SHORT_LENGTHS)
def test_what_is_written_is_read_again(lengths: list[float]) -> None:
    alignment = behind_one_another(lengths)
    fitted = alignment.fitted(alignment.end, whole=True)
    values = json.loads(json.dumps(fitted.values()))
    line = Utterance(audio_path="a.wav", extra={"alignment": values})
    for seconds in (None, fitted.end):
        again = alignment_of(line, seconds)
        assert again is not None
        assert again.symbols == fitted.symbols == alignment.symbols
        for one, other in zip(again.values(), values, strict=True):  # at half a unit, fewer decimals may do now
            assert one[1:] == pytest.approx(other[1:], abs=1e-6)
        for one, other in zip(again.segments, fitted.segments, strict=True):
            assert one.start == pytest.approx(other.start, abs=6e-5)
            assert one.end == pytest.approx(other.end, abs=6e-5)
