"""Numbers, years, times, amounts and fractions as English words.

Numbers are read the American way, without *and* ("one hundred five"). Numbers that begin with 0, or have more than 15
digits, are read digit by digit.
"""

_ONES = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
_TENS = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_THOUSANDS = ["", "thousand", "million", "billion", "trillion"]
_ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth",
}  # fmt: skip
_MONEY = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"),
    "¥": ("yen", "yen", "sen", "sen"),
}


def cardinal(text: str) -> list[str]:
    """Return the words of a whole number.

    Example:
        >>> " ".join(cardinal("1000215")), cardinal("007")
        ('one million two hundred fifteen', ['zero', 'zero', 'seven'])
    """
    if len(text) > 3 * len(_THOUSANDS) or (len(text) > 1 and text[0] == "0"):
        return _digits(text)
    if int(text) == 0:
        return ["zero"]
    words: list[str] = []
    for power in reversed(range(len(_THOUSANDS))):
        group = int(text) // 1000**power % 1000
        if group:
            words += _below_thousand(group) + [_THOUSANDS[power]] * (power > 0)
    return words


def ordinal(text: str) -> list[str]:
    """Return the words of an ordinal number.

    Example:
        >>> ordinal("21"), ordinal("100"), ordinal("1980")[-1]
        (['twenty', 'first'], ['one', 'hundredth'], 'eightieth')
    """
    *words, last = cardinal(text)
    if last in _ORDINALS:
        return [*words, _ORDINALS[last]]
    return [*words, (last[:-1] + "ie" if last.endswith("y") else last) + "th"]


def decimal(text: str) -> list[str]:
    """Return the words of a number with or without a decimal point.

    Example:
        >>> " ".join(decimal("3.14"))
        'three point one four'
    """
    whole, point, part = text.partition(".")
    return cardinal(whole or "0") + (["point", *_digits(part)] if point else [])


def year(text: str) -> list[str]:
    """Return the words of a year of four digits.

    Example:
        >>> [" ".join(year(text)) for text in ("1984", "1905", "1900", "2009", "2024")]
        ['nineteen eighty four', 'nineteen oh five', 'nineteen hundred', 'two thousand nine', 'twenty twenty four']
    """
    century, rest = text[:2], text[2:]
    if century[1] == "0" and int(rest) < 10:  # 1005, 2009
        return cardinal(text)
    if rest == "00":
        return [*cardinal(century), "hundred"]
    return cardinal(century) + (["oh", _ONES[int(rest)]] if rest[0] == "0" else cardinal(rest))


def plural(words: list[str]) -> list[str]:
    """Return the plural of a number's words, as in decades.

    Example:
        >>> plural(year("1980"))
        ['nineteen', 'eighties']
    """
    *before, last = words
    return [*before, last[:-1] + "ies" if last.endswith("y") else last + ("es" if last.endswith("x") else "s")]


def clock(hours: str, minutes: str) -> list[str]:
    """Return the words of a time of day.

    Example:
        >>> [" ".join(clock(*text.split(":"))) for text in ("3:30", "12:05", "07:00", "0:15")]
        ['three thirty', 'twelve oh five', "seven o'clock", 'zero fifteen']
    """
    hour = _ONES[int(hours)] if int(hours) < 20 else " ".join(cardinal(hours))
    if minutes == "00":
        return [*hour.split(), "o'clock"]
    return hour.split() + (["oh", _ONES[int(minutes)]] if minutes[0] == "0" else cardinal(minutes))


def money(currency: str, amount: str, scale: str = "") -> list[str]:
    """Return the words of an amount in dollars, pounds, euros or yen.

    Example:
        >>> [" ".join(money("$", *amount)) for amount in (("1",), ("5.50",), ("0.01",), ("2.5", "million"))]
        ['one dollar', 'five dollars fifty cents', 'one cent', 'two point five million dollars']
    """
    one, many, small, smalls = _MONEY[currency]
    whole, _, part = amount.partition(".")
    if scale or len(part) not in (0, 2):
        return [*decimal(amount), *([scale] if scale else []), many]
    words = [*cardinal(whole or "0"), one if whole == "1" else many]
    if int(part or "0") == 0:
        return words
    cents = [*cardinal(part.lstrip("0")), small if int(part) == 1 else smalls]
    return cents if int(whole or "0") == 0 else words + cents


def fraction(top: str, bottom: str) -> list[str]:
    """Return the words of a fraction.

    Example:
        >>> [" ".join(fraction(*text.split("/"))) for text in ("1/2", "3/4", "2/3", "24/7", "1/0")]
        ['one half', 'three quarters', 'two thirds', 'twenty four over seven', 'one over zero']
    """
    if len(top) > 1 or bottom in ("0", "1") or len(bottom) > 2 or int(top) >= int(bottom):
        return [*cardinal(top), "over", *cardinal(bottom)]
    part = {"2": ["half"], "4": ["quarter"]}.get(bottom) or ordinal(bottom)
    if top == "1":
        return ["one", *part]
    return [*cardinal(top), *(["halves"] if bottom == "2" else [*part[:-1], part[-1] + "s"])]


def _digits(text: str) -> list[str]:
    return [_ONES[int(digit)] for digit in text]


def _below_thousand(number: int) -> list[str]:
    hundreds, rest = divmod(number, 100)
    words = [_ONES[hundreds], "hundred"] if hundreds else []
    if rest >= 20:
        words.append(_TENS[rest // 10])
        rest %= 10
    return words + [_ONES[rest]] * (rest > 0)
