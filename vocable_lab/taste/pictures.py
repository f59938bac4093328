"""Pictures and audio samples of TASTE's card: attention, spectra with words, prediction within words, codebook use."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from vocable.audio import Audio
from vocable.data.manifest import Utterance
from vocable.errors import ConfigError, VocableError
from vocable.evaluate.canvas import COLORS, SOFT, add_panels, clean_label, draw_figure
from vocable.evaluate.card import Picture, Sample
from vocable.evaluate.pictures import count_ids, plot_codebooks
from vocable.evaluate.plan import derive_seed
from vocable.evaluate.runner import ResultRow
from vocable.features.whisper import WhisperEncoder, log_mel
from vocable.systems.taste.model import UnitPrediction
from vocable.systems.taste.tokenizer import TasteTokenizer
from vocable.tokens import Tokens
from vocable_lab.taste.figures import BINS
from vocable_lab.taste.speech import synthesize
from vocable_lab.taste.words import Spans, Words

_ATTENTION_CLIPS = 2  # clips whose attention is drawn
_MELS = 80
_RANGE = 2.0  # Whisper's log-mel values from dark to light


@dataclass(frozen=True, kw_only=True)
class ClipViews:
    """Some clips of an evaluation, to be shown.

    Attributes:
        name: Name of the tokenizer.
        tokenizer: Tokenizer that is evaluated.
        words: Aligner of their words.
        clips: Manifest lines by key, at least one, each with a text.
        seed: Seed of the sampled units.
    """

    name: str
    tokenizer: TasteTokenizer
    words: Words
    clips: Mapping[str, Utterance]
    seed: int

    @cached_property
    def quantizes(self) -> bool:
        """True if the model has tokens, and so speech from them."""
        return self.tokenizer.config.quantizer is not None

    def spans(self, clip: Utterance, audio: Audio, *, generated: bool = False) -> Spans:
        """Return the times of the words; an empty list where they cannot be aligned.

        Args:
            clip: Manifest line.
            audio: The recording, or speech of the same words.
            generated: Whether the audio is generated, so that the line's alignment does not hold.
        """
        try:
            return self.words.align(clip, audio) if generated else self.words.spans(clip, audio)
        except VocableError:
            return []

    def generate(self, key: str, audio: Audio) -> dict[str, Audio]:
        """Return speech from a recording's units, its tokens and its text; nothing where units have no decoder."""
        source, tokenizer = self.tokenizer.source, self.tokenizer
        samples = audio.resample(source.spec.sample_rate).samples.size
        try:
            found = {"own units": source.speech(source.units(audio), source.voice(audio), samples=samples)}
            if self.quantizes:
                tokens, seed = tokenizer.encode(audio, self.clips[key].text), derive_seed(self.seed, key)
                found["from tokens"] = synthesize(tokenizer, tokens, seed=seed)
                found["from the text only"] = synthesize(tokenizer, tokens, seed=seed, text_only=True)
        except ConfigError:
            return {}
        return found


def pictures(views: ClipViews, rows: Sequence[ResultRow], tokens: Sequence[Tokens]) -> Iterator[Picture]:
    """Draw attention of two clips, spectra of one, top-1 by part of the word, and codebook use.

    Args:
        views: Clips to show.
        rows: Rows of all clips.
        tokens: Tokens of all clips; empty where there is no quantizer.
    """
    for key, clip in list(views.clips.items())[:_ATTENTION_CLIPS]:
        audio = Audio.read(clip.audio_path)
        prediction = views.tokenizer.predict(audio, clip.text or "")
        yield attention_map(prediction, views.spans(clip, audio), title=f"attention of each subword: {key}")
    key, clip = next(iter(views.clips.items()))
    audio = Audio.read(clip.audio_path)
    sounds = [("recording", audio, views.spans(clip, audio))]
    sounds += [(name, one, views.spans(clip, one, generated=True)) for name, one in views.generate(key, audio).items()]
    yield mel_picture(sounds, (clip.text or "").split(), title=key)
    if any("places" in row.extra for row in rows):
        yield word_part_picture(rows, title=f"{views.name}: top-1 by place in the word")
    if tokens:
        counts = np.sum([count_ids(one) for one in tokens], axis=0)
        yield plot_codebooks(counts, title=f"{views.name}: codebook use")


def attention_map(prediction: UnitPrediction, spans: Spans, *, title: str = "Attention of each subword") -> Picture:
    """Draw the attention, averaged over heads, with the times of the words.

    Args:
        prediction: Prediction with attention weights.
        spans: Times of its words; empty where they are unknown.
        title: Title of the picture.
    """
    assert prediction.attention is not None
    weights = prediction.attention.float().mean(0).numpy()
    rows, frames = weights.shape
    seconds = frames / WhisperEncoder.frame_rate
    first = [prediction.subwords.word_ids.index(word) for word in range(prediction.subwords.num_words)]
    matched = len(spans) == prediction.subwords.num_words

    def put(figure: Any) -> None:
        figure.suptitle(clean_label(title))
        (axes,) = add_panels(figure, 1, 1)
        axes.grid(visible=False)
        image = axes.imshow(weights, aspect="auto", cmap="viridis", vmin=0.0, extent=(0.0, seconds, rows, 0.0))
        for place, word in enumerate(first):
            if word:
                axes.axhline(word, color="#ffffff66", linewidth=0.6)
            if matched:
                last = (first[place + 1] if place + 1 < len(first) else rows) - word
                (start, end), corner = spans[place], word
                axes.plot([start, end, end, start, start], [corner, corner, corner + last, corner + last, corner],
                          color=COLORS[1], linewidth=1.0)  # fmt: skip
        names = [clean_label(text, 16) for text in prediction.subwords.texts]
        axes.set_yticks(np.arange(rows) + 0.5, names, fontsize=7.5)
        axes.set(xlim=(0.0, seconds), ylim=(rows, 0), xlabel="time (s)", ylabel="subword")
        figure.colorbar(image, ax=axes, label="weight, mean of the heads", pad=0.015)

    boxes = "Boxes: times of the words, by forced alignment." if matched else "The words could not be aligned."
    return Picture(
        title=title, png=draw_figure(8.0, 1.2 + 0.2 * min(rows, 40), put),
        caption=f"Attention of each subword of the text over time, mean of the heads. {boxes}",
    )  # fmt: skip


