"""What VQalAttent's evaluation measures of fakes beside recordings, and how it is shown."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from vocable.errors import ConfigError
from vocable.evaluate.card import Better, Column
from vocable.metrics.codebook import label_perplexity
from vocable.metrics.distribution import compare
from vocable.metrics.score import Figure, Score, point_figure, summarize
from vocable.metrics.support import topological_precision_recall
from vocable.systems.vqalattent.image import from_unit
from vocable.systems.vqalattent.tokenizer import VqalattentTokenizer
from vocable.tokens import Tokens

PAPER = "arXiv:2411.14642, Tables I and II, AudioMNIST at 22,050 Hz, space of TopP&R not said"
# By picture values to an id: recordings, reconstructions, conditional fakes.
TABLE_I = {4: (1.0, 0.966, 0.912), 16: (1.0, 0.961, 0.909)}
TABLE_II = {  # without and with a class token: fidelity, diversity, F1
    (4, False): (0.51, 1.0, 0.68),
    (4, True): (0.45, 1.0, 0.62),
    (16, False): (0.57, 1.0, 0.72),
    (16, True): (0.904, 0.986, 0.943),
}
SPACES = {"latent": "flattened codebook vectors", "tokens": "ids as numbers", "spectrogram": "pictures in dB"}
SUPPORT = ("fidelity", "diversity", "f1")
_OTHERS = ("frechet", "kernel", "precision", "recall", "density", "coverage")
_TOP = "TopP&R (32 random projections, alpha 0.1, 10 bootstrap seeds) of {}: {}"
_MOST = 1_000  # fakes whose neighbours are looked for


def _column(key: str, title: str, better: Better, caption: str, unit: str = "", form: str = ".3f") -> Column:
    return Column(key=key, title=title, unit=unit, better=better, caption=caption, form=form)


ACCURACY = (
    _column("real_accuracy", "recordings, top-1", "higher",
            "The classifier's accuracy on the recordings themselves: the ceiling.", "%", ".1f"),
    _column("reconstruction_accuracy", "reconstructions, top-1", "higher",
            "The same on what the VQ-VAE makes of them: encoded, quantized, decoded, no prior.", "%", ".1f"),
    _column("conditional_accuracy", "conditional fakes, top-1", "higher",
            "The same on fakes: is what was asked for what is heard?", "%", ".1f"),
)  # fmt: skip
COLUMNS = (
    *ACCURACY,
    _column("fidelity", "TopP&R fidelity", "higher",
            _TOP.format(SPACES["latent"], "share of the significant fakes that lie where recordings are dense.")),
    _column("diversity", "TopP&R diversity", "higher",
            _TOP.format(SPACES["latent"], "share of the significant recordings that lie where fakes are dense.")),
    _column("f1", "TopP&R F1", "higher", _TOP.format(SPACES["latent"], "harmonic mean of the two.")),
    *(_column(f"f1_{space}", f"F1, {space}", "higher", _TOP.format(SPACES[space], "harmonic mean of the two."))
      for space in SPACES if space != "latent"),
    _column("frechet", "Fréchet distance", "lower", "Of Gaussians fitted to the same codebook vectors.", "", ".4g"),
    _column("kernel", "KID", "lower", "Kernel distance of the same; about 0 for equal sets.", "", ".4g"),
    _column("precision", "precision", "higher", "Improved precision of the same, 3 neighbours."),
    _column("recall", "recall", "higher", "Improved recall of the same, 3 neighbours."),
    _column("density", "density", "higher", "Of the same, 5 neighbours; about 1 for equal sets."),
    _column("coverage", "coverage", "higher", "Of the same, 5 neighbours."),
    _column("labels_heard", "labels heard", "higher",
            "2 to the entropy of what the classifier hears in the fakes: so many labels were as frequent.", "", ".2f"),
    _column("variety", "variety within a label", "neither",
            "Distance of two fakes of one label over that of two recordings of one label (means, codebook vectors)."),
    _column("voices_heard", "voices heard", "higher",
            "2 to the entropy of whose recording is nearest to each fake (codebook vectors): so many voices were as "
            "frequent.", "", ".2f"),
    _column("neighbour", "nearest recording learnt from", "neither",
            "Distance from a fake to the nearest recording learnt from, over that from such a recording to the nearest "
            "other one (medians, codebook vectors); near 0 is learnt by heart."),
    _column("copied", "copied", "lower",
            "Share of fakes that have as many ids in common with a recording learnt from as 1 % of those recordings "
            "have with another, or more.", "%", ".1f"),
)  # fmt: skip


def features(tokenizer: VqalattentTokenizer, tokens: Tokens, space: str) -> Float[ndarray, "M D"]:
    """What distributions are compared by, a row an utterance.

    Args:
        tokenizer: Whose tokens they are.
        tokens: Of many utterances.
        space: One of ``SPACES``.

    Raises:
        ConfigError: There is no such space.
    """
    if space == "latent":
        return tokenizer.embed(tokens).flatten(1).numpy()
    if space == "tokens":
        return tokens.ids[:, 0].float().numpy()
    if space == "spectrogram":
        return from_unit(tokenizer.decode_images(tokens), tokenizer.model.bounds).flatten(1).numpy()
    raise ConfigError(f"there is no space '{space}'; there are {', '.join(SPACES)}")


def distributions(tokenizer: VqalattentTokenizer, real: Tokens, fakes: Tokens, seed: int) -> dict[str, Figure]:
    """TopP&R in every space, and the other measures in that of codebook vectors.

    Args:
        tokenizer: Whose tokens they are.
        real: Recordings.
        fakes: What was drawn; equally many of either take part, evenly over both, in mixed order, since TopP&R's
            bandwidth looks at later samples alone.
        seed: Of the order and of all that is drawn.
    """
    random = np.random.default_rng(seed)
    count = min(len(real), len(fakes))
    parts = []
    for part in (real, fakes):
        chosen = np.linspace(0, len(part) - 1, count).round().astype(int)
        parts.append(picked(part, random.permutation(chosen)))
    found: dict[str, Figure] = {}
    for space in SPACES:
        arrays = [features(tokenizer, part, space) for part in parts]
        if space != "latent":
            found[f"f1_{space}"] = topological_precision_recall(*arrays, seed=seed, space=space).f1
            continue
        whole = compare(*arrays, seed=seed, space=space)
        found |= {key: getattr(whole.support, key) for key in SUPPORT}
        near, dense = whole.nearest, whole.dense
        others: tuple[Score | Figure, ...] = (
            whole.frechet,
            whole.kernel,
            near.precision,
            near.recall,
            dense.density,
            dense.coverage,
        )
        found |= {key: _figure(value, count) for key, value in zip(_OTHERS, others, strict=True)}
    return found


def variety(
    tokenizer: VqalattentTokenizer, fakes: Tokens, labels: Sequence[str], real: Tokens, real_labels: Sequence[str]
) -> dict[str, Figure]:
    """How unlike one another fakes of one label are, beside recordings of one label.

    Args:
        tokenizer: Whose tokens they are.
        fakes: What was drawn.
        labels: Of each fake: what was asked for, or what is heard in it.
        real: Recordings.
        real_labels: Of each.
    """
    means = []
    for tokens, names in ((fakes, labels), (real, real_labels)):
        vectors = tokenizer.embed(tokens).flatten(1)
        column = np.array(names, dtype=object)
        apart = [
            torch.pdist(vectors[column == name][:100]).mean()
            for name in sorted(set(names))
            if (column == name).sum() > 1
        ]
        means.append(float(torch.stack(apart).mean()) if apart else float("nan"))
    relative = means[0] / means[1] if means[1] else float("nan")  # a collapsed codebook: nothing differs
    return {
        "variety": point_figure(relative, len(fakes)),
        "labels_heard": point_figure(label_perplexity(labels), len(fakes)),
    }


def memory(
    tokenizer: VqalattentTokenizer, fakes: Tokens, learnt: Tokens, speakers: Sequence[str], seed: int
) -> dict[str, Figure]:
    """Whether fakes are recordings learnt by heart, and in whose voices.

    Args:
        tokenizer: Whose tokens they are.
        fakes: What was drawn; the first 1,000 spread evenly are looked at.
        learnt: The recordings learnt from.
        speakers: Of each.
        seed: Of the intervals.
    """
    some = picked(fakes, np.unique(np.linspace(0, len(fakes) - 1, min(_MOST, len(fakes))).round().astype(int)))
    vectors, known = (tokenizer.embed(part).flatten(1) for part in (some, learnt))
    itself = torch.eye(len(known), dtype=torch.bool)
    usual = float(torch.cdist(known, known).masked_fill(itself, torch.inf).amin(1).median())
    nearest, whose = torch.cdist(vectors, known).min(1)
    away = (nearest / usual).tolist()
    shared = torch.stack([agreement(row, learnt.ids[:, 0]) for row in learnt.ids[:, 0]]).masked_fill(itself, 0).amax(1)
    most = float(shared.quantile(0.99))
    copied = [float(agreement(row, learnt.ids[:, 0]).max() >= most) for row in some.ids[:, 0]]
    middle = summarize([Score(value) for value in away], seed=seed)
    return {
        "neighbour": Figure(mean=float(np.median(away)), low=middle.low, high=middle.high, n=len(away)),
        "voices_heard": point_figure(label_perplexity([speakers[place] for place in whose.tolist()]), len(away)),
        "copied": summarize([Score(value) for value in copied], seed=seed),
    }


def agreement(ids: Int[Tensor, " N"], others: Int[Tensor, "M N"]) -> Float[Tensor, " M"]:
    """Share of ids that an utterance has in common with each of others.

    Example:
        >>> agreement(torch.tensor([1, 2]), torch.tensor([[1, 2], [1, 0]])).tolist()
        [1.0, 0.5]
    """
    return (others == ids).float().mean(1)


def picked(tokens: Tokens, rows: Int[ndarray, " R"]) -> Tokens:
    """These clips of a batch, in this order."""
    where = torch.from_numpy(np.asarray(rows))
    return replace(
        tokens, ids=tokens.ids[where], lengths=tokens.lengths[where], samples=tokens.samples[where],
        voice=None if tokens.voice is None else tokens.voice[where],
        text=None if tokens.text is None else tuple(tokens.text[row] for row in where.tolist()),
    )  # fmt: skip


def _figure(value: Score | Figure, n: int) -> Figure:
    if isinstance(value, Figure):
        return value
    if not value.defined:
        return Figure(
            mean=float("nan"), low=float("nan"), high=float("nan"), n=0, excluded=n, reasons={value.reason: n}
        )
    return point_figure(value.value, n)
