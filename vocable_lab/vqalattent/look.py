"""VQalAttent laid open: sheets of pictures, codebook use by label, where the prior looks, and speech to listen to."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from vocable.audio import Audio
from vocable.data.manifest import Utterance
from vocable.evaluate.canvas import add_panels, clean_label, draw_figure
from vocable.evaluate.card import Picture, Sample
from vocable.evaluate.pictures import count_ids
from vocable.systems.vqalattent.tokenizer import VqalattentTokenizer
from vocable.tokens import Tokens
from vocable_lab.vqalattent.attention import plot_attention
from vocable_lab.vqalattent.figures import picked

_LISTEN = 3  # labels to hear at the top of the page; the others stand below
_FAKES = 2  # of each, to hear


@dataclass(frozen=True, kw_only=True)
class Look:
    """What there is to look at.

    Attributes:
        name: Of the tokenizer.
        tokenizer: It.
        clips: Recordings by key.
        key: Of the manifest, that labels them.
        fakes: What was drawn.
        labels: Of each fake.
    """

    name: str
    tokenizer: VqalattentTokenizer
    clips: Mapping[str, Utterance]
    key: str
    fakes: Tokens
    labels: Sequence[str]

    def by_label(self) -> Iterator[tuple[str, str, Utterance, Tokens]]:
        """For each label a recording that says it, with its key, and all fakes of it."""
        column = np.array(self.labels, dtype=object)
        for label in dict.fromkeys(sorted(self.labels, key=lambda name: (len(name), name))):
            said = [(key, clip) for key, clip in self.clips.items() if clip.value(self.key) == label]
            if said:
                yield label, *said[len(said) // 2], picked(self.fakes, np.flatnonzero(column == label))


def pictures(look: Look) -> Iterator[Picture]:
    """A sheet, codebook use by label, and attention of the first and the last block."""
    rows = list(look.by_label())
    if not rows:
        return
    yield sheet(look, rows)
    yield histograms(look, rows)
    _, key, clip, _ = rows[0]
    tokens = look.tokenizer.encode(Audio.read(clip.audio_path))
    said = {name: clip.value(name) for name in look.tokenizer.labels}
    asked = {name: said[name] if said[name] in values else values[0] for name, values in look.tokenizer.labels.items()}
    maps = look.tokenizer.attention(tokens, [asked])
    for name, weights in (("first", maps[0]), ("last", maps[-1])):
        yield plot_attention(
            weights[0].numpy(), names=("position", "looks at"),
            title=f"{look.name}: attention of the {name} block on {key}",
        )  # fmt: skip


def sheet(look: Look, rows: Sequence[tuple[str, str, Utterance, Tokens]]) -> Picture:
    """For every label, a column: the picture of a recording, its reconstruction, and two fakes."""
    columns = []
    for label, _, clip, fakes in rows:
        audio = Audio.read(clip.audio_path)
        made = look.tokenizer.decode_images(picked(fakes, np.arange(min(_FAKES, len(fakes)))))
        again = look.tokenizer.decode_images(look.tokenizer.encode(audio))
        columns.append((label, torch.cat([look.tokenizer.image(audio)[None], again, made]).numpy()))
    names = ("recording", "reconstruction", *(f"fake {number}" for number in range(1, _FAKES + 1)))

    def put(figure: Any) -> None:
        figure.suptitle(clean_label(f"{look.name}: recordings, reconstructions, fakes"))
        axes = add_panels(figure, len(names) * len(columns), len(columns))
        for place, (label, images) in enumerate(columns):
            for row, name in enumerate(names):
                axis = axes[row * len(columns) + place]
                axis.set_xticks([])
                axis.set_yticks([])
                axis.grid(visible=False)
                if row < len(images):
                    axis.imshow(images[row], origin="lower", aspect="auto", cmap="magma", vmin=0, vmax=1)
                if row == 0:
                    axis.set_title(clean_label(label))
                if place == 0:
                    axis.set_ylabel(clean_label(name))

    image = look.tokenizer.config.image
    return Picture(
        title=f"{look.name}: recordings, reconstructions, fakes",
        caption=f"{image.bins} mel bands, low to high, by {image.frames} spectra spread over the utterance; a column "
        f"for each {look.key}, one scale of {image.range_db:g} dB. Recordings are of the split that was judged.",
        png=draw_figure(1.0 + 1.1 * len(columns), 1.2 + 1.1 * len(names), put),
    )


def histograms(look: Look, rows: Sequence[tuple[str, str, Utterance, Tokens]]) -> Picture:
    """How often the fakes of each label use each entry: a line of shades a label."""
    counts = np.stack([count_ids(fakes)[0] for *_, fakes in rows])
    order = np.argsort(-counts.sum(0), kind="stable")
    shares = counts[:, order] / counts.sum(1, keepdims=True)

    def put(figure: Any) -> None:
        figure.suptitle(clean_label(f"{look.name}: codebook use by {look.key}"))
        (axis,) = add_panels(figure, 1, 1)
        axis.grid(visible=False)
        image = axis.imshow(np.log10(np.maximum(shares, 1e-5)), aspect="auto", cmap="magma", interpolation="nearest")
        axis.set_yticks(range(len(rows)), [clean_label(label) for label, *_ in rows])
        axis.set_xlabel("entry, the commonest of all fakes first")
        figure.colorbar(image, ax=axis, label="log10 of the share of ids")

    used = int((counts.sum(0) > 0).sum())
    return Picture(
        title=f"{look.name}: codebook use by {look.key}",
        caption=f"A line is the histogram of one {look.key}'s fakes; {used} of {counts.shape[1]} entries are "
        "used. Columns that differ from line to line tell labels apart.",
        png=draw_figure(10.0, 1.4 + 0.28 * len(rows), put),
    )


def samples(look: Look) -> Iterator[Sample]:
    """For every label a recording, its reconstruction and fakes, to listen to."""
    for place, (label, key, clip, fakes) in enumerate(look.by_label()):
        recording = Audio.read(clip.audio_path)
        tokens = look.tokenizer.encode(recording)
        made = {"reconstruction": (look.tokenizer.decode(tokens), f"{look.name}, {look.tokenizer.vocoder.name}")}
        for number in range(min(_FAKES, len(fakes))):
            speech = look.tokenizer.decode(fakes.clip(number))
            made[f"fake {number + 1}"] = (speech, "nobody said this")
        why = f"{look.key} {label}" if place < _LISTEN else f"best {look.key} {label}"
        facts = {"speaker": clip.speaker or "", look.key: label}
        yield Sample(utterance=key, reason=why, labels=facts, recording=recording, versions=made)
