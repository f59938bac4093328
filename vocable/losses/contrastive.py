"""Frames of two kinds drawn together where they belong together, and apart where they do not."""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vocable.errors import ShapeError

_CELLS = 1 << 22  # of the similarity matrix that exist at one time: 16 MiB


def frame_contrastive_loss(
    left: Float[Tensor, "B N D"], right: Float[Tensor, "B N D"], mask: Bool[Tensor, "B N"], scale: Float[Tensor, ""]
) -> Float[Tensor, ""]:
    """Cross-entropy of which frame of the other kind is a frame's own, both ways, among all frames of the batch.

    Logits are scale · left · rightᵀ over the M real frames; the loss is the mean of −log softmax at the frame itself,
    half over rows and half over columns. Neighbours with the same phoneme are as wrong as any others. The matrix is
    made in blocks of rows, in the backward pass again: memory grows with M and not with M².

    Args:
        left: Frames of one kind.
        right: Of the other, paired by position.
        mask: True on frames that count, as rows and as columns.
        scale: Positive.

    Raises:
        ShapeError: No frame counts.

    Source:
        VQ-CTAP, arXiv:2408.05758, "token-acoustic contrastive loss" (its formula lacks the minus sign); CLIP,
        arXiv:2103.00020, over frames.

    Example:
        >>> frames = 9.0 * torch.eye(4)[None]
        >>> float(frame_contrastive_loss(frames, frames, torch.ones(1, 4, dtype=torch.bool), torch.ones(())))
        0.0
    """
    if not bool(mask.any()):
        raise ShapeError("a contrastive loss needs at least one frame: the mask is False everywhere")
    with torch.autocast(left.device.type, enabled=False):
        loss: Tensor = _Contrast.apply(left[mask].float(), right[mask].float(), scale.float())  # type: ignore[no-untyped-call]
    return loss


class _Contrast(torch.autograd.Function):
    """The loss over rows that belong together, and its gradients, block by block."""

    @staticmethod
    def forward(
        ctx: Any, left: Float[Tensor, "M D"], right: Float[Tensor, "M D"], scale: Float[Tensor, ""]
    ) -> Float[Tensor, ""]:  # fmt: skip
        space, other = _spaces(right)
        across = torch.empty_like(left[:, 0])
        tops = torch.full_like(across, -torch.inf)  # of each column so far, and the sum of exponents under them
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
        own = scale * (left * right).sum(1)
        ctx.save_for_backward(left, right, scale, across, down)
        return 0.5 * ((across - own).mean() + (down - own).mean())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        left, right, scale, across, down = ctx.saved_tensors
        to_left, to_right = torch.empty_like(left), torch.zeros_like(right)
        weight = gradients[0] / len(left)
        space, other = _spaces(right)
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


def _height(right: Float[Tensor, "M D"]) -> int:
    """Rows of a block."""
    return max(1, min(len(right), _CELLS // len(right)))


def _spaces(right: Float[Tensor, "M D"]) -> tuple[Float[Tensor, "R M"], Float[Tensor, "R M"]]:
    """Room for two blocks, used again and again: made anew each time they leave holes, of gigabytes in the end."""
    first, second = right.new_empty(2, _height(right), len(right)).unbind(0)
    return first, second
