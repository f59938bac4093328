"""Pictures of sounds, tokens, codebooks and attention, as the four papers show them.

Every function is pure: arrays in, a :class:`~vocable.evaluate.card.Picture` out, the same bytes for the same input.
Pictures of latents are in ``latents``, those of a training run in ``curves``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from vocable.audio import Audio
from vocable.errors import ShapeError
from vocable.evaluate.canvas import COLORS, SOFT, draw, log_scale, panels, rows_for, words
from vocable.evaluate.card import Picture
from vocable.features.spectrogram import mel_filters, spectra
from vocable.tokens import Tokens

_MELS = 80
_RANGE_DB = 80.0
_SECONDS = 30.0  # of a clip that are drawn
_FRAMES = 500  # of tokens that are drawn
_HERTZ = (200, 500, 1000, 2000, 4000, 8000, 16_000)


def log_mel_picture(sounds: Sequence[tuple[str, Audio]], *, title: str = "Log-mel spectrograms") -> Picture:
    """Sounds one below the other: 80 Slaney mel bands, windows of 40 ms every 10 ms, one scale of colours.

    Args:
        sounds: Title and clip of each. Clips of unlike rates are resampled to the highest; of long ones the first
            30 s are drawn.
        title: Of the whole picture.

    Raises:
        ShapeError: There is no sound.

    Example:
        >>> from vocable.testing import speechlike
        >>> picture = log_mel_picture([("recording", speechlike(8_000)), ("decoded", speechlike(8_000, seed=1))])
        >>> picture.title
        'Log-mel spectrograms'
    """
    if not sounds:
        raise ShapeError("a log-mel picture needs at least one sound")
    rate = max(audio.sample_rate for _, audio in sounds)
    powers = [_mel_powers(audio.resample(rate)) for _, audio in sounds]
    loudest = max(max(float(power.max()) for power in powers), 1e-10)  # silence stays dark
    levels = [10 * np.log10(np.maximum(power / loudest, 10 ** (-_RANGE_DB / 10))) for power in powers]
    longest = max(level.shape[0] for level in levels) / 100

    def put(figure: Any) -> None:
        figure.suptitle(words(title))
        rows = panels(figure, len(sounds), 1, sharex=True)
        for axes, (name, _), level in zip(rows, sounds, levels, strict=True):
            image = axes.imshow(
                level.T, origin="lower", aspect="auto", cmap="magma", vmin=-_RANGE_DB, vmax=0.0,
                extent=(0.0, level.shape[0] / 100, -0.5, _MELS - 0.5),
            )  # fmt: skip
            axes.set(title=words(name), xlim=(0.0, longest), ylabel="frequency (kHz)")
            _hertz(axes, rate)
            axes.tick_params(labelbottom=axes is rows[-1])
        rows[-1].set_xlabel("time (s)")
        figure.colorbar(image, ax=rows, label="dB below the loudest", pad=0.015)

    cut = f" The first {_SECONDS:g} s." if any(audio.duration > _SECONDS for _, audio in sounds) else ""
    caption = (
        f"{_MELS} mel bands up to {rate / 2000:g} kHz, windows of 40 ms every 10 ms; 0 dB is the loudest point of all "
        f"{len(sounds)}.{cut}"
    )
    return Picture(title=title, caption=caption, png=draw(8.0, 0.7 + 2.1 * len(sounds), put))


def attention_picture(weights: Float[ndarray, "H N M"], *, queries: Sequence[str] | None = None,
                      names: tuple[str, str] = ("query", "key (frame)"),
                      title: str = "Attention") -> Picture:  # fmt: skip
    """Attention maps, heads side by side on one scale; over each the mean entropy of its rows.

    0 bit is a query that looks at one key, log2 M bit one that looks at all alike. Rows of zeros (masked queries) do
    not count.

    Args:
        weights: As attention gives them after the softmax: H heads, N queries, M keys; none negative.
        queries: What each query is, such as its text token; shown if there are at most 40.
        names: Of the two axes.
        title: Of the picture.

    Raises:
        ShapeError: An axis is empty, a weight is negative or not finite, or there are not N names.

    Example:
        >>> attention_picture(np.full((2, 3, 4), 0.25), queries=["the", "cat", "sat"]).title
        'Attention'
    """
    if not weights.size or not np.isfinite(weights).all() or float(weights.min()) < 0:
        raise ShapeError(f"attention of shape {weights.shape} is empty, negative or not finite; give it after softmax")
    if queries is not None and len(queries) != weights.shape[1]:
        raise ShapeError(f"there are {len(queries)} names for {weights.shape[1]} queries")
    heads, rows, _ = weights.shape
    columns = min(heads, 4)
    most = float(weights.max()) or 1.0

    def put(figure: Any) -> None:
        figure.suptitle(words(title))
        maps = panels(figure, heads, columns, sharex=True, sharey=True)
        for head, (axes, values) in enumerate(zip(maps, weights, strict=True), 1):
            axes.grid(visible=False)
            image = axes.imshow(values, aspect="auto", cmap="viridis", vmin=0.0, vmax=most)
            bits = entropy(values)
            axes.set_title(f"head {head}: " + ("no query" if np.isnan(bits) else f"{bits:.2f} bit"))
            if queries is not None and rows <= 40:
                axes.set_yticks(range(rows), [words(query, 16) for query in queries])
            axes.set(xlabel=words(names[1]) if head > heads - columns else "",
                     ylabel=words(names[0]) if head % columns == 1 or columns == 1 else "")  # fmt: skip
        figure.colorbar(image, ax=maps, label="weight", pad=0.015)

    height = 0.9 + rows_for(heads, 4) * (max(2.0, 0.17 * rows) if queries is not None and rows <= 40 else 2.2)
    caption = (
        f"{heads} heads, {rows} queries, {weights.shape[2]} keys; the mean entropy of the rows over each, "
        f"at most {np.log2(weights.shape[2]):.2f} bit."
    )
    return Picture(title=title, caption=caption, png=draw(1.6 + 2.2 * max(columns, 2), height, put))


def entropy(weights: Float[ndarray, "N M"]) -> float:
    """Mean entropy in bits of the rows that are not zero, each taken as shares; NaN if all are.

    Example:
        >>> entropy(np.array([[0.5, 0.5], [1.0, 0.0], [0.0, 0.0]]))
        0.5
    """
    rows = weights[weights.sum(1) > 0].astype(np.float64)
    if not len(rows):
        return float("nan")
    shares = rows / rows.sum(1, keepdims=True)
    return float(-(shares * np.log2(np.where(shares > 0, shares, 1.0))).sum(1).mean()) + 0.0


def codebook_picture(counts: Int[ndarray, "Q K"], *, groups: Mapping[str, Int[ndarray, "_ _"]] | None = None,
                     title: str = "Codebook use") -> Picture:  # fmt: skip
    """How often each entry of each level occurs, the commonest first, as a share of the frames.

    Args:
        counts: Frames that chose each of the K entries, level by level.
        groups: The same for classes of clips, such as one count a gender: a line each, ranked by itself.
        title: Of the picture.

    Raises:
        ShapeError: No level, a negative count, a level without a frame, or a group of another shape.

    Example:
        >>> codebook_picture(np.array([[5, 0, 3, 1], [2, 2, 3, 2]])).title
        'Codebook use'
    """
    groups = dict(groups or {})
    for name, values in ({"all": counts} | groups).items():
        if values.shape != counts.shape or not values.size or values.min() < 0:
            raise ShapeError(f"counts of '{name}' have shape {values.shape} or are negative; {counts.shape} is wanted")
    if not (counts.sum(1) > 0).all():
        raise ShapeError(f"level {int(np.argmin(counts.sum(1))) + 1} has no frame: there is no use to show")
    levels, size = counts.shape
    columns = min(levels, 4)
    ranks = [_ranked(row) for values in (counts, *groups.values()) for row in values]
    top = min(1.0, 2 * max(float(shares[0]) for shares in ranks if shares.size))

    def put(figure: Any) -> None:
        figure.suptitle(words(title))
        for level, axes in enumerate(panels(figure, levels, columns, sharex=True, sharey=True)):
            ranked = _ranked(counts[level])
            axes.stairs(ranked, np.arange(ranked.size + 1) + 0.5, baseline=1e-12, fill=True, color="#c9d8e6")
            axes.axhline(1 / size, color=SOFT, linestyle="--", linewidth=1.0, label="all entries alike")
            for index, (name, values) in enumerate(groups.items()):
                shares = _ranked(values[level])
                axes.stairs(shares, np.arange(shares.size + 1) + 0.5, baseline=None, color=COLORS[index % len(COLORS)],
                            linewidth=1.3, label=words(name, 24))  # fmt: skip
            axes.set_title(f"level {level + 1}: {ranked.size:,} of {size:,}\nperplexity {_perplexity(ranked):.0f}",
                           fontsize=9.5)  # fmt: skip
            axes.set(xlim=(0.5, size + 0.5), ylim=(0.5 / int(counts.sum(1).max()), top))
            axes.xaxis.get_major_locator().set_params(nbins=4, integer=True)
            axes.xaxis.set_major_formatter("{x:,.0f}")
            log_scale(axes.yaxis)
            axes.set_xlabel("rank of the entry" if level >= levels - columns else "")
            axes.set_ylabel("share of frames" if level % columns == 0 else "")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=7 if columns == 4 else 3)

    frames = int(counts.sum(1).max())
    caption = (
        f"{frames:,} frames, which can use at most {min(frames, size):,} of {size:,} entries of a level. Shaded: all "
        "frames. Where the shading ends, no entry is left that was used."
    )
    return Picture(
        title=title, caption=caption, png=draw(max(5.5, 2.3 * columns), 1.0 + 2.1 * rows_for(levels, 4), put)
    )


def token_picture(tokens: Tokens, *, title: str = "Tokens") -> Picture:
    """Levels by frames of the first clip: a colour for how rare each id is among these very tokens.

    Args:
        tokens: One clip or more; the first 500 frames of the first are drawn, all count.
        title: Of the picture.

    Raises:
        ShapeError: The first clip has no frame.
    """
    frames = int(tokens.lengths[0]) if len(tokens) else 0
    if frames == 0:
        raise ShapeError("the first clip has no frame: there are no tokens to show")
    shares = count_ids(tokens) / int(tokens.lengths.sum())
    shown = tokens.ids[0, :, : min(frames, _FRAMES)].numpy()
    bits = -np.log2(np.take_along_axis(shares, shown, axis=1))
    levels = shown.shape[0]
    step = 1.0 if tokens.spec.hop is None else 1.0 / tokens.spec.frame_rate

    def put(figure: Any) -> None:
        figure.suptitle(words(title))
        (axes,) = panels(figure, 1, 1)
        axes.grid(visible=False)
        image = axes.imshow(bits, origin="lower", aspect="auto", cmap="viridis_r",
                            extent=(0.0, shown.shape[1] * step, 0.5, levels + 0.5))  # fmt: skip
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.set(xlabel="text position" if tokens.spec.hop is None else "time (s)", ylabel="level")
        figure.colorbar(image, ax=axes, label="surprisal (bit)", pad=0.015)

    cut = f" The first {_FRAMES} of {frames:,} frames." if frames > _FRAMES else ""
    cut += f" Clip 1 of {len(tokens)}." if len(tokens) > 1 else ""
    caption = f"Dark: an id that is rare among these tokens; its surprisal is −log2 of its share of the frames.{cut}"
    return Picture(title=title, caption=caption, png=draw(8.0, 1.6 + 0.22 * min(levels, 16), put))


def count_ids(tokens: Tokens) -> Int[ndarray, "Q K"]:
    """Frames of all clips that chose each entry of each level; padding does not count."""
    real = torch.arange(tokens.ids.shape[2])[None] < tokens.lengths[:, None]
    rows = tokens.ids.transpose(0, 1)[:, real]
    return np.stack([torch.bincount(row, minlength=tokens.spec.codebook_size).numpy() for row in rows])


def _mel_powers(audio: Audio) -> Float[ndarray, "S mel"]:
    """Mel bands of the power spectrum, on no absolute scale."""
    hop = max(1, round(audio.sample_rate / 100))
    samples = audio.samples[: int(_SECONDS * audio.sample_rate)]
    padded = torch.from_numpy(np.pad(samples, (0, -samples.size % hop)))[None]
    values = spectra(padded, 4 * hop, hop)[0].abs().square()
    return (values @ mel_filters(audio.sample_rate, 4 * hop, _MELS)).numpy()


def _hertz(axes: Any, rate: int) -> None:
    """Label mel bands with frequencies."""
    fft = 4 * max(1, round(rate / 100))
    peaks = mel_filters(rate, fft, _MELS).argmax(0).numpy() * rate / fft
    marks = [hertz for hertz in _HERTZ if hertz <= rate / 2]
    axes.set_yticks(np.interp(marks, peaks, np.arange(_MELS)), [f"{hertz / 1000:g}" for hertz in marks])
    axes.grid(visible=False)


def _ranked(counts: Int[ndarray, " K"]) -> Float[ndarray, " R"]:
    """Shares of the entries that occur, the largest first."""
    used = np.sort(counts[counts > 0])[::-1]
    return used / max(int(used.sum()), 1)


def _perplexity(shares: Float[ndarray, " R"]) -> float:
    return float(2.0 ** -(shares * np.log2(shares)).sum())
