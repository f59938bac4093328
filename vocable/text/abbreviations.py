"""Rules for words: abbreviations, initials, academic degrees, Roman numerals and words in capitals."""

import re
from collections.abc import Iterator

from vocable.text import numbers
from vocable.text.rules import Context, Rule, rest_of, rule

_TITLES = {
    "mr": "mister", "mrs": "missus", "ms": "ms", "dr": "doctor", "st": "saint", "prof": "professor", "rev": "reverend",
    "capt": "captain", "col": "colonel", "gen": "general", "lt": "lieutenant", "sgt": "sergeant", "gov": "governor",
    "sen": "senator", "mt": "mount", "ft": "fort",
}  # fmt: skip
_ABBREVIATIONS = {
    "jr": "junior", "sr": "senior", "vs": "versus", "etc": "etcetera", "approx": "approximately", "dept": "department",
    "co": "company", "corp": "corporation", "inc": "incorporated", "ltd": "limited", "ave": "avenue",
    "blvd": "boulevard", "rd": "road", "jan": "january", "feb": "february", "aug": "august", "sept": "september",
    "oct": "october", "nov": "november", "dec": "december", "mon": "monday", "tue": "tuesday", "tues": "tuesday",
    "wed": "wednesday", "thu": "thursday", "thur": "thursday", "thurs": "thursday", "fri": "friday", "apt": "apartment",
    "hwy": "highway", "messrs": "messrs", "univ": "university", "govt": "government", "tel": "telephone",
    "ext": "extension", "max": "maximum", "misc": "miscellaneous", "ed": "edition",
}  # fmt: skip
_ALSO_WORDS = frozenset({"ed", "max", "mon", "wed", "ext"})  # at the end of a sentence
_DAY_OF = {
    "Mon": "monday", "Tue": "tuesday", "Wed": "wednesday", "Thu": "thursday", "Fri": "friday", "Sat": "saturday",
    "Sun": "sunday", "Tues": "tuesday", "Thur": "thursday", "Thurs": "thursday",
}  # fmt: skip
_DAYS = "|".join(sorted(_DAY_OF, key=len, reverse=True))
_BEFORE_NUMBER = {
    "no": "number", "nos": "numbers", "p": "page", "pp": "pages", "vol": "volume", "vols": "volumes", "ch": "chapter",
    "fig": "figure", "figs": "figures", "eq": "equation", "sec": "section", "art": "article", "ca": "about",
    "c": "about", "mar": "march", "apr": "april", "jun": "june", "jul": "july", "min": "minimum",
}  # fmt: skip
_STREETS = {"st": "street", "dr": "drive"}
_LATIN = {"e.g.": "for example", "i.e.": "that is", "n.b.": "nota bene"}
_PHRASES = {
    "w/o": "without",
    "w/": "with",
    "c/o": "care of",
    "vs": "versus",
    "c#": "c. sharp",
    "f#": "f. sharp",
    "&c": "etcetera",
}
_DEGREES = {
    "phd": "p. h. d.", "msc": "m. s. c.", "bsc": "b. s. c.", "dphil": "d. phil",
    "mphil": "m. phil",
    "llb": "l. l. b.", "llm": "l. l. m.", "lld": "l. l. d.", "edd": "e. d. d.", "psyd": "psy d.", "pharmd": "pharm d.",
    "beng": "b. eng", "meng": "m. eng", "bed": "b. ed", "med": "m. ed",
}  # fmt: skip
_DEGREE_PATTERN = (
    r"Ph\.\s?D|PhD|M\.Sc|MSc|B\.Sc|BSc|D\.Phil|DPhil|M\.Phil|MPhil|LL\.\s?[BMD]|Ed\.D|Psy\.D|PsyD|Pharm\.D|PharmD"
    r"|B\.Eng|BEng|M\.Eng|MEng|B\.Ed|M\.Ed"
)
_NUMBERED = (
    "chapter", "part", "section", "volume", "book", "act", "scene", "phase", "war", "article", "appendix", "figure",
    "table", "type", "class", "title", "level", "stage", "grade", "paragraph", "canto", "psalm", "century", "number",
    "unit", "lesson", "verse", "episode", "season", "bowl", "version", "plate", "division", "corps", "page",
)  # fmt: skip
_LONG_ROMAN = 4  # letters of a numeral that is hardly a word
_NAMES_OF_RULERS = (
    "henry louis charles george edward elizabeth james richard william john paul philip frederick peter catherine "
    "nicholas alexander napoleon leopold ferdinand francis pius benedict leo gregory innocent clement urban ivan mary "
    "harald christian gustav ramses ptolemy xerxes darius robert stephen albert otto conrad alfonso "
    "friedrich wilhelm karl boniface sixtus celestine"
)
_REGNAL = frozenset(_NAMES_OF_RULERS.split())


def read_initials(match: re.Match[str], context: Context) -> Iterator[str]:
    """Yield the letters of initials, such as those of *U.S.*, and a pause where they end the text."""
    text = match["initials"]
    if text.lower() in _LATIN:
        yield from _LATIN[text.lower()].split()
    elif text.lower() == "c." and rest_of(match)[:1].isdigit():
        yield "about"
        return
    else:
        *letters, last = (f"{letter.lower()}." for letter in text if letter.isalpha())
        yield from letters
        yield f"{last}'s" if match["owner"] else last
    if not match["owner"] and not rest_of(match):
        yield "."


