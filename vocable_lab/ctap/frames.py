"""Retrieval of phoneme frames by speech frames in the common space of VQ-CTAP, with two controls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from vocable.audio import Audio
from vocable.data.alignment import Alignment
from vocable.data.manifest import Utterance
from vocable.evaluate.plan import derive_seed
from vocable.metrics.retrieval import retrieval_scores
from vocable.metrics.score import Score
from vocable.systems.ctap.networks import CtapModel
from vocable.systems.ctap.tokenizer import CtapTokenizer

BATCH_SIZE = 8  # utterances of a batch, each of another speaker


@dataclass(frozen=True, kw_only=True)
class PairedFrames:
    """Frames of one or more utterances in the common space, embedded from speech and from phonemes.

    Attributes:
        speech: Speech embeddings.
        phonemes: Phoneme embeddings of the same frames.
        labels: Phoneme id at the middle of each frame; 0 is silence.
    """

    speech: Float[Tensor, "N D"]
    phonemes: Float[Tensor, "N D"]
    labels: Int[Tensor, " N"]


def embed_frames(
    tokenizer: CtapTokenizer, audio: Audio, alignment: Alignment, *, speed: float = 1.0, shuffle: int | None = None
) -> PairedFrames:
    """Embed the frames of a recording from its speech and from its phonemes.

    Args:
        tokenizer: Tokenizer whose common space is used.
        audio: Recording.
        alignment: Times of its phonemes.
        speed: Playback speed; pitch and formants change with it.
        shuffle: Seed of a permutation of all phonemes but silence; durations and pauses stay. None keeps the order.

    Raises:
        TextError: If the alignment has a symbol that the tokenizer does not know.
    """
    speech = tokenizer.latents(audio.played(speed))[0]
    reduction = tokenizer.config.transcoder.reduction
    ids = torch.tensor(tokenizer.phonemes.ids(alignment.symbols, "the alignment"))
    if shuffle is not None:
        voiced = ids.nonzero()[:, 0]
        order = torch.randperm(len(voiced), generator=torch.Generator().manual_seed(shuffle))
        ids[voiced] = ids[voiced[order]]
    ends = torch.tensor([segment.end / speed for segment in alignment.segments], dtype=torch.float64)
    mel = tokenizer.config.mel
    centers = (torch.arange(len(speech) * reduction, dtype=torch.float64) + 0.5) * mel.hop / mel.sample_rate
    segments = torch.searchsorted(ends, centers, right=True)
    labels = torch.where(segments < len(ids), ids[segments.clamp(max=len(ids) - 1)], 0)
    return PairedFrames(
        speech=speech, phonemes=tokenizer.phoneme_latents(labels)[0], labels=labels[reduction // 2 :: reduction]
    )


def join_frames(parts: Sequence[PairedFrames]) -> PairedFrames:
    """Join the frames of several utterances into one batch."""
    return PairedFrames(
        speech=torch.cat([part.speech for part in parts]), phonemes=torch.cat([part.phonemes for part in parts]),
        labels=torch.cat([part.labels for part in parts]),
    )  # fmt: skip


def score_retrieval(
    tokenizer: CtapTokenizer, untrained: CtapTokenizer, clips: Mapping[str, tuple[Audio, Alignment]], seed: int,
    speeds: Sequence[float] = (),
) -> dict[str, dict[str, Score]]:  # fmt: skip
    """Score retrieval in a batch, with two controls. Silence is neither a query nor a key.

    Args:
        tokenizer: Tokenizer whose common space is used.
        untrained: Tokenizer of the same sizes with random weights.
        clips: Recordings with their alignments, by key.
        seed: Seed, together with the keys, of the shuffled control.
        speeds: Playback speeds at which retrieval is scored, too.

    Returns:
        Scores by column, of ``own``, ``shuffled`` and ``untrained``; ``own`` has the margins over the controls.
    """
    frames = join_frames([embed_frames(tokenizer, *clip) for clip in clips.values()])
    controls = {
        "shuffled": [embed_frames(tokenizer, *clip, shuffle=derive_seed(seed, key)) for key, clip in clips.items()],
        "untrained": [embed_frames(untrained, *clip) for clip in clips.values()],
    }
    scores = {"own": _score_speech(frames)} | {
        name: _score_speech(join_frames(parts)) for name, parts in controls.items()
    }
    own = scores["own"]
    for speed in speeds:
        played = join_frames([embed_frames(tokenizer, *clip, speed=speed) for clip in clips.values()])
        own[f"top1_{speed:g}"] = _score_speech(played)["top1"]
    own["top1_all"] = retrieval_scores(frames.speech, frames.phonemes, frames.labels)["top1"]
    for name in controls:
        own[f"over_{name}"] = Score(own["top1"].value - scores[name]["top1"].value, weight=own["top1"].weight)
    return {name: {f"retrieval_{key}": one for key, one in row.items()} for name, row in scores.items()}


def _score_speech(frames: PairedFrames) -> dict[str, Score]:
    """Score retrieval among the frames that are not silent."""
    speech = frames.labels > 0
    return retrieval_scores(frames.speech[speech], frames.phonemes[speech], frames.labels[speech])


def draw_batches(clips: Mapping[str, Utterance], seed: int, size: int = BATCH_SIZE) -> list[list[str]]:
    """Draw batches of clips by different speakers, as keys; clips that do not fill a batch are left out.

    Args:
        clips: Clips by key. Each clip without a speaker counts as a speaker.
        seed: Seed of the order.
        size: Number of clips of a batch; the number of speakers if that is smaller.

    Example:
        >>> clips = {name: Utterance(audio_path=f"{name}.flac", speaker=name[0]) for name in ("a1", "a2", "b1", "b2")}
        >>> [[name[0] for name in sorted(batch)] for batch in draw_batches(clips, 0)]
        [['a', 'b'], ['a', 'b']]
    """
    random = np.random.default_rng(seed)
    left: dict[str, list[str]] = {}
    for index in random.permutation(len(clips)).tolist():
        key = list(clips)[index]
        left.setdefault(clips[key].speaker or key, []).append(key)
    size = min(size, len(left))
    batches = []
    while len(left) >= size > 0:
        speakers = sorted(left, key=lambda name: -len(left[name]))[:size]
        batches.append([left[name].pop() for name in speakers])
        left = {name: keys for name, keys in left.items() if keys}
    return batches


def make_untrained(tokenizer: CtapTokenizer, seed: int) -> CtapTokenizer:
    """Return a tokenizer of the same sizes and scale of spectra, with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CtapModel(tokenizer.config)
    model.middle.copy_(tokenizer.model.middle)
    model.spread.copy_(tokenizer.model.spread)
    return CtapTokenizer(model, "griffin-lim")  # the vocoder is not used
