"""Teachers of the guided codec: frozen feature extractors, and the distillation of their features into the levels.

Source:
    Speech Tokenizer is Key to Consistent Representation, arXiv:2507.06802: cosine for HuBERT, KL divergence for
    ECAPA-TDNN through an align layer of 8 heads.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from vocable.audio import Audio
from vocable.collective import global_sum, world
from vocable.data.crops import CropBatch
from vocable.errors import AudioError, ConfigError
from vocable.features import ecapa
from vocable.features.ecapa import EcapaTdnn
from vocable.features.ge2e import Ge2eEncoder, raise_level
from vocable.features.hub import from_transformers
from vocable.features.hubert import HubertEncoder
from vocable.features.whisper import WhisperEncoder
from vocable.features.xvector import XVectorEncoder
from vocable.files import folder_exists, is_file
from vocable.folder import digest_of
from vocable.losses import distillation
from vocable.quantizers import Quantized
from vocable.systems.guided.config import AcousticConfig, SemanticConfig
from vocable.systems.guided.networks import AlignLayer, MeanLayer
from vocable.train.schedule import Weight

SEMANTIC, ACOUSTIC, REPRESENTATION = "semantic", "acoustic", "representation"
RESEMBLYZER = "resemblyzer"

_FORMS = {
    "cosine": distillation.cosine_loss, "d_axis": distillation.d_axis_loss, "t_axis": distillation.t_axis_loss,
}  # fmt: skip
_DIGEST_NAMES: dict[type, str] = {  # fixed, so that features kept by earlier versions stay valid
    Ge2eEncoder: "VoiceEncoder", EcapaTdnn: "EcapaTdnn", XVectorEncoder: "XVectorEncoder",
}  # fmt: skip
_NEGLIGIBLE = 0.01  # cosine distance, or divergence in nats
_COLLAPSED = 0.05  # share of the teacher's variety under which a student counts as constant
_PATIENCE = 1_000  # steps at full weight before a student that has learned nothing is reported


class FrameFeatureExtractor:
    """Frozen extractor of frames: the mean of some layers of an encoder.

    Args:
        encoder: Frozen encoder.
        layers: Layers to average, 0 to the encoder's depth or counted from the last as -1; all by default.

    Raises:
        ConfigError: If the encoder has no such layer.
    """

    def __init__(self, encoder: HubertEncoder | WhisperEncoder, layers: Sequence[int] = ()) -> None:
        count = encoder.depth + 1
        if not all(-count <= layer < count for layer in layers):
            raise ConfigError(f"{encoder.name} has no layer {list(layers)}; it has 0 to {encoder.depth}")
        self._encoder = encoder
        self.layers = sorted({layer % count for layer in layers}) if layers else list(range(count))
        self.name, self.width = encoder.name, encoder.width
        self.sample_rate: int = encoder.sample_rate
        self.frame_rate: float | None = encoder.frame_rate
        self.digest = digest_of({"encoder": encoder.digest, "layers": self.layers}, {})

    def extract(self, clip: Audio) -> Float[Tensor, "N F"]:
        """Return the frames of a clip."""
        return self._encoder.features(clip, layers=self.layers)

    def extract_batch(self, clips: Sequence[Audio]) -> list[Float[Tensor, "N F"]]:
        """Return the frames of several clips, which go through the network together; rounding moves them."""
        return self._encoder.features_of_batch(clips, layers=self.layers)

    @property
    def device(self) -> torch.device:
        """Device of the encoder."""
        return self._encoder.device

    def to(self, device: str) -> "FrameFeatureExtractor":
        """Move the encoder to a torch device."""
        self._encoder.to(device)
        return self


class SpeakerFeatureExtractor:
    """Frozen extractor of one speaker embedding for a clip.

    Args:
        encoder: Frozen speaker encoder.
        name: Name of the encoder, for reports.
    """

    sample_rate: Final = 16_000
    frame_rate: Final = None

    def __init__(self, encoder: Ge2eEncoder | EcapaTdnn | XVectorEncoder, name: str) -> None:
        self._encoder, self.name, self.width = encoder, name, int(encoder.width)
        described: dict[str, object] = {"voice": _DIGEST_NAMES[type(encoder)]}
        self._shortest = ecapa.SHORTEST
        if isinstance(encoder, XVectorEncoder):
            described["normalise"], self._shortest = encoder.normalize, encoder.shortest
        self.digest = digest_of(described, encoder.state_dict())

    def extract(self, clip: Audio) -> Float[Tensor, " F"]:
        """Return the embedding of a clip of at least 0.2 s, or 0.5 s for x-vectors."""
        return self._embed([self._samples_of(clip)])[0]

    def extract_batch(self, clips: Sequence[Audio]) -> list[Float[Tensor, " F"]]:
        """Return the embeddings of several clips; those of one length go through the network together.

        Clips of different lengths would have to be padded, which none of these encoders can mask: ECAPA-TDNN mirrors
        the end of a clip, and averages over the whole.
        """
        samples = [self._samples_of(clip) for clip in clips]
        found: dict[int, Tensor] = {}
        for length in {len(one) for one in samples}:
            rows = [row for row, one in enumerate(samples) if len(one) == length]
            found |= zip(rows, self._embed([samples[row] for row in rows]), strict=True)
        return [found[row] for row in range(len(samples))]

    def check_length(self, samples: int) -> None:
        """Raise an AudioError if a clip of so many samples at 16 kHz is too short."""
        if samples < self._shortest:
            raise AudioError(
                f"the clip has {samples / self.sample_rate:.2f} s, {self.name} needs "
                f"{self._shortest / self.sample_rate:.2f} s for a speaker embedding"
            )

    def _samples_of(self, clip: Audio) -> Float[Tensor, " T"]:
        samples = torch.from_numpy(clip.resample(self.sample_rate).samples)
        self.check_length(len(samples))
        return samples

    def _embed(self, clips: Sequence[Float[Tensor, " T"]]) -> Float[Tensor, "B F"]:
        with torch.no_grad():
            samples = torch.stack([*clips]).to(self.device)
            return self._encoder(raise_level(samples) if isinstance(self._encoder, Ge2eEncoder) else samples)

    @property
    def device(self) -> torch.device:
        """Device of the encoder."""
        return next(self._encoder.parameters()).device

    def to(self, device: str) -> "SpeakerFeatureExtractor":
        """Move the encoder to a torch device."""
        self._encoder.to(device)
        return self


def find_frame_extractor(name: str, layers: Sequence[int] = ()) -> FrameFeatureExtractor:
    """Load a semantic teacher: HuBERT, WavLM, wav2vec 2.0 or the encoder of Whisper.

    Args:
        name: Folder, or name on the hub such as ``facebook/hubert-base-ls960``.
        layers: Layers to average; all by default.

    Raises:
        CheckpointError: If the model is not at hand, or of another kind.
        ConfigError: If it has no such layer.
        MissingDependencyError: If transformers is not installed.
    """
    is_whisper = (
        any(Path(name).glob("encoder*.safetensors")) or from_transformers(name, "AutoConfig").model_type == "whisper"
    )
    return FrameFeatureExtractor(WhisperEncoder.load(name) if is_whisper else HubertEncoder.load(name), layers)


def find_speaker_extractor(name: str) -> SpeakerFeatureExtractor:
    """Load an acoustic teacher: Resemblyzer, ECAPA-TDNN, or a model of transformers with x-vectors.

    Args:
        name: ``resemblyzer``; a folder with SpeechBrain's ``embedding_model`` or with transformers' ``config.json``; or
            a name on the hub, where names of ``speechbrain/`` are ECAPA-TDNN and others are of transformers.

    Raises:
        CheckpointError: If the model is not at hand, or of none of these kinds.
        MissingDependencyError: If the wheel of Resemblyzer, or transformers, is not installed.
    """
    if name == RESEMBLYZER:
        return SpeakerFeatureExtractor(Ge2eEncoder.pretrained(), RESEMBLYZER)
    folder = Path(name)
    of_transformers = (
        is_file(folder / "config.json") and not any(is_file(folder / file) for file in ecapa.FILES)
        if folder_exists(folder) else "/" in name and not name.startswith("speechbrain/")
    )  # fmt: skip
    encoder = XVectorEncoder.load(name) if of_transformers else EcapaTdnn.load(name)
    return SpeakerFeatureExtractor(encoder, encoder.name)


@dataclass(frozen=True)
class DistillationOutput:
    """Distillation loss of one teacher for a batch.

    Attributes:
        loss: Loss of the quantized levels against the targets.
        stats: Statistics to log, by name.
        alarms: Warnings.
    """

    loss: Float[Tensor, ""]
    stats: dict[str, Tensor] = field(default_factory=dict)
    alarms: tuple[str, ...] = ()


class Teacher(nn.Module, ABC):
    """A frozen model whose features are distilled into the levels, with a network that is trained with the codec.

    Args:
        config: Form of the loss and of the targets.
        latents: Dimension D of the levels.
        weight: Weight of the loss.
        mean: Mean of the teacher's features over the corpus, (F,).
        deviation: Standard deviation of the teacher's features over the corpus, (F,).
    """

    name: str
    mean: Tensor
    deviation: Tensor

    def __init__(self, *, weight: Weight, mean: Float[Tensor, " F"], deviation: Float[Tensor, " F"]) -> None:
        super().__init__()
        self.weight = weight
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)

    @abstractmethod
    def distill(self, batch: CropBatch, quantized: Quantized, step: int) -> DistillationOutput:
        """Return the loss of a batch with this teacher's targets, and how far student and teacher vary."""

    def _output(
        self, loss: Tensor, step: int, distance: Tensor, stats: dict[str, Tensor], *, has_alarms: bool = True
    ) -> DistillationOutput:
        """Return a loss with its statistics, and with alarms where there are several targets to compare."""
        alarms: tuple[str, ...] = ()
        if has_alarms:
            is_due = step >= self.weight.start + self.weight.ramp + _PATIENCE
            values = (float(value) for value in (distance, stats["of_a_constant"], stats["variety"]))
            alarms = distillation_alarms(self.name, *values, is_due=is_due)
        return DistillationOutput(loss, {f"{self.name}_{key}": value for key, value in stats.items()}, alarms)


