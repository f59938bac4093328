"""Numbers and signs as people write them: what is said, and that no sign is ever glued to its neighbors."""

import random
import sys
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vocable.errors import TextError
from vocable.text import numbers
from vocable.text.fold import fold
from vocable.text.lexicon import Lexicon
from vocable.text.normalize import to_words

SAID = {
    # ranges
    "100–200": "one hundred to two hundred",
    "pp. 5–6": "pages five to six",
    "in 1914–18": "in nineteen fourteen to eighteen",
    "5–10 km": "five to ten kilometers",
    "10%-20%": "ten percent to twenty percent",
    "100,000–200,000": "one hundred thousand to two hundred thousand",
    "a 747-400": "a seven hundred forty seven four hundred",
    # fractions and exponents
    "3½": "three and a half",
    "½": "one half",
    "2¾ or 5⅓": "two and three quarters or five and one third",
    "1 1/2 cups": "one and a half cups",
    "10²": "ten squared",
    "10⁻³": "ten to the minus three",
    "x³+2⁶⁴": "x cubed plus two to the sixty fourth",
    "6.02×10²³": "six point zero two times ten to the twenty third",
    "1.5e-3": "one point five times ten to the minus three",
    # pauses and invisible characters
    "5…6": "five . six",
    "1...5": "one . five",
    "1\u200b2": "one two",
    "1\u20602": "one two",
    "\u202e12": "twelve",
    "co\u00adop": "coop",
    "10\u202f000": "ten thousand",
    "1 000 000": "one million",
    # signs
    "Apple™": "apple",
    "Apple® ©2024": "apple copyright twenty twenty four",
    "5±1 × 3 ÷ 2": "five plus or minus one times three divided by two",
    "≈5, ≤6, 7 < 8": "approximately five , less than or equal to six , seven less than eight",
    "§5, №6, #7": "section five , number six , number seven",
    "• one\n* two": "one , two",
    "5~6, 20/20": "five to six , twenty twenty",
    "π and the α-decay": "pi and the alpha decay",
    # money
    "-$5": "minus five dollars",
    "$-5": "minus five dollars",
    "US$5, 5 USD, 5€": "five dollars , five dollars , five euros",
    "$5–10": "five to ten dollars",
    "$1.5M, £5k": "one point five million dollars , five thousand pounds",
    "$.50, 50¢, ₹100": "fifty cents , fifty cents , one hundred rupees",
    "€3,50 or 1.000,50 €": "three euros fifty cents or one thousand euros fifty cents",
    "$60/yr, $5/kg, 5/day": "sixty dollars per year , five dollars per kilogram , five per day",
    # times
    "10 AM": "ten a. m.",
    "10:30am": "ten thirty a. m.",
    "7:00 p.m. today": "seven p. m. today",
    "5–7pm": "five to seven p. m.",
    "12:30:15": "twelve thirty fifteen",
    "16:9": "sixteen to nine",
    # dates
    "9/11": "nine eleven",
    "5/6/2024": "may sixth twenty twenty four",
    "25/12/2024": "december twenty fifth twenty twenty four",
    "2024-05-06": "may sixth twenty twenty four",
    "6.5.2024": "may sixth twenty twenty four",
    "on 3/4": "on march fourth",
    "May 5, 2024": "may fifth twenty twenty four",
    "the 5 May": "the fifth of may",
    "I may 5 times": "i may five times",
    "2020/21": "twenty twenty twenty one",
    "June 3rd–5th, Mon–Fri": "june third to fifth , monday to friday",
    "10:30-11:45": "ten thirty to eleven forty five",
    # abbreviations
    "a Ph.D.": "a p. h. d. .",
    "M.Sc. and PhDs": "m. s. c. and p. h. d.'s",
    "vol. 3, fig. 2": "volume three , figure two",
    "c/o, w/o, vs": "care of , without , versus",
    "Washington, D.C., is": "washington , d. c. , is",
    # units
    "9.8 m/s²": "nine point eight meters per second squared",
    "5 m²": "five square meters",
    "-5°C": "minus five degrees celsius",
    "1 km, 2 ft, 3 kWh": "one kilometer , two feet , three kilowatt hours",
    "5′10″": "five feet ten inches",
    "100 sq ft, 6 in.": "one hundred square feet , six inches",
    "45°30′N": "forty five degrees thirty minutes north",
    "1920x1080": "one thousand nine hundred twenty by one thousand eighty",
    # versions, addresses, telephone numbers
    "v1.2.3": "v. one point two point three",
    "192.168.0.1": "one hundred ninety two dot one hundred sixty eight dot zero dot one",
    "555-1234": "five five five , one two three four",
    "+1 (555) 123-4567": "plus one , five five five , one two three , four five six seven",
    "me@example.com": "me at example dot com",
    "see www.example.org/a_b": "see w. w. w. dot example dot org slash a. underscore b.",
    "#ThrowbackThursday": "hashtag throwback thursday",
    "1-800-FLOWERS": "one , eight zero zero flowers",
    # Roman numerals
    "Chapter XIV": "chapter fourteen",
    "Henry VIII's": "henry the eighth's",
    "Pope John XXIII, vol. II": "pope john the twenty third , volume two",
    "the U.K.'s PhDs": "the u. k.'s p. h. d.'s",
    "World War II": "world war two",
    "I, Claudius": "i , claudius",
    # numbers
    "1,234,567.89": "one million two hundred thirty four thousand five hundred sixty seven point eight nine",
    "1,00,000": "one hundred thousand",
    "1.234.567": "one million two hundred thirty four thousand five hundred sixty seven",
    "１２３": "one hundred twenty three",
    "747s": "seven hundred forty sevens",
    "H₂O, MP3, F-16": "h. two o. , m. p. three , f. sixteen",
}
REFUSED = {
    "5★": "★.*black star",
    "👍": "thumbs up",
    "1️⃣": "keycap",
    "1٣": "٣.*arabic-indic digit three",
    "a|b": "vertical line",
    "as shown¹": "superscript '1'",
    "€": "euro sign",
    "5→6": "rightwards arrow",
}


