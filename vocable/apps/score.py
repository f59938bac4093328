"""Likelihood of a recording, given candidate transcripts."""

from collections.abc import Sequence
from dataclasses import dataclass

from vocable.arguments import check_arguments
from vocable.audio import AudioLike, as_audio
from vocable.errors import SpecError, TextError
from vocable.interfaces import LikelihoodScorer
from vocable.systems.registry import models_for


@dataclass(frozen=True, kw_only=True)
class Likelihood:
    """Likelihood of a recording, given a text.

    Attributes:
        text: Candidate transcript.
        nats: Log-likelihood of all units of the recording, given the text and how the recording sounds.
        text_only_nats: Log-likelihood of all units, given the text alone.
        units: Number of units; the same for every text.
    """

    text: str
    nats: float
    text_only_nats: float
    units: int


@check_arguments
def score(tokenizer: object, clip: AudioLike, texts: Sequence[str]) -> list[Likelihood]:
    """Compute how likely a recording is, given each of some texts.

    Args:
        tokenizer: Tokenizer of text-aligned tokens, such as ``vocable.load("taste-small")``.
        clip: Recording at any sample rate.
        texts: At least one candidate transcript.

    Returns:
        Likelihood given each text, the highest first.

    Raises:
        SpecError: If the tokenizer cannot score texts.
        TextError: If there are no texts, or one has no letters.

    Source:
        TASTE, arXiv:2504.07053, compares utterances by the likelihood of its spoken language model. Here it is that of
        the tokenizer's unit model.
    """
    if not isinstance(tokenizer, LikelihoodScorer):
        raise SpecError(f"a {type(tokenizer).__name__} cannot score texts; take {models_for('score')}")
    if not texts:
        raise TextError("there is no text to score the recording with; give one or more")
    likelihoods, recording = [], as_audio(clip, "clip")
    for text in texts:
        nats, alone = tokenizer.score(recording, text), tokenizer.score(recording, text, text_only=True)
        found = Likelihood(text=text, nats=float(nats.sum()), text_only_nats=float(alone.sum()), units=len(nats))
        likelihoods.append(found)
    return sorted(likelihoods, key=lambda likelihood: -likelihood.nats)
