"""Comparison of two contours of fundamental frequency, frame by frame.

A contour is an array of Hz with one entry per frame, 0 where the frame is unvoiced (``Pitch.hz`` of a pitch tracker).
Both contours have the same hop. They are cut to the shorter, or paired by ``path``: the result of ``dtw_path`` of
:mod:`vocable.metrics.spectral` for features of the same hop, for speech of other timing (voice conversion, synthesis).
Every function takes the recording's contour (N,), then the decoded speech's (M,). It returns a ``Score``; a value that
cannot be measured is undefined and has a reason. A path of frames that do not exist raises :class:`ShapeError`.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from vocable.errors import ConfigError, ShapeError
from vocable.metrics.score import Score, undefined

_MIN_VOICED = 10  # frames that must be voiced in both
_MIN_AGREEMENT = 0.5  # share of frames voiced in both: of noise a tracker finds few, where it is surest, and they agree
_GROSS = 0.2  # relative error from which on an error is gross
_CONSTANT = 1e-6  # range in octaves under which a contour is constant: a thousandth of a cent
_NAMES = ("the recording", "the decoded speech")
Path = Int[ndarray, "pair 2"]
Contour = Float[ndarray, " N"]
Curve = Float[ndarray, " _"]  # a contour of any length


def f0_correlation(reference: Curve, decoded: Curve, path: Path | None = None) -> Score:
    """Return the Pearson correlation of log F0 over frames voiced in both: 1 is the same melody in any key.

    Returns:
        A value in [-1, 1]; undefined under 10 frames voiced in both, and for a contour that is constant there.

    Example:
        >>> melody = 120 + 20 * np.sin(np.arange(50) / 5)
        >>> round(f0_correlation(melody, 2 * melody).value, 6)
        1.0
    """
    pair = _voiced_frames(reference, decoded, path)
    if isinstance(pair, str):
        return undefined(pair)
    logs = [np.log2(contour) for contour in pair]
    for name, contour in zip(_NAMES, logs, strict=True):
        if np.ptp(contour) < _CONSTANT:
            return undefined(f"the pitch of {name} is constant")
    one, other = ((contour - contour.mean()) / contour.std() for contour in logs)
    return Score(min(max(float((one * other).mean()), -1.0), 1.0))


def f0_rmse(reference: Curve, decoded: Curve, unit: str = "cents", path: Path | None = None) -> Score:
    """Return the root mean square difference of F0 over frames voiced in both: 0 is the same melody in the same key.

    Returns:
        A value in ``unit``: ``cents`` (1200 per octave, alike for high and low voices) or ``hz``; undefined under 10
        frames voiced in both.

    Raises:
        ConfigError: If there is no such unit.

    Example:
        >>> melody = np.full(50, 100.0)
        >>> round(f0_rmse(melody, 1.5 * melody).value), round(f0_rmse(melody, 1.5 * melody, "hz").value)
        (702, 50)
    """
    if unit not in ("cents", "hz"):
        raise ConfigError(f"unit is '{unit}': f0_rmse takes 'cents' or 'hz'")
    pair = _voiced_frames(reference, decoded, path)
    if isinstance(pair, str):
        return undefined(pair)
    one, other = (1200 * np.log2(contour) for contour in pair) if unit == "cents" else pair
    return Score(float(np.sqrt(np.square(other - one).mean())))


def f0_mse(reference: Curve, decoded: Curve, path: Path | None = None) -> Score:
    """Return the mean square error of F0 (MSEP) in Hz² over frames voiced in both.

    The mean over clips is that of squares: a few octave errors, or a few high voices, decide it.

    Returns:
        A value of 0 or more; undefined under 10 frames voiced in both.

    Example:
        >>> f0_mse(np.full(50, 100.0), np.full(50, 103.0)).value
        9.0
    """
    root = f0_rmse(reference, decoded, "hz", path)
    return Score(root.value**2) if root.defined else root


def gross_pitch_error(reference: Curve, decoded: Curve, path: Path | None = None) -> Score:
    """Return the share of frames voiced in both whose F0 differs by more than 20 % of the recording's.

    Returns:
        A share in [0, 1] that weighs the number of these frames; undefined under 10 of them.

    Source:
        Chu and Alwan, ICASSP 2009, section 2: the 20 % of Rabiner et al. (1976).

    Example:
        >>> gross_pitch_error(np.full(20, 100.0), np.array([100.0] * 15 + [200.0] * 5)).value
        0.25
    """
    pair = _voiced_frames(reference, decoded, path)
    if isinstance(pair, str):
        return undefined(pair)
    one, other = pair
    return Score(float((np.abs(other - one) > _GROSS * one).mean()), weight=float(one.size))


def voicing_error(reference: Curve, decoded: Curve, path: Path | None = None) -> Score:
    """Return the share of all frames that are voiced in one contour and unvoiced in the other.

    Returns:
        A share in [0, 1] that weighs the number of frames; undefined if the recording is never voiced.

    Source:
        The voicing decision error of Nakatani et al., Speech Communication 50(3), 2008.

    Example:
        >>> voicing_error(np.array([0.0, 100.0, 110.0, 0.0]), np.array([0.0, 100.0, 0.0, 0.0])).value
        0.25
    """
    pair = _paired_frames(reference, decoded, path)
    if isinstance(pair, str):
        return undefined(pair)
    one, other = (contour > 0 for contour in pair)
    if not one.any():
        return undefined("the recording has no voiced frame")
    return Score(float((one != other).mean()), weight=float(one.size))


def predicted_pitch_correlation(target: Contour, predictions: Sequence[Contour]) -> Score:
    """Return the Pearson correlation of log F0 with its prediction from tokens, mean over several predictions.

    Args:
        target: Log F0 of the voiced frames of a clip.
        predictions: Predicted log F0 of the same frames, one per seed.

    Returns:
        A value in [-1, 1]; undefined under 10 frames, and if the target or a prediction is constant.

    Example:
        >>> round(predicted_pitch_correlation(np.arange(10.0), [np.arange(10.0), -np.arange(10.0)]).value, 6)
        0.0
    """
    if target.size < _MIN_VOICED:
        return undefined(f"fewer than {_MIN_VOICED} voiced frames")
    if float(np.ptp(target)) < 1e-9:
        return undefined("its pitch never changes")
    if any(float(np.ptp(values)) < 1e-9 for values in predictions):
        return undefined("the probe says one pitch throughout")
    return Score(float(np.mean([np.corrcoef(values, target)[0, 1] for values in predictions])))


def _voiced_frames(
    reference: Curve, decoded: Curve, path: Path | None
) -> tuple[Float[ndarray, " both"], Float[ndarray, " both"]] | str:
    """Return the frames voiced in both contours, or the reason why they are too few."""
    pair = _paired_frames(reference, decoded, path)
    if isinstance(pair, str):
        return pair
    both = (pair[0] > 0) & (pair[1] > 0)
    if both.sum() < _MIN_VOICED:
        return f"fewer than {_MIN_VOICED} frames are voiced in both"
    voiced = (pair[0] > 0) | (pair[1] > 0)
    if both.sum() < _MIN_AGREEMENT * voiced.sum():
        return f"only {both.sum()} of {voiced.sum()} frames that are voiced in either are voiced in both"
    return pair[0][both], pair[1][both]


def _paired_frames(
    reference: Curve, decoded: Curve, path: Path | None
) -> tuple[Float[ndarray, " paired"], Float[ndarray, " paired"]] | str:
    """Return the paired frames in double precision, or the reason why they cannot be compared."""
    for name, contour in zip(_NAMES, (reference, decoded), strict=True):
        if not np.isfinite(contour).all():
            return f"the pitch of {name} holds NaN or infinity"
    one, other = reference.astype(np.float64), decoded.astype(np.float64)
    if path is None:
        length = min(one.size, other.size)
        one, other = one[:length], other[:length]
    else:
        if path.size and (path.min() < 0 or (path.max(axis=0) >= (one.size, other.size)).any()):
            last = path.max(axis=0).tolist()
            raise ShapeError(
                f"the path ends at frames {last}, the contours have {one.size} and {other.size}: "
                "make it from features of the contours' hop"
            )
        one, other = one[path[:, 0]], other[path[:, 1]]
    return (one, other) if one.size else "there are no frames"
