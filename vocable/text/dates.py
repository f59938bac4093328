"""Rules for dates, times of day, ordinals and decades."""

import re
from collections.abc import Iterator

from vocable.text import numbers
from vocable.text.rules import Context, Rule, plain, rest_of, rule

MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip

_MONTH_OF = {**{name: name for name in MONTHS}, **{name[:3]: name for name in MONTHS}, "sept": "september"}
_MONTH = rf"(?:{'|'.join(name.capitalize() for name in MONTHS)}|(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.?)"
_MONTH = rf"(?:{_MONTH}|{'|'.join(name.upper() for name in MONTHS if name not in ('march', 'may'))})"
_DAY = r"0?[1-9]|[12]\d|3[01]"
_NO_MORE = r"(?![\d/])(?!-\d)(?!\.\d)"
_NO_UNIT = r"(?!\d|[.,:/]\d|\s?[%°]|\s?(?:am|pm|a\.m|p\.m|AM|PM|km|kg|miles|people|percent|million|billion|thousand)\b)"
_HALF = r"(?P<half>[AaPp])(?:\.\s?[Mm]\.?|[Mm](?![\w]))"
_DATE_WORDS = {"on", "since", "until", "till", "dated", "due", "by", "before", "after"}


def read_date(match: re.Match[str], context: Context) -> Iterator[str] | None:
    """Return the words of a date in digits, or None if it is no date."""
    year, first, second = match["year"], int(match["first"]), int(match["second"])
    if "day_first" in match.groupdict():
        month, day = second, first
    else:
        month, day = (first, second) if first <= len(MONTHS) else (second, first)
    if not (1 <= month <= len(MONTHS) and 1 <= day <= 31):
        return None
    return _date(MONTHS[month - 1], str(day), year)


def _date(month: str, day: str, year: str | None) -> Iterator[str]:
    yield month
    yield from numbers.ordinal(str(int(day)))
    if year is not None:
        yield from numbers.short_year(year) if len(year) == 2 else say_year(year)


def say_year(text: str) -> list[str]:
    """Return the words of a year of one to four digits."""
    return numbers.year(text) if len(text) == 4 and text[0] != "0" else numbers.cardinal(text.lstrip("0") or "0")


def read_month_day(match: re.Match[str], context: Context) -> Iterator[str]:
    """Yield the words of a month, a day or two, and perhaps a year."""
    yield from _date(_month(match["month"]), match["day"], None)
    if match["last"]:
        yield "to"
        yield from numbers.ordinal(str(int(match["last"])))
    if match["year"]:
        yield from say_year(match["year"])


def read_day_month(match: re.Match[str], context: Context) -> Iterator[str]:
    """Yield the words of a day, a month, and perhaps a year."""
    if context.last != "the":
        yield "the"
    yield from numbers.ordinal(str(int(match["day"])))
    if match["last"]:
        yield from ("to", "the", *numbers.ordinal(str(int(match["last"]))))
    yield "of"
    yield _month(match["month"])
    if match["year"]:
        yield from say_year(match["year"])


def _month(text: str) -> str:
    return _MONTH_OF[text.rstrip(".").lower()]


def read_short_date(match: re.Match[str], context: Context) -> Iterator[str] | None:
    """Return the words of a month and a day in digits after a word such as *on*, or None."""
    month, day = int(match["month"]), int(match["day"])
    pair = (match["month"], match["day"])
    if context.last not in _DATE_WORDS or not 1 <= month <= len(MONTHS) or not 1 <= day <= 31 or pair == ("9", "11"):
        return None
    return _date(MONTHS[month - 1], match["day"], None)


def read_time(match: re.Match[str], context: Context) -> Iterator[str]:
    """Yield the words of a time of day: 3:30, 10:30 p.m., 10 AM, 3:30:15."""
    groups = match.groupdict()
    hours, minutes, seconds, half = (groups.get(name) for name in ("hours", "minutes", "seconds", "half"))
    words = numbers.clock(str(hours), minutes or "00")
    yield from words[:-1] if (half or seconds) and words[-1] == "o'clock" else words
    if seconds and minutes == "00":
        yield from ("oh", "oh")
    if seconds:
        yield from numbers.short_year(seconds)
    if half:
        yield f"{half.lower()}."
        yield "m."
        if match[0].endswith(".") and not rest_of(match):
            yield "."


