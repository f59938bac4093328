"""Analysis of a listening test: screening of raters, and mean ratings with intervals.

A ratings file, which the page of :mod:`vocable_lab.listening.build` saves, is CSV with the columns ``rater, test,
trial, stimulus, scale, rating, seconds``. ``test`` is the id of the test, ``trial`` the screen, ``stimulus`` the code
of the sound, and ``seconds`` the time spent on the screen.
"""

import csv
import io
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vocable.errors import ConfigError, InputError, MissingDependencyError
from vocable.file_search import find_files
from vocable.files import make_folder, write_json, write_text
from vocable.metrics.score import Figure
from vocable.schema import read_utf8
from vocable_lab.listening.key import RANGES, REFERENCE, Key, read_key

COLUMNS = ("rater", "test", "trial", "stimulus", "scale", "rating", "seconds")
_MAX_CELL = 200  # characters
_HIDDEN_MIN = 90.0  # BS.1534-3, section 4.1.2: a hidden reference rated lower was not recognized,
_HIDDEN_MAX_SHARE = 0.15  # and a rater with more such screens is excluded
_MIN_COMMON = 3  # common stimuli that a correlation needs
_INTERVAL = "95 % t-interval over raters (each rater's mean is one observation; it holds for these clips)"
Ratings = dict[str, dict[str, float]]  # by rater, then by stimulus code


@dataclass(frozen=True, kw_only=True)
class Opinion:
    """Mean rating of one system on one scale.

    Attributes:
        scale: ``quality``, ``prosody`` or ``speaker``.
        system: Name of the system, ``reference``, or an anchor.
        figure: Mean and interval; ``n`` counts ratings, ``excluded`` the ratings of excluded raters.
        raters: Number of raters after screening.
    """

    scale: str
    system: str
    figure: Figure
    raters: int


