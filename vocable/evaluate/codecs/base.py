"""The codec interface, conversion to and from 16-bit samples, and the two anchors of every run."""

import zlib
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from vocable.audio import Audio
from vocable.errors import AudioError
from vocable.tokens import Tokens

Kind = Literal["tokenizer", "codec", "anchor", "decoded"]
_MAX_RATE = 16_000  # Hz, at which everything is scored: no metric measures the noise above


@dataclass(frozen=True, kw_only=True)
class Coded:
    """Result of coding and decoding a clip.

    Attributes:
        audio: Decoded speech, at the clip's rate and of its exact length.
        payload_bits: Bits of the coded signal; None if nothing is coded.
        container_bits: Bits around it: headers, checksums, page tables, bits that fill a byte.
        tokens: Tokens, if the codec is a :class:`TokenCodec`.
    """

    audio: Audio
    payload_bits: int | None = None
    container_bits: int | None = None
    tokens: Tokens | None = None


@runtime_checkable
class Codec(Protocol):
    """Anything that codes and decodes a clip, with its delay removed.

    To make one raises ConfigError for a setting or folder that cannot be used, and MissingDependencyError if a package
    or program is missing.
    """

    @property
    def name(self) -> str:
        """Name in ``summary.json``, such as ``guided-small@4``, ``Opus 6k``, ``Codec2 3200`` or ``identity``."""
        ...

    @property
    def kind(self) -> Kind:
        """Kind of codec."""
        ...

    @property
    def family(self) -> str:
        """Name of the curve that this codec is a point of, such as ``guided-small``, ``Opus`` or ``Lyra v2``."""
        ...

    @property
    def note(self) -> str:
        """Version and settings, in one line."""
        ...

    def code(self, clip: Audio, key: str) -> Coded:
        """Code a clip and decode it.

        Args:
            clip: Clip of any rate.
            key: Key of the utterance: its path relative to the manifest's folder, in POSIX style.

        Raises:
            AudioError: If this clip cannot be coded.
        """
        ...


@runtime_checkable
class TokenCodec(Codec, Protocol):
    """A codec whose signal is ids, level by level: their use, stability and modelability can be measured."""

    def encode(self, clip: Audio, key: str) -> Tokens:
        """Return the tokens of a clip, without decoding it.

        Raises:
            VocableError: If this clip cannot be coded.
        """
        ...


def match_clip(clip: Audio, samples: Float[ndarray, " T"], sample_rate: int) -> Audio:
    """Return decoded samples as audio of the clip's rate and length.

    The last frame of a codec ends after the clip or is missing. Extra samples are cut; missing ones become silence.

    Args:
        clip: Clip that was coded.
        samples: Decoded samples, which start where the clip starts.
        sample_rate: Rate of ``samples`` in Hz.

    Raises:
        AudioError: If there are no samples, or if they are not finite.

    Example:
        >>> clip = Audio(np.zeros(5, dtype=np.float32), 16_000)
        >>> match_clip(clip, np.ones(4, dtype=np.float32), 16_000).samples.tolist()
        [1.0, 1.0, 1.0, 1.0, 0.0]
    """
    decoded = Audio(samples, sample_rate).resample(clip.sample_rate).samples[: clip.samples.size]
    return Audio(np.pad(decoded, (0, clip.samples.size - decoded.size)), clip.sample_rate)


def to_pcm(clip: Audio, sample_rate: int, *, frame: int = 1, after: int = 0) -> bytes:
    """Return a clip as 16-bit little-endian samples, the input of other codecs; above full scale is clipped.

    Args:
        clip: Clip of any rate.
        sample_rate: Rate of the result in Hz.
        frame: Frame length in samples; silence fills the last frame.
        after: Samples of silence to append: the delay of a decoder, so that it gives back the end of the clip.

    Example:
        >>> clip = Audio(np.array([1, -0.5], dtype=np.float32), 8_000)
        >>> np.frombuffer(to_pcm(clip, 8_000, frame=4), dtype="<i2").tolist()
        [32767, -16384, 0, 0]
    """
    samples = clip.resample(sample_rate).samples
    samples = np.pad(samples, (0, after + -(samples.size + after) % frame))
    return np.round(samples.clip(-1, 1) * 32_767).astype("<i2").tobytes()


