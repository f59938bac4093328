"""Forced alignment with a small network on Whisper's encoder, trained by CTC on speech whose phones are known."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vocable.audio import Audio
from vocable.data.alignment.phones import arpabet_words
from vocable.data.alignment.record import Aligned, Alignment, Segment
from vocable.data.alignment.viterbi import spans, viterbi
from vocable.errors import CheckpointError
from vocable.features.whisper import WhisperEncoder
from vocable.folder import read_model, system_of, write_model
from vocable.text.phonemes import SILENCE, PhonemeSet

SYSTEM = "ctc-aligner"
_PHONEMES = PhonemeSet.arpabet()
_SILENT = 1
_CLASSES = 1 + len(_PHONEMES)  # the blank, silence and the phones
_WIDTH = 192
PRIOR = 0.3
"""Power of the prior that probabilities are divided by, so that phones last and blanks do not."""

_PAUSE = 5  # frames: 100 ms, as long as the closure of a stop hardly is
_LARGEST_CONFIG = 4096  # values of a frame


class CtcHead(nn.Module):
    """Frames to log-probabilities of the blank, silence and 39 phones, each frame by itself.

    A network that looks around may learn to tell of phones before or after they are said: CTC asks for order only.

    Args:
        width: Of a frame.

    Example:
        >>> CtcHead(4)(torch.zeros(1, 5, 4)).shape
        torch.Size([1, 5, 41])
    """

    prior: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.enter = nn.Linear(width, _WIDTH)
        self.drop = nn.Dropout(0.1)
        self.leave = nn.Linear(_WIDTH, _CLASSES)
        self.register_buffer("prior", torch.full((_CLASSES,), 1 / _CLASSES))  # mean probability of each class

    def forward(self, frames: Float[Tensor, "B N D"]) -> Float[Tensor, "B N k"]:
        """Log-probabilities of the classes at each frame."""
        return self.leave(self.drop(F.gelu(self.enter(self.norm(frames))))).log_softmax(-1)

    def scaled(self, log_probs: Float[Tensor, "*B N k"], power: float = PRIOR) -> Float[Tensor, "*B N k"]:
        """Log-probabilities over a power of the prior: likelihoods of the sound, more or less."""
        return log_probs - power * self.prior.clamp(min=1e-4).log()


class CtcAligner:
    """Finds the phones of words in speech by the likeliest path through a :class:`CtcHead`.

    Args:
        encoder: Whose middle layer the head reads: the last knows phones best, but not where they lie.
        head: Trained on frames of this encoder.

    Attributes:
        name: In reports.
    """

    def __init__(self, encoder: WhisperEncoder, head: CtcHead) -> None:
        self.encoder, self.head = encoder, head.eval()
        self.name = f"ctc on {encoder.name}"

    @classmethod
    def load(cls, folder: Path, encoder: WhisperEncoder) -> "CtcAligner":
        """The aligner whose head lies in a folder.

        Raises:
            CheckpointError: The folder holds no head, or one of another encoder.
        """
        if system_of(folder) != SYSTEM:
            raise CheckpointError(f"{folder}: holds no CTC head; name a new folder and it is trained into it")

        def build(config: dict[str, Any]) -> CtcHead:
            match config:
                case {"encoder": encoder.digest, "width": int(width)} if 0 < width <= _LARGEST_CONFIG:
                    return CtcHead(width)
            raise CheckpointError(f"{folder}: this head reads another encoder; name that one, or train a head anew")

        return cls(encoder, read_model(folder, build).network)

    def save(self, folder: Path) -> None:
        """Write the head to a folder.

        Raises:
            OutputError: It cannot be written.
        """
        write_model(folder, SYSTEM, {"encoder": self.encoder.digest, "width": self.encoder.width}, self.head)

    def phones(self, clip: Audio, words: Sequence[Sequence[str]]) -> Aligned:
        """The phones of words, and the silences before, between and behind the words.

        Args:
            clip: Of any rate.
            words: ARPAbet phones of each word; their stress does not count.

        Raises:
            AlignmentError: There are no phones, one is no ARPAbet phone, or there are more than the clip has frames.
        """
        ids = with_pauses(words)
        with torch.no_grad():
            log_probs = self.head.scaled(self.head(heard(self.encoder, clip)[None])[0])
        path = aligned_path(log_probs, ids)
        names = _PHONEMES.names(one - 1 for one in ids)
        seconds = 1 / self.encoder.frame_rate
        # frame n is centred on sample n hops, so it covers half a hop on either side of it
        segments = [
            Segment(names[place], max(0.0, (start - 0.5) * seconds), (end - 0.5) * seconds)
            for place, start, end in spans(path)
        ]
        rows = log_probs.log_softmax(-1).numpy()
        said = [rows[at, ids[place]] for at, place in enumerate(path) if place >= 0 and names[place] != SILENCE]
        return Aligned(Alignment(tuple(segments)).fitted(clip.duration), float(np.mean(said)))


def heard(encoder: WhisperEncoder, clip: Audio) -> Float[Tensor, "N D"]:
    """The frames that heads are trained on."""
    return encoder.features(clip, layers=(encoder.depth // 2,)).cpu()


def with_pauses(words: Sequence[Sequence[str]]) -> list[int]:
    """Classes of phones, with silence before, between and behind words.

    Raises:
        AlignmentError: There are no phones, or one is no ARPAbet phone.

    Example:
        >>> with_pauses([["AH0"], ["B", "IY1"]])
        [1, 4, 1, 8, 19, 1]
    """
    classes = [_SILENT]
    for word in arpabet_words(words):
        classes += [*(1 + one for one in _PHONEMES.ids(word)), _SILENT]
    return classes


def aligned_path(log_probs: Float[Tensor, "N k"], ids: Sequence[int]) -> list[int]:
    """The likeliest path through classes of :func:`with_pauses`, whose silences may be left out.

    To CTC a blank is as good as a silence: where nothing is said for :data:`_PAUSE` frames between words, or at all
    before and behind them, there is silence.
    """
    silences = {place for place, one in enumerate(ids) if one == _SILENT}
    path = viterbi(log_probs.numpy(), ids, silences)[0]
    said = [(frame, place) for frame, place in enumerate(path) if place >= 0 and place not in silences]
    edges = [(-1, said[0][1] - 2), *said, (len(path), said[-1][1] + 2)]
    for (last, before), (first, behind) in pairwise(edges):
        quiet = first - last - 1
        is_outside = last < 0 or first == len(path)
        if behind - before == 2 and (is_outside or quiet >= _PAUSE):  # a silence's place is between
            path[last + 1 : first] = [before + 1] * quiet
    return path
