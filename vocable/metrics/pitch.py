"""What is left of the melody: two contours of fundamental frequency, compared frame by frame.

A contour is an array of Hz, one entry a frame, 0 where no voice is heard (``Pitch.hz`` of any judge); both have the
same hop. They are cut to the shorter, or paired by a path: ``path`` takes what ``dtw_path`` of
:mod:`vocable.metrics.spectral` gives for features of the same hop, as speech of other timing needs (voice conversion,
synthesis). Every figure is a ``Score``; what cannot be measured is undefined and says why.
"""

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from vocable.errors import ConfigError, ShapeError
from vocable.metrics.score import Score, undefined

_FEWEST = 10  # frames voiced in both
_GROSS = 0.2  # of the recording's frequency
_CONSTANT = 1e-6  # spread of a contour in octaves: a thousandth of a cent
Path = Int[ndarray, "pair 2"]


def f0_correlation(reference: Float[ndarray, " N"], made: Float[ndarray, " N_made"], path: Path | None = None) -> Score:
    """Pearson correlation of log-F0 over frames voiced in both: 1 is the same melody, in whatever key.

    Args:
        reference: Contour of the recording.
        made: Contour of the speech made again.
        path: Pairs of frames.

    Returns:
        From -1 to 1; undefined under 10 frames voiced in both and for a contour that is constant there.

    Raises:
        ShapeError: The path names frames that do not exist.

    Example:
        >>> tune = 120 + 20 * np.sin(np.arange(50) / 5)
        >>> round(f0_correlation(tune, 2 * tune).value, 6)
        1.0
    """
    pair = _voiced(reference, made, path)
    if isinstance(pair, str):
        return undefined(pair)
    logs = [np.log2(contour) for contour in pair]
    for name, contour in zip(("the recording", "the speech made again"), logs, strict=True):
        if np.ptp(contour) < _CONSTANT:
            return undefined(f"the pitch of {name} is constant")
    real, again = ((contour - contour.mean()) / contour.std() for contour in logs)
    return Score(min(max(float((real * again).mean()), -1.0), 1.0))


def f0_rmse(
    reference: Float[ndarray, " N"],
    made: Float[ndarray, " N_made"],
    unit: str = "cents",
    path: Path | None = None,
) -> Score:
    """Root mean square difference of F0 over frames voiced in both: 0 is the same melody in the same key.

    Args:
        reference: Contour of the recording.
        made: Contour of the speech made again.
        unit: ``cents`` (1200 an octave, alike for high and low voices) or ``hz``.
        path: Pairs of frames.

    Returns:
        In that unit; undefined under 10 frames voiced in both.

    Raises:
        ConfigError: There is no such unit.
        ShapeError: The path names frames that do not exist.

    Example:
        >>> tune = np.full(50, 100.0)
        >>> round(f0_rmse(tune, 1.5 * tune).value), round(f0_rmse(tune, 1.5 * tune, "hz").value)
        (702, 50)
    """
    if unit not in ("cents", "hz"):
        raise ConfigError(f"unit is '{unit}': f0_rmse takes 'cents' or 'hz'")
    pair = _voiced(reference, made, path)
    if isinstance(pair, str):
        return undefined(pair)
    real, again = (1200 * np.log2(contour) for contour in pair) if unit == "cents" else pair
    return Score(float(np.sqrt(np.square(again - real).mean())))


def f0_mse(reference: Float[ndarray, " N"], made: Float[ndarray, " N_made"], path: Path | None = None) -> Score:
    """Mean square error of pitch (MSEP) in Hz² over frames voiced in both, as papers print it.

    Its mean over clips is that of squares: a few octave errors, or a few high voices, decide it.

    Args:
        reference: Contour of the recording.
        made: Contour of the speech made again.
        path: Pairs of frames.

    Returns:
        Undefined under 10 frames voiced in both.

    Raises:
        ShapeError: The path names frames that do not exist.

    Example:
        >>> f0_mse(np.full(50, 100.0), np.full(50, 103.0)).value
        9.0
    """
    root = f0_rmse(reference, made, "hz", path)
    return Score(root.value**2) if root.defined else root