def from_pcm(data: bytes) -> Float[ndarray, " T"]:
    """Return 16-bit little-endian samples as floats, the inverse of :func:`to_pcm`; an odd number of bytes is an error.

    Example:
        >>> from_pcm(bytes([255, 127])).tolist()
        [1.0]
    """
    if len(data) % 2:
        raise AudioError(f"{len(data)} bytes came back: 16-bit samples are pairs of bytes")
    return np.frombuffer(data, dtype="<i2").astype(np.float32) / 32_767


@dataclass(frozen=True)
class Identity:
    """The ceiling of every run: the clip after 16-bit storage.

    Example:
        >>> clip = Audio(np.array([0.1, -0.2], dtype=np.float32), 16_000)
        >>> float(abs(Identity().code(clip, "a.wav").audio.samples - clip.samples).max()) < 2**-15
        True
    """

    name: ClassVar[str] = "identity"
    kind: ClassVar[Kind] = "anchor"
    family: ClassVar[str] = "identity"
    note: ClassVar[str] = "the ceiling: 16-bit samples, untouched"

    def code(self, clip: Audio, key: str) -> Coded:
        """Return the clip itself."""
        return Coded(audio=match_clip(clip, from_pcm(to_pcm(clip, clip.sample_rate)), clip.sample_rate))


@dataclass(frozen=True)
class Noise:
    """The floor of every run: the clip under white Gaussian noise that is 5 dB louder.

    The noise depends on the key and the seed alone, not on the order of clips or the number of processes. Both levels
    are measured over the whole clip and up to 8 kHz, the band that is scored.

    Attributes:
        seed: Seed of the noise.

    Example:
        >>> clip = Audio(np.full(1_000, 0.1, dtype=np.float32), 16_000)
        >>> noise = Noise(0).code(clip, "a.wav").audio.samples - clip.samples
        >>> round(10 * np.log10(float(np.mean(clip.samples**2) / np.mean(noise**2))))
        -5
    """

    seed: int = 0
    name: ClassVar[str] = "noise"
    kind: ClassVar[Kind] = "anchor"
    family: ClassVar[str] = "noise"
    snr: ClassVar[float] = -5.0  # dB

    @property
    def note(self) -> str:
        """Ratio and seed, in one line."""
        return f"the floor: white noise at {self.snr:g} dB SNR, seed {self.seed}"

    def code(self, clip: Audio, key: str) -> Coded:
        """Return the clip under noise, clipped at full scale."""
        return Coded(audio=add_noise(clip, self.snr, key, self.seed))


def add_noise(clip: Audio, snr: float, key: str, seed: int = 0) -> Audio:
    """Return a clip under white Gaussian noise, clipped at full scale.

    Args:
        clip: Clip of any rate.
        snr: Signal-to-noise ratio in dB, over the whole clip and up to 8 kHz.
        key: Key of the clip; the noise depends on it and on the seed alone.
        seed: Seed of the noise.

    Raises:
        AudioError: If the clip is silent.

    Example:
        >>> clip = Audio(np.full(1_000, 0.1, dtype=np.float32), 16_000)
        >>> noise = add_noise(clip, 20.0, "a.wav").samples - clip.samples
        >>> round(10 * np.log10(float(np.mean(clip.samples**2) / np.mean(noise**2))))
        20
    """
    level = _rms(clip)
    if level == 0:
        raise AudioError(f"the clip is silent: no noise is at {snr:g} dB SNR to nothing; leave it out")
    draw = np.random.default_rng([seed, zlib.crc32(key.encode("utf-8", "surrogatepass"))])
    white = draw.standard_normal(clip.samples.size)
    white /= np.abs(white).max()  # into the range that Audio accepts
    white *= level * 10 ** (-snr / 20) / _rms(Audio(white.astype(np.float32), clip.sample_rate))
    return Audio((clip.samples + white).clip(-1, 1).astype(np.float32), clip.sample_rate)


def _rms(clip: Audio) -> float:
    """Return the root mean square of the samples at the rate of scoring."""
    samples = clip.resample(min(clip.sample_rate, _MAX_RATE)).samples
    return float(np.sqrt(np.mean(samples.astype(np.float64) ** 2)))
