"""Pictures and audio samples of VQalAttent's card: images by label, codebook use, attention, and speech."""

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
from vocable_lab.shared.pictures import usage_picture
from vocable_lab.vqalattent.attention import plot_attention
from vocable_lab.vqalattent.figures import select_rows

_TOP_LABELS = 3  # labels whose samples stand at the top of the page
_FAKES = 2  # fakes of each label that are shown


@dataclass(frozen=True, kw_only=True)
class GeneratedSpeech:
    """Generated utterances of one tokenizer beside recordings, to be shown.

    Attributes:
        name: Name of the tokenizer.
        tokenizer: Tokenizer that generated the utterances.
        clips: Recordings by key.
        key: Manifest key whose values are the labels.
        fakes: Generated tokens.
        labels: Label of each generated utterance.
    """

    name: str
    tokenizer: VqalattentTokenizer
    clips: Mapping[str, Utterance]
    key: str
    fakes: Tokens
    labels: Sequence[str]

    def by_label(self) -> Iterator[tuple[str, str, Utterance, Tokens]]:
        """Yield each label with the key and line of a recording of it, and all fakes of it."""
        rows = np.array(self.labels, dtype=object)
        for label in dict.fromkeys(sorted(self.labels, key=lambda name: (len(name), name))):
            recordings = [(key, clip) for key, clip in self.clips.items() if clip.value(self.key) == label]
            if recordings:
                yield label, *recordings[len(recordings) // 2], select_rows(self.fakes, np.flatnonzero(rows == label))


def pictures(speech: GeneratedSpeech) -> Iterator[Picture]:
    """Draw images by label, codebook use by label, and attention of the first and the last block."""
    rows = list(speech.by_label())
    if not rows:
        return
    yield image_sheet(speech, rows)
    yield label_usage(speech, rows)
    _, key, clip, _ = rows[0]
    tokens = speech.tokenizer.encode(Audio.read(clip.audio_path))
    labels = {}
    for name, values in speech.tokenizer.labels.items():
        value = clip.value(name)
        labels[name] = value if value in values else values[0]
    device, indices = speech.tokenizer.device, speech.tokenizer.label_indices([labels])
    maps = speech.tokenizer.model.prior.attention(tokens.ids[:, 0].to(device), indices.to(device))
    for name, weights in (("first", maps[0]), ("last", maps[-1])):
        yield plot_attention(
            weights[0].cpu().numpy(), names=("position", "looks at"),
            title=f"{speech.name}: attention of the {name} block on {key}",
        )  # fmt: skip


def image_sheet(speech: GeneratedSpeech, rows: Sequence[tuple[str, str, Utterance, Tokens]]) -> Picture:
    """Draw one column a label: the image of a recording, its reconstruction, and two fakes."""
    tokenizer, columns = speech.tokenizer, []
    for label, _, clip, fakes in rows:
        audio = Audio.read(clip.audio_path)
        generated = tokenizer.decode_images(select_rows(fakes, np.arange(min(_FAKES, len(fakes)))))
        reconstruction = tokenizer.decode_images(tokenizer.encode(audio))
        columns.append((label, torch.cat([tokenizer.image(audio)[None], reconstruction, generated]).numpy()))
    names = ("recording", "reconstruction", *(f"fake {number}" for number in range(1, _FAKES + 1)))
    title = f"{speech.name}: recordings, reconstructions, fakes"

    def put(figure: Any) -> None:
        figure.suptitle(clean_label(title))
        axes = add_panels(figure, len(names) * len(columns), len(columns))
        for column, (label, images) in enumerate(columns):
            for row, name in enumerate(names):
                axis = axes[row * len(columns) + column]
                axis.set_xticks([])
                axis.set_yticks([])
                axis.grid(visible=False)
                if row < len(images):
                    axis.imshow(images[row], origin="lower", aspect="auto", cmap="magma", vmin=0, vmax=1)
                if row == 0:
                    axis.set_title(clean_label(label))
                if column == 0:
                    axis.set_ylabel(clean_label(name))

    image = tokenizer.config.image
    return Picture(
        title=title,
        caption=f"{image.bins} mel bands, low to high, by {image.frames} spectra spread over the utterance; one column "
        f"for each {speech.key}, one scale of {image.range_db:g} dB. Recordings are of the evaluated split.",
        png=draw_figure(1.0 + 1.1 * len(columns), 1.2 + 1.1 * len(names), put),
    )


def label_usage(speech: GeneratedSpeech, rows: Sequence[tuple[str, str, Utterance, Tokens]]) -> Picture:
    """Draw how often the fakes of each label use each codebook entry."""
    counts = np.stack([count_ids(fakes)[0] for *_, fakes in rows])
    used = int((counts.sum(0) > 0).sum())
    return usage_picture(
        counts, [label for label, *_ in rows], np.argsort(-counts.sum(0), kind="stable"),
        title=f"{speech.name}: codebook use by {speech.key}", axis="entry, the commonest of all fakes first",
        caption=f"A line is the histogram of one {speech.key}'s fakes; {used} of {counts.shape[1]} entries are "
        "used. Columns that differ from line to line distinguish labels.",
        row_height=0.28,
    )  # fmt: skip


def samples(speech: GeneratedSpeech) -> Iterator[Sample]:
    """Yield for each label a recording, its reconstruction and fakes, to listen to."""
    tokenizer = speech.tokenizer
    for place, (label, key, clip, fakes) in enumerate(speech.by_label()):
        recording = Audio.read(clip.audio_path)
        decoded = tokenizer.decode(tokenizer.encode(recording))
        made = {"reconstruction": (decoded, f"{speech.name}, {tokenizer.vocoder.name}")}
        for number in range(min(_FAKES, len(fakes))):
            made[f"fake {number + 1}"] = (tokenizer.decode(fakes.clip(number)), "generated")
        why = f"{speech.key} {label}" if place < _TOP_LABELS else f"best {speech.key} {label}"
        facts = {"speaker": clip.speaker or "", speech.key: label}
        yield Sample(utterance=key, reason=why, labels=facts, recording=recording, versions=made)
