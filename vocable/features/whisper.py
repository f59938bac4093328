"""What Whisper's encoder hears: frozen frames, 50 a second, of any layer.

One network for every place that weights come from: a folder of OpenAI's names, a folder of transformers, the hub.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from vocable.audio import Audio
from vocable.errors import AudioError, CheckpointError, ConfigError, MissingDependencyError, ShapeError
from vocable.features.hub import WEIGHTS, fetch, located, short_name
from vocable.features.spectrogram import hann, mel_filters
from vocable.folder import digest_of
from vocable.shapes import frames_for, mask_from_lengths

_HOP = 160  # samples between mel spectra
_WINDOW = 400
_PIECE = 30 * 16_000  # samples that it hears at a time
_WIDEST, _LONGEST_TEXT = 1 << 16, 200  # what a file may say of an encoder: of width and depth, of name and digest
_HEAD = 64  # values of an attention head, in every Whisper
_OPENAI = ("encoder.safetensors", "encoder.fp16.safetensors")
_RENAMED = (  # transformers' names, and OpenAI's
    ("layers.", "blocks."), ("self_attn_layer_norm", "attn_ln"), ("self_attn", "attn"), ("q_proj", "query"),
    ("k_proj", "key"), ("v_proj", "value"), ("out_proj", "out"), ("final_layer_norm", "mlp_ln"), ("fc1", "mlp.0"),
    ("fc2", "mlp.2"), ("embed_positions.weight", "positional_embedding"),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class EncoderSpec:
    """Which encoder another network was trained on.

    Attributes:
        name: A hub name, or the last part of a folder's path.
        digest: Of its very weights.
        width: Of a frame.
        depth: Transformer layers.

    Raises:
        ConfigError: A value is of the wrong kind, or out of range.
    """

    name: str
    digest: str
    width: int
    depth: int

    def __post_init__(self) -> None:
        texts, sizes = (self.name, self.digest), (self.width, self.depth)
        if not all(isinstance(one, str) and one.isprintable() and 0 < len(one) <= _LONGEST_TEXT for one in texts):
            raise ConfigError(f"encoder: name {self.name!r:.80} and digest {self.digest!r:.80} must be short texts")
        if not all(type(one) is int and 0 < one <= _WIDEST for one in sizes):
            raise ConfigError(f"encoder: width {self.width} and depth {self.depth} must be whole, 1 to {_WIDEST}")


class WhisperEncoder(nn.Module):
    """Speech to frames of 20 ms; frame n is centred on sample 320 n.

    Clips are heard as they are, not padded to 30 s, which costs a hundredth of the time; so frames differ a little
    from those of a padded clip. Every convolution and attention leaves out what lies behind a clip's end: a clip has
    the same frames alone and in any batch.

    Args:
        width: Of a frame, D.
        depth: Transformer layers. Layer 0 is what goes into the first, ``depth`` (or -1) the last, normalised.
        mels: Mel bands.
        reach: Frames of the longest clip; 1500 in every Whisper that is published.
        name: In reports.

    Attributes:
        sample_rate: Of the waveforms it takes, in Hz.
        hop: Samples between frames.
        frame_rate: Frames a second.
        name: Hub name, or the last part of the folder's path.
        width: Of a frame.
        depth: Layers.

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

    def __init__(self, *, width: int, depth: int, mels: int = 80, reach: int = 1500, name: str = "whisper") -> None:
        super().__init__()
        self.width, self.depth, self.name, self._mels = width, depth, name, mels
        self.conv1 = nn.Conv1d(mels, width, 3, padding=1)
        self.conv2 = nn.Conv1d(width, width, 3, stride=2, padding=1)
        self.positional_embedding = nn.Parameter(torch.randn(reach, width) * 0.01)
        self.blocks = nn.ModuleList(_Block(width) for _ in range(depth))
        self.ln_post = nn.LayerNorm(width)
        self.requires_grad_(False).eval()

    @classmethod
    def load(cls, name: str, device: str = "cpu") -> "WhisperEncoder":
        """A pretrained encoder, frozen.

        Args:
            name: A folder with ``encoder.safetensors`` (or ``encoder.fp16.safetensors``) in OpenAI's names, a folder
                or a hub name of transformers, such as ``openai/whisper-tiny``, looked for where
                :func:`~vocable.features.hub.located` says.
            device: Where it runs.

        Raises:
            CheckpointError: The model is not at hand, or is no Whisper.
            MissingDependencyError: It is one of transformers, which is not installed.
        """
        place = located(name)
        found = next((path for path in (Path(place) / file for file in _OPENAI) if path.is_file()), None)
        weights = _transformers_weights(place) if found is None else _openai_weights(found)
        try:
            reach, width = weights["positional_embedding"].shape
            mels = weights["conv1.weight"].shape[1]
            depth = sum(one.endswith(".attn.query.weight") for one in weights)
            with torch.device("meta"):
                encoder = cls(width=width, depth=depth, mels=mels, reach=reach, name=short_name(name))
            encoder.load_state_dict({one: value.float() for one, value in weights.items()}, assign=True)
        except (KeyError, ValueError, IndexError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise CheckpointError(f"{name}: holds no Whisper encoder ({reason}); take another folder") from error
        return encoder.requires_grad_(False).eval().to(device)

    @cached_property
    def digest(self) -> str:
        """Name of these very weights."""
        return digest_of({"system": "whisper-encoder"}, self.state_dict())

    @property
    def spec(self) -> EncoderSpec:
        """What a network that is trained on it remembers."""
        return EncoderSpec(name=self.name, digest=self.digest, width=self.width, depth=self.depth)

    def features(self, clip: Audio, layers: Sequence[int] = (-1,)) -> Float[Tensor, "N D"]:
        """The frames of a clip of any rate and length; of more than 30 s piece by piece.

        Args:
            clip: N is its samples at 16 kHz over 320, rounded up.
            layers: Whose mean is taken; 0 to ``depth``, or from behind.
        """
        samples = torch.from_numpy(clip.resample(self.sample_rate).samples).to(self.positional_embedding.device)
        piece = min(_PIECE, self.hop * len(self.positional_embedding))
        with torch.no_grad():
            return torch.cat([self(part[None], layers=layers)[0] for part in samples.split(piece)])

    def forward(
        self, samples: Float[Tensor, "B T"], lengths: Int[Tensor, " B"] | None = None, layers: Sequence[int] = (-1,)
    ) -> Float[Tensor, "B N D"]:
        """The frames of a batch, the mean of some layers; differentiable. Behind a clip's end they are 0."""
        hidden = self.hidden(samples, lengths)
        return torch.stack([hidden[layer] for layer in layers]).mean(0)

    def hidden(
        self, samples: Float[Tensor, "B T"], lengths: Int[Tensor, " B"] | None = None
    ) -> list[Float[Tensor, "B N D"]]:
        """The frames of a batch, layer by layer.

        Args:
            samples: At 16 kHz, nominally in [-1, 1]; 30 s at most.
            lengths: Samples of each clip; all of them by default.

        Returns:
            depth + 1 layers of N frames, each clip's samples over 320, rounded up; 0 behind a clip's end.

        Raises:
            ShapeError: A clip has no samples, or more than 30 s.
        """
        if lengths is None:
            lengths = torch.full((len(samples),), samples.shape[1], device=samples.device)
        count = frames_for(samples.shape[1], self.hop)
        if not lengths.numel() or int(lengths.min()) < 1 or count > len(self.positional_embedding):
            raise ShapeError(
                f"Whisper hears 1 to {len(self.positional_embedding) * self.hop} samples at a time, not "
                f"{samples.shape[1]} of {lengths.tolist()}; features() cuts longer clips"
            )
        mask = mask_from_lengths(-(-lengths // self.hop), count)
        fine = mask.repeat_interleave(2, dim=1)[:, None]  # of mel spectra
        frames = F.gelu(self.conv1(log_mel(samples, lengths, self._mels).mT * fine)) * fine
        frames = F.gelu(self.conv2(frames)).mT + self.positional_embedding[:count]
        layers = [frames * mask[..., None]]
        for block in self.blocks:
            layers.append(block(layers[-1], mask) * mask[..., None])
        layers[-1] = self.ln_post(layers[-1]) * mask[..., None]
        return layers


@cache
def load_encoder(spec: EncoderSpec, device: str = "cpu") -> WhisperEncoder:
    """The encoder that another network was trained on, loaded once a process.

    Args:
        spec: Which; its name is looked for where :func:`~vocable.features.hub.located` says.
        device: Where it runs.

    Raises:
        CheckpointError: It is not at hand, or what has its name is another.
    """
    hint = f"set {WEIGHTS} to the folder that holds its folder, {Path(spec.name).name}"
    try:
        encoder = WhisperEncoder.load(spec.name, device)
    except (CheckpointError, MissingDependencyError) as error:
        raise CheckpointError(f"the encoder {spec.name} is not at hand ({str(error).rstrip('.')}); {hint}") from error
    if (encoder.digest, encoder.width, encoder.depth) != (spec.digest, spec.width, spec.depth):
        raise CheckpointError(
            f"{located(spec.name)}: gives features of another model ({encoder.digest[:23]}, wanted is "
            f"{spec.digest[:23]}); {hint}"
        )
    return encoder


class WhisperLayers:
    """Chosen layers of an encoder side by side, frame by frame: a :class:`~vocable.data.targets.FeatureExtractor`.

    Args:
        encoder: Frozen.
        layers: 0 to its depth, or from behind; in this order.

    Attributes:
        layers: From the front.

    Raises:
        ConfigError: There is no such layer, or none at all.

    Example:
        >>> layers = WhisperLayers(WhisperEncoder(width=64, depth=2), (1, -1))
        >>> layers.extract(Audio(torch.zeros(16_000).numpy(), 16_000)).shape, layers.width, layers.layers
        (torch.Size([50, 128]), 128, (1, 2))
    """

    def __init__(self, encoder: WhisperEncoder, layers: Sequence[int]) -> None:
        there = encoder.depth + 1
        if not layers or not all(-there <= layer < there for layer in layers):
            raise ConfigError(f"{encoder.name} has no layers {list(layers)}; it has 0 to {encoder.depth}")
        self._encoder, self.layers = encoder, tuple(layer % there for layer in layers)
        self.name, self.width = encoder.name, encoder.width * len(layers)
        self.sample_rate: int = encoder.sample_rate
        self.frame_rate: float | None = encoder.frame_rate
        self.digest = digest_of({"encoder": encoder.digest, "side by side": list(self.layers)}, {})

    def extract(self, clip: Audio) -> Float[Tensor, "N F"]:
        """Frames of the whole clip, F = layers · D.

        Raises:
            AudioError: The clip is longer than 30 s.
        """
        samples = clip.resample(self.sample_rate).samples
        if samples.size > _PIECE:
            raise AudioError(
                f"the clip lasts {samples.size / self.sample_rate:.2f} s: Whisper hears up to "
                f"{_PIECE / self.sample_rate:g} s at a time; cut it"
            )
        there = torch.from_numpy(samples)[None].to(self._encoder.positional_embedding.device)
        with torch.no_grad():
            hidden = self._encoder.hidden(there)
        return torch.cat([hidden[layer][0] for layer in self.layers], dim=1)

    def extract_long(self, clip: Audio) -> Float[Tensor, "N F"]:
        """Frames of a clip of any length: of more than 30 s each 30 s by themselves, as Whisper hears.

        Raises:
            AudioError: The clip is empty.
        """
        samples = clip.resample(self.sample_rate).samples
        starts = range(0, max(samples.size, 1), _PIECE)
        return torch.cat([self.extract(Audio(samples[at : at + _PIECE], self.sample_rate)) for at in starts])


def log_mel(samples: Float[Tensor, "B T"], lengths: Int[Tensor, " B"], mels: int = 80) -> Float[Tensor, "B S mel"]:
    """The log-mel spectra that Whisper hears, two for each 320 samples or part of them.

    Args:
        samples: At 16 kHz.
        lengths: Samples of each clip, at least one; what lies behind does not count.
        mels: Bands.

    Returns:
        Of a clip what the ``log_mel_spectrogram`` of openai/whisper gives for it with silence behind: the first window
        is centred on its first sample, with the clip mirrored before it.
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
    """A transformer layer, normalised before its parts."""

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
        heard = F.scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None])
        return self.out(heard.transpose(1, 2).flatten(2))


def _openai_weights(path: Path) -> dict[str, Tensor]:
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}); copy the model again") from error
    return {name.removeprefix("encoder."): value for name, value in tensors.items() if name.startswith("encoder.")}


def _transformers_weights(name: str) -> dict[str, Tensor]:
    try:
        from transformers import WhisperModel
    except ImportError as error:
        raise MissingDependencyError(f"{name}: needs transformers; run pip install 'vocable[hf]'") from error

    def load(place: str, local: bool) -> Any:
        return WhisperModel.from_pretrained(place, local_files_only=local, use_safetensors=True)

    weights = {}
    for old, value in fetch(name, load).encoder.state_dict().items():
        new = old
        for theirs, ours in _RENAMED:
            new = new.replace(theirs, ours)
        weights[new.replace("layer_norm.", "ln_post.") if old.startswith("layer_norm.") else new] = value
    return weights
