"""Contrastive loss between two embeddings of the same frames."""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vocable.collective import gather_rows, world
from vocable.errors import ShapeError

_MAX_CELLS = 1 << 22  # of a block of the similarity matrix: 16 MiB


def frame_contrastive_loss(
    left: Float[Tensor, "B N D"], right: Float[Tensor, "B N D"], mask: Bool[Tensor, "B N"], scale: Float[Tensor, ""]
) -> Float[Tensor, ""]:
    """Return the symmetric InfoNCE loss that matches each frame with its pair among all frames of the batch.

    Logits are scale · left · rightᵀ over the M real frames. The loss is the mean of −log softmax at the paired frame,
    half over rows and half over columns. Neighbors with the same phoneme are negatives like all others. The matrix is
    computed in blocks of rows, and again in the backward pass: memory grows with M and not with M².

    The batch is the global one: every process compares the frames of all, and gets the gradients of its own.

    Raises:
        ShapeError: If the mask is False everywhere. Of several processes some or all may have no frame.

    Source:
        VQ-CTAP, arXiv:2408.05758, "token-acoustic contrastive loss" (its formula lacks the minus sign); CLIP,
        arXiv:2103.00020, over frames.

    Example:
        >>> frames = 9.0 * torch.eye(4)[None]
        >>> float(frame_contrastive_loss(frames, frames, torch.ones(1, 4, dtype=torch.bool), torch.ones(())))
        0.0
    """
    size = world()[1]
    if size == 1 and not bool(mask.any()):
        raise ShapeError("a contrastive loss needs at least one frame, but the mask is False everywhere")
    with torch.autocast(left.device.type, enabled=False):
        rows, others, scale = gather_rows(left[mask].float()), gather_rows(right[mask].float()), scale.float()
        if not len(rows):
            return 0.0 * (left.float() + right.float()).sum()
        if size == 1:
            loss: Tensor = _Contrast.apply(rows, others, scale)  # type: ignore[no-untyped-call]
            return loss
        # The mean of gradients over processes shall be their sum for the rows, which each process has its own of, and
        # their mean for the scale, which all processes have in common.
        scale = scale / size + (1 - 1 / size) * scale.detach()
        loss = _Contrast.apply(rows, others, scale)  # type: ignore[no-untyped-call]
        return size * loss - (size - 1) * loss.detach()


class _Contrast(torch.autograd.Function):
    """Loss over paired rows, and its gradients, in blocks of rows."""

    @staticmethod
    def forward(
        ctx: Any, left: Float[Tensor, "M D"], right: Float[Tensor, "M D"], scale: Float[Tensor, ""]
    ) -> Float[Tensor, ""]:  # fmt: skip
        space, other = _buffers(right)
        across = torch.empty_like(left[:, 0])
        tops = torch.full_like(across, -torch.inf)  # running maximum of each column, and sum of exponentials below it
        sums = torch.zeros_like(tops)
        for start in range(0, len(left), len(space)):
            rows = slice(start, start + len(space))
            logits = torch.mm(left[rows], right.T, out=space[: len(left) - start]).mul_(scale)
            top = logits.amax(1)
            across[rows] = top + torch.sub(logits, top[:, None], out=other[: len(top)]).exp_().sum(1).log()
            higher = torch.maximum(tops, logits.amax(0))
            sums.mul_((tops - higher).exp()).add_(logits.sub_(higher).exp_().sum(0))
            tops.copy_(higher)
        down = tops + sums.log()
        positives = scale * (left * right).sum(1)
        ctx.save_for_backward(left, right, scale, across, down)
        return 0.5 * ((across - positives).mean() + (down - positives).mean())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        left, right, scale, across, down = ctx.saved_tensors
        to_left, to_right = torch.empty_like(left), torch.zeros_like(right)
        weight = gradients[0] / len(left)
        space, other = _buffers(right)
        for start in range(0, len(left), len(space)):
            rows = slice(start, start + len(space))
            logits = torch.mm(left[rows], right.T, out=space[: len(left) - start]).mul_(scale)
            share = torch.sub(logits, across[rows, None], out=other[: len(logits)]).exp_()
            share.add_(logits.sub_(down).exp_()).mul_(0.5)
            share.diagonal(start).sub_(1.0)
            torch.mm(share, right, out=to_left[rows])
            to_right.addmm_(share.T, left[rows])
        to_scale = weight * (to_left * left).sum()
        return to_left.mul_(weight * scale), to_right.mul_(weight * scale), to_scale


def _buffers(right: Float[Tensor, "M D"]) -> tuple[Float[Tensor, "R M"], Float[Tensor, "R M"]]:
    """Return two buffers that every block uses: fresh ones would fragment memory by gigabytes."""
    rows = max(1, min(len(right), _MAX_CELLS // len(right)))
    first, second = right.new_empty(2, rows, len(right)).unbind(0)
    return first, second
