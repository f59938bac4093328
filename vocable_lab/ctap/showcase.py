"""Pictures and sounds of an evaluated VQ-CTAP: similarities, projections, spectrograms, and speech to listen to."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vocable.audio import Audio
from vocable.data.alignment import Alignment
from vocable.data.manifest import Utterance
from vocable.errors import VocableError
from vocable.evaluate.canvas import add_panels, clean_label, draw_figure
from vocable.evaluate.card import Picture, Sample
from vocable.evaluate.pictures import plot_log_mel, plot_projection
from vocable.systems.ctap.tokenizer import CtapTokenizer
from vocable.text.phonemes import SILENCE
from vocable_lab.ctap.frames import PairedFrames, embed_frames, join_frames
from vocable_lab.ctap.sentences import speak_sentence
from vocable_lab.shared.phones import PhoneReader

MAX_CLIPS = 5  # clips to listen to
_MAX_SENTENCES = 4  # sentences to listen to
_MAX_SECONDS = 6.0  # of the clip whose similarities are drawn
_MAX_POINTS = 400  # of either kind in a projection
_CLASSES = {
    "vowel": "AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW",
    "stop or affricate": "B CH D G JH K P T",
    "fricative": "DH F HH S SH TH V Z ZH",
    "nasal": "M N NG",
    "approximant": "L R W Y",
    "silence": SILENCE,
}
_CLASS_OF = {phone: name for name, phones in _CLASSES.items() for phone in phones.split()}


@dataclass(frozen=True, kw_only=True)
class Showcase:
    """Clips and sentences that pictures and sounds are made of.

    Attributes:
        name: Name of the tokenizer.
        tokenizer: Tokenizer that is evaluated.
        phones: Reader of phones and their times.
        clips: Clips by key, at least one.
        voices: Recording that each clip is converted to, by the clip's key.
        sentences: Recording that lends its voice to each synthesized sentence, by text.
        seed: Seed of everything that is sampled.
    """

    name: str
    tokenizer: CtapTokenizer
    phones: PhoneReader
    clips: Mapping[str, Utterance]
    voices: Mapping[str, Utterance]
    sentences: Mapping[str, Utterance]
    seed: int

    def aligned(self) -> Iterator[tuple[str, Audio, Alignment]]:
        """Yield key, recording and alignment of the clips that can be aligned, the shortest first."""
        for key, clip in sorted(self.clips.items(), key=lambda item: (item[1].duration or 0.0, item[0])):
            audio = Audio.read(clip.audio_path)
            try:
                yield key, audio, self.phones.alignment(clip, audio)
            except VocableError:
                continue


def draw_pictures(showcase: Showcase) -> Iterator[Picture]:
    """Draw similarities of one clip, two projections of the frames of several, and spectrograms of one."""
    aligned = list(showcase.aligned())
    if aligned:
        yield draw_similarities(showcase, *aligned[0])
        frames = [embed_frames(showcase.tokenizer, audio, alignment) for _, audio, alignment in aligned]
        yield from draw_projections(showcase, join_frames(frames))
    key, clip = next(iter(showcase.clips.items()))
    recording = Audio.read(clip.audio_path)
    tokens, voice = showcase.tokenizer.encode(recording), showcase.voices[key]
    yield plot_log_mel(
        [
            (f"recording of {clip.speaker}", recording),
            ("reconstruction", showcase.tokenizer.decode(tokens)),
            (f"converted to {voice.speaker}", showcase.tokenizer.decode(tokens, Audio.read(voice.audio_path))),
        ],
        title=f"{showcase.name}: {key}",
    )


def draw_similarities(showcase: Showcase, key: str, audio: Audio, alignment: Alignment) -> Picture:
    """Draw the similarity of every speech frame and every phoneme frame of a clip, with phoneme boundaries."""
    frames = embed_frames(showcase.tokenizer, audio, alignment)
    count = min(len(frames.labels), round(_MAX_SECONDS * showcase.tokenizer.spec.frame_rate))
    similarities = scaled_products(frames)[:count, :count].numpy()
    seconds = 1.0 / showcase.tokenizer.spec.frame_rate
    shown = [segment for segment in alignment.segments if segment.start < count * seconds]

    def put(figure: Any) -> None:
        figure.suptitle(clean_label(f"{showcase.name}: speech against phonemes"))
        (axes,) = add_panels(figure, 1, 1)
        axes.grid(visible=False)
        bound = float(np.abs(similarities).max()) or 1.0
        image = axes.imshow(similarities, cmap="PuOr_r", vmin=-bound, vmax=bound, extent=(0.0, count, count, 0.0))
        for segment in shown[1:]:
            boundary = segment.start / seconds
            axes.axvline(boundary, color="#00000066", linewidth=0.5)
            axes.axhline(boundary, color="#00000066", linewidth=0.5)
        centers = [(segment.start + min(segment.end, count * seconds)) / 2 / seconds for segment in shown]
        names = [clean_label(segment.symbol) for segment in shown]
        axes.set_xticks(centers, names, rotation=90, fontsize=7)
        axes.set_yticks(centers, names, fontsize=7)
        axes.set(xlabel="phoneme frame (P)", ylabel="speech frame (S)")
        figure.colorbar(image, ax=axes, label="S · P / √D", pad=0.02)

    cut = f" The first {_MAX_SECONDS:g} s." if count < len(frames.labels) else ""
    return Picture(
        title=f"{showcase.name}: speech against phonemes",
        caption=f"{key}: dot products of its {count} speech and phoneme frames over the root of their width; lines are "
        f"the boundaries of phonemes. A bright diagonal says that speech finds its own frame; bright squares, that it "
        f"finds the phoneme and not the frame.{cut}",
        png=draw_figure(8.0, 6.6, put),
    )


def scaled_products(frames: PairedFrames) -> Float[Tensor, "N N"]:
    """Return the dot products of speech and phoneme embeddings over √D, (N speech, N phoneme)."""
    return frames.speech @ frames.phonemes.T / frames.speech.shape[1] ** 0.5


def draw_projections(showcase: Showcase, frames: PairedFrames) -> Iterator[Picture]:
    """Draw speech and phoneme frames in one plane, colored by kind and by class of phoneme."""
    names = showcase.tokenizer.phonemes.names(frames.labels.tolist())
    rows = np.unique(np.linspace(0, len(names) - 1, min(_MAX_POINTS, len(names))).round().astype(int))
    vectors = torch.cat([frames.speech[rows], frames.phonemes[rows]]).float().numpy()
    classes = [_CLASS_OF.get(names[row], "other") for row in rows] * 2
    kinds = ["speech (S)"] * len(rows) + ["phonemes (P)"] * len(rows)
    for title, labels in (("kind", kinds), ("class of phoneme", classes)):
        try:
            yield plot_projection(
                vectors, labels, method="tsne", seed=showcase.seed, title=f"{showcase.name}: frames by {title}"
            )
        except VocableError:  # a model that embeds all frames alike has no projection
            return


def make_samples(showcase: Showcase) -> Iterator[Sample]:
    """Yield recordings with their reconstructions and conversions, and synthesized sentences."""
    for key, clip in showcase.clips.items():
        recording, voice = Audio.read(clip.audio_path), Audio.read(showcase.voices[key].audio_path)
        tokens = showcase.tokenizer.encode(recording)
        phones = " ".join(showcase.tokenizer.transcribe(tokens))
        target = showcase.voices[key].speaker or "another"
        made = {
            "reconstruction": (showcase.tokenizer.decode(tokens), f"read from its codes: {phones}"),
            f"converted to {target}": (showcase.tokenizer.decode(tokens, voice), "the same codes, another voice"),
            f"{target} speaking": (voice, "the recording that lends its voice"),
        }
        why = f"{clip.speaker or 'a recording'}, then the words in the voice of {target}"
        facts = {"speaker": clip.speaker or "", "text": clip.text or ""}
        yield Sample(utterance=key, reason=why, labels=facts, recording=recording, versions=made)
    for text, clip in list(showcase.sentences.items())[:_MAX_SENTENCES]:
        voice = Audio.read(clip.audio_path)
        tokens, shuffled = speak_sentence(showcase.tokenizer, text, voice, seed=showcase.seed)
        made = {
            "spoken from text": (showcase.tokenizer.decode(tokens), "synthesized"),
            "the same codes, shuffled": (showcase.tokenizer.decode(shuffled), "in random order"),
        }
        facts = {"speaker": clip.speaker or "", "text": text}
        why = f"{clip.speaker or 'a recording'} lends a voice to a synthesized sentence"
        yield Sample(utterance=text, reason=why, labels=facts, recording=voice, versions=made)
