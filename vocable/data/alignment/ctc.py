"""Forced alignment with a small network on Whisper's encoder, trained by CTC on speech with known phones.

Training takes a few minutes on one core for an hour of speech.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from vocable.audio import Audio
from vocable.data.alignment.record import Alignment, ScoredAlignment, Segment
from vocable.data.alignment.viterbi import BLANK, places_needed, spans, viterbi
from vocable.data.alignment.words import arpabet_words, words_of
from vocable.data.manifest import Utterance
from vocable.errors import AlignmentError, CheckpointError, VocableError
from vocable.features.whisper import WhisperEncoder
from vocable.folder import Migration, read_model, system_of, write_model
from vocable.schema import config, parse, to_json
from vocable.shapes import mask_from_lengths
from vocable.text.phonemes import SILENCE, PhonemeSet

SYSTEM = "ctc-aligner"
PRIOR = 0.3
"""Power of the class prior that probabilities are divided by, so that phones last longer and blanks shorter."""

_PHONEMES = PhonemeSet.arpabet()
_SILENT = 1  # class of silence
_CLASSES = 1 + len(_PHONEMES)  # the blank, silence and the phones
_WIDTH = 192
_PAUSE = 5  # frames: 100 ms, longer than almost any closure of a stop consonant
_BATCH_SIZE = 16
_LEARNING_RATE = 2e-3  # of Adam, decayed to 0 along a cosine
_PRIOR_MOMENTUM = 0.95
_MIGRATION = Migration(config=dict, tensors=[(r"^enter\.", "in_proj."), (r"^leave\.", "out_proj.")])


@config
class CtcConfig:
    """Configuration of a head.

    Attributes:
        encoder: Digest of the encoder that the head reads.
        width: Dimension of a frame.
    """

    encoder: str
    width: Annotated[int, Field(ge=1, le=4096)]


class CtcHead(nn.Module):
    """Frame-wise classifier into the blank, silence and 39 phones.

    It sees one frame at a time: CTC training demands the order of phones only, so a network with context may report
    them too early or too late.

    Args:
        width: Dimension of a frame.

    Example:
        >>> CtcHead(4)(torch.zeros(1, 5, 4)).shape
        torch.Size([1, 5, 41])
    """

    prior: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.in_proj = nn.Linear(width, _WIDTH)
        self.drop = nn.Dropout(0.1)
        self.out_proj = nn.Linear(_WIDTH, _CLASSES)
        self.register_buffer("prior", torch.full((_CLASSES,), 1 / _CLASSES))  # mean probability of each class

    def forward(self, frames: Float[Tensor, "B N D"]) -> Float[Tensor, "B N k"]:
        """Return log-probabilities of the classes at each frame."""
        return self.out_proj(self.drop(F.gelu(self.in_proj(self.norm(frames))))).log_softmax(-1)

    def scaled(self, log_probs: Float[Tensor, "*B N k"], power: float = PRIOR) -> Float[Tensor, "*B N k"]:
        """Return log-probabilities divided by a power of the prior, an approximation of likelihoods."""
        return log_probs - power * self.prior.clamp(min=1e-4).log()


class CtcAligner:
    """Forced aligner: the likeliest path of the phones through the output of a :class:`CtcHead`.

    Args:
        encoder: Encoder whose middle layer the head reads. The last layer knows phones best, but not their positions.
        head: Head trained on frames of this encoder.

    Attributes:
        name: Name in reports.
    """

    def __init__(self, encoder: WhisperEncoder, head: CtcHead) -> None:
        self.encoder, self.head = encoder, head.eval()
        self.name = f"ctc on {encoder.name}"

    @classmethod
    def load(cls, folder: Path, encoder: WhisperEncoder) -> "CtcAligner":
        """Load the aligner whose head is in a folder.

        Raises:
            CheckpointError: If the folder holds no head, or one of another encoder.
        """
        if system_of(folder) != SYSTEM:
            raise CheckpointError(f"{folder}: holds no CTC head; name a new folder and it is trained into it")

        def build(values: dict[str, Any]) -> CtcHead:
            settings = parse(CtcConfig, values, "config")
            if settings.encoder != encoder.digest:
                raise CheckpointError(f"{folder}: this head reads another encoder; name that one, or train a new head")
            return CtcHead(settings.width)

        return cls(encoder, read_model(folder, build, migration=_MIGRATION).network)

    def save(self, folder: Path) -> None:
        """Write the head to a folder; see :func:`vocable.folder.write_model`."""
        settings = CtcConfig(encoder=self.encoder.digest, width=self.encoder.width)
        write_model(folder, SYSTEM, to_json(settings), self.head)

    def phones(self, clip: Audio, words: Sequence[Sequence[str]]) -> ScoredAlignment:
        """Align the phones of words; see :meth:`~vocable.data.alignment.record.PhoneAligner.phones`."""
        ids = with_pauses(words)
        with torch.no_grad():
            log_probs = self.head.scaled(self.head(head_frames(self.encoder, clip)[None])[0])
        path = aligned_path(log_probs, ids)
        names = _PHONEMES.names(one - 1 for one in ids)
        seconds = 1 / self.encoder.frame_rate
        # frame n is centered on sample n hops, so it covers half a hop on either side of it
        segments = [
            Segment(names[place], max(0.0, (start - 0.5) * seconds), (end - 0.5) * seconds)
            for place, start, end in spans(path)
        ]
        rows = log_probs.log_softmax(-1).numpy()
        scores = [rows[at, ids[place]] for at, place in enumerate(path) if place >= 0 and names[place] != SILENCE]
        return ScoredAlignment(Alignment(tuple(segments)).fitted(clip.duration), float(np.mean(scores)))


def head_frames(encoder: WhisperEncoder, clip: Audio) -> Float[Tensor, "N D"]:
    """Compute the frames that heads read: those of the middle layer."""
    return encoder.features(clip, layers=(encoder.depth // 2,)).cpu()


def with_pauses(words: Sequence[Sequence[str]]) -> list[int]:
    """Return the classes of phones, with silence before, between and after words; see :func:`arpabet_words`.

    Example:
        >>> with_pauses([["AH0"], ["B", "IY1"]])
        [1, 4, 1, 8, 19, 1]
    """
    classes = [_SILENT]
    for word in arpabet_words(words):
        classes += [*(1 + one for one in _PHONEMES.ids(word)), _SILENT]
    return classes


def aligned_path(log_probs: Float[Tensor, "N k"], ids: Sequence[int]) -> list[int]:
    """Find the likeliest path through the classes of :func:`with_pauses`, whose silences are optional.

    For CTC a blank is as good as a silence. Therefore a run of at least :data:`_PAUSE` blank frames between words, and
    any run before or after the words, becomes silence.
    """
    silences = {place for place, one in enumerate(ids) if one == _SILENT}
    path = viterbi(log_probs.numpy(), ids, silences)[0]
    spoken = [(frame, place) for frame, place in enumerate(path) if place >= 0 and place not in silences]
    edges = [(-1, spoken[0][1] - 2), *spoken, (len(path), spoken[-1][1] + 2)]
    for (last, before), (first, after) in pairwise(edges):
        quiet = first - last - 1
        is_outside = last < 0 or first == len(path)
        if after - before == 2 and (is_outside or quiet >= _PAUSE):  # an optional silence lies between the two places
            path[last + 1 : first] = [before + 1] * quiet
    return path


# ---- training -------------------------------------------------------------------------------------------------------


@dataclass
class _Clip:
    """Frames in memory as float16 (an hour: 140 MB at a width of 384), classes, and the target of the current round."""

    frames: Float[Tensor, "N D"]
    classes: list[int]
    target: list[int]


def train_head(
    encoder: WhisperEncoder, utterances: Sequence[Utterance], *, seed: int = 0, rounds: Sequence[int] = (5, 5),
    say: Callable[[str], None] = print,
) -> CtcHead:  # fmt: skip
    """Train a head on recordings with known phones.

    In the first round, targets have silence before and after the phones only. Then every recording is aligned, and
    targets of the second round have silence where a pause was found between words. The second round also divides by the
    prior; from the start, this would let silence or the blank replace everything.

    Args:
        encoder: Frozen encoder.
        utterances: Utterances with a key ``phones``; those without it or without readable audio are left out.
        seed: Seed of weights, order and dropout.
        rounds: Passes over the recordings in each round.
        say: Function that receives a line on what was left out, and one per pass.

    Raises:
        AlignmentError: If no recording can be used.

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
        optimizer = torch.optim.Adam(head.parameters(), lr=_LEARNING_RATE)
        steps = sum(rounds) * -(-len(clips) // _BATCH_SIZE)
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
            frames = head_frames(encoder, Audio.read(utterance.audio_path)).half()
        except VocableError:
            left_out += 1
            continue
        target = [_SILENT, *(one for one in classes if one != _SILENT), _SILENT]
        if places_needed(target) <= len(frames):
            yield _Clip(frames, classes, target)
        else:
            left_out += 1
    if left_out:
        say(f"CTC head: {left_out} of {len(utterances)} recordings left out: no 'phones', or they do not fit the audio")


def _batches(clips: Sequence[_Clip], random: np.random.Generator) -> Iterator[list[_Clip]]:
    """Yield batches of clips of similar length, in random order."""
    order = sorted(range(len(clips)), key=lambda at: len(clips[at].frames) + random.uniform(0, 25))
    batches = [order[start : start + _BATCH_SIZE] for start in range(0, len(order), _BATCH_SIZE)]
    for at in random.permutation(len(batches)):
        yield [clips[one] for one in batches[at]]


def _step(head: CtcHead, batch: Sequence[_Clip], power: float) -> float:
    """Run one backward pass; return the loss in nats per symbol."""
    frames = pad_sequence([clip.frames.float() for clip in batch], batch_first=True)
    lengths = torch.tensor([len(clip.frames) for clip in batch])
    mask = mask_from_lengths(lengths, frames.shape[1])
    log_probs = head(frames)
    with torch.no_grad():
        head.prior.lerp_(log_probs[mask].exp().mean(0), 1 - _PRIOR_MOMENTUM)
    loss = ctc_loss(head.scaled(log_probs, power), lengths, [clip.target for clip in batch])
    symbols = sum(len(clip.target) for clip in batch)
    (loss / symbols).backward()
    return loss.item() / symbols


def ctc_loss(
    scores: Float[Tensor, "B N k"], lengths: Int[Tensor, " B"], targets: Sequence[Sequence[int]]
) -> Float[Tensor, ""]:
    """Compute the CTC loss of scores that need not be normalized.

    The value of torch's loss is right for such scores, but its gradient assumes normalized ones: it is too large by
    their exponential, which is subtracted here.
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
    """Align every clip, and set its target to the classes found, pauses included."""
    head.eval()
    for clip in clips:
        with torch.no_grad():
            path = aligned_path(head.scaled(head(clip.frames[None].float())[0]), clip.classes)
        target = [clip.classes[place] for place in dict.fromkeys(path) if place >= 0]
        if places_needed(target) <= len(clip.frames):
            clip.target = target
