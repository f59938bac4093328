"""Ratings of a listening test to means with intervals, after raters were screened.

A ratings file is CSV with the columns ``rater, test, trial, stimulus, scale, rating, seconds``: who, the test's id,
the screen, the stimulus's code, what was asked, the rating, and how long that screen took. The page of
:mod:`vocable_lab.listening.build` writes it.
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
from vocable.files import find_files, make_folder, write_json, write_whole
from vocable.metrics.score import Figure
from vocable_lab.listening.key import RANGES, REFERENCE, Key, read_key

COLUMNS = ("rater", "test", "trial", "stimulus", "scale", "rating", "seconds")
_HIDDEN_LEAST = 90.0  # BS.1534-3, section 4.1.2: a hidden reference rated lower was not recognised,
_HIDDEN_SHARE = 0.15  # and who does so on more of the screens is excluded
_FEWEST = 3  # stimuli in common with others for a correlation to mean anything
_INTERVAL = "95 % t-interval over raters (each rater's mean is one observation; it holds for these clips)"
Ratings = dict[str, dict[str, float]]  # by rater, then stimulus code


@dataclass(frozen=True, kw_only=True)
class Opinion:
    """What raters think of a system on a scale.

    Attributes:
        scale: ``quality``, ``prosody`` or ``speaker``.
        system: Its name, ``reference``, or an anchor.
        figure: Mean and interval; ``n`` counts ratings, ``excluded`` the ratings of excluded raters.
        raters: Who remain.
    """

    scale: str
    system: str
    figure: Figure
    raters: int


@dataclass(frozen=True, kw_only=True)
class Opinions:
    """A listening test's result.

    Attributes:
        test: Its id.
        kind: ``mushra`` (0 to 100) or ``mos`` (1 to 5).
        opinions: In order of scales, then from the best system to the worst.
        raters: Who count, with the number of stimuli each did not rate.
        excluded: Who do not, and why.
        screening: The rules raters were screened by.
        interval: How the intervals were made.
    """

    test: str
    kind: str
    opinions: tuple[Opinion, ...]
    raters: Mapping[str, int]
    excluded: Mapping[str, str]
    screening: str
    interval: str = _INTERVAL

    def to_json(self) -> dict[str, Any]:
        """For ``json``: what is undefined is null."""
        values = asdict(self)
        for row in values["opinions"]:
            figure = row["figure"]
            figure |= {name: None for name in ("mean", "low", "high") if math.isnan(figure[name])}
        return values

    def to_markdown(self) -> str:
        """A table a scale, and who was excluded."""
        low, high = RANGES[self.kind]
        lines = [f"# Listening test {self.test}", "", f"{self.kind.upper()}, from {low} to {high}; {self.interval}."]
        for scale in dict.fromkeys(opinion.scale for opinion in self.opinions):
            lines += ["", f"## {scale.capitalize()}", "", "| system | mean | 95 % interval | raters | ratings |"]
            lines += ["|---|---|---|---|---|"]
            lines += [_row(opinion) for opinion in self.opinions if opinion.scale == scale]
        lines += ["", "## Raters", "", f"Screening: {self.screening}.", ""]
        lines += [
            f"- {rater}: counts" + (f"; {missing} stimuli not rated" if missing else "")
            for rater, missing in self.raters.items()
        ]
        lines += [f"- {rater}: excluded, {reason}" for rater, reason in self.excluded.items()]
        return "\n".join(lines) + "\n"


def analyse(ratings: Sequence[Path], key: Path, *, least_correlation: float = 0.25) -> Opinions:
    """Read ratings files, screen the raters, and take means.

    MUSHRA: a rater who gives the hidden reference less than 90 on more than 15 % of the screens is excluded. MOS:
    one whose ratings correlate with the mean of the others' by less than ``least_correlation`` (each scale around
    its own means; three raters and three stimuli at least) is. In both, so is who rates everything the same. Each
    rule looks at all raters once, in one pass.

    Args:
        ratings: Files, or folders of them.
        key: The key beside the page.
        least_correlation: From -1, which excludes nobody, to 1.

    Raises:
        ConfigError: The correlation is not in [-1, 1].
        InputError: A file is missing or not of this test, or a line of it cannot be used: file and line are named.
        MissingDependencyError: scipy is not installed.

    Source:
        ITU-R BS.1534-3 (2015), section 4.1.2; ITU-T P.800 (1996), annex B. Correlation with the others: after
        ITU-T P.913 (2021), clause 12.
    """
    if not -1 <= least_correlation <= 1:
        raise ConfigError(f"least_correlation is {least_correlation}: a correlation lies in [-1, 1]")
    known = read_key(Path(key))
    given = _read(ratings, known)
    excluded = dict(_screen(given, known, least_correlation))
    counting = {rater: rows for rater, rows in given.items() if rater not in excluded}
    rule = (
        f"hidden reference under {_HIDDEN_LEAST:g} on more than {_HIDDEN_SHARE:.0%} of the screens"
        if known.kind == "mushra"
        else f"correlation with the mean of the others under {least_correlation:g}"
    )
    return Opinions(
        test=known.test,
        kind=known.kind,
        opinions=tuple(_opinions(given, counting, known)),
        raters={rater: len(known.stimuli) - len(rows) for rater, rows in counting.items()},
        excluded=excluded,
        screening=f"{rule}, or the same rating throughout",
    )


def listen_analyse(ratings: Sequence[Path], key: Path, out: Path | None = None) -> Opinions:
    """What :func:`analyse` does, written as ``listening.json`` and ``listening.md`` into a folder if one is named.

    Raises:
        OutputError: The folder cannot be written.
    """
    found = analyse(ratings, key)
    if out is not None:
        make_folder(out)
        write_json(out / "listening.json", found.to_json())
        write_whole(out / "listening.md", lambda file: file.write_text(found.to_markdown(), encoding="utf-8"))
    return found


def _row(opinion: Opinion) -> str:
    figure = opinion.figure
    mean = "undefined" if math.isnan(figure.mean) else f"{figure.mean:.2f}"
    interval = "undefined" if math.isnan(figure.low) else f"{figure.low:.2f} to {figure.high:.2f}"
    return f"| {opinion.system.replace('|', '/')} | {mean} | {interval} | {opinion.raters} | {figure.n} |"


def _read(inputs: Sequence[Path], key: Key) -> Ratings:
    """All ratings, each checked against the key."""
    given: Ratings = defaultdict(dict)
    places: dict[tuple[str, str], str] = {}
    for path in find_files(inputs, {".csv"}, "ratings file"):
        for number, row in _rows(path):
            where = f"{path}, line {number}"
            rater, code = row["rater"], row["stimulus"]
            value = _rating(row, key, where)
            if (rater, code) in places:
                raise InputError(
                    f"{where}: rater '{rater}' has rated stimulus '{code}' already ({places[rater, code]}); keep one"
                )
            places[rater, code] = where
            given[rater][code] = value
    if not given:
        raise InputError("there is no rating in these files; name the ratings files the page has saved")
    return dict(sorted(given.items()))


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        head = next(reader, [])
        if tuple(head) != COLUMNS:
            raise InputError(f"{path}, line 1: the columns are {', '.join(head) or 'none'}; want {', '.join(COLUMNS)}")
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(COLUMNS):
                raise InputError(f"{path}, line {reader.line_num}: {len(cells)} cells where {len(COLUMNS)} are wanted")
            yield reader.line_num, dict(zip(COLUMNS, cells, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path}: cannot be read as CSV ({reason}); take the file as the page saved it") from error


def _rating(row: Mapping[str, str], key: Key, where: str) -> float:
    """The rating, if the row belongs to this test and is possible."""
    if not row["rater"].strip():
        raise InputError(f"{where}: the rater is missing; each rating says whose it is")
    if row["test"] != key.test:
        raise InputError(f"{where}: a rating of test '{row['test']}', but the key is that of '{key.test}'")
    stimulus = key.stimuli.get(row["stimulus"])
    if stimulus is None:
        raise InputError(f"{where}: the key knows no stimulus '{row['stimulus']}'; is the file altered?")
    for name, wanted in (("trial", stimulus.trial), ("scale", stimulus.scale)):
        if row[name] != wanted:
            raise InputError(f"{where}: {name} '{row[name]}' where stimulus '{row['stimulus']}' has '{wanted}'")
    low, high = RANGES[key.kind]
    try:
        value = float(row["rating"])
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise InputError(f"{where}: the rating is '{row['rating']}'; {key.kind} goes from {low} to {high}")
    return value


def _screen(given: Ratings, key: Key, least: float) -> Iterator[tuple[str, str]]:
    """Raters to exclude, and why."""
    for rater, rows in given.items():
        reason = None
        if len(rows) >= _FEWEST and len(set(rows.values())) == 1:
            reason = f"all {len(rows)} ratings are {next(iter(rows.values())):g}"
        elif key.kind == "mushra":
            hidden = [value for code, value in rows.items() if key.stimuli[code].system == REFERENCE]
            low = sum(value < _HIDDEN_LEAST for value in hidden)
            if hidden and low / len(hidden) > _HIDDEN_SHARE:
                reason = f"the hidden reference is rated under {_HIDDEN_LEAST:g} on {low} of {len(hidden)} screens"
        else:
            agreement = _agreement(rater, given, key)
            if agreement < least:  # a NaN is not
                reason = f"the correlation with the mean of the others is {agreement:.2f}"
        if reason:
            yield rater, reason


def _agreement(rater: str, given: Ratings, key: Key) -> float:
    """Correlation with the mean of the others, scales centred; NaN where there is too little to tell."""
    others: dict[str, list[float]] = defaultdict(list)
    for other, rows in given.items():
        for code, value in rows.items():
            if other != rater:
                others[code].append(value)
    common = sorted(code for code in given[rater] if others[code])
    if len(given) < 3 or len(common) < _FEWEST:
        return math.nan
    pairs = np.array([(given[rater][code], np.mean(others[code])) for code in common])
    scales = np.array([key.stimuli[code].scale for code in common])
    for scale in set(scales.tolist()):
        pairs[scales == scale] -= pairs[scales == scale].mean(axis=0)
    spread = np.sqrt(np.square(pairs).sum(axis=0)).prod()
    return float(pairs[:, 0] @ pairs[:, 1] / spread) if spread > 1e-9 else math.nan


def _opinions(given: Ratings, counting: Ratings, key: Key) -> list[Opinion]:
    """Every system on every scale."""
    found = []
    groups: dict[tuple[str, str], set[str]] = defaultdict(set)
    for code, stimulus in key.stimuli.items():
        groups[stimulus.scale, stimulus.system].add(code)
    for (scale, system), codes in groups.items():
        values = [[value for code, value in rows.items() if code in codes] for rows in counting.values()]
        values = [rows for rows in values if rows]
        every = sum(code in codes for rows in given.values() for code in rows)
        found.append(Opinion(scale=scale, system=system, figure=_figure(values, every), raters=len(values)))
    return sorted(
        found,
        key=lambda one: (key.scales.index(one.scale), -np.nan_to_num(one.figure.mean, nan=-1.0), one.system),
    )


def _figure(values: Sequence[Sequence[float]], every: int) -> Figure:
    """Mean of the raters' means, with its t-interval."""
    try:
        from scipy.stats import t
    except ImportError as error:
        raise MissingDependencyError("intervals need scipy; run pip install 'vocable[metrics]'") from error
    means = np.array([np.mean(rows) for rows in values])
    n = sum(map(len, values))
    reasons = {"the rater is excluded": every - n} if every > n else {}
    mean = float(means.mean()) if means.size else math.nan
    half = math.nan
    if means.size > 1:
        half = float(t.ppf(0.975, means.size - 1) * means.std(ddof=1) / math.sqrt(means.size))
    return Figure(mean=mean, low=mean - half, high=mean + half, n=n, excluded=every - n, reasons=reasons)