def mel_picture(
    sounds: Sequence[tuple[str, Audio, Spans]], texts: Sequence[str], *, title: str = "Spectra with their words"
) -> Picture:
    """Draw log-mel spectra one below the other, with their words.

    Args:
        sounds: Title, audio and times of the words of each.
        texts: The words.
        title: Title of the picture.
    """
    spectra = [_mel(audio) for _, audio, _ in sounds]
    longest = max(len(one) for one in spectra) / 100

    def put(figure: Any) -> None:
        figure.suptitle(clean_label(title))
        rows = add_panels(figure, len(sounds), 1, sharex=True)
        for axes, (name, _, spans), mel in zip(rows, sounds, spectra, strict=True):
            axes.grid(visible=False)
            axes.imshow(mel.T, origin="lower", aspect="auto", cmap="magma", vmin=mel.max() - _RANGE, vmax=mel.max(),
                        extent=(0.0, len(mel) / 100, 0.0, _MELS))  # fmt: skip
            axes.set(title=clean_label(name), xlim=(0.0, longest), ylabel="mel band")
            for place, (start, end) in enumerate(spans):
                axes.axvline(start, color="#ffffff99", linewidth=0.7)
                axes.axvline(end, color="#ffffff99", linewidth=0.7)
                if len(spans) == len(texts):
                    axes.text((start + end) / 2, _MELS - 3, clean_label(texts[place].lower(), 14), color="#ffffff",
                              ha="center", va="top", fontsize=7.5)  # fmt: skip
        rows[-1].set_xlabel("time (s)")

    return Picture(
        title=title, png=draw_figure(8.0, 0.7 + 1.8 * len(sounds), put),
        caption="Input spectra of Whisper, 80 mel bands up to 8 kHz. Lines: start and end of words, of the recording "
        "from its manifest line if it has an alignment, else by forced alignment.",
    )  # fmt: skip


def word_part_picture(rows: Sequence[ResultRow], *, title: str = "Top-1 by place in the word") -> Picture:
    """Draw top-1 accuracy from the start to the end of a word, and in silence.

    Args:
        rows: Rows with facts ``places``, ``hits`` and ``text_only_hits``.
        title: Title of the picture.
    """
    aligned = [row for row in rows if "places" in row.extra]
    parts = np.concatenate([row.extra["places"] for row in aligned])
    count = np.bincount(parts, minlength=BINS + 1)
    lines = {
        name: np.bincount(parts, np.concatenate([row.extra[key] for row in aligned]), minlength=BINS + 1)
        for name, key in (("with speech", "hits"), ("text only", "text_only_hits"))
    }
    middles = np.append((np.arange(BINS) + 0.5) / BINS, 1.15)

    def put(figure: Any) -> None:
        figure.suptitle(clean_label(title))
        (axes,) = add_panels(figure, 1, 1)
        for index, (name, hits) in enumerate(lines.items()):
            shares = np.where(count > 0, hits / np.maximum(count, 1), np.nan)
            axes.plot(middles[:-1], shares[:-1], color=COLORS[index], marker="os"[index], markersize=4, label=name)
            axes.plot(middles[-1:], shares[-1:], color=COLORS[index], marker="os"[index], markersize=6, linestyle="")
        axes.axvline(1.0, color=SOFT, linewidth=0.8)
        axes.set_xticks([0.0, 0.25, 0.5, 0.75, 1.0, 1.15], ["0", "¼", "½", "¾", "1", "silence"])
        axes.set(xlim=(0.0, 1.25), ylim=(0.0, None), xlabel="place in the word", ylabel="top-1")
        axes.legend()

    return Picture(
        title=title, png=draw_figure(6.4, 3.2, put),
        caption=f"{int(count.sum()):,} units of {len(aligned)} aligned clips, each given the recording's units before "
        f"it; {int(count[-1]):,} lie in no word.",
    )  # fmt: skip


def samples(views: ClipViews) -> Iterator[Sample]:
    """Yield recordings with speech from their own units, from tokens, and from the text alone."""
    notes = {
        "own units": "the recording's units, decoded by their source",
        "from tokens": "units sampled one by one from the speech tokens of each subword",
        "from the text only": "the same without speech tokens",
    }
    for key, clip in views.clips.items():
        audio = Audio.read(clip.audio_path)
        made = {name: (one, notes[name]) for name, one in views.generate(key, audio).items()}
        facts = {"speaker": clip.speaker or "", "text": clip.text or ""}
        if made:
            why = f"{clip.speaker or 'a recording'}, with generated speech"
            yield Sample(utterance=key, reason=why, labels=facts, recording=audio, versions=made)


def _mel(audio: Audio) -> Float[ndarray, "S mel"]:
    samples = torch.from_numpy(audio.resample(WhisperEncoder.sample_rate).samples)[None]
    return log_mel(samples, torch.tensor([samples.shape[1]]), _MELS)[0].numpy()
