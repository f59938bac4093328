"""Pictures of sounds, tokens, codebooks and latents, with the same bytes for the same input."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from vocable.audio import Audio
from vocable.errors import ConfigError, MissingDependencyError, ShapeError
from vocable.evaluate.canvas import (
    COLORS,
    MARKS,
    OTHERS,
    SOFT,
    clean_label,
    count_rows,
    draw_figure,
    draw_picture,
    group_rows,
    set_log_scale,
)
from vocable.evaluate.card import Picture
from vocable.features.spectrogram import mel_filters, spectra
from vocable.shapes import mask_from_lengths
from vocable.tokens import Tokens

RANGE_DB = 80.0
MAX_SECONDS = 30.0  # of a clip
_MELS = 80
_MAX_FRAMES = 500  # token frames in a picture
_HERTZ_TICKS = (200, 500, 1000, 2000, 4000, 8000, 16_000)
_PERPLEXITY = 30.0  # of t-SNE


def plot_log_mel(sounds: Sequence[tuple[str, Audio]], *, title: str = "Log-mel spectrograms") -> Picture:
    """Plot the log-mel spectrograms of several sounds, one below the other, with one color scale.

    Args:
        sounds: Title and clip of each; clips are resampled to the highest rate and cut after 30 s.
        title: Title of the whole picture.

    Raises:
        ShapeError: If there is no sound.
    """
    if not sounds:
        raise ShapeError("a log-mel picture needs at least one sound")
    rate = max(audio.sample_rate for _, audio in sounds)
    powers = [mel_power(audio.resample(rate)) for _, audio in sounds]
    peak = max(max(float(power.max()) for power in powers), 1e-10)  # silence stays dark
    longest = max(len(power) for power in powers) / 100

    def fill(figure: Any, rows: list[Any]) -> None:
        for axes, (name, _), power in zip(rows, sounds, powers, strict=True):
            image = _draw_log_mel(axes, power, peak, rate)
            axes.set(title=clean_label(name), xlim=(0.0, longest), ylabel="frequency (kHz)")
            axes.tick_params(labelbottom=axes is rows[-1])
        rows[-1].set_xlabel("time (s)")
        figure.colorbar(image, ax=rows, label="dB below the loudest", pad=0.015)

    cut = f" The first {MAX_SECONDS:g} s." if any(audio.duration > MAX_SECONDS for _, audio in sounds) else ""
    caption = (
        f"{_MELS} mel bands up to {rate / 2000:g} kHz, windows of 40 ms every 10 ms; 0 dB is the loudest point of all "
        f"{len(sounds)}.{cut}"
    )
    return draw_picture(title, caption, (8.0, 0.7 + 2.1 * len(sounds)), fill, len(sounds), sharex=True)


def plot_spectrogram(audio: Audio, peak: float) -> bytes:
    """Plot the log-mel spectrogram of the first 30 s of a sound as SVG; 0 dB is the mel power ``peak``."""

    def fill(figure: Any) -> None:
        axes = figure.add_subplot()
        _draw_log_mel(axes, mel_power(audio), peak, audio.sample_rate, _HERTZ_TICKS[1:])
        axes.set(xlabel="time (s)", ylabel="kHz")

    return draw_figure(3.5, 1.8, fill, "svg")


def mel_power(audio: Audio) -> Float[ndarray, "S mel"]:
    """Return 80 Slaney mel bands of the power spectrum every 10 ms, of the first 30 s, on no absolute scale."""
    hop = max(1, round(audio.sample_rate / 100))
    samples = audio.samples[: int(MAX_SECONDS * audio.sample_rate)]
    padded = torch.from_numpy(np.pad(samples, (0, -samples.size % hop)))[None]
    values = spectra(padded, 4 * hop, hop)[0].abs().square()
    return (values @ mel_filters(audio.sample_rate, 4 * hop, _MELS)).numpy()


def peak_power(recording: Audio) -> float:
    """Return the mel power of 0 dB in the spectrograms of a recording and its decoded versions.

    It is the loudest point of the recording, or a floor 60 dB below full scale: hiss beside silence must not look loud.
    """
    return max(float(mel_power(recording).max()), 1e-3)


def plot_codebooks(counts: Int[ndarray, "Q K"], *, groups: Mapping[str, Int[ndarray, "_ _"]] | None = None,
                   title: str = "Codebook usage") -> Picture:  # fmt: skip
    """Plot how often each entry of each level occurs, the most frequent first, as a share of the frames.

    Args:
        counts: Frames by entry and level.
        groups: Counts of subsets of the clips, such as one a gender: one line each, ranked by itself.
        title: Title of the picture.

    Raises:
        ShapeError: If there is no level, a count is negative, a level has no frame, or a group has another shape.
    """
    groups = dict(groups or {})
    for name, values in ({"all": counts} | groups).items():
        if values.shape != counts.shape or not values.size or values.min() < 0:
            raise ShapeError(f"counts of '{name}' have shape {values.shape} or are negative; {counts.shape} is needed")
    if not (counts.sum(1) > 0).all():
        raise ShapeError(f"level {int(np.argmin(counts.sum(1))) + 1} has no frame: there is no usage to show")
    levels, size = counts.shape
    columns, frames = min(levels, 4), int(counts.sum(1).max())
    ranked = [_rank_shares(row) for values in (counts, *groups.values()) for row in values]
    top = min(1.0, 2 * max(float(shares[0]) for shares in ranked if shares.size))

    def fill(figure: Any, grid: list[Any]) -> None:
        for level, axes in enumerate(grid):
            shares = _rank_shares(counts[level])
            perplexity = 2.0 ** -(shares * np.log2(shares)).sum()
            axes.stairs(shares, np.arange(shares.size + 1) + 0.5, baseline=1e-12, fill=True, color="#c9d8e6")
            axes.axhline(1 / size, color=SOFT, linestyle="--", linewidth=1.0, label="all entries alike")
            for index, (name, values) in enumerate(groups.items()):
                part = _rank_shares(values[level])
                axes.stairs(part, np.arange(part.size + 1) + 0.5, baseline=None, color=COLORS[index % len(COLORS)],
                            linewidth=1.3, label=clean_label(name, 24))  # fmt: skip
            axes.set_title(f"level {level + 1}: {shares.size:,} of {size:,}\nperplexity {perplexity:.0f}", fontsize=9.5)
            axes.set(xlim=(0.5, size + 0.5), ylim=(0.5 / frames, top))
            axes.xaxis.get_major_locator().set_params(nbins=4, integer=True)
            axes.xaxis.set_major_formatter("{x:,.0f}")
            set_log_scale(axes.yaxis)
            axes.set_xlabel("rank of the entry" if level >= levels - columns else "")
            axes.set_ylabel("share of frames" if level % columns == 0 else "")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=7 if columns == 4 else 3)

    caption = (
        f"{frames:,} frames, which can use at most {min(frames, size):,} of {size:,} entries of a level. The shaded "
        "area counts all frames. It ends at the last entry that occurs."
    )
    dimensions = max(5.5, 2.3 * columns), 1.0 + 2.1 * count_rows(levels, 4)
    return draw_picture(title, caption, dimensions, fill, levels, columns, sharex=True, sharey=True)


def plot_tokens(tokens: Tokens) -> Picture:
    """Plot the ids of the first clip (500 frames), levels by frames, colored by their surprisal among all clips.

    Raises:
        ShapeError: If the first clip has no frame.
    """
    frames = int(tokens.lengths[0]) if len(tokens) else 0
    if frames == 0:
        raise ShapeError("the first clip has no frame: there are no tokens to show")
    shares = count_ids(tokens) / int(tokens.lengths.sum())
    ids = tokens.ids[0, :, : min(frames, _MAX_FRAMES)].numpy()
    bits = -np.log2(np.take_along_axis(shares, ids, axis=1))
    levels = len(ids)
    step = 1.0 if tokens.spec.hop is None else 1.0 / tokens.spec.frame_rate

    def fill(figure: Any, panels: list[Any]) -> None:
        (axes,) = panels
        axes.grid(visible=False)
        image = axes.imshow(bits, origin="lower", aspect="auto", cmap="viridis_r",
                            extent=(0.0, ids.shape[1] * step, 0.5, levels + 0.5))  # fmt: skip
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.set(xlabel="text position" if tokens.spec.hop is None else "time (s)", ylabel="level")
        figure.colorbar(image, ax=axes, label="surprisal (bit)", pad=0.015)

    cut = f" The first {_MAX_FRAMES} of {frames:,} frames." if frames > _MAX_FRAMES else ""
    cut += f" Clip 1 of {len(tokens)}." if len(tokens) > 1 else ""
    caption = f"Dark ids are rare among these tokens; the surprisal is −log2 of an id's share of the frames.{cut}"
    return draw_picture("Tokens", caption, (8.0, 1.6 + 0.22 * min(levels, 16)), fill)


def count_ids(tokens: Tokens) -> Int[ndarray, "Q K"]:
    """Count the frames of all clips by entry and level, without padding."""
    rows = tokens.ids.transpose(0, 1)[:, mask_from_lengths(tokens.lengths, tokens.ids.shape[2])]
    return np.stack([torch.bincount(row, minlength=tokens.spec.codebook_size).numpy() for row in rows])


def plot_projection(vectors: Float[ndarray, "M D"], labels: Sequence[str], *, method: str = "pca",
                    seed: int = 0, title: str = "Latents") -> Picture:  # fmt: skip
    """Plot vectors as points in a plane, with a color and a mark for each label.

    Args:
        vectors: Vectors of any scale.
        labels: Label of each vector; beyond 12 different labels the rarest are shown as "others".
        method: ``pca`` for the two directions of largest variance; ``tsne`` for a map of neighbors, at perplexity 30
            or, for few points, a third of their number.
        seed: Seed of t-SNE.
        title: Title, to which the method and the number of points are added.

    Raises:
        ShapeError: If there are fewer than two vectors, another number of labels, a value that is not finite, or only
            equal vectors.
        ConfigError: If there is no such method.
        MissingDependencyError: If scikit-learn is not installed.

    Source:
        t-SNE: van der Maaten and Hinton, JMLR 9 (2008); both as in scikit-learn.
    """
    if len(vectors) < 2 or not vectors.shape[1]:
        raise ShapeError(f"a projection needs at least two vectors, got shape {vectors.shape}")
    if len(labels) != len(vectors):
        raise ShapeError(f"there are {len(labels)} labels for {len(vectors)} vectors; give one each")
    if not np.isfinite(vectors).all():
        row = int(np.flatnonzero(~np.isfinite(vectors).all(1))[0])
        raise ShapeError(f"vector {row} has a value that is not finite")
    if (vectors == vectors[0]).all():
        raise ShapeError(f"all {len(vectors)} vectors are equal: there is no direction to show")
    points, shares = project_pca(vectors)
    if method == "pca":
        names = [f"component {axis} ({share:.0%} of the variance)" for axis, share in enumerate(shares, 1)]
        caption = "The two directions in which the vectors vary most; equal scales on both axes."
    elif method == "tsne":
        from sklearn.manifold import TSNE

        perplexity = min(_PERPLEXITY, (len(vectors) - 1) / 3)
        start = (points / points[:, 0].std() * 1e-4).astype(np.float32)  # as init="pca", which refuses equal values
        search = "exact" if len(vectors) < 50 else "barnes_hut"
        model = TSNE(perplexity=perplexity, init=start, random_state=seed, n_jobs=1, method=search)
        points = model.fit_transform(vectors.astype(np.float32))
        names = ["t-SNE 1 (no unit)", "t-SNE 2 (no unit)"]
        caption = (
            f"Perplexity {perplexity:.3g}, seed {seed}. Neighbors are similar; distances between groups, their sizes "
            "and the axes have no meaning."
        )
    else:
        raise ConfigError(f"there is no projection '{method}'; choose pca or tsne")
    title = f"{title}: {'PCA' if method == 'pca' else 't-SNE'} of {len(points)} points"

    def fill(figure: Any, panels: list[Any]) -> None:
        (axes,) = panels
        for index, (name, rows) in enumerate(group_rows(labels)):
            color, mark = (SOFT, ".") if name == OTHERS else (COLORS[index % len(COLORS)], MARKS[index])
            axes.scatter(*points[rows].T, s=26, c=color, marker=mark, alpha=0.75, linewidths=0.4, edgecolors="white",
                         label=clean_label(f"{name} ({rows.size})"))  # fmt: skip
        axes.set(xlabel=names[0], ylabel=names[1])
        axes.set_aspect("equal", adjustable="datalim")
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), handletextpad=0.2)

    return draw_picture(title, caption, (7.5, 5.2), fill, longest=80)


def project_pca(vectors: Float[ndarray, "M D"]) -> tuple[Float[ndarray, "M 2"], tuple[float, float]]:
    """Return coordinates along the two directions of largest variance, and their shares of it in [0, 1]."""
    try:
        from sklearn.decomposition import PCA
    except ImportError as error:
        raise MissingDependencyError("projections need scikit-learn; run pip install 'vocable[evaluate]'") from error
    model = PCA(n_components=min(2, *vectors.shape), svd_solver="full")
    points = model.fit_transform(vectors.astype(np.float64))
    first, second = (*map(float, model.explained_variance_ratio_), 0.0)[:2]
    return np.pad(points, ((0, 0), (0, 2 - points.shape[1]))), (first, second)  # one-dimensional vectors: no second


def _draw_log_mel(
    axes: Any, power: Float[ndarray, "S mel"], peak: float, rate: int, ticks: Sequence[int] = _HERTZ_TICKS
) -> Any:
    """Draw mel bands in dB below a peak, with frequencies as labels; return the image."""
    level = 10 * np.log10(np.maximum(power / peak, 10 ** (-RANGE_DB / 10)))
    image = axes.imshow(level.T, origin="lower", aspect="auto", cmap="magma", vmin=-RANGE_DB, vmax=0.0,
                        extent=(0.0, len(power) / 100, -0.5, _MELS - 0.5))  # fmt: skip
    fft = 4 * max(1, round(rate / 100))
    centers = mel_filters(rate, fft, _MELS).argmax(0).numpy() * rate / fft
    ticks = [hertz for hertz in ticks if hertz <= rate / 2]
    axes.set_yticks(np.interp(ticks, centers, np.arange(_MELS)), [f"{hertz / 1000:g}" for hertz in ticks])
    axes.grid(visible=False)
    return image


def _rank_shares(counts: Int[ndarray, " K"]) -> Float[ndarray, " R"]:
    """Return the shares of the entries that occur, the largest first."""
    used = np.sort(counts[counts > 0])[::-1]
    return used / max(int(used.sum()), 1)
