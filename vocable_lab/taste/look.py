"""What there is to see and to hear of TASTE: where subwords look, spectra with words, units by place in a word."""

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
from vocable_lab.taste.speech import said
from vocable_lab.taste.words import Spans, Words

_MAPS = 2  # clips whose attention is drawn
_MELS = 80
_RANGE = 2.0  # of Whisper's log-mel values from dark to light


@dataclass(frozen=True, kw_only=True)
class Views:
    """What there is to look at and to listen to.

    Attributes:
        name: Of the tokenizer.
        tokenizer: It.
        words: Knows when they are said.
        clips: By key, one at least, each with a text.
        seed: Of what is drawn.
    """

    name: str
    tokenizer: TasteTokenizer
    words: Words
    clips: Mapping[str, Utterance]
    seed: int

    @cached_property
    def quantizes(self) -> bool:
        """Whether there are tokens, and so speech from them."""
        return self.tokenizer.config.quantizer is not None

    def spans(self, clip: Utterance, audio: Audio, *, found: bool = False) -> Spans:
        """When the words are said; none where that cannot be told.

        Args:
            clip: Its line.
            audio: The recording, or what was made of it.
            found: They are looked for, whatever the line says.
        """
        try:
            return self.words.found(clip, audio) if found else self.words.said(clip, audio)
        except VocableError:
            return []

    def made(self, key: str, audio: Audio) -> dict[str, Audio]:
        """What becomes of a recording, where it can be said at all."""
        source, tokenizer = self.tokenizer.source, self.tokenizer
        samples = audio.resample(source.spec.sample_rate).samples.size
        try:
            found = {"own units": source.speech(source.units(audio), source.voice(audio), samples=samples)}
            if self.quantizes:
                tokens, seed = tokenizer.encode(audio, self.clips[key].text), derive_seed(self.seed, key)
                found["from tokens"] = said(tokenizer, tokens, seed=seed)
                found["from the text only"] = said(tokenizer, tokens, seed=seed, text_only=True)
        except ConfigError:  # these units have no decoder
            return {}
        return found


def pictures(views: Views, rows: Sequence[ResultRow], tokens: Sequence[Tokens]) -> Iterator[Picture]:
    """Attention of two clips, spectra of one, top-1 by place in the word, codebook use.

    Args:
        views: What is shown.
        rows: Of all clips.
        tokens: Of all clips; none where there is no quantizer.
    """
    for key, clip in list(views.clips.items())[:_MAPS]:
        audio = Audio.read(clip.audio_path)
        look = views.tokenizer.predict(audio, clip.text or "")
        yield attention_map(look, views.spans(clip, audio), title=f"where each subword looks: {key}")
    key, clip = next(iter(views.clips.items()))
    audio = Audio.read(clip.audio_path)
    sounds = [("recording", audio, views.spans(clip, audio))]
    sounds += [(name, one, views.spans(clip, one, found=True)) for name, one in views.made(key, audio).items()]
    yield mel_picture(sounds, (clip.text or "").split(), title=key)
    if any("places" in row.extra for row in rows):
        yield places_picture(rows, title=f"{views.name}: top-1 by place in the word")
    if tokens:
        counts = np.sum([count_ids(one) for one in tokens], axis=0)
        yield plot_codebooks(counts, title=f"{views.name}: codebook use")


