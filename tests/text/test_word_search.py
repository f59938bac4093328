"""Words in label probabilities: the search against all paths, letters, times, and words of the bundled model."""

import itertools
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy import ndarray

from vocable.errors import CheckpointError, ConfigError, ShapeError
from vocable.text.letters import LABELS
from vocable.text.ngram import END, NgramModel, train_ngram
from vocable.text.phonemes import PhonemeSet
from vocable.text.word_model import WordModel, bundled_search
from vocable.text.word_search import WordSearch, WordSearchConfig

LM = train_ngram(["ab a b", "a ab", "b b a", "ba ab", "aa b"])
SPELLINGS = {"a": [(1,)], "b": [(2,)], "ab": [(1, 2)], "ba": [(2, 1)], "aa": [(1, 1)]}
WIDE = WordSearchConfig(beam=10_000, threshold=1_000.0)


def labels_of(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(label for label, _ in itertools.groupby(path) if label)


def sentence_scores(log_probs: ndarray, lm: NgramModel, settings: WordSearchConfig) -> dict[tuple[str, ...], float]:
    """The score of every sentence, by the sum of all its paths."""
    sums: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        score = math.exp(sum(log_probs[position, label] for position, label in enumerate(path)))
        sums[labels_of(path)] = sums.get(labels_of(path), 0.0) + score
    found: dict[tuple[str, ...], float] = {}
    for count in range(len(log_probs) + 1):
        for words in itertools.product(SPELLINGS, repeat=count):
            labels = tuple(label for word in words for label in SPELLINGS[word][0])
            if labels in sums:
                context, cost = lm.start, 0.0
                for word in (*words, END):
                    one, context = lm.score(context, lm.ids[word])
                    cost += one
                found[words] = math.log(sums[labels]) + settings.lm_weight * cost + settings.word_bonus * count
    return found


def test_with_a_wide_beam_it_finds_the_best_of_all_sentences_or_one_as_good() -> None:
    """Sentences of equal last words are one hypothesis, so another of nearly the same score may be found."""
    same = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        logits = 2 * rng.normal(size=(4, 3))
        log_probs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        settings = WordSearchConfig(
            beam=10_000, threshold=1_000.0, lm_weight=float(rng.choice([0.3, 0.6, 1.0])), word_bonus=float(seed % 3)
        )
        found = tuple(word.text for word in WordSearch(SPELLINGS, LM, settings).find(log_probs))
        scores = sentence_scores(log_probs, LM, settings)
        best = max(scores, key=lambda words: scores[words])
        assert scores[found] > scores[best] - 0.7
        same += found == best
    assert same >= 9


def peaks(labels: list[int], size: int, *, gap: int = 1, probability: float = 0.9) -> ndarray:
    """Probabilities with a peak for each label, and blanks between."""
    path = [0] * gap + [label for one in labels for label in (one, *[0] * gap)]
    log_probs = np.full((len(path), size), math.log((1 - probability) / (size - 1)))
    log_probs[np.arange(len(path)), path] = math.log(probability)
    return log_probs


def test_words_have_the_positions_of_their_labels() -> None:
    search = WordSearch(SPELLINGS, LM, WIDE)
    words = search.find(peaks([2, 1, 1, 2], 3, gap=2, probability=0.99))
    assert [word.text for word in words] == ["ba", "ab"]
    assert [(word.start, word.end) for word in words] == [(2, 6), (8, 12)]


def test_a_repeated_label_needs_a_blank_between() -> None:
    search = WordSearch({"aa": [(1, 1)], "a": [(1,)]}, train_ngram(["aa", "a"]), WIDE)
    assert [word.text for word in search.find(peaks([1, 1], 2, gap=0, probability=0.999))] == ["a"]
    assert [word.text for word in search.find(peaks([1, 1], 2, gap=1, probability=0.999))] == ["aa"]


def test_the_language_model_decides_between_words_that_sound_alike() -> None:
    lm = train_ngram(["two cats", "two cats", "too many", "too many"])
    spellings = {"two": [(1, 2)], "too": [(1, 2)], "cats": [(3,)], "many": [(4,)]}
    search = WordSearch(spellings, lm)
    assert [word.text for word in search.find(peaks([1, 2, 3], 5))] == ["two", "cats"]
    assert [word.text for word in search.find(peaks([1, 2, 4], 5))] == ["too", "many"]


def test_nothing_and_silence_have_no_words() -> None:
    search = WordSearch(SPELLINGS, LM)
    assert search.find(np.zeros((0, 3))) == []
    assert search.find(peaks([], 3, gap=9, probability=0.9999)) == []


def test_settings_share_the_lexicon_and_change_the_result() -> None:
    search = WordSearch(SPELLINGS, LM, WordSearchConfig(lm_weight=0.0))
    flat = np.log(np.full((6, 3), 1 / 3))
    more = search.with_settings(WordSearchConfig(lm_weight=0.0, word_bonus=9.0))
    assert more._children is search._children
    assert len(more.find(flat)) > len(search.find(flat))


@pytest.mark.usefixtures("untyped")
def test_what_cannot_be_searched_is_refused() -> None:
    search = WordSearch(SPELLINGS, LM)
    for wrong in (np.zeros((4, 2)), np.zeros(4), np.full((4, 3), np.nan)):
        with pytest.raises(ShapeError, match=r"\(P, L\) with L ≥ 3 and no NaN is needed"):
            search.find(wrong)
    with pytest.raises(ConfigError, match="knows no word of the lexicon"):
        WordSearch({"xyz": [(1,)]}, LM)
    for spelling in ((), (1, 0), (-1,)):
        with pytest.raises(ConfigError, match="the spelling of 'a' is"):
            WordSearch({"a": [spelling]}, LM)
    for wrong_settings in ({"beam": 0}, {"threshold": 0.0}, {"lm_weight": -1.0}, {"word_bonus": math.inf}):
        with pytest.raises(ConfigError):
            WordSearchConfig(**wrong_settings)  # type: ignore[arg-type]


# ---- the bundled model ---------------------------------------------------------------------------------------------

SENTENCE = "DH AH K W IH K B R AW N F AA K S"
SYMBOLS = PhonemeSet.arpabet().symbols


def test_the_bundled_model_reads_phonemes() -> None:
    labels = PhonemeSet.arpabet().ids(SENTENCE.split())
    found = [word.text for word in bundled_search(SYMBOLS).find(peaks(list(labels), len(SYMBOLS)))]
    assert found == ["the", "quick", "brown", "fox"]


def test_the_bundled_model_reads_letters() -> None:
    labels = [1 + LABELS.index(letter) for letter in "the quick brown fox"]
    search = WordModel.bundled().search_letters()
    assert [word.text for word in search.find(peaks(labels, 1 + len(LABELS)))] == ["the", "quick", "brown", "fox"]


def test_a_lost_phone_is_mended() -> None:
    labels = PhonemeSet.arpabet().ids(SENTENCE.split())
    log_probs = peaks(list(labels), len(SYMBOLS))
    log_probs[3] = np.log(np.full(len(SYMBOLS), 1 / len(SYMBOLS)))  # the AH of "the"
    assert [word.text for word in bundled_search(SYMBOLS).find(log_probs)] == ["the", "quick", "brown", "fox"]


def small() -> WordModel:
    return WordModel({word: [word.upper()] for word in ["ab", "a", "b", "ba", "aa"]}, LM)


def test_what_is_saved_is_loaded_in_steps_of_less_than_a_tenth(tmp_path: Path) -> None:
    model = small()
    model.save(tmp_path / "model")
    again = WordModel.load(tmp_path / "model")
    assert again.spellings == model.spellings
    assert again.lm.vocabulary == LM.vocabulary
    for one, other in zip(again.lm.keys, LM.keys, strict=True):
        assert np.array_equal(one, other)
    words = np.array([LM.ids[word] for word in ("a", "ab", "b")])
    for number in (-1, *words):
        contexts = np.array([[-1, number]] * 3)
        assert np.allclose(again.lm.score_many(contexts, words), LM.score_many(contexts, words), atol=0.13)


def test_words_of_another_lexicon_are_not_saved(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="are not those of the lexicon"):
        WordModel({"c": ["K"]}, LM).save(tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"bigrams": 1 << 40},
        {"bigrams": -1},
        {"trigrams": 0},
        {"lexicon": ""},
        {"lexicon": {"a": "AH"}},
        {"lexicon": "\tAH"},
        {"lexicon": "a\tAH\na\tEY"},
        {"x": 1},
    ],
)
def test_a_hostile_folder_is_refused(change: dict[str, object], tmp_path: Path) -> None:
    small().save(tmp_path / "model")
    path = tmp_path / "model" / "model.json"
    described = json.loads(path.read_text())
    path.write_text(json.dumps(described | {"config": described["config"] | change}))
    with pytest.raises(CheckpointError):
        WordModel.load(tmp_path / "model")
    shutil.rmtree(tmp_path / "model")
    with pytest.raises(CheckpointError):
        WordModel.load(tmp_path / "model")


def test_tables_that_contradict_themselves_are_refused(tmp_path: Path) -> None:
    """With a digest that is right."""
    import torch
    from safetensors.torch import load_file, save_file

    from vocable.folder import digest_of

    for name, value in (("bigram_counts", 3), ("bigram_words", 60_000), ("trigram_counts", 7)):
        small().save(tmp_path / name)
        file, path = tmp_path / name / "model.safetensors", tmp_path / name / "model.json"
        tensors = load_file(file)
        tensors[name] = torch.full_like(tensors[name].to(torch.int32), value).to(tensors[name].dtype)
        save_file(tensors, file)
        described = json.loads(path.read_text())
        path.write_text(json.dumps(described | {"digest": digest_of(described["config"], tensors)}))
        with pytest.raises(CheckpointError, match="the n-grams cannot be used"):
            WordModel.load(tmp_path / name)
