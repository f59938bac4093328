"""Word n-grams: probabilities sum to 1, files of others are read, mixtures and pruned models stay distributions."""

import math
from pathlib import Path

import numpy as np
import pytest

from vocable.errors import ConfigError, TextError
from vocable.text.ngram import END, START, NgramModel, mix, prune, read_arpa, train_ngram

TEXTS = ["the cat sat on the mat", "the dog sat", "a cat saw the dog", "the cat saw a mat", "the dog ran"]
ARPA = """\\data\\
ngram 1=4
ngram 2=3
ngram 3=1

\\1-grams:
-99 <s> -0.3
-0.6 </s>
-0.5 a -0.2
-0.4 b -0.1

\\2-grams:
-0.3 <s> a -0.1
-0.2 a b -0.4
-0.7 b </s>

\\3-grams:
-0.05 <s> a b

\\end\\
"""


def total(model: NgramModel, first: str | None, second: str | None) -> float:
    """The sum of the probabilities of all words after two others."""
    numbers = [-1 if word is None else model.ids[word] for word in (first, second)]
    size = len(model.vocabulary)
    return float(np.exp(model.score_many(np.tile(numbers, (size, 1)), np.arange(size))).sum())


CONTEXTS = [(None, None), (None, "the"), (None, START), (START, "the"), ("the", "cat"), ("mat", "mat"), ("sat", "on")]


@pytest.mark.parametrize("context", CONTEXTS)
def test_the_words_after_any_context_have_the_sum_1(context: tuple[str | None, str | None]) -> None:
    model = train_ngram(TEXTS, ["zebra"])
    other = train_ngram(["a dog sat on a dog", "the zebra ran"])
    words = [word for word in {*model.vocabulary, *other.vocabulary} if word not in (START, END)]
    mixed = mix([model, other], [0.6, 0.4], words)
    for one in (model, mixed, prune(mixed, 6, 3)):
        assert total(one, *context) == pytest.approx(1, abs=1e-6)


def test_one_by_one_and_all_at_once_are_the_same() -> None:
    model = train_ngram(TEXTS)
    for sentence in ("the cat ran on a dog", "dog dog the mat sat"):
        context, before = model.start, [-1, model.ids[START]]
        for word in sentence.split():
            number = model.ids[word]
            one, context = model.score(context, number)
            assert one == pytest.approx(float(model.score_many(np.array([before]), np.array([number]))[0]))
            before = [before[1], number]


def test_what_was_read_is_likelier_and_what_is_unknown_is_left_out() -> None:
    model = train_ngram(TEXTS)
    assert model.cross_entropy(["the cat sat"]) < model.cross_entropy(["sat the the cat"])
    assert model.cross_entropy(["the xylophone"]) == pytest.approx(
        -(model.score(model.start, model.ids["the"])[0] + model.score((), model.ids[END])[0]) / 2
    )


def test_mixing_weights_the_models() -> None:
    one, other = train_ngram(["a a b"]), train_ngram(["b b b a"])
    mixed = mix([one, other], [0.25, 0.75], ["a", "b"])
    _, after = mixed.score(mixed.start, mixed.ids["a"])
    parts = [math.exp(model.score(model.start, model.ids["a"])[0]) for model in (one, other)]
    assert math.exp(mixed.score(mixed.start, mixed.ids["a"])[0]) == pytest.approx(0.25 * parts[0] + 0.75 * parts[1])
    assert len(after) == 2
    for weights in ([1.0], [0.5, 0.6], [-0.5, 1.5]):
        with pytest.raises(ConfigError, match=r"weights are .*, with sum 1"):
            mix([one, other], weights, ["a"])


def test_pruning_keeps_the_likeliest() -> None:
    model = train_ngram(TEXTS * 3)
    small = prune(model, 4, 2)
    assert len(small.keys[1]) == 2
    assert 4 <= len(small.keys[0]) <= 6
    assert set(small.keys[0].tolist()) <= set(model.keys[0].tolist())
    empty = prune(model, 0, 0)
    assert [len(keys) for keys in empty.keys] == [0, 0]
    assert empty.score(empty.start, empty.ids["cat"])[1] == (empty.ids["cat"],)


def test_an_arpa_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.arpa").write_text(ARPA)
    model = read_arpa(tmp_path / "a.arpa")
    a, b = model.ids["a"], model.ids["b"]
    first, context = model.score(model.start, a)
    second, context = model.score(context, b)
    third, _ = model.score(context, a)
    assert [first, second] == pytest.approx([-0.3 * math.log(10), -0.05 * math.log(10)])
    assert third == pytest.approx((-0.4 - 0.1 - 0.5) * math.log(10))


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("-0.5 a -0.2", "x a", "line 9: 'x a' is no n-gram"),
        ("-0.2 a b -0.4", "-0.2 a c", r"line 14: '-0\.2 a c' is no n-gram \('c'\)"),
        ("-0.2 a b -0.4", "-0.2 a", "line 14: '-0.2 a' is no n-gram"),
        ("-0.6 </s>", "-0.6 c", r"line 15: '-0\.7 b </s>' is no n-gram \('</s>'\)"),
        (ARPA[ARPA.index("\\2") :], "", "lacks <s> or </s>"),
        ("\\3-grams:", "\\4-grams:", "order 4 is over 3"),
        ("-0.3 <s> a", "1e999 <s> a", "line 13: "),
    ],
)
def test_a_hostile_arpa_file_is_refused_by_its_line(before: str, after: str, message: str, tmp_path: Path) -> None:
    text = ARPA.replace(before, after)
    (tmp_path / "a.arpa").write_text(text if after else text.replace("</s>", "c"))
    with pytest.raises(TextError, match=message) as raised:
        read_arpa(tmp_path / "a.arpa")
    assert "\n" not in str(raised.value)


def test_texts_without_words_train_nothing() -> None:
    with pytest.raises(TextError, match="no word"):
        train_ngram(["", " "])
