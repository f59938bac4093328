"""Whether speech finds its own phonemes in the common space of VQ-CTAP, frame by frame, and what would find as many."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from vocable.audio import Audio
from vocable.data.alignment import Alignment
from vocable.data.manifest import Utterance
from vocable.evaluate.plan import seeded
from vocable.metrics.retrieval import retrieval_scores
from vocable.metrics.score import Score
from vocable.systems.ctap.model import CtapModel
from vocable.systems.ctap.tokenizer import CtapTokenizer

TOGETHER = 8  # utterances of a batch, each of another speaker


@dataclass(frozen=True, kw_only=True)
class Frames:
    """Frames of one or more utterances in the common space, in both ways of getting there.

    Attributes:
        speech: Of the speech encoder.
        phonemes: Of the phoneme encoder, on the same frames.
        said: The phoneme at the middle of each frame, as its id; 0 is silence.
    """

    speech: Float[Tensor, "N D"]
    phonemes: Float[Tensor, "N D"]
    said: Int[Tensor, " N"]


def frames_of(
    tokenizer: CtapTokenizer, audio: Audio, alignment: Alignment, *, speed: float = 1.0, mixed: int | None = None
) -> Frames:
    """A recording's frames.

    Args:
        tokenizer: Whose space it is.
        audio: The recording.
        alignment: When its phonemes are said.
        speed: Play it so many times as fast; pitch and formants move along.
        mixed: Seed by which phonemes change places, all but silence: durations and pauses stay where they are.

    Raises:
        TextError: The alignment has a symbol that the tokenizer does not know.
    """
    speech = tokenizer.latents(audio.played(speed))[0]
    each = tokenizer.config.transcoder.reduction
    ids = torch.tensor(tokenizer.phonemes.ids(alignment.symbols, "the alignment"))
    if mixed is not None:
        voiced = ids.nonzero()[:, 0]
        order = torch.randperm(len(voiced), generator=torch.Generator().manual_seed(mixed))
        ids[voiced] = ids[voiced[order]]
    ends = torch.tensor([segment.end / speed for segment in alignment.segments], dtype=torch.float64)
    mel = tokenizer.config.mel
    middles = (torch.arange(len(speech) * each, dtype=torch.float64) + 0.5) * mel.hop / mel.sample_rate
    places = torch.searchsorted(ends, middles, right=True)
    spectra = torch.where(places < len(ids), ids[places.clamp(max=len(ids) - 1)], 0)
    return Frames(speech=speech, phonemes=tokenizer.said(spectra)[0], said=spectra[each // 2 :: each])


def joined(parts: Sequence[Frames]) -> Frames:
    """Frames of several utterances as those of one batch."""
    return Frames(
        speech=torch.cat([part.speech for part in parts]), phonemes=torch.cat([part.phonemes for part in parts]),
        said=torch.cat([part.said for part in parts]),
    )  # fmt: skip


def spoken(frames: Frames) -> Frames:
    """Without the frames in which nothing is said."""
    kept = frames.said > 0
    return Frames(speech=frames.speech[kept], phonemes=frames.phonemes[kept], said=frames.said[kept])


def compared(
    tokenizer: CtapTokenizer, fresh: CtapTokenizer, clips: Mapping[str, tuple[Audio, Alignment]], seed: int,
    speeds: Sequence[float] = (),
) -> dict[str, dict[str, Score]]:  # fmt: skip
    """Retrieval in a batch, beside two controls.

    Args:
        tokenizer: Whose space it is.
        fresh: Of the same sizes, untrained.
        clips: Recordings with their alignments, by key.
        seed: With the keys decides how the phonemes of the shuffled control change places.
        speeds: Also at these.

    Returns:
        Scores as the columns are called: of ``own``, ``shuffled`` and ``untrained``; in ``own`` the margins too.
    """
    frames = joined([frames_of(tokenizer, *one) for one in clips.values()])
    controls = {
        "shuffled": [frames_of(tokenizer, *one, mixed=seeded(seed, key)) for key, one in clips.items()],
        "untrained": [frames_of(fresh, *one) for one in clips.values()],
    }
    found = {"own": _scores(spoken(frames))} | {
        name: _scores(spoken(joined(parts))) for name, parts in controls.items()
    }
    own = found["own"]
    for speed in speeds:
        played = joined([frames_of(tokenizer, *one, speed=speed) for one in clips.values()])
        own[f"top1_{speed:g}"] = _scores(spoken(played))["top1"]
    own["top1_all"] = _scores(frames)["top1"]
    for name in controls:
        own[f"over_{name}"] = Score(own["top1"].value - found[name]["top1"].value, weight=own["top1"].weight)
    return {name: {f"retrieval_{key}": one for key, one in scores.items()} for name, scores in found.items()}


def _scores(frames: Frames) -> dict[str, Score]:
    return retrieval_scores(frames.speech, frames.phonemes, frames.said)


def batches(clips: Mapping[str, Utterance], seed: int, size: int = TOGETHER) -> list[list[str]]:
    """Keys of clips in batches of different speakers; what does not fill a batch is left out.

    Args:
        clips: By key. One without a speaker is a speaker of its own.
        seed: Of the order.
        size: Clips of a batch; as many as there are speakers where they are fewer.

    Example:
        >>> clips = {name: Utterance(audio_path=f"{name}.flac", speaker=name[0]) for name in ("a1", "a2", "b1", "b2")}
        >>> [[name[0] for name in sorted(batch)] for batch in batches(clips, 0)]
        [['a', 'b'], ['a', 'b']]
    """
    random = np.random.default_rng(seed)
    left: dict[str, list[str]] = {}
    for at in random.permutation(len(clips)).tolist():
        key = list(clips)[at]
        left.setdefault(clips[key].speaker or key, []).append(key)
    size = min(size, len(left))
    found = []
    while len(left) >= size > 0:
        most = sorted(left, key=lambda name: -len(left[name]))[:size]
        found.append([left[name].pop() for name in most])
        left = {name: keys for name, keys in left.items() if keys}
    return found


def untrained(tokenizer: CtapTokenizer, seed: int) -> CtapTokenizer:
    """A tokenizer of the same sizes and scale of spectra that has learnt nothing."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CtapModel(tokenizer.config)
    model.middle.copy_(tokenizer.model.middle)
    model.spread.copy_(tokenizer.model.spread)
    return CtapTokenizer(model, "griffin-lim")  # nobody listens to it
