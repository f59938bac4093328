"""Numbers, years, times, amounts and fractions as English words.

Numbers are read the American way, without *and* ("one hundred five"). Numbers that begin with 0, or have more than 15
digits, are read digit by digit.
"""

import re

from vocable.errors import TextError

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
CURRENCIES = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"),
    "¥": ("yen", "yen", "sen", "sen"),
    "₹": ("rupee", "rupees", "paisa", "paise"),
    "₽": ("ruble", "rubles", "kopeck", "kopecks"),
    "₩": ("won", "won", "jeon", "jeon"),
    "₺": ("lira", "lira", "kurus", "kurus"),
    "₪": ("shekel", "shekels", "agora", "agorot"),
    "₫": ("dong", "dong", "hao", "hao"),
    "₴": ("hryvnia", "hryvnias", "kopeck", "kopecks"),
    "₦": ("naira", "naira", "kobo", "kobo"),
    "₱": ("peso", "pesos", "centavo", "centavos"),
    "฿": ("baht", "baht", "satang", "satang"),
    "₿": ("bitcoin", "bitcoins", "", ""),
    "R$": ("real", "reais", "centavo", "centavos"),
    "CHF": ("franc", "francs", "centime", "centimes"),
}
"""Singular and plural of a currency and of its hundredth part, by sign."""

_MAX_DIGITS = 200  # of a number; nobody can follow more
_ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
_CANONICAL_ROMAN = re.compile("M{0,3}(CM|CD|D?C{0,3})(XC|XL|L?X{0,3})(IX|IV|V?I{0,3})")


def cardinal(text: str) -> list[str]:
    """Return the words of a whole number.

    Example:
        >>> " ".join(cardinal("1000215")), cardinal("007")
        ('one million two hundred fifteen', ['zero', 'zero', 'seven'])
    """
    if len(text) > 3 * len(_THOUSANDS) or (len(text) > 1 and text[0] == "0"):
        return digits(text)
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
    return cardinal(whole or "0") + (["point", *digits(part)] if point else [])


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
    """Return the words of an amount of money.

    Args:
        currency: A key of :data:`CURRENCIES`.
        amount: Digits, with or without a decimal point.
        scale: ``thousand``, ``million`` and so on, or nothing.

    Example:
        >>> [" ".join(money("$", *amount)) for amount in (("1",), ("5.50",), ("0.01",), ("2.5", "million"))]
        ['one dollar', 'five dollars fifty cents', 'one cent', 'two point five million dollars']
    """
    one, many, small, smalls = CURRENCIES[currency]
    whole, _, part = amount.partition(".")
    if scale or len(part) not in (0, 2) or (part and not small):
        return [*decimal(amount), *([scale] if scale else []), many]
    words = [*cardinal(whole or "0"), one if whole == "1" else many]
    if part in ("", "00"):
        return words
    cents = [*cardinal(part.lstrip("0")), small if part == "01" else smalls]
    return words + cents if whole.strip("0") else cents


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


def mixed(whole: str, top: str, bottom: str) -> list[str]:
    """Return the words of a whole number and a fraction.

    Example:
        >>> [" ".join(mixed(*parts)) for parts in (("3", "1", "2"), ("2", "3", "4"), ("5", "1", "3"))]
        ['three and a half', 'two and three quarters', 'five and one third']
    """
    part = fraction(top, bottom)
    return [*cardinal(whole), "and", *(["a", *part[1:]] if top == "1" and bottom in ("2", "4") else part)]


def power(exponent: str) -> list[str]:
    """Return the words of an exponent: digits with or without a minus, or a letter.

    Example:
        >>> [" ".join(power(text)) for text in ("2", "3", "6", "-3", "n")]
        ['squared', 'cubed', 'to the sixth', 'to the minus three', 'to the n.']
    """
    if exponent in ("2", "3"):
        return ["squared" if exponent == "2" else "cubed"]
    if exponent.isalpha():
        return ["to", "the", f"{exponent.lower()}."]
    if exponent[0] in "+-−":
        return ["to", "the", "plus" if exponent[0] == "+" else "minus", *cardinal(exponent[1:])]
    return ["to", "the", *ordinal(exponent)]


def short_year(text: str) -> list[str]:
    """Return the words of the last two digits of a year.

    Example:
        >>> short_year("98"), short_year("01"), short_year("00")
        (['ninety', 'eight'], ['oh', 'one'], ['oh', 'oh'])
    """
    return ["oh", "oh"] if text == "00" else ["oh", _ONES[int(text)]] if text[0] == "0" else cardinal(text)


def roman(text: str) -> int | None:
    """Return the value of a Roman numeral in capitals, or None if it is none in the usual form.

    Example:
        >>> [roman(text) for text in ("XIV", "MCMXCIX", "IIII", "VX", "")]
        [14, 1999, None, None, None]
    """
    if not text or not _CANONICAL_ROMAN.fullmatch(text):
        return None
    values = [_ROMAN[letter] for letter in text]
    return sum(-one if one < after else one for one, after in zip(values, [*values[1:], 0], strict=True))


def digits(text: str) -> list[str]:
    """Return the words of each digit.

    Raises:
        TextError: If there are more than 200 digits.

    Example:
        >>> digits("105")
        ['one', 'zero', 'five']
    """
    if len(text) > _MAX_DIGITS:
        raise TextError(f"a number of {len(text)} digits is too long to say: write at most {_MAX_DIGITS}, or cut it")
    return [_ONES[int(digit)] for digit in text]


def _below_thousand(number: int) -> list[str]:
    hundreds, rest = divmod(number, 100)
    words = [_ONES[hundreds], "hundred"] if hundreds else []
    if rest >= 20:
        words.append(_TENS[rest // 10])
        rest %= 10
    return words + [_ONES[rest]] * (rest > 0)
