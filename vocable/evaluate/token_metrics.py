"""Metrics of the tokens themselves, for every codec whose signal is ids: stability and modelability."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from vocable.audio import Audio
from vocable.errors import VocableError
from vocable.evaluate.card import Column
from vocable.evaluate.codecs.base import Codec, TokenCodec
from vocable.evaluate.perturb import PERTURBATIONS
from vocable.metrics.ngram import ngram_bits
from vocable.metrics.score import Figure, Score, summarize, undefined
from vocable.metrics.stability import unit_edit_distance
from vocable.tokens import Tokens

STABILITY, MODELABILITY = "stability", "modelability"
ORDER = 4  # of the n-gram
_FOLDS = 5

STABILITY_COLUMNS = tuple(
    Column(
        key=f"token_change_{perturbation.name}", title=f"changed, {perturbation.title}", unit="%",
        better="lower", form=".1f",
        caption=f"Unit edit distance: edits of the token sequence after a change that leaves the speech the same "
        f"({perturbation.title}), over the number of tokens; mean over levels. It says how much of a token is not "
        "speech, and nothing about quality: a codec that always writes the same id has 0.",
    )
    for perturbation in PERTURBATIONS
)  # fmt: skip
NGRAM_BITS = Column(
    key=f"bit_rate_{ORDER}gram", title=f"bit/s, {ORDER}-gram", unit="bit/s", better="lower", form=",.0f",
    caption=f"Bits per second of speech under an interpolated Kneser-Ney {ORDER}-gram for each level, fitted on tokens "
    f"of other speakers ({_FOLDS} folds). It is a bound from few data: a language model does better, more data lowers "
    "it, and fewer bits are worth having only where the speech is as good.",
)  # fmt: skip
UNIGRAM_BITS = Column(
    key="bit_rate_unigram", title="bit/s, unigram", unit="bit/s", better="lower", form=",.0f",
    caption="The same under a unigram: the difference is what the order of the tokens tells.",
)  # fmt: skip
MODELABILITY_COLUMNS = (NGRAM_BITS, UNIGRAM_BITS)


def score_stability(codec: Codec, clip: Audio, key: str, tokens: Tokens | None) -> dict[str, Score]:
    """Return the unit edit distance of one clip after each perturbation: its mean over levels, and each level's.

    Args:
        codec: Any codec.
        clip: Clip that was coded.
        key: Key of the clip.
        tokens: Tokens of the clip as it is; None if the codec has none.

    Returns:
        Scores by the key of the column, and by ``KEY/1``, ``KEY/2`` … for the levels.
    """
    if not isinstance(codec, TokenCodec) or tokens is None:
        return {}
    hop = None if tokens.spec.hop is None else tokens.spec.hop / tokens.spec.sample_rate
    scores: dict[str, Score] = {}
    for column, perturbation in zip(STABILITY_COLUMNS, PERTURBATIONS, strict=True):
        try:
            perturbed = codec.encode(perturbation.apply(clip, key, hop), key)
            levels = unit_edit_distance(tokens.ids[0].numpy(), perturbed.ids[0].numpy())
        except VocableError as error:
            levels = [undefined(f"after {perturbation.title}: {error}")] * tokens.ids.shape[1]
        scores[column.key] = _mean_over_levels(levels)
        scores |= {f"{column.key}/{number}": score for number, score in enumerate(levels, start=1)}
    return scores


def level_changes(clips: Sequence[Mapping[str, Score]], level: int, seed: int) -> dict[str, Figure]:
    """Return the share of the ids of a level that change, by the title of the perturbation.

    Args:
        clips: Scores of clips, as :func:`score_stability` returns them; empty mappings have no share.
        level: Number of the level, from 1.
        seed: Seed of the intervals.
    """
    pairs = [(f"{column.key}/{level}", one.title) for column, one in zip(STABILITY_COLUMNS, PERTURBATIONS, strict=True)]
    measured = {title: [clip[key] for clip in clips if key in clip] for key, title in pairs}
    return {title: summarize(scores, seed=seed) for title, scores in measured.items() if scores}


def _mean_over_levels(levels: Sequence[Score]) -> Score:
    """Return the mean score of the levels of a clip; undefined for the reason of the first level that is."""
    missing = next((score for score in levels if not score.defined), None)
    if missing is not None:
        return missing
    return Score(float(np.mean([score.value for score in levels])), weight=levels[0].weight)


def score_modelability(
    clips: Mapping[str, Int[ndarray, "Q _"]], speakers: Mapping[str, str], codebook_size: int, order: int = ORDER
) -> dict[str, list[Score]]:
    """Return by clip the bits of the ids of each level under an n-gram of other speakers.

    Args:
        clips: Ids by the key of the clip.
        speakers: Speaker by the key of the clip.
        codebook_size: Number of entries K.
        order: Length of an n-gram.

    Returns:
        Score for each level: bits per id, weighted by the number of ids. Undefined for fewer than two speakers.

    Example:
        >>> ids = {name: np.tile([[0, 1, 2, 3]], 50) for name in ("a", "b")}
        >>> scores = score_modelability(ids, {"a": "ann", "b": "bob"}, 4)
        >>> scores["a"][0].value < 0.1
        True
    """
    names = sorted({speakers[key] for key in clips})
    if len(names) < 2:
        lonely = undefined("an n-gram is fitted on other speakers, and there is only one")
        return {key: [lonely] * len(ids) for key, ids in clips.items()}
    fold_of = {name: at % min(_FOLDS, len(names)) for at, name in enumerate(names)}
    scores: dict[str, list[Score]] = {key: [] for key in clips}
    for level in range(len(next(iter(clips.values())))):
        for fold in range(min(_FOLDS, len(names))):
            test = [key for key in clips if fold_of[speakers[key]] == fold]
            training = [ids[level] for key, ids in clips.items() if fold_of[speakers[key]] != fold]
            bits = ngram_bits(training, [clips[key][level] for key in test], codebook_size, order)
            for key, row in zip(test, bits, strict=True):
                empty = undefined("the clip has no ids")
                scores[key].append(Score(float(row.mean()), weight=float(row.size)) if row.size else empty)
    return scores


def modelability_figures(
    clips: Mapping[str, Tokens], speakers: Mapping[str, str], seconds: Mapping[str, float], seed: int
) -> tuple[dict[str, Figure], list[tuple[float, float]]]:
    """Return the bits per second under an n-gram and a unigram, and the perplexities of each level under both.

    Args:
        clips: Tokens of one clip each, by key.
        speakers: Speaker by key.
        seconds: Duration of the speech by key.
        seed: Seed of the intervals, which are over speakers.
    """
    ids = {key: tokens.ids[0].numpy() for key, tokens in clips.items()}
    codebook_size = next(iter(clips.values())).spec.codebook_size
    by_order = [score_modelability(ids, speakers, codebook_size, order) for order in (ORDER, 1)]
    figures = {}
    for column, scores in zip(MODELABILITY_COLUMNS, by_order, strict=True):
        rates = []
        for key, levels in scores.items():
            missing = next((level for level in levels if not level.defined), None)
            bits = sum(level.value * level.weight for level in levels)
            rates.append(missing or Score(bits / seconds[key], weight=seconds[key]))
        figures[column.key] = summarize(rates, seed=seed, groups=[speakers[key] for key in scores])
    perplexities = [
        [2.0 ** summarize([levels[level] for levels in scores.values()]).mean for scores in by_order]
        for level in range(next(iter(clips.values())).spec.num_codebooks)
    ]
    return figures, [(pair[0], pair[1]) for pair in perplexities]
