"""Training of the CTC head: on one core a few minutes for an hour of speech."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from vocable.audio import Audio
from vocable.data.alignment.ctc import PRIOR, CtcHead, aligned_path, heard, with_pauses
from vocable.data.alignment.phones import words_of
from vocable.data.alignment.viterbi import BLANK, places_needed
from vocable.data.manifest import Utterance
from vocable.errors import AlignmentError, VocableError
from vocable.features.whisper import WhisperEncoder
from vocable.shapes import mask_from_lengths

_BATCH = 16  # clips of like length
_RATE = 2e-3  # of Adam, falling to 0 along a cosine
_MEMORY = 0.95  # of the prior, from step to step


@dataclass
class _Clip:
    """Frames in memory as float16 (an hour: 140 MB at a width of 384), what is said, and the target of the round."""

    frames: Float[Tensor, "N D"]
    classes: list[int]
    target: list[int]


def train_head(
    encoder: WhisperEncoder, utterances: Sequence[Utterance], *, seed: int = 0, rounds: Sequence[int] = (5, 5),
    say: Callable[[str], None] = print,
) -> CtcHead:  # fmt: skip
    """Train a head on recordings whose phones are known.

    In the first round silence is expected before and behind the phones only. Then every recording is aligned, and
    where a pause was found between words the second round expects one; it also divides by the prior, which from the
    start would let silence, or the blank, stand for everything.

    Args:
        encoder: Frozen.
        utterances: With a key ``phones``; those without, or whose audio cannot be read, are left out.
        seed: Of the weights, the order and the dropout.
        rounds: Passes over the recordings in each round.
        say: Gets a line on what was left out, and one a pass.

    Raises:
        AlignmentError: No recording can be used.

    Source:
        Graves et al., ICML 2006. Dividing by the prior, so that symbols last and blanks do not: Huang et al., Less
        peaky and more accurate CTC forced alignment by label priors, ICASSP 2024, arXiv:2406.02560.
    """
    clips = list(_clips(encoder, utterances, say))
    if not clips:
        raise AlignmentError(f"none of {len(utterances)} recordings has 'phones' that fit its audio; nothing to learn")
    random = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = CtcHead(encoder.width)
        optimizer = torch.optim.Adam(head.parameters(), lr=_RATE)
        steps = sum(rounds) * -(-len(clips) // _BATCH)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        passes = 0
        for number, count in enumerate(rounds):
            if number:
                _find_pauses(head, clips)
            for _ in range(count):
                passes += 1
                losses = []
                for batch in _batches(clips, random):
                    optimizer.zero_grad()
                    losses.append(_step(head.train(), batch, PRIOR if number else 0.0))
                    optimizer.step()
                    schedule.step()
                say(f"CTC head: pass {passes} of {sum(rounds)}, {np.mean(losses):.3f} nats a symbol")
    return head.eval()


def _clips(encoder: WhisperEncoder, utterances: Sequence[Utterance], say: Callable[[str], None]) -> Iterator[_Clip]:
    left_out = 0
    for utterance in utterances:
        try:
            classes = with_pauses(words_of(utterance))
            frames = heard(encoder, Audio.read(utterance.audio_path)).half()
        except VocableError:
            left_out += 1
            continue
        target = [classes[0], *(one for one in classes if one != classes[0]), classes[0]]
        if places_needed(target) > len(frames):
            left_out += 1
            continue
        yield _Clip(frames, classes, target)
    if left_out:
        say(f"CTC head: {left_out} of {len(utterances)} recordings left out: no 'phones', or they do not fit the audio")


def _batches(clips: Sequence[_Clip], random: np.random.Generator) -> Iterator[list[_Clip]]:
    """Clips of like length together, in random order."""
    order = sorted(range(len(clips)), key=lambda at: len(clips[at].frames) + random.uniform(0, 25))
    batches = [order[start : start + _BATCH] for start in range(0, len(order), _BATCH)]
    for at in random.permutation(len(batches)):
        yield [clips[one] for one in batches[at]]


def _step(head: CtcHead, batch: Sequence[_Clip], power: float) -> float:
    """One backward pass; the loss in nats a symbol."""
    frames = pad_sequence([clip.frames.float() for clip in batch], batch_first=True)
    lengths = torch.tensor([len(clip.frames) for clip in batch])
    mask = mask_from_lengths(lengths, frames.shape[1])
    log_probs = head(frames)
    with torch.no_grad():
        head.prior.lerp_(log_probs[mask].exp().mean(0), 1 - _MEMORY)
    loss = ctc_loss(head.scaled(log_probs, power), lengths, [clip.target for clip in batch])
    symbols = sum(len(clip.target) for clip in batch)
    (loss / symbols).backward()
    return loss.item() / symbols


def ctc_loss(
    scores: Float[Tensor, "B N k"], lengths: Int[Tensor, " B"], targets: Sequence[Sequence[int]]
) -> Float[Tensor, ""]:
    """Negative log of the summed exponentials of every path's score, for scores that need not be normalised.

    torch's value is that, but its gradient takes scores for normalised: it is too large by their exponential.
    """
    flat = torch.tensor([one for target in targets for one in target])
    sizes = torch.tensor([len(target) for target in targets])
    fixed = scores.detach().requires_grad_()
    with torch.enable_grad():
        loss = F.ctc_loss(fixed.transpose(0, 1), flat, lengths, sizes, blank=BLANK, reduction="sum")
    (slope,) = torch.autograd.grad(loss, fixed)
    slope = (slope - fixed.exp()) * mask_from_lengths(lengths, scores.shape[1])[..., None]
    return loss.detach() + ((scores - fixed.detach()) * slope.detach()).sum()


def _find_pauses(head: CtcHead, clips: Sequence[_Clip]) -> None:
    head.eval()
    for clip in clips:
        with torch.no_grad():
            path = aligned_path(head.scaled(head(clip.frames[None].float())[0]), clip.classes)
        found = [clip.classes[place] for place in dict.fromkeys(path) if place >= 0]
        if places_needed(found) <= len(clip.frames):
            clip.target = found