class SemanticTeacher(Teacher):
    """Distillation of a teacher's frames into level 1, through a linear projection; see :class:`Teacher`."""

    name = SEMANTIC

    def __init__(self, config: SemanticConfig, *, latents: int, **values: Any) -> None:
        super().__init__(**values)
        self.config = config
        self.project = nn.Linear(latents, len(self.mean))

    @override
    def distill(self, batch: CropBatch, quantized: Quantized, step: int) -> DistillationOutput:
        target = batch.targets[self.name]
        mask = batch.mask & (target != 0).any(2)  # frames of zeros have no target
        if self.config.standardize:
            target = distillation.standardize(target, self.mean, self.deviation)
        student = self.project(quantized.levels[0]).float()
        with torch.no_grad():
            distances = 1 - F.cosine_similarity(student, target, dim=2)
            summed, count = global_sum(torch.stack([(distances * mask).sum(), mask.sum()]))
            distance = summed / count.clamp(min=1)
            variety, constant_distance = _mean_over_processes(_variety(student[mask]), _variety(target[mask]))
        stats = {"distance": distance, "of_a_constant": constant_distance, "variety": variety}
        return self._output(_FORMS[self.config.form](student, target, mask), step, distance, stats)


class AcousticTeacher(Teacher):
    """Distillation of a teacher's speaker embedding into the levels after the first, through an align layer.

    The loss is the mean over the clips that use these levels. For the arguments see :class:`Teacher`.
    """

    name = ACOUSTIC

    def __init__(self, config: AcousticConfig, *, latents: int, **values: Any) -> None:
        super().__init__(**values)
        self.config, width = config, len(self.mean)
        attention = config.pooling == "attention"
        self.align = AlignLayer(latents, config.heads, width) if attention else MeanLayer(latents, width)

    @override
    def distill(self, batch: CropBatch, quantized: Quantized, step: int) -> DistillationOutput:
        embedding, temperature = batch.targets[self.name], self.config.temperature
        levels = quantized.levels[1:2] if self.config.levels == "2" else quantized.levels[1:]
        clip_mask = (levels.detach() != 0).flatten(2).any(2).any(0)  # dropped levels are 0
        student = self.align(levels.sum(0), batch.mask).float()
        target = distillation.standardize(embedding, self.mean, self.deviation)
        if self.config.form == "kl":
            loss = distillation.divergence_loss(student, target, clip_mask, temperature)
            pair = (logits.detach()[clip_mask] / temperature for logits in (student, target))
            varieties = [temperature**2 * _divergence(logits) for logits in pair]
        else:
            loss = distillation.cosine_loss(student[:, None], embedding[:, None], clip_mask[:, None])
            varieties = [_variety(vectors.detach()[clip_mask]) for vectors in (student, embedding)]
        with torch.no_grad():
            distance, variety, constant_distance, entropy = _mean_over_processes(
                loss.detach(), *varieties, distillation.entropy(target / temperature).mean()
            )
        stats = {"of_a_constant": constant_distance, "variety": variety, "entropy": entropy}
        return self._output(loss, step, distance, stats, has_alarms=int(clip_mask.sum()) > 1)