@dataclass(frozen=True, kw_only=True)
class Opinions:
    """Result of a listening test.

    Attributes:
        test: Id of the test.
        kind: ``mushra`` (0 to 100) or ``mos`` (1 to 5).
        opinions: Mean ratings in the order of scales, then from the best system to the worst.
        raters: Raters after screening, each with the number of stimuli without a rating.
        excluded: Excluded raters with the reason.
        screening: Rule of the screening.
        interval: Definition of the intervals.
    """

    test: str
    kind: str
    opinions: tuple[Opinion, ...]
    raters: Mapping[str, int]
    excluded: Mapping[str, str]
    screening: str
    interval: str = _INTERVAL

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object in which undefined figures are null."""
        values = asdict(self)
        for row in values["opinions"]:
            figure = row["figure"]
            figure |= {name: None for name in ("mean", "low", "high") if math.isnan(figure[name])}
        return values

    def to_markdown(self) -> str:
        """Return one table for each scale, and the list of raters."""
        low, high = RANGES[self.kind]
        lines = [f"# Listening test {self.test}", "", f"{self.kind.upper()}, from {low} to {high}; {self.interval}."]
        for scale in dict.fromkeys(opinion.scale for opinion in self.opinions):
            lines += ["", f"## {scale.capitalize()}", "", "| system | mean | 95 % interval | raters | ratings |"]
            lines += ["|---|---|---|---|---|"]
            lines += [_markdown_row(opinion) for opinion in self.opinions if opinion.scale == scale]
        lines += ["", "## Raters", "", f"Screening: {self.screening}.", ""]
        lines += [
            f"- {rater}: counts" + (f"; {missing} stimuli not rated" if missing else "")
            for rater, missing in self.raters.items()
        ]
        lines += [f"- {rater}: excluded, {reason}" for rater, reason in self.excluded.items()]
        return "\n".join(lines) + "\n"


def analyze(ratings: Sequence[Path], key: Path, *, min_correlation: float = 0.25) -> Opinions:
    """Read ratings files, screen the raters, and compute mean ratings.

    MUSHRA excludes raters who give the hidden reference less than 90 on more than 15 % of the screens. MOS excludes
    raters whose ratings correlate with the mean of the others by less than ``min_correlation``; each scale is centered,
    and at least three raters and three stimuli are needed. Both exclude raters who give the same rating throughout.
    All raters are screened in one pass.

    Args:
        ratings: Ratings files, or folders of them.
        key: Key beside the page.
        min_correlation: Correlation in [-1, 1]; -1 excludes nobody.

    Raises:
        ConfigError: If the correlation is not in [-1, 1].
        InputError: If a file is missing or of another test, or a line cannot be used; the message names both.
        MissingDependencyError: If scipy is not installed.

    Source:
        ITU-R BS.1534-3 (2015), section 4.1.2; ITU-T P.800 (1996), annex B. Correlation with the others: after
        ITU-T P.913 (2021), clause 12.
    """
    if not -1 <= min_correlation <= 1:
        raise ConfigError(f"min_correlation is {min_correlation}: a correlation lies in [-1, 1]")
    test_key = read_key(Path(key))
    all_ratings = _read_ratings(ratings, test_key)
    excluded = dict(_screen(all_ratings, test_key, min_correlation))
    screened = {rater: rows for rater, rows in all_ratings.items() if rater not in excluded}
    rule = (
        f"hidden reference under {_HIDDEN_MIN:g} on more than {_HIDDEN_MAX_SHARE:.0%} of the screens"
        if test_key.kind == "mushra"
        else f"correlation with the mean of the others under {min_correlation:g}"
    )
    return Opinions(
        test=test_key.test,
        kind=test_key.kind,
        opinions=tuple(_rate_systems(all_ratings, screened, test_key)),
        raters={rater: len(test_key.stimuli) - len(rows) for rater, rows in screened.items()},
        excluded=excluded,
        screening=f"{rule}, or the same rating throughout",
    )


def analyze_files(ratings: Sequence[Path], key: Path, out: Path | None = None) -> Opinions:
    """Analyze a listening test, and write ``listening.json`` and ``listening.md`` if a folder is given.

    Raises:
        OutputError: If the folder cannot be written.
    """
    opinions = analyze(ratings, key)
    if out is not None:
        make_folder(out)
        write_json(out / "listening.json", opinions.to_json())
        write_text(out / "listening.md", opinions.to_markdown())
    return opinions


def _markdown_row(opinion: Opinion) -> str:
    figure = opinion.figure
    mean = "undefined" if math.isnan(figure.mean) else f"{figure.mean:.2f}"
    interval = "undefined" if math.isnan(figure.low) else f"{figure.low:.2f} to {figure.high:.2f}"
    return f"| {opinion.system.replace('|', '/')} | {mean} | {interval} | {opinion.raters} | {figure.n} |"


def _read_ratings(inputs: Sequence[Path], key: Key) -> Ratings:
    """Read all ratings and check each against the key."""
    ratings: Ratings = defaultdict(dict)
    places: dict[tuple[str, str], str] = {}
    for path in find_files(inputs, {".csv"}, "ratings file"):
        for number, row in _read_rows(path):
            where = f"{path}, line {number}"
            rater, code = row["rater"], row["stimulus"]
            value = _check_rating(row, key, where)
            if (rater, code) in places:
                raise InputError(
                    f"{where}: rater '{rater}' has rated stimulus '{code}' already ({places[rater, code]}); keep one"
                )
            places[rater, code] = where
            ratings[rater][code] = value
    if not ratings:
        raise InputError("there is no rating in these files; name the ratings files the page has saved")
    return dict(sorted(ratings.items()))


def _read_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    advice = "take the file as the page saved it"
    text = read_utf8(path, InputError, advice)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        head = next(reader, [])
        if tuple(head) != COLUMNS:
            raise InputError(
                f"{path}, line 1: the columns are {', '.join(head)[:200] or 'none'}; {', '.join(COLUMNS)} are needed"
            )
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(COLUMNS):
                raise InputError(f"{path}, line {reader.line_num}: {len(cells)} cells where {len(COLUMNS)} are needed")
            if max(map(len, cells)) > _MAX_CELL:
                raise InputError(f"{path}, line {reader.line_num}: a cell of over {_MAX_CELL} characters; {advice}")
            yield reader.line_num, dict(zip(COLUMNS, cells, strict=True))
    except csv.Error as error:
        raise InputError(f"{path}: cannot be read as CSV ({error}); {advice}") from error


def _check_rating(row: Mapping[str, str], key: Key, where: str) -> float:
    """Return the rating of a row after checking that it belongs to this test and lies in range."""
    if not row["rater"].strip():
        raise InputError(f"{where}: the rater is missing; each rating needs the id of its rater")
    if row["test"] != key.test:
        raise InputError(f"{where}: a rating of test '{row['test']}', but the key is that of '{key.test}'")
    stimulus = key.stimuli.get(row["stimulus"])
    if stimulus is None:
        raise InputError(f"{where}: the key has no stimulus '{row['stimulus']}'; is the file altered?")
    for name, expected in (("trial", stimulus.trial), ("scale", stimulus.scale)):
        if row[name] != expected:
            raise InputError(f"{where}: {name} '{row[name]}' where stimulus '{row['stimulus']}' has '{expected}'")
    low, high = RANGES[key.kind]
    try:
        value = float(row["rating"])
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise InputError(f"{where}: the rating is '{row['rating']}'; {key.kind} goes from {low} to {high}")
    return value


def _screen(ratings: Ratings, key: Key, minimum: float) -> Iterator[tuple[str, str]]:
    """Yield the raters to exclude, with the reason."""
    for rater, rows in ratings.items():
        reason = None
        if len(rows) >= _MIN_COMMON and len(set(rows.values())) == 1:
            reason = f"all {len(rows)} ratings are {next(iter(rows.values())):g}"
        elif key.kind == "mushra":
            hidden = [value for code, value in rows.items() if key.stimuli[code].system == REFERENCE]
            low = sum(value < _HIDDEN_MIN for value in hidden)
            if hidden and low / len(hidden) > _HIDDEN_MAX_SHARE:
                reason = f"the hidden reference is rated under {_HIDDEN_MIN:g} on {low} of {len(hidden)} screens"
        else:
            agreement = _correlation(rater, ratings, key)
            if agreement < minimum:  # false for NaN
                reason = f"the correlation with the mean of the others is {agreement:.2f}"
        if reason:
            yield rater, reason


def _correlation(rater: str, ratings: Ratings, key: Key) -> float:
    """Return the correlation with the mean of the others, with centered scales; NaN if there is too little data."""
    others: dict[str, list[float]] = defaultdict(list)
    for other, rows in ratings.items():
        for code, value in rows.items():
            if other != rater:
                others[code].append(value)
    common = sorted(code for code in ratings[rater] if others[code])
    if len(ratings) < 3 or len(common) < _MIN_COMMON:
        return math.nan
    pairs = np.array([(ratings[rater][code], np.mean(others[code])) for code in common])
    scales = np.array([key.stimuli[code].scale for code in common])
    for scale in set(scales.tolist()):
        pairs[scales == scale] -= pairs[scales == scale].mean(axis=0)
    spread = np.sqrt(np.square(pairs).sum(axis=0)).prod()
    return float(pairs[:, 0] @ pairs[:, 1] / spread) if spread > 1e-9 else math.nan


def _rate_systems(ratings: Ratings, screened: Ratings, key: Key) -> list[Opinion]:
    """Compute the mean rating of every system on every scale."""
    opinions = []
    groups: dict[tuple[str, str], set[str]] = defaultdict(set)
    for code, stimulus in key.stimuli.items():
        groups[stimulus.scale, stimulus.system].add(code)
    for (scale, system), codes in groups.items():
        values = [[value for code, value in rows.items() if code in codes] for rows in screened.values()]
        values = [rows for rows in values if rows]
        total = sum(code in codes for rows in ratings.values() for code in rows)
        opinions.append(Opinion(scale=scale, system=system, figure=_mean_rating(values, total), raters=len(values)))
    return sorted(
        opinions,
        key=lambda one: (key.scales.index(one.scale), -np.nan_to_num(one.figure.mean, nan=-1.0), one.system),
    )


def _mean_rating(values: Sequence[Sequence[float]], total: int) -> Figure:
    """Return the mean of the raters' means with its t-interval."""
    try:
        from scipy.stats import t
    except ImportError as error:
        raise MissingDependencyError("intervals need scipy; run pip install 'vocable[metrics]'") from error
    means = np.array([np.mean(rows) for rows in values])
    n = sum(map(len, values))
    reasons = {"the rater is excluded": total - n} if total > n else {}
    mean = float(means.mean()) if means.size else math.nan
    half = math.nan
    if means.size > 1:
        half = float(t.ppf(0.975, means.size - 1) * means.std(ddof=1) / math.sqrt(means.size))
    return Figure(mean=mean, low=mean - half, high=mean + half, n=n, excluded=total - n, reasons=reasons)