@pytest.mark.parametrize("text", SAID)
def test_expressions_are_said_as_people_say_them(text: str) -> None:
    assert " ".join(to_words(text)) == SAID[text]


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_said_is_refused_by_name(text: str) -> None:
    with pytest.raises(TextError, match=REFUSED[text]):
        to_words(text)


@pytest.mark.parametrize(
    "text",
    ["$" + "1" * 5000, "$" + "1" * 5000 + ".50", "1" * 5000, "1" * 5000 + "th", "1/" + "1" * 5000, "v1." + "1" * 5000],
)
def test_numbers_of_thousands_of_digits_are_refused_by_name(text: str) -> None:
    with pytest.raises(TextError, match="a number of 5000 digits is too long to say: write at most 200"):
        to_words(text)
    words = to_words(text.replace("1" * 5000, "1" * 200))
    assert words.count("one") >= 199


def test_a_text_without_end_is_refused() -> None:
    with pytest.raises(TextError, match="100001 characters, more than 100000"):
        to_words("a" * 100_001)


@pytest.mark.slow
def test_no_character_glues_two_numbers_or_two_words() -> None:
    vanishing = {"Cf", "Mn"}  # invisible characters; variation selectors
    joining = {".": "five point six", ":": "five to six"}
    for code in range(sys.maxunicode + 1):
        sign, category = chr(code), unicodedata.category(chr(code))
        if category in ("Cs", "Cn", "Co", "Lo", "Ll", "Lt", "Lu", "Lm", "Nd") or category in vanishing:
            continue
        try:
            said = " ".join(to_words(f"5{sign}6"))
            letters = to_words(f"cat{sign}dog")
        except TextError:
            continue
        assert said.startswith("five "), (sign, said)
        assert said.endswith(" six") or unicodedata.normalize("NFKC", sign) in "¢′′/⁄" or category == "No", (sign, said)
        assert said != "five point six" or unicodedata.normalize("NFKC", sign) in joining, sign
        if fold(sign) != "'":
            assert letters[0] == "cat", (sign, letters)
            assert letters[-1] == "dog", (sign, letters)