def read_degree(match: re.Match[str], context: Context) -> Iterator[str]:
    """Yield the letters of an academic degree, and a pause where it ends the text."""
    *letters, last = _DEGREES[re.sub(r"[\s.]", "", match["degree"]).lower()].split()
    yield from letters
    yield f"{last}'s" if match["many"] else last
    if match["dot"] and not match["many"] and not rest_of(match):
        yield "."


def read_roman(match: re.Match[str], context: Context) -> list[str] | None:
    """Return the words of a Roman numeral after a noun that is numbered, or after a name of kings; else None."""
    text, value = match["roman"], numbers.roman(match["roman"])
    if value is None or (text.lower() in context.known and context.last not in (*_NUMBERED, *_REGNAL)):
        return None
    if context.last in _NUMBERED and (context.is_mixed or len(text) > 1) and not match["owner"]:
        return numbers.cardinal(str(value))
    if len(text) >= _LONG_ROMAN and not match["owner"] and context.last not in _REGNAL:
        return numbers.year(str(value)) if 1100 <= value <= 2099 else numbers.cardinal(str(value))
    if len(text) < 2 or not set(text) <= set("IVX") or (match["owner"] and context.last not in _REGNAL):
        return None
    if context.last in _REGNAL:
        *words, last = numbers.ordinal(str(value))
        return ["the", *words, f"{last}'s" if match["owner"] else last]
    return numbers.cardinal(str(value))


def read_word(match: re.Match[str], context: Context) -> Iterator[str]:
    """Yield the expansion of an abbreviation or the word itself, and a pause for the dot after it."""
    text, dotted = match["word"], match["dot"] is not None
    word, rest = text.lower(), rest_of(match)
    before_name = rest[:1].isupper() and (context.is_mixed or dotted)
    expansion = None
    if word in _TITLES and (dotted or (text[0].isupper() and before_name)):
        expansion = _TITLES[word] if before_name or word not in _STREETS else _STREETS[word]
    elif word in _BEFORE_NUMBER and dotted and re.match(r"\d|[IVXLC]+\b", rest):
        expansion = _BEFORE_NUMBER[word]
    elif word in _ABBREVIATIONS and dotted and (word not in _ALSO_WORDS or re.match(r"\w|[-–]\w", rest)):
        expansion = _ABBREVIATIONS[word]
    if expansion is not None:
        yield expansion
    elif _touches_digit(match) and (len(text) == 1 or not (set(word) & set("aeiouy'") or word in context.known)):
        yield from (f"{letter}." for letter in word)
    else:
        yield from spoken_word(text, context)
    if dotted and (expansion is None or not rest):
        yield "."


def _touches_digit(match: re.Match[str]) -> bool:
    after = match.string[match.end("word") : match.end("word") + 2].removeprefix("-")
    return match.string[max(0, match.start() - 1) : match.start()].isdigit() or after[:1].isdigit()


def spoken_word(text: str, context: Context) -> Iterator[str]:
    """Yield the word without outer apostrophes, or its letters if it is an abbreviation in capitals."""
    word = text.lower()
    stripped = word.strip("'")
    variants = (word, word.rstrip("'"), word.lstrip("'"), stripped)
    variant = next((one for one in variants if one in context.known), stripped)
    stem, _, ending = text.strip("'").partition("'")
    if variant in context.known or not stem.isupper() or not 2 <= len(stem) <= 5 or stem.lower() in context.known:
        yield variant
    elif context.is_mixed or not set(stem) & set("AEIOUY"):
        *letters, last = (f"{letter.lower()}." for letter in stem)
        yield from letters
        yield f"{last}'{ending.lower()}" if ending else last
    else:
        yield variant


def read_compound(match: re.Match[str], context: Context) -> list[str] | None:
    """Return a word with hyphens if the dictionary has it; else None."""
    return [match[0].lower()] if match[0].lower() in context.compounds else None


ABBREVIATIONS: tuple[Rule, ...] = (
    rule(
        r"(?<![\w'/])(?P<phrase>w/o|w/|c/o|[Vv]s|[CF]\#|&c)(?![\w'])(?P<dot>\.)?",
        lambda match, _: [
            *_PHRASES[match["phrase"].lower()].split(),
            *(["."] if match["dot"] and not rest_of(match) else []),
        ],
    ),
    rule(rf"(?<![\w'])(?P<degree>{_DEGREE_PATTERN})(?P<dot>\.)?(?P<many>'?s\b)?(?![\w'])", read_degree),
    rule(r"(?<![\w'])(?P<roman>[IVXLCDM]+)(?P<owner>'s)?(?![\w'])(?!\.[A-Za-z])", read_roman),
    rule(
        rf"(?<![\w'])(?P<first>{_DAYS})\.?\s?[-–]\s?(?P<last>{_DAYS})(?![\w'])",
        lambda match, _: [_DAY_OF[match["first"]], "to", _DAY_OF[match["last"]]],
    ),
    rule(r"(?P<initials>(?:[A-Za-z]\.){2,}|\b[A-Z]\.|\bc\.(?=\s?\d))(?P<owner>'s\b)?", read_initials),
)

WORDS: tuple[Rule, ...] = (
    rule(r"[A-Za-z]+(?:[-'][A-Za-z]+)+", read_compound),
    rule(r"(?P<word>'?[A-Za-z]+(?:'[A-Za-z]+)*'?)(?P<dot>\.)?", read_word),
)
