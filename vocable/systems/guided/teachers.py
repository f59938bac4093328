"""What frozen teachers ask of the levels: the first is to say what is said, those after it who says it, and how.

Both learn through a small network of their own that belongs to training: no tokenizer is exported with one. (Seed 3:
cosine for HuBERT, KL divergence for ECAPA-TDNN through an align layer of 8 heads.)
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vocable.audio import Audio
from vocable.collective import global_sum, world
from vocable.data.crops import CropBatch
from vocable.errors import AudioError, CheckpointError, ConfigError, MissingDependencyError
from vocable.features import ecapa
from vocable.features.ecapa import EcapaTdnn
from vocable.features.hub import fetch
from vocable.features.hubert import KINDS, HubertEncoder
from vocable.features.voice import Ge2eEncoder, raise_level
from vocable.features.whisper import WhisperEncoder
from vocable.features.xvector import XVectorEncoder
from vocable.folder import digest_of
from vocable.losses import distillation
from vocable.quantizers import Quantized
from vocable.systems.guided.config import AcousticConfig, SemanticConfig
from vocable.train.schedule import Weight

SEMANTIC, ACOUSTIC = "semantic", "acoustic"

_FORMS = {
    "cosine": distillation.cosine_loss,
    "d_axis": distillation.d_axis_loss,
    "t_axis": distillation.t_axis_loss,
}
_NOTHING = 0.01  # of a cosine's distance, or nats: what is less is as good as nothing
_ALIKE = 0.05  # share of the teacher's variety; a student with less says one thing
_PATIENCE = 1_000  # steps at full weight before a student is told that it has learnt nothing


@dataclass(frozen=True)
class Lesson:
    """What a teacher says of a batch.

    Attributes:
        loss: Disagreement of the quantized levels with it.
        stats: Things to log.
        alarms: What looks wrong, in words.
    """

    loss: Float[Tensor, ""]
    stats: dict[str, Tensor] = field(default_factory=dict)
    alarms: tuple[str, ...] = ()


class SemanticTeacher(nn.Module):
    """Compares a linear view of the first level with the teacher's frames, where it says any.

    Args:
        config: How.
        latents: Width of the levels, D.
        weight: Of the loss.
        mean: Of the teacher's frames over the corpus.
        deviation: Of these.
    """

    name = SEMANTIC
    mean: Tensor
    deviation: Tensor

    def __init__(
        self, config: SemanticConfig, *, latents: int, weight: Weight, mean: Float[Tensor, " F"],
        deviation: Float[Tensor, " F"],
    ) -> None:  # fmt: skip
        super().__init__()
        self.config, self.weight = config, weight
        self.project = nn.Linear(latents, len(mean))
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)

    def lesson(self, batch: CropBatch, quantized: Quantized, step: int) -> Lesson:
        """The loss of a batch, and how far level and teacher vary over its frames."""
        wanted = batch.targets[self.name]
        mask = batch.mask & (wanted != 0).any(2)  # frames that the teacher says nothing of are 0
        if self.config.standardised:
            wanted = distillation.standardised(wanted, self.mean, self.deviation)
        made = self.project(quantized.levels[0]).float()
        with torch.no_grad():
            apart = distillation.cosine_loss(made, wanted, mask)
            apart, ours, theirs = _over_processes(apart, _variety(made[mask]), _variety(wanted[mask]))
        return Lesson(
            _FORMS[self.config.form](made, wanted, mask),
            {f"{self.name}_distance": apart, f"{self.name}_of_a_constant": theirs, f"{self.name}_variety": ours},
            alarms(self.name, float(apart), float(theirs), float(ours), patient=_patient(self.weight, step)),
        )


class AcousticTeacher(nn.Module):
    """Compares what is heard in the levels after the first with the teacher's vector of the recording.

    Args:
        config: How.
        latents: Width of the levels, D.
        weight: Of the loss.
        mean: Of the teacher's vectors over the corpus.
        deviation: Of these.

    Raises:
        ConfigError: The heads do not divide the width of the levels.
    """

    name = ACOUSTIC
    mean: Tensor
    deviation: Tensor

    def __init__(
        self, config: AcousticConfig, *, latents: int, weight: Weight, mean: Float[Tensor, " F"],
        deviation: Float[Tensor, " F"],
    ) -> None:  # fmt: skip
        super().__init__()
        self.config, self.weight = config, weight
        attention = config.pooling == "attention"
        self.align = AlignLayer(latents, config.heads, len(mean)) if attention else MeanLayer(latents, len(mean))
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)

    def lesson(self, batch: CropBatch, quantized: Quantized, step: int) -> Lesson:
        """The loss over the clips that use these levels, the teacher's entropy, and how far both vary over clips."""
        wanted = batch.targets[self.name]
        levels = quantized.levels[1:2] if self.config.levels == "2" else quantized.levels[1:]
        heard = levels.sum(0)
        there = (levels.detach() != 0).flatten(2).any(2).any(0)  # dropped levels are 0
        made = self.align(heard, batch.mask).float()
        told = distillation.standardised(wanted, self.mean, self.deviation)
        with torch.no_grad():
            unsure = distillation.entropy(told / self.config.temperature).mean()
        if self.config.form == "kl":
            loss = distillation.divergence_loss(made, told, there, self.config.temperature)
            with torch.no_grad():
                ours, theirs = (_divergence(part[there] / self.config.temperature) for part in (made, told))
                ours, theirs = (self.config.temperature**2 * part for part in (ours, theirs))
        else:
            loss = distillation.cosine_loss(made[:, None], wanted[:, None], there[:, None])
            with torch.no_grad():
                ours, theirs = _variety(made[there]), _variety(wanted[there])
        apart, ours, theirs, unsure = _over_processes(loss.detach(), ours, theirs, unsure)
        alarmed = int(there.sum()) > 1  # one clip has no variety
        patient = _patient(self.weight, step)
        return Lesson(
            loss,
            {f"{self.name}_of_a_constant": theirs, f"{self.name}_variety": ours, f"{self.name}_entropy": unsure},
            alarms(self.name, float(apart), float(theirs), float(ours), patient=patient) if alarmed else (),
        )


