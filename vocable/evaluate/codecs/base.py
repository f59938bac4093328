"""Anything that takes a clip and gives it back: tokenizers, codecs of others, anchors, folders of decoded audio."""

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from vocable.audio import Audio
from vocable.errors import AudioError
from vocable.tokens import Tokens

Kind = Literal["tokenizer", "codec", "anchor", "decoded"]


@dataclass(frozen=True, kw_only=True)
class Coded:
    """What a codec made of a clip.

    Attributes:
        audio: At the clip's rate and exactly as long as it.
        payload_bits: Of the coded signal; None where nothing is coded.
        container_bits: Around it: headers, checksums, page tables, bits that fill a byte.
        tokens: Where it is a tokenizer.
    """

    audio: Audio
    payload_bits: int | None = None
    container_bits: int | None = None
    tokens: Tokens | None = None


@runtime_checkable
class Codec(Protocol):
    """Something that takes a clip and gives it back, without the delay it works with."""

    @property
    def name(self) -> str:
        """In ``summary.json``: ``guided-small``, ``guided-small@4``, ``Opus 6k``, ``Codec2 3200``, ``identity``."""
        ...

    @property
    def kind(self) -> Kind:
        """What it is."""
        ...

    @property
    def family(self) -> str:
        """Entries of one family are one curve: ``guided-small``, ``Opus``, ``Lyra v2``."""
        ...

    @property
    def note(self) -> str:
        """Version and settings, one line."""
        ...

    def code(self, clip: Audio, key: str) -> Coded:
        """Code a clip and decode it.

        Args:
            clip: Of any rate.
            key: The utterance's key: its path from the manifest's folder, POSIX style.

        Raises:
            AudioError: This clip cannot be coded.
        """
        ...


def like(clip: Audio, samples: Float[ndarray, " T"], sample_rate: int) -> Audio:
    """Decoded samples as audio of the clip's rate and length.

    A codec's last frame reaches past the clip's end or is missing: what is too much is cut, what is missing is silence.

    Args:
        clip: What was coded.
        samples: What came back, starting where the clip starts.
        sample_rate: Of ``samples``, in Hz.

    Raises:
        AudioError: Nothing came back, or not finite samples.

    Example:
        >>> clip = Audio(np.zeros(5, dtype=np.float32), 16_000)
        >>> like(clip, np.ones(4, dtype=np.float32), 16_000).samples.tolist()
        [1.0, 1.0, 1.0, 1.0, 0.0]
    """
    made = Audio(samples, sample_rate).resample(clip.sample_rate).samples[: clip.samples.size]
    return Audio(np.pad(made, (0, clip.samples.size - made.size)), clip.sample_rate)


def to_pcm(clip: Audio, sample_rate: int, *, frame: int = 1, after: int = 0) -> bytes:
    """The clip as 16-bit little-endian samples, as the tools of others take them; louder than full scale is clipped.

    Args:
        clip: Of any rate.
        sample_rate: Wanted, in Hz.
        frame: Silence fills the last of these.
        after: Samples of silence to add behind the clip: a decoder's delay, so that the clip's end comes out.

    Example:
        >>> clip = Audio(np.array([1, -0.5], dtype=np.float32), 8_000)
        >>> np.frombuffer(to_pcm(clip, 8_000, frame=4), dtype="<i2").tolist()
        [32767, -16384, 0, 0]
    """
    samples = clip.resample(sample_rate).samples
    samples = np.pad(samples, (0, after + -(samples.size + after) % frame))
    return np.round(samples.clip(-1, 1) * 32_767).astype("<i2").tobytes()


def from_pcm(data: bytes) -> Float[ndarray, " T"]:
    """16-bit little-endian samples as floats; the inverse of :func:`to_pcm`.

    Raises:
        AudioError: Half a sample is left over.

    Example:
        >>> from_pcm(bytes([255, 127])).tolist()
        [1.0]
    """
    if len(data) % 2:
        raise AudioError(f"{len(data)} bytes came back: 16-bit samples are pairs of bytes")
    return np.frombuffer(data, dtype="<i2").astype(np.float32) / 32_767