def gross_pitch_error(
    reference: Float[ndarray, " N"], made: Float[ndarray, " N_made"], path: Path | None = None
) -> Score:
    """Share of the frames voiced in both whose F0 is off by more than 20 % of the recording's.

    Args:
        reference: Contour of the recording.
        made: Contour of the speech made again.
        path: Pairs of frames.

    Returns:
        From 0 to 1, weighing as many frames as it rests on; undefined under 10 frames voiced in both.

    Raises:
        ShapeError: The path names frames that do not exist.

    Source:
        Chu and Alwan, ICASSP 2009, section 2: the 20 % of Rabiner et al. (1976).

    Example:
        >>> gross_pitch_error(np.full(20, 100.0), np.array([100.0] * 15 + [200.0] * 5)).value
        0.25
    """
    pair = _voiced(reference, made, path)
    if isinstance(pair, str):
        return undefined(pair)
    real, again = pair
    return Score(float((np.abs(again - real) > _GROSS * real).mean()), weight=float(real.size))


def voicing_error(reference: Float[ndarray, " N"], made: Float[ndarray, " N_made"], path: Path | None = None) -> Score:
    """Share of all frames that are voiced in one and not in the other (V/UV mismatch).

    Args:
        reference: Contour of the recording.
        made: Contour of the speech made again.
        path: Pairs of frames.

    Returns:
        From 0 to 1, weighing as many frames as it rests on; undefined where the recording is never voiced.

    Raises:
        ShapeError: The path names frames that do not exist.

    Source:
        The voicing decision error of Nakatani et al., Speech Communication 50(3), 2008.

    Example:
        >>> voicing_error(np.array([0.0, 100.0, 110.0, 0.0]), np.array([0.0, 100.0, 0.0, 0.0])).value
        0.25
    """
    pair = _frames(reference, made, path)
    if isinstance(pair, str):
        return undefined(pair)
    real, again = (contour > 0 for contour in pair)
    if not real.any():
        return undefined("the recording has no voiced frame")
    return Score(float((real != again).mean()), weight=float(real.size))


def _voiced(
    reference: Float[ndarray, " N"], made: Float[ndarray, " N_made"], path: Path | None
) -> tuple[Float[ndarray, " both"], Float[ndarray, " both"]] | str:
    """The frames voiced in both, or why they are too few."""
    pair = _frames(reference, made, path)
    if isinstance(pair, str):
        return pair
    both = (pair[0] > 0) & (pair[1] > 0)
    if both.sum() < _FEWEST:
        return f"fewer than {_FEWEST} frames are voiced in both"
    return pair[0][both], pair[1][both]


def _frames(
    reference: Float[ndarray, " N"], made: Float[ndarray, " N_made"], path: Path | None
) -> tuple[Float[ndarray, " paired"], Float[ndarray, " paired"]] | str:
    """Frame by frame in double precision, or why they cannot be compared."""
    for name, contour in (("the recording", reference), ("the speech made again", made)):
        if not np.isfinite(contour).all():
            return f"the pitch of {name} holds NaN or infinity"
    real, again = reference.astype(np.float64), made.astype(np.float64)
    if path is None:
        length = min(real.size, again.size)
        real, again = real[:length], again[:length]
    else:
        if path.size and (path.min() < 0 or (path.max(axis=0) >= (real.size, again.size)).any()):
            last = path.max(axis=0).tolist()
            raise ShapeError(
                f"the path ends at frames {last}, the contours have {real.size} and {again.size}: "
                "make it from features of the contours' hop"
            )
        real, again = real[path[:, 0]], again[path[:, 1]]
    return (real, again) if real.size else "there are no frames"
