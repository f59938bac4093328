"""What a clip says, as a manifest has it: phones with and without their times, and letters."""

import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from vocable.data.manifest import Utterance
from vocable.evaluate.judges.base import Pitch
from vocable.metrics.text import normalise


def marks_of(utterance: Utterance) -> list[tuple[float, str]]:
    r"""Where each phone starts, from the key ``phone_marks``: pairs of seconds and label; the last is the end.

    Of EmoDB's labels the phone alone is kept: a label without one (``-sth``: voicing ends) goes on with the phone
    before; the parts of a stop (``_d`` closed, ``!d`` burst, ``dasp`` breath) are the stop; a label in brackets and
    ``.`` are no phone and come back as ``""``.

    Example:
        >>> marks = [[0.1, "_t"], [0.15, "!t\t+asp"], [0.2, "E6"], [0.3, "\t-sth"], [0.4, "."]]
        >>> marks_of(Utterance(audio_path="a.flac", extra={"phone_marks": marks}))
        [(0.1, 't'), (0.15, 't'), (0.2, 'E6'), (0.3, 'E6'), (0.4, '')]
    """
    found: list[tuple[float, str]] = []
    for start, label in utterance.extra.get("phone_marks") or []:
        first = str(label).split("\t")[0]
        if not first or first[0] in "+-":
            phone = found[-1][1] if found else ""
        elif first[0] in "(.":
            phone = ""
        else:
            phone = re.sub(r"^[_!]+|(?<=.)asp$", "", first)
        found.append((float(start), phone))
    return found


def phones_at(marks: Sequence[tuple[float, str]], times: Float[ndarray, " N"]) -> list[str]:
    """The phone said at each of these seconds; ``""`` where none is.

    Example:
        >>> phones_at([(0.1, "t"), (0.2, "E"), (0.4, "")], np.array([0.05, 0.1, 0.3, 0.5]))
        ['', 't', 'E', '']
    """
    starts = np.array([start for start, _ in marks])
    said = ["", *(phone for _, phone in marks)]
    return [said[at] for at in np.searchsorted(starts, times, side="right")]


def phones_of(utterance: Utterance) -> list[str]:
    """The phones of the key ``phones``, one list for all words or a list for each, without ARPAbet's stress.

    Example:
        >>> phones_of(Utterance(audio_path="a.flac", extra={"phones": [["Z", "IH1"], ["T", "UW0"]]}))
        ['Z', 'IH', 'T', 'UW']
    """
    words = utterance.extra.get("phones") or []
    flat = [phone for word in words for phone in ([word] if isinstance(word, str) else word)]
    return [re.sub(r"(?<=[A-Z])[012]$", "", str(phone)) for phone in flat]


def letters_of(utterance: Utterance) -> list[str]:
    """Letters and spaces of the normalised text.

    Example:
        >>> "".join(letters_of(Utterance(audio_path="a.flac", text="Good  Morning!")))
        'good morning'
    """
    return list(normalise(utterance.text or ""))


def centres(frames: int, seconds: float) -> Float[ndarray, " N"]:
    """Middle of each token frame, in seconds.

    Example:
        >>> centres(3, 0.02).round(3).tolist()
        [0.01, 0.03, 0.05]
    """
    return (np.arange(frames) + 0.5) * seconds


def log_pitch_at(pitch: Pitch, times: Float[ndarray, " N"]) -> tuple[Float[ndarray, " N"], Bool[ndarray, " N"]]:
    """Natural log of F0 at these seconds, on a straight line between tracker frames, and where it is known.

    A value is known between two voiced frames of the tracker, and nowhere else.

    Example:
        >>> heard = Pitch(hz=np.array([100.0, 100.0, 0.0]), voiced=np.array([True, True, False]), hop=0.01)
        >>> values, known = log_pitch_at(heard, np.array([0.005, 0.015]))
        >>> round(float(np.exp(values[0]))), known.tolist()
        (100, [True, False])
    """
    if not pitch.hz.size:
        return np.zeros(times.size), np.zeros(times.size, dtype=bool)
    place = times / pitch.hop
    before = np.floor(place).astype(int)
    after = np.ceil(place).astype(int)
    inside = after < pitch.hz.size
    before, after = before.clip(0, pitch.hz.size - 1), after.clip(0, pitch.hz.size - 1)
    known = inside & pitch.voiced[before] & pitch.voiced[after]
    logs = np.log(np.where(pitch.voiced, pitch.hz, 1.0))
    part = place - np.floor(place)
    return (1 - part) * logs[before] + part * logs[after], known
