"""Rules for quantities: numbers with signs, units, currencies, ranges, fractions and exponents."""

import re
from collections.abc import Iterator

from vocable.errors import TextError
from vocable.text import numbers
from vocable.text.rules import NUMBER, SCALES, Context, Rule, is_singular, plain, rule, say

SIGNS = {
    "&": "and", "@": "at", "+": "plus", "=": "equals", "%": "percent", "‰": "per mille", "°": "degrees", "#": "number",
    "×": "times", "÷": "divided by", "±": "plus or minus", "∓": "minus or plus", "≈": "approximately",
    "≅": "approximately", "≠": "is not equal to", "≤": "less than or equal to", "≥": "greater than or equal to",
    "−": "minus", "√": "square root of", "∞": "infinity", "§": "section", "¶": "paragraph",
    "©": "copyright", "®": "", "№": "number",
}  # fmt: skip
"""Signs that are read wherever they stand. The sign of a registered trademark is passed over."""

UNITS = {
    "km": "kilometer", "cm": "centimeter", "mm": "millimeter", "m": "meter", "μm": "micrometer", "nm": "nanometer",
    "ft": "foot", "yd": "yard", "yds": "yard", "mi": "mile", "kg": "kilogram", "mg": "milligram", "μg": "microgram",
    "g": "gram", "lb": "pound", "lbs": "pound", "oz": "ounce", "ml": "milliliter", "mL": "milliliter",
    "cl": "centiliter", "l": "liter", "L": "liter", "gal": "gallon", "hr": "hour", "hrs": "hour", "h": "hour",
    "min": "minute", "mins": "minute", "sec": "second", "secs": "second", "s": "second",
    "ms": "millisecond", "μs": "microsecond",
    "ns": "nanosecond", "hz": "hertz", "khz": "kilohertz", "mhz": "megahertz", "ghz": "gigahertz", "kb": "kilobyte",
    "mb": "megabyte", "gb": "gigabyte", "tb": "terabyte", "kbit": "kilobit", "mbit": "megabit", "gbit": "gigabit",
    "kbps": "kilobit per second", "mbps": "megabit per second", "gbps": "gigabit per second",
    "mph": "mile per hour", "kph": "kilometer per hour", "kmh": "kilometer per hour", "rpm": "revolution per minute",
    "fps": "frame per second", "db": "decibel", "V": "volt", "kV": "kilovolt", "mV": "millivolt", "W": "watt",
    "kW": "kilowatt", "MW": "megawatt", "GW": "gigawatt", "kWh": "kilowatt hour", "Wh": "watt hour",
    "mA": "milliampere", "mAh": "milliampere hour", "Pa": "pascal", "kPa": "kilopascal", "hPa": "hectopascal",
    "psi": "pound per square inch",
    "kcal": "kilocalorie", "cal": "calorie", "px": "pixel", "dpi": "dot per inch", "Ω": "ohm",
    "kΩ": "kilohm",
}  # fmt: skip
"""Singular of each unit, by its abbreviation. Abbreviations in lower case of two letters or more match any case."""

_CASELESS = sorted((one for one in UNITS if one.islower() and len(one) > 1), key=len, reverse=True)
_CASED = sorted((one for one in UNITS if one not in _CASELESS), key=len, reverse=True)
_UNIT = rf"(?:{'|'.join(_CASED)}|(?i:{'|'.join(_CASELESS)}))"
_PLURALS = {
    "foot": "feet",
    "hertz": "hertz",
    "kilohertz": "kilohertz",
    "megahertz": "megahertz",
    "gigahertz": "gigahertz",
}
_AFTER_DEGREES = {
    "C": "celsius", "F": "fahrenheit", "K": "kelvin", "N": "north", "S": "south", "E": "east", "W": "west",
}  # fmt: skip
_EACH = {"yr": "year", "mo": "month", "wk": "week", "hr": "hour", "min": "minute", "sec": "second"}
_PERIOD = r"yr|mo|wk|hr|min|sec|second|minute|hour|day|night|week|month|year|person|piece|page"
_CODES = {
    "US$": "$", "USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "CHF": "CHF", "R$": "R$",
    "INR": "₹", "A$": "$", "C$": "$",
    "CA$": "$", "AU$": "$", "NZ$": "$", "HK$": "$",
}  # fmt: skip
_SIGN = "".join(one for one in numbers.CURRENCIES if len(one) == 1)
_CODE = "|".join(re.escape(code) for code in sorted(_CODES, key=len, reverse=True))
_CURRENCY = rf"(?:(?<![A-Za-z])(?:{_CODE})|[{_SIGN}])"
_SCALE = r"(?:\s?(?i:thousand|million|billion|trillion|mn|mio|bn|tn)|[kKMBb]|m)(?![\w])"
_DASH = r"\s?[-–−]\s?"
_COMMON_PAIRS = {("9", "11"), ("7", "11")}  # fractions that nobody says
_HOURS = 24  # "9-5" is a range
_TO_BE_YEAR = re.compile(r"(1[1-9]|20)\d\d")


