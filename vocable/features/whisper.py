"""Whisper's encoder: frozen frames, 50 per second, of any layer.

One network reads weights in the names of OpenAI and in those of transformers, from a folder or the hub.
"""

from collections.abc import Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Final

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from numpy import ndarray
from pydantic import Field
from torch import Tensor, nn

from vocable.audio import Audio
from vocable.errors import AudioError, CheckpointError, ConfigError, MissingDependencyError, ShapeError
from vocable.features.hub import WEIGHTS, from_transformers, located, read_tensors, short_name
from vocable.features.spectrogram import hann, mel_filters
from vocable.files import is_file
from vocable.folder import digest_of
from vocable.numerics import aligned, reproducible
from vocable.schema import Width, config
from vocable.shapes import frames_for, mask_from_lengths

_HOP = 160  # samples between mel spectra
_WINDOW = 400
_MAX_SAMPLES = 30 * 16_000  # of one pass
_HEAD = 64  # dimension of an attention head, in every Whisper
_OPENAI = ("encoder.safetensors", "encoder.fp16.safetensors")
_RENAMED = (  # names of transformers and of OpenAI
    ("layers.", "blocks."), ("self_attn_layer_norm", "attn_ln"), ("self_attn", "attn"), ("q_proj", "query"),
    ("k_proj", "key"), ("v_proj", "value"), ("out_proj", "out"), ("final_layer_norm", "mlp_ln"), ("fc1", "mlp.0"),
    ("fc2", "mlp.2"), ("embed_positions.weight", "positional_embedding"),
)  # fmt: skip


_ShortText = Annotated[str, Field(min_length=1, max_length=200)]


@config
class EncoderSpec:
    """Identity of the encoder that another network was trained on.

    Attributes:
        name: Hub name, or the last part of the folder's path.
        digest: Digest of the weights.
        width: Dimension of a frame.
        depth: Number of transformer layers.
    """

    name: _ShortText
    digest: _ShortText
    width: Width
    depth: Width

    def __post_init__(self) -> None:
        if not (self.name.isprintable() and self.digest.isprintable()):
            raise ConfigError(f"encoder: name {self.name!r:.80} and digest {self.digest!r:.80} must be printable")


