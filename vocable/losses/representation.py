"""Distance between a frozen encoder's frames of a recording and of the decoded audio."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vocable.collective import global_mean, global_sum
from vocable.errors import ConfigError
from vocable.features.whisper import WhisperEncoder

_LEAST_DEVIATION = 1e-3  # of a channel; the channels of Whisper's layers deviate by .05 and more


class RepresentationLoss:
    """Mean absolute difference of a frozen encoder's layers, whose gradient reaches the decoded samples.

    Each channel of a layer is divided by its standard deviation over the real frames of the batch, so that layers and
    channels count alike. The encoder takes samples as :meth:`WhisperEncoder.hidden_states` does: through its own
    log-mel spectrum, at the positions of the crop's own length instead of padded to 30 s, with padding masked. It is no
    module: its weights are neither trained nor part of a checkpoint.

    Args:
        encoder: Frozen encoder.
        layers: Layers to compare, 0 to the encoder's depth or counted from the last as -1.

    Raises:
        ConfigError: If the encoder has no such layer, or no layer is named.

    Source:
        Lee et al., JHCodec, arXiv:2603.05887, "self-supervised representation reconstruction"; there the encoder is
        w2v-BERT 2.0.

    Example:
        >>> loss = RepresentationLoss(WhisperEncoder(width=64, depth=2), layers=(1, 2))
        >>> sound = torch.randn(1, 3_200, generator=torch.Generator().manual_seed(0))
        >>> float(loss(sound, sound, torch.ones(1, 10, dtype=torch.bool)))
        0.0
    """

    def __init__(self, encoder: WhisperEncoder, layers: Sequence[int]) -> None:
        count = encoder.depth + 1
        if not layers or not all(-count <= layer < count for layer in layers):
            raise ConfigError(f"{encoder.name} has no layers {list(layers)}; it has 0 to {encoder.depth}")
        self.encoder, self.layers = encoder, tuple(layers)

    def __call__(
        self, decoded: Float[Tensor, "B T"], reference: Float[Tensor, "B T"], mask: Bool[Tensor, "B N"]
    ) -> Float[Tensor, ""]:
        """Return the loss of a batch.

        Args:
            decoded: Decoded samples in [-1, 1]; T = N · hop.
            reference: Samples of the recording.
            mask: True on real frames, which come first in each row; at least one in each.
        """
        self.encoder.to(decoded.device)
        lengths = mask.sum(1) * (decoded.shape[1] // mask.shape[1])
        with torch.no_grad():
            targets = self.encoder.hidden_states(reference, lengths)
        outputs = self.encoder.hidden_states(decoded, lengths)
        frame_mask = (targets[0] != 0).any(2)
        losses = [relative_distance(outputs[layer], targets[layer], frame_mask) for layer in self.layers]
        return torch.stack(losses).mean()


def relative_distance(
    output: Float[Tensor, "B N D"], target: Float[Tensor, "B N D"], mask: Bool[Tensor, "B N"]
) -> Float[Tensor, ""]:
    """Return the mean absolute difference of frames, each channel in standard deviations of the target.

    Args:
        output: Frames.
        target: Frames that ``output`` should equal.
        mask: True on real frames, of which the batch over all processes has at least one.

    Example:
        >>> target, mask = torch.tensor([[[0.0], [4.0]]]), torch.ones(1, 2, dtype=torch.bool)
        >>> float(relative_distance(target + 1, target, mask))
        0.5
    """
    output, target = output.float(), target.float()
    return global_mean(((output - target) / _deviation(target[mask])).abs().mean(2), mask)


def _deviation(rows: Float[Tensor, "M D"]) -> Float[Tensor, " D"]:
    """Return the standard deviation of each channel over the rows of all processes."""
    values = rows.double()
    count = global_sum(torch.tensor(len(rows), device=rows.device))
    mean, square = global_sum(torch.stack([values.sum(0), values.square().sum(0)])) / count
    return (square - mean.square()).clamp(min=0).sqrt().clamp(min=_LEAST_DEVIATION).float()