@settings(deadline=None, max_examples=300)
@given(
    st.lists(
        st.sampled_from([*"0123456789$€£%°.,:;/-–—−+×^'\"() ½²vx\u200b", "am", "km", "st", "May", "II"]),
        min_size=1, max_size=12,
    ).map("".join)
)  # fmt: skip
def test_any_mixture_of_digits_and_signs_is_words_or_a_named_error(text: str) -> None:
    try:
        words = to_words(text)
    except TextError:
        return
    digits = [one for one in text if one.isdigit()]
    assert not any(any(one.isdigit() for one in word) for word in words)
    assert bool(digits) <= bool(words)


def test_roman_numerals_are_those_that_are_written_so() -> None:
    ones = ["", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX"]
    tens = ["", "X", "XX", "XXX", "XL", "L", "LX", "LXX", "LXXX", "XC"]
    for value in range(1, 100):
        assert numbers.roman(tens[value // 10] + ones[value % 10]) == value


# ---- against eSpeak -------------------------------------------------------------------------------------------------


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


KINDS = {
    "cardinal": lambda draw: str(
        draw.choice([draw.randrange(1100), draw.randrange(2100, 10 ** draw.randrange(4, 10))])
    ),
    "grouped": lambda draw: f"{draw.randrange(10 ** draw.randrange(1, 10)):,}",
    "decimal": lambda draw: f"{draw.randrange(1000)}.{draw.randrange(1, 10 ** draw.randrange(1, 4))}",
    "ordinal": lambda draw: _ordinal(draw.choice([one for one in range(1, 1000) if one % 100])),
    "percent": lambda draw: f"{draw.randrange(1000)}%",
    "product": lambda draw: f"{draw.randrange(1000)} × {draw.randrange(1000)}",
    "tolerance": lambda draw: f"{draw.randrange(1000)}±{draw.randrange(1000)}",
    "quotient": lambda draw: f"{draw.randrange(1000)} ÷ {draw.randrange(1000)}",
    "section": lambda draw: f"§{draw.randrange(1, 1000)}",
    "approximate": lambda draw: f"≈{draw.randrange(1, 1000)}",
    "clock": lambda draw: f"{draw.randrange(1, 13)}:{draw.randrange(10, 60)}",
    "degrees": lambda draw: f"{draw.randrange(2, 1000)}°",
    "minus": lambda draw: f"-{draw.randrange(1, 1000)}",
    "sentence": lambda draw: f"about {draw.randrange(1100)} of {draw.randrange(1000)}, or {draw.randrange(100)}%",
}


@pytest.mark.slow
def test_ten_thousand_expressions_sound_as_espeak_says_them() -> None:
    from vocable.text.espeak import EspeakPronouncer

    espeak = EspeakPronouncer("en-us")
    draw = random.Random(0)
    wrong = []
    expressions = [(kind, make(draw)) for kind, make in KINDS.items() for _ in range(720)]
    assert len(expressions) > 10_000
    for kind, expression in expressions:
        sounds = [_sounds(espeak, text) for text in (expression, " ".join(to_words(expression)))]
        if sounds[0] != sounds[1]:
            wrong.append((kind, expression, *sounds))
    assert not wrong, wrong[:5]


def _sounds(espeak: object, text: str) -> str:
    phones = [phone for one in espeak.phones(text) if not one.is_pause for phone in one.phones]
    return "".join(phones).replace("ᵻ", "ɪ")  # "eleven" alone and in a number


def test_a_lexicon_is_asked_for_the_words_as_texts_write_them() -> None:
    lexicon = Lexicon(
        "mine", {"o’neill": ["OW N IY L"], "café": ["K AH F EY"], "well-off": ["W EH L AO F"], "mp3": ["EH M"]}
    )
    words = to_words("O'Neill’s well-off Cafés; a café, o’neill", lexicon, lexicon.compounds)
    assert words == ["o'neill's", "well-off", "cafes", ";", "a", "cafe", ",", "o'neill"]
    assert lexicon.lookup("o'neill") == ("OW", "N", "IY", "L")
    assert lexicon.lookup("cafe") == ("K", "AH", "F", "EY")
    assert lexicon.unused == ["mp3"]