def read_number(match: re.Match[str], context: Context) -> Iterator[str]:
    """Yield the words of a number, as a year if it looks like one, and of the unit or percent sign after it."""
    text, unit = match["number"], match["unit"]
    if _TO_BE_YEAR.fullmatch(text) and not (unit or match["amount"] or match["degrees"]):
        yield from numbers.year(text)
    else:
        yield from say(text)
    if unit:
        power = {"sq": "2", "cu": "3", None: match["power"]}[match["area"]]
        yield from unit_words(unit, power, match["per"], match["per_power"], is_singular(text))
    elif match["degrees"]:
        yield "degree" if is_singular(text) else "degrees"
        if match["scale"]:
            yield _AFTER_DEGREES[match["scale"]]


def unit_words(unit: str, power: str | None, per: str | None, per_power: str | None, singular: bool) -> Iterator[str]:
    """Yield the words of a unit, such as those of ``km``, ``m^2``, ``km/h`` and ``m/s^2``."""
    name, *rest = _unit_name(unit).split()
    if power:
        yield "square" if power == "2" else "cubic"
    ending = [name, *rest]
    at = len(ending) - 1 if "per" not in ending else ending.index("per") - 1
    if not singular:
        ending[at] = _PLURALS.get(ending[at], ending[at] + "s")
    yield from ending
    if per:
        yield "per"
        if per_power and per not in ("s", "h", "min"):
            yield "square" if per_power == "2" else "cubic"
        yield from _unit_name(per).split()
        if per_power and per in ("s", "h", "min"):
            yield "squared" if per_power == "2" else "cubed"


def _unit_name(unit: str) -> str:
    return UNITS[unit] if unit in UNITS else UNITS[unit.lower()]


def read_money(match: re.Match[str], context: Context) -> Iterator[str]:
    """Yield the words of an amount of money, or of a range of amounts."""
    groups = match.groupdict()
    sign = groups.get("before") or groups["after"]
    currency = _CODES.get(sign, sign)
    amounts = [plain(match["first"]), *([plain(match["second"])] if groups.get("second") else [])]
    scale = SCALES[match["size"].strip().lower()] if groups.get("size") else ""
    if groups.get("minus"):
        yield "minus"
    if len(amounts) > 1:
        yield from numbers.decimal(amounts[0])
        yield "to"
    yield from numbers.money(currency, amounts[-1], scale)
    if groups.get("per"):
        yield "per"


def read_fraction(match: re.Match[str], context: Context) -> list[str]:
    """Return the words of a fraction, with the whole number before it, if there is one."""
    top, bottom = match["top"], match["bottom"]
    if match["whole"]:
        return numbers.mixed(plain(match["whole"]), top, bottom)
    if (top, bottom) in _COMMON_PAIRS or (top == bottom and len(top) > 1):
        return [*numbers.cardinal(top), *numbers.cardinal(bottom)]
    return numbers.fraction(top, bottom)


def read_power(match: re.Match[str], context: Context) -> list[str]:
    """Return the words of an exponent; refuse a superscript after a word, such as the number of a footnote."""
    exponent, before = match["exponent"], match.string[max(0, match.start() - 2) : match.start()]
    if len(before) == 2 and before.isalpha() and exponent not in ("2", "3"):
        raise TextError(f"the superscript {exponent!r} after a word cannot be said; take it away, or write it out")
    return numbers.power(exponent)