def distillation_alarms(
    part: str, distance: float, constant_distance: float, variety: float, *, is_due: bool
) -> tuple[str, ...]:
    """Return warnings about a distillation that cannot work, has collapsed or learns nothing.

    Args:
        part: Name of the teacher.
        distance: Distance of the student from the targets.
        constant_distance: Distance of the best constant from the targets.
        variety: Distance of the student's answers from constant.
        is_due: Whether the student has had the steps to learn something.

    Example:
        >>> distillation_alarms("semantic", distance=0.3, constant_distance=0.25, variety=0.2, is_due=True)
        ('the semantic loss teaches nothing: its distance is 0.300, that of a constant 0.250; raise its weight',)
    """
    if constant_distance < _NEGLIGIBLE:
        return (f"the {part} teacher is inert: a constant has a distance of {constant_distance:.3f} from its targets",)
    if distance < _NEGLIGIBLE:
        return (f"the {part} loss has nothing left to teach: its distance is {distance:.3f}; lower its weight",)
    if is_due and variety < _COLLAPSED * constant_distance:
        return (f"the {part} levels collapsed: their variety is {variety:.4f} of {constant_distance:.3f}",)
    if is_due and distance >= constant_distance:
        return (
            f"the {part} loss teaches nothing: its distance is {distance:.3f}, that of a constant "
            f"{constant_distance:.3f}; raise its weight",
        )
    return ()


def _mean_over_processes(*values: Tensor) -> Tensor:
    """Return the mean of each value over the processes, in one message."""
    return global_sum(torch.stack(values)) / world()[1]


def _variety(vectors: Float[Tensor, "M F"]) -> Float[Tensor, ""]:
    """Return 1 - the mean cosine with the direction that is nearest to all vectors."""
    directions = F.normalize(vectors.float(), dim=1)
    return 1 - directions.mean(0).norm() if len(vectors) else vectors.new_zeros(())


def _divergence(logits: Float[Tensor, "M F"]) -> Float[Tensor, ""]:
    """Return the mean KL divergence of distributions from their mean, in nats."""
    if not len(logits):
        return logits.new_zeros(())
    log_probs = F.log_softmax(logits, dim=1)
    return (log_probs.exp() * (log_probs - log_probs.exp().mean(0).log())).sum(1).mean()