class AlignLayer(nn.Module):
    """Self-attention beside a skip, behind a norm; then the mean over time with weights of its own; then linear.

    Args:
        width: D.
        heads: Divide the width.
        outputs: Of a vector.

    Source:
        Seed 3, "8-head attention mechanism"; the rest is ours, as nothing more is said of it.

    Example:
        >>> layer = AlignLayer(width=16, heads=8, outputs=3)
        >>> layer(torch.zeros(2, 5, 16), torch.ones(2, 5, dtype=torch.bool)).shape
        torch.Size([2, 3])
    """

    def __init__(self, width: int, heads: int, outputs: int) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            raise ConfigError(f"the align layer's {heads} heads must divide the width {width} of the levels")
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm = nn.LayerNorm(width)
        self.score = nn.Linear(width, 1)
        self.leave = nn.Linear(width, outputs)

    def forward(self, hidden: Float[Tensor, "B N D"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B F"]:
        """One vector a clip; at least one frame of each is real."""
        seen, _ = self.attention(hidden, hidden, hidden, key_padding_mask=~mask, need_weights=False)
        hidden = self.norm(hidden + seen)
        weights = self.score(hidden).masked_fill(~mask[..., None], -torch.inf).softmax(1)
        return self.leave((weights * hidden).sum(1))


class MeanLayer(nn.Module):
    """The plain mean over time, then linear: the align layer without its attention.

    Args:
        width: D.
        outputs: Of a vector.

    Example:
        >>> layer = MeanLayer(width=16, outputs=3)
        >>> layer(torch.zeros(2, 5, 16), torch.ones(2, 5, dtype=torch.bool)).shape
        torch.Size([2, 3])
    """

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.leave = nn.Linear(width, outputs)

    def forward(self, hidden: Float[Tensor, "B N D"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B F"]:
        """One vector a clip; at least one frame of each is real."""
        real = mask[..., None].to(hidden.dtype)
        return self.leave((hidden * real).sum(1) / real.sum(1))


def alarms(part: str, apart: float, constant: float, variety: float, *, patient: bool) -> tuple[str, ...]:
    """What looks wrong with a lesson: the failure signatures of the seed, and those of its spec.

    Args:
        part: Which teacher.
        apart: Distance of the student from the teacher.
        constant: Distance of the best constant answer, which is also how far the teacher varies.
        variety: How far the student varies.
        patient: It had its time to learn.

    Example:
        >>> alarms("semantic", apart=0.3, constant=0.25, variety=0.2, patient=True)
        ('the semantic loss teaches nothing: 0.300 from its teacher, where a constant is 0.250; raise its weight',)
    """
    if constant < _NOTHING:
        return (f"the {part} teacher is inert: it says the same everywhere (a constant is {constant:.3f} from it)",)
    if apart < _NOTHING:
        return (f"the {part} loss is {apart:.3f}: nothing is left to learn from it, it weighs too much",)
    if patient and variety < _ALIKE * constant:
        return (f"the {part} levels collapsed: they say the same everywhere ({variety:.4f} of {constant:.3f})",)
    if patient and apart >= constant:
        return (
            f"the {part} loss teaches nothing: {apart:.3f} from its teacher, where a constant is {constant:.3f}; "
            "raise its weight",
        )
    return ()


def _patient(weight: Weight, step: int) -> bool:
    return step >= weight.start + weight.ramp + _PATIENCE


def _over_processes(*values: Tensor) -> Tensor:
    """Means over processes, each of which saw a part of the batch, in one message."""
    return global_sum(torch.stack(values)) / world()[1]


def _variety(vectors: Float[Tensor, "M F"]) -> Float[Tensor, ""]:
    """One less the mean cosine with the direction that is nearest to all."""
    directions = F.normalize(vectors.float(), dim=1)
    return 1 - directions.mean(0).norm() if len(vectors) else vectors.new_zeros(())


def _divergence(logits: Float[Tensor, "M F"]) -> Float[Tensor, ""]:
    """Mean KL divergence of distributions from their mean, in nats."""
    if not len(logits):
        return logits.new_zeros(())
    known = F.log_softmax(logits, dim=1)
    return (known.exp() * (known - known.exp().mean(0).log())).sum(1).mean()


RESEMBLYZER = "resemblyzer"


class FrameListener:
    """The mean of some layers of an encoder, frame by frame.

    Args:
        encoder: Frozen.
        layers: 0 to its depth, or from behind; all of them by default.

    Raises:
        ConfigError: There is no such layer.
    """

    def __init__(self, encoder: HubertEncoder | WhisperEncoder, layers: Sequence[int] = ()) -> None:
        there = encoder.depth + 1
        if not all(-there <= layer < there for layer in layers):
            raise ConfigError(f"{encoder.name} has no layer {list(layers)}; it has 0 to {encoder.depth}")
        self._encoder = encoder
        self.layers = sorted({layer % there for layer in layers}) if layers else list(range(there))
        self.name, self.width = encoder.name, encoder.width
        self.sample_rate: int = encoder.sample_rate
        self.frame_rate: float | None = encoder.frame_rate
        self.digest = digest_of({"encoder": encoder.digest, "layers": self.layers}, {})

    def hear(self, clip: Audio) -> Float[Tensor, "N F"]:
        """Frames of the whole clip."""
        return self._encoder.features(clip, layers=self.layers)


class VoiceListener:
    """The voice of a clip, heard as a whole.

    Args:
        encoder: Frozen.
        name: In reports.
    """

    sample_rate: Final = 16_000
    frame_rate: Final = None

    def __init__(self, encoder: Ge2eEncoder | EcapaTdnn | XVectorEncoder, name: str) -> None:
        self._encoder, self.name, self.width = encoder, name, int(encoder.width)
        known: dict[str, object] = {"voice": type(encoder).__name__}
        self._shortest = ecapa.SHORTEST
        if isinstance(encoder, XVectorEncoder):
            known["normalise"], self._shortest = encoder.normalise, encoder.shortest
        self.digest = digest_of(known, encoder.state_dict())

    def hear(self, clip: Audio) -> Float[Tensor, " F"]:
        """The vector as the encoder gives it.

        Raises:
            AudioError: The clip is shorter than 0.2 s, or 0.5 s for x-vectors.
        """
        samples = torch.from_numpy(clip.resample(self.sample_rate).samples)[None]
        if samples.shape[1] < self._shortest:
            raise AudioError(f"{samples.shape[1] / self.sample_rate:.2f} s are too short for a voice to be heard")
        with torch.no_grad():
            return self._encoder(raise_level(samples) if isinstance(self._encoder, Ge2eEncoder) else samples)[0]


def find_frames(name: str, layers: Sequence[int] = ()) -> FrameListener:
    """A semantic teacher: HuBERT, WavLM, wav2vec 2.0 or the encoder of Whisper.

    Args:
        name: A folder, or a name on the hub, such as ``facebook/hubert-base-ls960``.
        layers: Whose mean is taken; all by default.

    Raises:
        CheckpointError: The model is not at hand, or of another kind.
        ConfigError: It has no such layer.
    """
    if any(Path(name).glob("encoder*.safetensors")):
        return FrameListener(WhisperEncoder.load(name), layers)
    try:
        from transformers import AutoConfig
    except ImportError as error:
        raise MissingDependencyError(f"{name}: needs transformers; run pip install 'vocable[hf]'") from error
    config = fetch(name, lambda place, local: AutoConfig.from_pretrained(place, local_files_only=local))
    if config.model_type == "whisper":
        return FrameListener(WhisperEncoder.load(name), layers)
    if config.model_type in KINDS:
        return FrameListener(HubertEncoder.load(name), layers)
    raise CheckpointError(f"{name}: is a {config.model_type}; a semantic teacher is a whisper, {', '.join(KINDS)}")


def find_voice(name: str) -> VoiceListener:
    """An acoustic teacher: ``resemblyzer``, ECAPA-TDNN, or a model of transformers with x-vectors.

    Args:
        name: ``resemblyzer``; a folder with SpeechBrain's ``embedding_model`` or with transformers' ``config.json``;
            or a name on the hub, where what is not SpeechBrain's is transformers'.

    Raises:
        CheckpointError: The model is not at hand, or of none of these kinds.
        MissingDependencyError: The wheel of resemblyzer, or transformers, is not installed.
    """
    if name == RESEMBLYZER:
        return VoiceListener(Ge2eEncoder.pretrained(), RESEMBLYZER)
    there = Path(name)
    of_transformers = (
        (there / "config.json").is_file() and not any((there / file).is_file() for file in ecapa.FILES)
        if there.is_dir() else "/" in name and not name.startswith("speechbrain/")
    )  # fmt: skip
    encoder = XVectorEncoder.load(name) if of_transformers else EcapaTdnn.load(name)
    return VoiceListener(encoder, encoder.name)