def read_dash(match: re.Match[str], context: Context) -> list[str] | None:
    """Return ``to`` for a dash between two quantities, and ``minus`` for one before a number."""
    dash, before = match[0].strip(), match.string[: match.start()][-1:]
    if dash == "−":
        return ["minus"]
    if (context.after_quantity and before not in "–-") or before in ("%", "‰", "°"):
        return ["to"] if dash == "–" or _may_be_range(match) else []
    return ["minus"] if dash == "-" and not (before.isalnum() or before == ")") else None


def read_period(match: re.Match[str], context: Context) -> list[str] | None:
    """Return *per* and a period or unit after a quantity, as in 5/day; else None."""
    each = match["each"]
    if not context.after_quantity:
        return None
    return ["per", *(_EACH.get(each) or (each if re.fullmatch(_PERIOD, each) else _unit_name(each))).split()]


def _may_be_range(match: re.Match[str]) -> bool:
    """Return False for a hyphen after the larger of two numbers, as in 747-400; years such as 1914-18 are a range."""
    first = re.search(r"(?<![\d.,:])\d{1,9}$", match.string[max(0, match.start() - 20) : match.start()])
    second = re.match(r"\d{1,9}(?![\d.,:])", match.string[match.end() : match.end() + 20])
    if first is None or second is None or (len(first[0]), len(second[0])) == (4, 2):
        return True
    return int(first[0]) < int(second[0]) or int(first[0]) <= _HOURS


