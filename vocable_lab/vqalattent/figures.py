"""Figures of VQalAttent's evaluation, which compare generated utterances with recordings, and their columns."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from vocable.errors import ConfigError
from vocable.metrics.codebook import codebook_usage, label_perplexity
from vocable.metrics.distances import project
from vocable.metrics.distribution import compare
from vocable.metrics.score import Figure, Score, point_figure, summarize
from vocable.metrics.support import topological_precision_recall
from vocable.systems.vqalattent.image import from_unit
from vocable.systems.vqalattent.tokenizer import VqalattentTokenizer
from vocable.tokens import Tokens
from vocable_lab.shared.pictures import column

PAPER = "arXiv:2411.14642, Tables I and II, AudioMNIST at 22,050 Hz, space of TopP&R not given"
# By image values to an id: recordings, reconstructions, conditional fakes.
TABLE_I = {4: (1.0, 0.966, 0.912), 16: (1.0, 0.961, 0.909)}
TABLE_II = {  # without and with a class token: fidelity, diversity, F1
    (4, False): (0.51, 1.0, 0.68),
    (4, True): (0.45, 1.0, 0.62),
    (16, False): (0.57, 1.0, 0.72),
    (16, True): (0.904, 0.986, 0.943),
}
SPACES = {"latent": "flattened codebook vectors", "tokens": "ids as numbers", "spectrogram": "images in dB"}
SUPPORT = ("fidelity", "diversity", "f1")
_OTHERS = ("frechet", "kernel", "precision", "recall", "density", "coverage")
_TOP = "TopP&R (32 random projections, alpha 0.1, 10 bootstrap seeds) of {}: {}"
_NARROW = 8  # projections of TopP&R where 32 do not tell models apart
_MAX_FAKES = 1_000  # fakes whose nearest recordings are searched

ACCURACY = (
    column("real_accuracy", "recordings, top-1", "higher",
           "Accuracy of the classifier on the recordings themselves: the ceiling.", "%", ".1f"),
    column("reconstruction_accuracy", "reconstructions, top-1", "higher",
           "The same on reconstructions of the VQ-VAE: encoded, quantized, decoded, without the prior.", "%", ".1f"),
    column("conditional_accuracy", "conditional fakes, top-1", "higher",
           "The same on fakes: share whose predicted label is the one asked for.", "%", ".1f"),
)  # fmt: skip
ATTRIBUTES = ("gender", "accent")
"""Conditions beside the label that a classifier of their own scores."""
VOICES = (
    column("voice_real_accuracy", "recordings in the fakes' voices, top-1", "higher",
           "The same on recordings of the speakers whose voices the fakes have: the ceiling of fakes. The classifier "
           "may have been trained on them.", "%", ".1f"),
    column("voice_reconstruction_accuracy", "their reconstructions, top-1", "higher",
           "The same on reconstructions of these recordings: the ceiling of what the prior can add.", "%", ".1f"),
    column("voice_picture_error", "their image error", "lower",
           "Mean squared error of these reconstructions, images in [0, 1].", "", ".4f"),
)  # fmt: skip
PERPLEXITY = column(
    "perplexity", "perplexity of an id", "lower",
    "exp of the mean negative log-likelihood of an id of the scored recordings, given their label alone; where "
    "nothing is asked, given nothing.", "", ".1f",
)  # fmt: skip
PICTURE_ERROR = column(
    "picture_error", "image error", "lower",
    "Mean squared error of the reconstructions of the scored recordings, images in [0, 1].", "", ".4f",
)  # fmt: skip
_ATTRIBUTE_COLUMNS = tuple(
    part for key in ATTRIBUTES for part in (
        column(f"{key}_recordings", f"{key} of recordings, top-1", "higher",
               f"Accuracy of a classifier of {key} on the recordings: the ceiling.", "%", ".1f"),
        column(f"{key}_heard", f"{key} of fakes, top-1", "higher",
               f"Share of fakes whose {key}, drawn and asked for, is the one that this classifier predicts.", "%",
               ".1f"),
    )
)  # fmt: skip
ROW_COLUMNS = (*ACCURACY, *VOICES, PICTURE_ERROR, PERPLEXITY, *_ATTRIBUTE_COLUMNS)
"""Columns whose figures are summed up from rows."""
COLUMNS = (
    *ROW_COLUMNS,
    column("codebook_used", "entries used", "higher", "Share of the codebook's entries that occur in the recordings "
           "that fakes are compared with.", "%", ".1f"),
    column("codebook_perplexity", "codebook perplexity", "higher", "Perplexity of the entries in these recordings, "
           "without context.", "", ".1f"),
    column("fidelity", "TopP&R fidelity", "higher",
           _TOP.format(SPACES["latent"], "share of the significant fakes that lie where recordings are dense.")),
    column("diversity", "TopP&R diversity", "higher",
           _TOP.format(SPACES["latent"], "share of the significant recordings that lie where fakes are dense.")),
    column("f1", "TopP&R F1", "higher", _TOP.format(SPACES["latent"], "harmonic mean of the two.")),
    *(column(f"{key}_{_NARROW}", f"{title}, {_NARROW} projections", "higher",
             f"The same with {_NARROW} projections. The bandwidth is the distance to the {5 * _NARROW}th sample then, "
             "not to the 160th, which with some hundred samples reaches all of them.")
      for key, title in (("fidelity", "fidelity"), ("diversity", "diversity"), ("f1", "F1"))),
    *(column(f"f1_{space}", f"F1, {space}", "higher", _TOP.format(SPACES[space], "harmonic mean of the two."))
      for space in SPACES if space != "latent"),
    column("frechet", "Fréchet distance", "lower", "Of Gaussians fitted to the same codebook vectors.", "", ".4g"),
    column("kernel", "KID", "lower", "Kernel distance of the same; about 0 for equal sets.", "", ".4g"),
    column("precision", "precision", "higher", "Improved precision of the same, 3 neighbors."),
    column("recall", "recall", "higher", "Improved recall of the same, 3 neighbors."),
    column("density", "density", "higher", "Of the same, 5 neighbors; about 1 for equal sets."),
    column("coverage", "coverage", "higher", "Of the same, 5 neighbors."),
    column("labels_heard", "effective labels", "higher",
           "2 to the entropy of the labels that the classifier predicts for the fakes.", "", ".2f"),
    column("variety", "variety within a label", "neither",
           "Distance of two fakes of one label over that of two recordings of one label (means, codebook vectors)."),
    column("voices_heard", "effective voices", "higher",
           "2 to the entropy of the speakers of each fake's nearest recording (codebook vectors).", "", ".2f"),
    column("neighbour", "nearest training recording", "neither",
           "Distance from a fake to the nearest training recording, over that from such a recording to the nearest "
           "other one (medians, codebook vectors); near 0 is memorized."),
    column("copied", "copied", "lower",
           "Share of fakes that have as many ids in common with a training recording as 1 % of those recordings "
           "have with another, or more.", "%", ".1f"),
)  # fmt: skip


def features(tokenizer: VqalattentTokenizer, tokens: Tokens, space: str) -> Float[ndarray, "M D"]:
    """Return the features by which distributions are compared, one row an utterance.

    Args:
        tokenizer: Tokenizer that produced the tokens.
        tokens: Tokens of many utterances.
        space: One of ``SPACES``.

    Raises:
        ConfigError: If there is no such space.
    """
    if space == "latent":
        return tokenizer.embed(tokens).flatten(1).numpy()
    if space == "tokens":
        return tokens.ids[:, 0].float().numpy()
    if space == "spectrogram":
        return from_unit(tokenizer.decode_images(tokens), tokenizer.model.bounds).flatten(1).numpy()
    raise ConfigError(f"there is no space '{space}'; there are {', '.join(SPACES)}")


def distributions(tokenizer: VqalattentTokenizer, real: Tokens, fakes: Tokens, seed: int) -> dict[str, Figure]:
    """Compute TopP&R in every space, and the other distances in that of codebook vectors.

    Equally many recordings and fakes take part, evenly spread and in mixed order, since TopP&R's bandwidth depends on
    the order of the samples.

    Args:
        tokenizer: Tokenizer that produced the tokens.
        real: Tokens of recordings.
        fakes: Generated tokens.
        seed: Seed of the order and of the bootstraps.
    """
    random = np.random.default_rng(seed)
    count = min(len(real), len(fakes))
    parts = [select_rows(part, random.permutation(_evenly(len(part), count))) for part in (real, fakes)]
    found: dict[str, Figure] = {}
    for space in SPACES:
        arrays = [features(tokenizer, part, space) for part in parts]
        if space != "latent":
            found[f"f1_{space}"] = topological_precision_recall(*arrays, seed=seed, space=space).f1
            continue
        comparison = compare(*arrays, seed=seed, space=space)
        found |= {key: getattr(comparison.support, key) for key in SUPPORT}
        narrow = topological_precision_recall(*(project(one, _NARROW) for one in arrays), seed=seed, space=space)
        found |= {f"{key}_{_NARROW}": getattr(narrow, key) for key in SUPPORT}
        near, dense = comparison.nearest, comparison.dense
        values: tuple[Score | Figure, ...] = (
            comparison.frechet,
            comparison.kernel,
            near.precision,
            near.recall,
            dense.density,
            dense.coverage,
        )
        found |= {key: _figure(value, count) for key, value in zip(_OTHERS, values, strict=True)}
    return found


def codebook_use(tokens: Tokens) -> dict[str, Figure]:
    """Return the share of entries that occur in some tokens, and the perplexity of their distribution."""
    (level,) = codebook_usage(tokens.ids, tokens.lengths, tokens.spec.codebook_size)
    return {
        "codebook_used": point_figure(level.used, len(tokens)),
        "codebook_perplexity": point_figure(level.perplexity, len(tokens)),
    }


def variety(
    tokenizer: VqalattentTokenizer, fakes: Tokens, labels: Sequence[str], real: Tokens, real_labels: Sequence[str]
) -> dict[str, Figure]:
    """Compare the distances between fakes of one label with those between recordings of one label.

    Args:
        tokenizer: Tokenizer that produced the tokens.
        fakes: Generated tokens.
        labels: Label of each fake, as asked for or as predicted by the classifier.
        real: Tokens of recordings.
        real_labels: Label of each recording.
    """
    means = []
    for tokens, names in ((fakes, labels), (real, real_labels)):
        vectors = tokenizer.embed(tokens).flatten(1)
        rows = np.array(names, dtype=object)
        distances = [
            torch.pdist(vectors[rows == name][:100]).mean() for name in sorted(set(names)) if (rows == name).sum() > 1
        ]
        means.append(float(torch.stack(distances).mean()) if distances else float("nan"))
    ratio = means[0] / means[1] if means[1] else float("nan")  # with a collapsed codebook all distances are 0
    return {
        "variety": point_figure(ratio, len(fakes)),
        "labels_heard": point_figure(label_perplexity(labels), len(fakes)),
    }


def memorization(
    tokenizer: VqalattentTokenizer, fakes: Tokens, training: Tokens, speakers: Sequence[str], seed: int
) -> dict[str, Figure]:
    """Compare fakes with the nearest training recordings: distances, speakers, and ids in common.

    Args:
        tokenizer: Tokenizer that produced the tokens.
        fakes: Generated tokens; at most 1,000 of them, evenly spread, take part.
        training: Tokens of the training recordings.
        speakers: Speaker of each training recording.
        seed: Seed of the intervals.
    """
    some = select_rows(fakes, np.unique(_evenly(len(fakes), min(_MAX_FAKES, len(fakes)))))
    vectors, references = (tokenizer.embed(part).flatten(1) for part in (some, training))
    diagonal = torch.eye(len(references), dtype=torch.bool)
    typical = float(torch.cdist(references, references).masked_fill(diagonal, torch.inf).amin(1).median())
    distances, nearest = torch.cdist(vectors, references).min(1)
    ratios = (distances / typical).tolist()
    shared = torch.stack([agreement(row, training.ids[:, 0]) for row in training.ids[:, 0]])
    threshold = float(shared.masked_fill(diagonal, 0).amax(1).quantile(0.99))
    copied = [float(agreement(row, training.ids[:, 0]).max() >= threshold) for row in some.ids[:, 0]]
    interval = summarize([Score(value) for value in ratios], seed=seed)
    voices = label_perplexity([speakers[index] for index in nearest.tolist()])
    return {
        "neighbour": Figure(mean=float(np.median(ratios)), low=interval.low, high=interval.high, n=len(ratios)),
        "voices_heard": point_figure(voices, len(ratios)),
        "copied": summarize([Score(value) for value in copied], seed=seed),
    }


def agreement(ids: Int[Tensor, " N"], others: Int[Tensor, "M N"]) -> Float[Tensor, " M"]:
    """Return the share of ids that an utterance has in common with each of some others.

    Example:
        >>> agreement(torch.tensor([1, 2]), torch.tensor([[1, 2], [1, 0]])).tolist()
        [1.0, 0.5]
    """
    return (others == ids).float().mean(1)


def select_rows(tokens: Tokens, rows: Int[ndarray, " R"]) -> Tokens:
    """Return some clips of a batch, in the given order."""
    index = torch.from_numpy(np.asarray(rows))
    return replace(
        tokens, ids=tokens.ids[index], lengths=tokens.lengths[index], samples=tokens.samples[index],
        voice=None if tokens.voice is None else tokens.voice[index],
        text=None if tokens.text is None else tuple(tokens.text[row] for row in index.tolist()),
    )  # fmt: skip


def exponential(figure: Figure) -> Figure:
    """Return exp of a figure of nats and of its interval: a perplexity."""
    low, mean, high = (float(np.exp(value)) for value in (figure.low, figure.mean, figure.high))
    return replace(figure, low=low, mean=mean, high=high)


def _evenly(length: int, count: int) -> Int[ndarray, " C"]:
    """Return indices that are evenly spread over a sequence."""
    return np.linspace(0, length - 1, count).round().astype(int)


def _figure(value: Score | Figure, n: int) -> Figure:
    if isinstance(value, Figure):
        return value
    if value.defined:
        return point_figure(value.value, n)
    nan = float("nan")
    return Figure(mean=nan, low=nan, high=nan, n=0, excluded=n, reasons={value.reason: n})