def read_ratio(match: re.Match[str], context: Context) -> list[str]:
    """Return the words of a ratio, such as 3:1, or of chapter and verse, such as Psalm 23:1."""
    is_verse = re.search(r"[A-Z][a-z]+ $", match.string[max(0, match.start() - 20) : match.start()])
    return [*numbers.cardinal(match["one"]), *([] if is_verse else ["to"]), *numbers.cardinal(match["other"])]


DATES: tuple[Rule, ...] = (
    rule(
        rf"(?<![\w.,/-])(?P<year>[12]\d{{3}})(?P<mark>[-/.])(?P<first>0?[1-9]|1[0-2])(?P=mark)(?P<second>{_DAY})"
        rf"{_NO_MORE}(?:T(?=\d\d:))?",
        read_date,
    ),
    rule(
        rf"(?<![\w.,/-])(?P<first>\d{{1,2}})(?P<mark>[/-])(?P<second>\d{{1,2}})(?P=mark)(?P<year>\d{{4}}|\d\d)"
        rf"{_NO_MORE}",
        read_date,
    ),
    rule(
        rf"(?<![\w.,/-])(?P<first>{_DAY})(?P<day_first>\.)\s?(?P<second>0?[1-9]|1[0-2])\.\s?(?P<year>[12]\d{{3}}){_NO_MORE}",
        read_date,
    ),
    rule(
        rf"(?<![\w'])(?P<month>{_MONTH})\s(?P<day>{_DAY})(?i:st|nd|rd|th)?(?![a-zA-Z])(?:\s?[–-]\s?(?P<last>{_DAY})(?i:st|nd|rd|th)?(?!\w))?"
        rf"{_NO_UNIT}(?:,?\s(?P<year>1\d{{3}}|20\d\d)(?![\d%]|[,.:/]\d))?",
        read_month_day,
    ),
    rule(
        rf"(?<![\w.,/'-])(?P<day>{_DAY})(?:\s?[–-]\s?(?P<last>{_DAY}))?(?i:st|nd|rd|th)?\s(?P<month>{_MONTH})(?![\w'])"
        r"(?:,?\s(?P<year>1\d{3}|20\d\d)(?![\d%]|[,.:/]\d))?",
        read_day_month,
    ),
    rule(r"(?<![\w/.,-])(?P<month>\d{1,2})/(?P<day>\d{1,2})(?![\d/]|\.\d)", read_short_date),
    rule(rf"(?<![\d.,:])(?P<hours>[01]?\d|2[0-4])[:.](?P<minutes>[0-5]\d)(?:\s?{_HALF})", read_time),
    rule(r"(?<![\d.,:])(?P<hours>[01]?\d|2[0-4]):(?P<minutes>[0-5]\d)(?::(?P<seconds>[0-5]\d))?(?![\d:])", read_time),
    rule(rf"(?<![\d.,:/])(?P<hours>0?[1-9]|1[0-2])\s?{_HALF}", read_time),
    rule(r"(?<![\d:.,])(?P<one>\d{1,15}):(?P<other>\d{1,15})(?![\d:])", read_ratio),
    rule(
        r"(?<![\w/.,])(?P<year>(?:1[1-9]|20)\d\d)/(?P<next>\d\d)(?![\d/])",
        lambda match, _: [*numbers.year(match["year"]), *numbers.short_year(match["next"])],
    ),
    rule(
        r"(?P<ordinal>\d{1,3}(?:,\d{3})+|\d+)(?i:st|nd|rd|th)\b",
        lambda match, _: numbers.ordinal(plain(match["ordinal"])),
    ),
    rule(r"(?P<decade>1[1-9]\d0|20\d0)'?s\b", lambda match, _: numbers.plural(numbers.year(match["decade"]))),
    rule(r"'?(?P<tens>[2-9]0)'?s\b", lambda match, _: numbers.plural(numbers.cardinal(match["tens"]))),
)