class WhisperEncoder(nn.Module):
    """Frozen encoder from speech to frames of 20 ms; frame n is centered on sample 320 n.

    Clips are not padded to 30 s, which saves most of the time, so frames differ a little from those of a padded clip.
    Every convolution and attention masks what lies after the end of a clip: a clip has the same frames alone and in any
    batch.

    Args:
        width: Dimension D of a frame.
        depth: Number of transformer layers. Layer 0 is the input of the first; ``depth`` (or -1) is the normalized
            output of the last.
        mels: Number of mel bands.
        max_frames: Frames of the longest clip; 1500 in every published Whisper.
        name: Name in reports.

    Attributes:
        sample_rate: Sample rate of the waveforms that it takes, in Hz.
        hop: Samples between frames.
        frame_rate: Frames per second.

    Source:
        Radford et al., arXiv:2212.04356; github.com/openai/whisper (MIT), ``whisper/model.py`` and ``audio.py``.

    Example:
        >>> encoder = WhisperEncoder(width=128, depth=2)  # random: WhisperEncoder.load("openai/whisper-tiny") is not
        >>> encoder.features(Audio(torch.zeros(16_000).numpy(), 16_000), layers=(1, 2)).shape
        torch.Size([50, 128])
    """

    sample_rate: Final = 16_000
    hop: Final = 2 * _HOP
    frame_rate: Final = 50.0

    def __init__(
        self, *, width: int, depth: int, mels: int = 80, max_frames: int = 1500, name: str = "whisper"
    ) -> None:
        super().__init__()
        self.width, self.depth, self.name, self._mels = width, depth, name, mels
        self.conv1 = nn.Conv1d(mels, width, 3, padding=1)
        self.conv2 = nn.Conv1d(width, width, 3, stride=2, padding=1)
        self.positional_embedding = nn.Parameter(torch.randn(max_frames, width) * 0.01)
        self.blocks = nn.ModuleList(_Block(width) for _ in range(depth))
        self.ln_post = nn.LayerNorm(width)
        self.requires_grad_(False).eval()

    @classmethod
    @reproducible
    def load(cls, name: str, device: str = "cpu") -> "WhisperEncoder":
        """Load a pretrained encoder.

        Args:
            name: Folder with ``encoder.safetensors`` (or ``encoder.fp16.safetensors``) in OpenAI's names, or folder or
                hub name of transformers, such as ``openai/whisper-tiny``. Names are looked up by
                :func:`~vocable.features.hub.located`.
            device: Torch device of the encoder.

        Raises:
            CheckpointError: If the model cannot be found, or is no Whisper.
            MissingDependencyError: If the model needs transformers, which is not installed.
        """
        source = located(name)
        file = next((path for path in (Path(source) / one for one in _OPENAI) if is_file(path)), None)
        weights = _transformers_weights(source) if file is None else read_tensors(file)
        if file is not None:
            weights = {key.removeprefix("encoder."): one for key, one in weights.items() if key.startswith("encoder.")}
        try:
            max_frames, width = weights["positional_embedding"].shape
            mels = weights["conv1.weight"].shape[1]
            depth = sum(key.endswith(".attn.query.weight") for key in weights)
            with torch.device("meta"):
                encoder = cls(width=width, depth=depth, mels=mels, max_frames=max_frames, name=short_name(name))
            encoder.load_state_dict({key: value.float() for key, value in weights.items()}, assign=True)
        except (KeyError, ValueError, IndexError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise CheckpointError(f"{name}: holds no Whisper encoder ({reason}); give another folder") from error
        return encoder.requires_grad_(False).eval().to(device)

    @cached_property
    def digest(self) -> str:
        """Digest of the weights."""
        return digest_of({"system": "whisper-encoder"}, self.state_dict())

    @property
    def spec(self) -> EncoderSpec:
        """Identity of this encoder, for networks that are trained on it."""
        return EncoderSpec(name=self.name, digest=self.digest, width=self.width, depth=self.depth)

    @reproducible
    def features(self, clip: Audio, layers: Sequence[int] = (-1,)) -> Float[Tensor, "N D"]:
        """Compute the frames of a clip of any sample rate and length; clips of more than 30 s are cut.

        Args:
            clip: Clip of T samples at 16 kHz; N is T / 320, rounded up.
            layers: Layers whose mean is returned, 0 to ``depth`` or counted from the end.
        """
        samples = aligned(torch.from_numpy(clip.resample(self.sample_rate).samples))
        samples = samples.to(self.positional_embedding.device)
        size = min(_MAX_SAMPLES, self.hop * len(self.positional_embedding))
        with torch.no_grad():
            return torch.cat([self(part[None], layers=layers)[0] for part in samples.split(size)])

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.positional_embedding.device

    @reproducible
    def features_of_batch(self, clips: Sequence[Audio], layers: Sequence[int] = (-1,)) -> list[Float[Tensor, "N D"]]:
        """Compute what :meth:`features` computes of each clip, up to rounding, in one padded batch of up to 30 s."""
        most = min(_MAX_SAMPLES, self.hop * len(self.positional_embedding))
        parts = [torch.from_numpy(clip.resample(self.sample_rate).samples) for clip in clips]
        if any(not 0 < len(part) <= most for part in parts):
            return [self.features(clip, layers) for clip in clips]
        lengths = torch.tensor([len(part) for part in parts])
        padded = torch.nn.utils.rnn.pad_sequence(parts, batch_first=True).to(self.device)
        frames = self(padded, lengths.to(self.device), layers=layers)
        return [row[: frames_for(len(part), self.hop)] for row, part in zip(frames, parts, strict=True)]

    def forward(
        self, samples: Float[Tensor, "B T"], lengths: Int[Tensor, " B"] | None = None, layers: Sequence[int] = (-1,)
    ) -> Float[Tensor, "B N D"]:
        """Compute the frames of a batch, the mean of some layers; differentiable. Frames after a clip are 0."""
        hidden = self.hidden_states(samples, lengths)
        return torch.stack([hidden[layer] for layer in layers]).mean(0)

    def hidden_states(
        self, samples: Float[Tensor, "B T"], lengths: Int[Tensor, " B"] | None = None
    ) -> list[Float[Tensor, "B N D"]]:
        """Compute the frames of a batch, layer by layer.

        Args:
            samples: Samples at 16 kHz, nominally in [-1, 1]; at most 30 s.
            lengths: Samples of each clip; T by default.

        Returns:
            ``depth`` + 1 layers of N frames: the samples over 320, rounded up. Frames after the end of a clip are 0.

        Raises:
            ShapeError: If a clip has no samples, or more than 30 s.
        """
        if lengths is None:
            lengths = torch.full((len(samples),), samples.shape[1], device=samples.device)
        count = frames_for(samples.shape[1], self.hop)
        if not lengths.numel() or int(lengths.min()) < 1 or count > len(self.positional_embedding):
            raise ShapeError(
                f"Whisper takes 1 to {len(self.positional_embedding) * self.hop} samples at a time, not "
                f"{samples.shape[1]} of {lengths.tolist()}; features() cuts longer clips"
            )
        mask = mask_from_lengths(-(-lengths // self.hop), count)
        mel_mask = mask.repeat_interleave(2, dim=1)[:, None]
        with torch.autocast(samples.device.type, enabled=False):  # a logarithm of sums needs all bits
            mel = log_mel(samples.float(), lengths, self._mels).mT
        frames = F.gelu(self.conv1(mel * mel_mask)) * mel_mask
        frames = F.gelu(self.conv2(frames)).mT + self.positional_embedding[:count]
        layers = [frames * mask[..., None]]
        for block in self.blocks:
            layers.append(block(layers[-1], mask) * mask[..., None])
        layers[-1] = self.ln_post(layers[-1]) * mask[..., None]
        return layers


@cache
@reproducible
def load_encoder(spec: EncoderSpec, device: str = "cpu") -> WhisperEncoder:
    """Load the encoder that another network was trained on, once a process.

    Args:
        spec: Identity of the encoder. Its name is looked up by :func:`~vocable.features.hub.located`.
        device: Torch device of the encoder.

    Raises:
        CheckpointError: If the encoder cannot be found, or the model of that name is another one.
    """
    hint = f"set {WEIGHTS} to the folder that holds its folder, {Path(spec.name).name}"
    try:
        encoder = WhisperEncoder.load(spec.name, device)
    except (CheckpointError, MissingDependencyError) as error:
        raise CheckpointError(f"the encoder {spec.name} is not at hand ({str(error).rstrip('.')}); {hint}") from error
    if (encoder.digest, encoder.width, encoder.depth) != (spec.digest, spec.width, spec.depth):
        raise CheckpointError(
            f"{located(spec.name)}: holds another model ({encoder.digest[:23]}) than the one needed "
            f"({spec.digest[:23]}); {hint}"
        )
    return encoder


class WhisperLayers:
    """Feature extractor that concatenates some layers of an encoder, frame by frame.

    Implements :class:`~vocable.data.targets.FeatureExtractor`.

    Args:
        encoder: Frozen encoder.
        layers: Layers to concatenate, in this order: 0 to ``depth``, or counted from the end.

    Attributes:
        layers: Layers, counted from the front.

    Raises:
        ConfigError: If a layer does not exist, or there is none.

    Example:
        >>> layers = WhisperLayers(WhisperEncoder(width=64, depth=2), (1, -1))
        >>> layers.extract(Audio(torch.zeros(16_000).numpy(), 16_000)).shape, layers.width, layers.layers
        (torch.Size([50, 128]), 128, (1, 2))
    """

    def __init__(self, encoder: WhisperEncoder, layers: Sequence[int]) -> None:
        count = encoder.depth + 1
        if not layers or not all(-count <= layer < count for layer in layers):
            raise ConfigError(f"{encoder.name} has no layers {list(layers)}; it has 0 to {encoder.depth}")
        self.encoder, self.layers = encoder, tuple(layer % count for layer in layers)
        self.name, self.width = encoder.name, encoder.width * len(layers)
        self.sample_rate: int = encoder.sample_rate
        self.frame_rate: float | None = encoder.frame_rate
        self.digest = digest_of({"encoder": encoder.digest, "side by side": list(self.layers)}, {})

    @reproducible
    def extract(self, clip: Audio) -> Float[Tensor, "N F"]:
        """Compute the frames of a clip of at most 30 s; F = layers · D.

        Raises:
            AudioError: If the clip is longer than 30 s.
        """
        batch = aligned(torch.from_numpy(self._samples_of(clip)))[None].to(self.device)
        with torch.no_grad():
            hidden = self.encoder.hidden_states(batch)
        return torch.cat([hidden[layer][0] for layer in self.layers], dim=1)

    def check_length(self, samples: int) -> None:
        """Raise an AudioError if a clip of so many samples at 16 kHz is longer than 30 s."""
        if samples > _MAX_SAMPLES:
            seconds = samples / self.sample_rate
            raise AudioError(f"the clip lasts {seconds:.2f} s: Whisper takes up to 30 s at a time; cut it")

    @property
    def device(self) -> torch.device:
        """Device of the encoder."""
        return self.encoder.positional_embedding.device

    def to(self, device: str) -> "WhisperLayers":
        """Move the encoder to a torch device."""
        self.encoder.to(device)
        return self

    @reproducible
    def extract_batch(self, clips: Sequence[Audio]) -> list[Float[Tensor, "N F"]]:
        """Compute the frames of several clips together; they differ from those of a clip alone by rounding.

        Raises:
            AudioError: If a clip is longer than 30 s.
        """
        samples = [aligned(torch.from_numpy(self._samples_of(clip))) for clip in clips]
        lengths = torch.tensor([len(one) for one in samples], device=self.device)
        with torch.no_grad():
            batch = torch.nn.utils.rnn.pad_sequence(samples, batch_first=True).to(self.device)
            hidden = self.encoder.hidden_states(batch, lengths)
        frames = torch.cat([hidden[layer] for layer in self.layers], dim=2)
        return [one[: frames_for(len(part), self.encoder.hop)] for one, part in zip(frames, samples, strict=True)]

    @reproducible
    def extract_long(self, clip: Audio) -> Float[Tensor, "N F"]:
        """Compute the frames of a clip of any length; longer clips are cut every 30 s.

        Raises:
            AudioError: If the clip is empty.
        """
        samples = clip.resample(self.sample_rate).samples
        starts = range(0, max(samples.size, 1), _MAX_SAMPLES)
        return torch.cat([self.extract(Audio(samples[at : at + _MAX_SAMPLES], self.sample_rate)) for at in starts])

    def _samples_of(self, clip: Audio) -> Float[ndarray, " T"]:
        self.check_length((samples := clip.resample(self.sample_rate).samples).size)
        return samples


def log_mel(samples: Float[Tensor, "B T"], lengths: Int[Tensor, " B"], mels: int = 80) -> Float[Tensor, "B S mel"]:
    """Compute Whisper's log-mel spectra, two for each 320 samples or part of them.

    Args:
        samples: Samples at 16 kHz.
        lengths: Samples of each clip, at least one. Samples after the end of a clip are ignored.
        mels: Number of mel bands.

    Returns:
        The values of openai/whisper's ``log_mel_spectrogram`` for the clip followed by silence. The first window is
        centered on the first sample, and the clip is mirrored before it.
    """
    samples = samples * mask_from_lengths(lengths, samples.shape[1])
    samples = F.pad(samples, (0, -samples.shape[1] % (2 * _HOP)))
    count = samples.shape[1] // _HOP
    mirrored = F.pad(samples, (_WINDOW // 2, 0), mode="reflect")
    windows = F.pad(mirrored, (0, _WINDOW // 2)).unfold(1, _WINDOW, _HOP)[:, :count]
    powers = torch.fft.rfft(windows * hann(_WINDOW, samples.device)).abs().square()
    mel = (powers @ mel_filters(16_000, _WINDOW, mels, device=samples.device)).clamp(min=1e-10).log10()
    return (torch.maximum(mel, mel.amax((1, 2), keepdim=True) - 8.0) + 4.0) / 4.0


class _Block(nn.Module):
    """Transformer layer with pre-normalization."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attn = _Attention(width)
        self.attn_ln = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.mlp_ln = nn.LayerNorm(width)

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        frames = frames + self.attn(self.attn_ln(frames), mask)
        return frames + self.mlp(self.mlp_ln(frames))


class _Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        query, key, value = (
            part(frames).unflatten(2, (-1, _HEAD)).transpose(1, 2) for part in (self.query, self.key, self.value)
        )
        context = F.scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None])
        return self.out(context.transpose(1, 2).flatten(2))


def _transformers_weights(name: str) -> dict[str, Tensor]:
    weights = {}
    for old, value in from_transformers(name, "WhisperModel", use_safetensors=True).encoder.state_dict().items():
        new = old
        for transformers_name, openai_name in _RENAMED:
            new = new.replace(transformers_name, openai_name)
        weights[new.replace("layer_norm.", "ln_post.") if old.startswith("layer_norm.") else new] = value
    return weights