def attention_map(look: UnitPrediction, spans: Spans, *, title: str = "Where each subword looks") -> Picture:
    """Mean of the heads, subwords from top to bottom, with the borders of words by forced alignment.

    Args:
        look: With weights.
        spans: Of its words; none where they are not known.
        title: Of the picture.
    """
    assert look.attention is not None
    looked = look.attention.float().mean(0).numpy()
    rows, frames = looked.shape
    seconds = frames / WhisperEncoder.frame_rate
    first = [look.subwords.word_ids.index(word) for word in range(look.subwords.num_words)]
    matched = len(spans) == look.subwords.num_words

    def put(figure: Any) -> None:
        figure.suptitle(clean_label(title))
        (axes,) = add_panels(figure, 1, 1)
        axes.grid(visible=False)
        image = axes.imshow(looked, aspect="auto", cmap="viridis", vmin=0.0, extent=(0.0, seconds, rows, 0.0))
        for place, word in enumerate(first):
            if word:
                axes.axhline(word, color="#ffffff66", linewidth=0.6)
            if matched:
                last = (first[place + 1] if place + 1 < len(first) else rows) - word
                (start, end), corner = spans[place], word
                axes.plot([start, end, end, start, start], [corner, corner, corner + last, corner + last, corner],
                          color=COLORS[1], linewidth=1.0)  # fmt: skip
        axes.set_yticks(np.arange(rows) + 0.5, [clean_label(text, 16) for text in look.subwords.texts], fontsize=7.5)
        axes.set(xlim=(0.0, seconds), ylim=(rows, 0), xlabel="time (s)", ylabel="subword")
        figure.colorbar(image, ax=axes, label="weight, mean of the heads", pad=0.015)

    borders = "Frames around words: when they are said, by forced alignment." if matched else "Nothing is aligned."
    return Picture(
        title=title, png=draw_figure(8.0, 1.2 + 0.2 * min(rows, 40), put),
        caption=f"What each subword of the text looks at, from left to right in time. {borders}",
    )  # fmt: skip


def mel_picture(
    sounds: Sequence[tuple[str, Audio, Spans]], texts: Sequence[str], *, title: str = "Spectra with their words"
) -> Picture:
    """Log-mel spectra one below the other, with the words where they are said.

    Args:
        sounds: Title, clip and time of the words of each.
        texts: The words.
        title: Of the whole picture.
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
        caption="Spectra as Whisper hears them, 80 mel bands up to 8 kHz. Lines: beginning and end of words, of the "
        "recording as its line has them, else by forced alignment of what is heard.",
    )  # fmt: skip


def places_picture(rows: Sequence[ResultRow], *, title: str = "Top-1 by place in the word") -> Picture:
    """How often the likeliest unit is right, from the beginning to the end of a word, and in silence.

    Args:
        rows: With facts ``places``, ``hits`` and ``text_only_hits``.
        title: Of the picture.
    """
    told = [row for row in rows if "places" in row.extra]
    where = np.concatenate([row.extra["places"] for row in told])
    count = np.bincount(where, minlength=BINS + 1)
    lines = {
        name: np.bincount(where, np.concatenate([row.extra[key] for row in told]), minlength=BINS + 1)
        for name, key in (("speech heard", "hits"), ("text only", "text_only_hits"))
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
        caption=f"{int(count.sum()):,} units of {len(told)} aligned clips, each given those before it that were really "
        f"said; {int(count[-1]):,} lie in no word.",
    )  # fmt: skip


def samples(views: Views) -> Iterator[Sample]:
    """Recordings, what the source makes of their own units, and what is made of tokens and of the text alone."""
    notes = {
        "own units": "the recording's units, decoded by their source",
        "from tokens": "units drawn one by one for what was heard of each subword",
        "from the text only": "the same without what was heard",
    }
    for key, clip in views.clips.items():
        audio = Audio.read(clip.audio_path)
        made = {name: (one, notes[name]) for name, one in views.made(key, audio).items()}
        facts = {"speaker": clip.speaker or "", "text": clip.text or ""}
        if made:
            why = f"{clip.speaker or 'a recording'}, and what becomes of it"
            yield Sample(utterance=key, reason=why, labels=facts, recording=audio, versions=made)


def _mel(audio: Audio) -> Float[ndarray, "S mel"]:
    samples = torch.from_numpy(audio.resample(WhisperEncoder.sample_rate).samples)[None]
    return log_mel(samples, torch.tensor([samples.shape[1]]), _MELS)[0].numpy()