QUANTITIES: tuple[Rule, ...] = (
    # as in most of Europe: 1.000,50 €
    rule(
        r"(?:(?P<before>€)\s?)?(?P<first>\d{1,3}(?:\.\d{3})*,\d\d)(?![\d,])(?(before)|\s?(?P<after>€))",
        lambda match, _: numbers.money("€", match["first"].replace(".", "").replace(",", ".")),
    ),
    # amounts of money: $5, -$5, $-5, US$5, $5–10, $1.5M, 5 €, 5 USD, 5¢
    rule(
        rf"(?:(?<![\w)])(?P<minus>[-−]))?(?P<before>{_CURRENCY})\s?(?P<first>{NUMBER})"
        rf"(?:{_DASH}(?:{_CURRENCY})?(?P<second>{NUMBER}))?(?P<size>{_SCALE})?(?P<per>/(?!(?:{_PERIOD}|{_UNIT})\b)(?=[a-z]))?",
        read_money,
    ),
    rule(rf"(?P<before>{_CURRENCY})(?P<minus>[-−])(?P<first>{NUMBER})(?P<size>{_SCALE})?", read_money),
    rule(
        rf"(?P<first>{NUMBER})(?:{_DASH}(?P<second>{NUMBER}))?(?P<size>{_SCALE})?\s?"
        rf"(?P<after>(?:[{_SIGN}]|(?:{_CODE})\b))(?!\s?\d)(?P<per>/(?!(?:{_PERIOD}|{_UNIT})\b)(?=[a-z]))?",
        read_money,
    ),
    rule(
        rf"(?P<first>{NUMBER})\s?[¢￠]",
        lambda match, _: [*say(match["first"]), "cent" if is_singular(match["first"]) else "cents"],
    ),
    rule(
        rf"(?!0x)(?P<number>{NUMBER})\s?[×x]\s?(?=\d)",
        lambda match, _: [*say(match["number"]), "times" if "×" in match[0] else "by"],
    ),
    rule(rf"(?P<number>{NUMBER})x(?![\w])", lambda match, _: [*say(match["number"]), "times"]),
    rule(
        rf"(?P<number>{NUMBER})(?P<size>M|bn|mn)(?!\w)|(?P<part>\d+\.\d+)(?P<letter>[BKk])(?!\w)",
        lambda match, _: [*say(match["number"] or match["part"]), SCALES[(match["size"] or match["letter"]).lower()]],
    ),
    rule(rf"(?P<number>{NUMBER})'?s(?!\w)", lambda match, _: numbers.plural(say(match["number"]))),
    # heights: 5′10″, 5'10"
    rule(
        r"(?P<feet>\d{1,2})['′]\s?(?P<inches>\d{1,2})(?:\"|″|′′|'')(?!\w)",
        lambda match, _: [
            *say(match["feet"]),
            "foot" if match["feet"] == "1" else "feet",
            *say(match["inches"]),
            "inch" if match["inches"] == "1" else "inches",
        ],
    ),
    rule(r"(?P<n>\d+)\s?(?:″|′′)", lambda match, _: [*say(match["n"]), "inch" if match["n"] == "1" else "inches"]),
    rule(
        r"(?P<n>\d+)\s?′(?:\s?(?P<compass>[NSEW])\b)?",
        lambda match, _: [
            *say(match["n"]),
            "minute" if match["n"] == "1" else "minutes",
            *([_AFTER_DEGREES[match["compass"]]] if match["compass"] else []),
        ],
    ),
    rule(
        rf"(?P<n>{NUMBER})(?:\s?in\.|in\b)",
        lambda match, _: [*say(match["n"]), "inch" if is_singular(match["n"]) else "inches"],
    ),
    # scientific notation: 1.5e-3
    rule(
        r"(?P<base>\d+(?:\.\d+)?)[eE](?P<sign>[-+−]?)(?P<exponent>\d{1,3})(?![\w.])",
        lambda match, _: [
            *say(match["base"]),
            "times",
            "ten",
            "to",
            "the",
            *(["minus"] if match["sign"] in ("-", "−") else []),
            *numbers.cardinal(str(int(match["exponent"]))),
        ],
    ),
    rule(
        r"(?:(?P<whole>(?<![\d.,/])\d{1,3}(?:,\d{3})*)[ ]{1,2}|(?P<alone>(?<![\d/])))"
        r"(?P<top>\d{1,3})/(?P<bottom>\d{1,3})(?:(?:rd|nd|th)s?\b)?(?![\d/]|\.\d)",
        read_fraction,
    ),
    rule(r"\^\{?(?P<exponent>[-+−]?\d{1,15}|[A-Za-z](?![A-Za-z]))\}?(?<!\^)", read_power),
    rule(
        rf"(?P<number>{NUMBER})(?:\s?(?:(?P<area>sq|cu)\.?\s)?(?P<unit>{_UNIT})(?:\^?(?P<power>[23]))?"
        rf"(?:/(?P<per>{_UNIT})(?:\^?(?P<per_power>[23]))?)?(?![\w^'])|\s?(?P<degrees>°)(?:\s?(?P<scale>[CFKNSEW])\b)?"
        r"|(?=\s?(?P<amount>[%‰])))?",
        read_number,
    ),
    # a dash between two quantities, and a minus before one
    rule(rf"(?:\s?–\s?|[-−]|\s?−\s)(?=(?:{_CURRENCY})?\.?\d)", read_dash),
    rule(r"(?<![\w)])[~∼](?=\s?\d)", lambda *_: ["about"]),
    rule(r"(?<=\d)\s?\*\s?(?=\d)", lambda *_: ["times"]),
    rule(r"(?<=\d)\s?[·⋅]\s?(?=\d)", lambda *_: ["times"]),
    rule(r"(?<=\d)[~∼〜](?=\d)", lambda *_: ["to"]),
    rule(rf"/(?P<each>{_PERIOD}|{_UNIT})\b", read_period),
    rule(r"(?<=\d)/(?=\d)", lambda *_: ["over"]),
    rule(r"(?<![<>=])<=\s?(?=\d)", lambda *_: ["less", "than", "or", "equal", "to"]),
    rule(r"(?<![<>=-])>=\s?(?=\d)", lambda *_: ["greater", "than", "or", "equal", "to"]),
    rule(r"(?<![<>=])<\s?(?=\d)", lambda *_: ["less", "than"]),
    rule(r"(?<![<>=-])>\s?(?=\d)", lambda *_: ["greater", "than"]),
    rule(r"!=(?=\s?\d)", lambda *_: ["is", "not", "equal", "to"]),
)
