"""VQ-CTAP laid open: speech against phonemes, both in one plane, spectrograms, and speech to listen to."""

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
from vocable_lab.ctap import sentences as ctap_sentences
from vocable_lab.ctap.frames import Frames, frames_of, joined
from vocable_lab.shared.phones import Phones

SHOWN = 5  # clips to listen to
_SPOKEN = 4  # sentences to listen to
_LONGEST = 6.0  # seconds of the clip whose similarities are drawn
_POINTS = 400  # of either kind in the plane
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
class Look:
    """What there is to look at and to listen to.

    Attributes:
        name: Of the tokenizer.
        tokenizer: It.
        phones: Knows what is said when.
        clips: By key, one at least.
        voices: Whose voice each clip is converted to.
        sentences: Those spoken from text, with the recording that lends the voice.
        seed: Of what is drawn.
    """

    name: str
    tokenizer: CtapTokenizer
    phones: Phones
    clips: Mapping[str, Utterance]
    voices: Mapping[str, Utterance]
    sentences: Mapping[str, Utterance]
    seed: int

    def aligned(self) -> Iterator[tuple[str, Audio, Alignment]]:
        """Clips whose phonemes can be found, the shortest first."""
        for key, clip in sorted(self.clips.items(), key=lambda one: (one[1].duration or 0.0, one[0])):
            audio = Audio.read(clip.audio_path)
            try:
                yield key, audio, self.phones.alignment(clip, audio)
            except VocableError:
                continue


def pictures(look: Look) -> Iterator[Picture]:
    """Similarities of one clip, frames of several in a plane twice over, spectrograms of one."""
    aligned = list(look.aligned())
    if aligned:
        yield similarities(look, *aligned[0])
        yield from planes(look, joined([frames_of(look.tokenizer, audio, when) for _, audio, when in aligned]))
    key, clip = next(iter(look.clips.items()))
    recording = Audio.read(clip.audio_path)
    tokens, voice = look.tokenizer.encode(recording), look.voices[key]
    yield plot_log_mel(
        [
            (f"recording of {clip.speaker}", recording),
            ("reconstruction", look.tokenizer.decode(tokens)),
            (f"converted to {voice.speaker}", look.tokenizer.decode(tokens, Audio.read(voice.audio_path))),
        ],
        title=f"{look.name}: {key}",
    )


def similarities(look: Look, key: str, audio: Audio, alignment: Alignment) -> Picture:
    """Every speech frame of a clip against every phoneme frame, with the phonemes' boundaries."""
    frames = frames_of(look.tokenizer, audio, alignment)
    count = min(len(frames.said), round(_LONGEST * look.tokenizer.spec.frame_rate))
    scores = scaled_products(frames)[:count, :count].numpy()
    seconds = 1.0 / look.tokenizer.spec.frame_rate
    inside = [segment for segment in alignment.segments if segment.start < count * seconds]

    def put(figure: Any) -> None:
        figure.suptitle(clean_label(f"{look.name}: speech against phonemes"))
        (axes,) = add_panels(figure, 1, 1)
        axes.grid(visible=False)
        bound = float(np.abs(scores).max()) or 1.0
        image = axes.imshow(scores, cmap="PuOr_r", vmin=-bound, vmax=bound, extent=(0.0, count, count, 0.0))
        for segment in inside[1:]:
            at = segment.start / seconds
            axes.axvline(at, color="#00000066", linewidth=0.5)
            axes.axhline(at, color="#00000066", linewidth=0.5)
        middles = [(one.start + min(one.end, count * seconds)) / 2 / seconds for one in inside]
        names = [clean_label(one.symbol) for one in inside]
        axes.set_xticks(middles, names, rotation=90, fontsize=7)
        axes.set_yticks(middles, names, fontsize=7)
        axes.set(xlabel="phoneme frame (P)", ylabel="speech frame (S)")
        figure.colorbar(image, ax=axes, label="S · P / √D", pad=0.02)

    cut = f" The first {_LONGEST:g} s." if count < len(frames.said) else ""
    return Picture(
        title=f"{look.name}: speech against phonemes",
        caption=f"{key}: dot products of its {count} speech and phoneme frames over the root of their width; lines are "
        f"the boundaries of phonemes. A bright diagonal says that speech finds its own frame; bright squares, that it "
        f"finds the phoneme and not the frame.{cut}",
        png=draw_figure(8.0, 6.6, put),
    )


def scaled_products(frames: Frames) -> Float[Tensor, "N N"]:
    """S · Pᵀ over the root of the width."""
    return frames.speech @ frames.phonemes.T / frames.speech.shape[1] ** 0.5


def planes(look: Look, frames: Frames) -> Iterator[Picture]:
    """Speech and phoneme frames in one plane, by kind and by class of phoneme."""
    names = look.tokenizer.phonemes.names(frames.said.tolist())
    some = np.unique(np.linspace(0, len(names) - 1, min(_POINTS, len(names))).round().astype(int))
    vectors = torch.cat([frames.speech[some], frames.phonemes[some]]).float().numpy()
    sounds = [_CLASS_OF.get(names[at], "other") for at in some] * 2
    kinds = ["speech (S)"] * len(some) + ["phonemes (P)"] * len(some)
    for by, labels in (("kind", kinds), ("class of phoneme", sounds)):
        try:
            yield plot_projection(vectors, labels, method="tsne", seed=look.seed, title=f"{look.name}: frames by {by}")
        except VocableError:  # of a model that gives all frames one place
            return


def samples(look: Look) -> Iterator[Sample]:
    """Recordings, what becomes of them, and sentences that nobody said."""
    for key, clip in look.clips.items():
        recording, voice = Audio.read(clip.audio_path), Audio.read(look.voices[key].audio_path)
        tokens = look.tokenizer.encode(recording)
        heard = " ".join(look.tokenizer.transcribe(tokens))
        target = look.voices[key].speaker or "another"
        made = {
            "reconstruction": (look.tokenizer.decode(tokens), f"read from its codes: {heard}"),
            f"converted to {target}": (look.tokenizer.decode(tokens, voice), "the same codes, another voice"),
            f"{target} speaking": (voice, "the recording that lends its voice"),
        }
        why = f"{clip.speaker or 'a recording'}, then the words in the voice of {target}"
        facts = {"speaker": clip.speaker or "", "text": clip.text or ""}
        yield Sample(utterance=key, why=why, facts=facts, recording=recording, made=made)
    for text, clip in list(look.sentences.items())[:_SPOKEN]:
        voice = Audio.read(clip.audio_path)
        said, shuffled = ctap_sentences.said(look.tokenizer, text, voice, seed=look.seed)
        made = {
            "spoken from text": (look.tokenizer.decode(said), "nobody said this"),
            "the same codes, shuffled": (look.tokenizer.decode(shuffled), "in random order"),
        }
        facts = {"speaker": clip.speaker or "", "text": text}
        why = f"{clip.speaker or 'a recording'} lends a voice to a sentence that nobody said"
        yield Sample(utterance=text, why=why, facts=facts, recording=voice, made=made)
