"""How likely a recording is, given what may be said in it."""

from collections.abc import Sequence
from dataclasses import dataclass

from vocable.audio import Audio
from vocable.errors import SpecError, TextError
from vocable.interfaces import LikelihoodScorer


@dataclass(frozen=True, kw_only=True)
class Likelihood:
    """Of a recording, given a text.

    Attributes:
        text: What may be said.
        nats: Log-likelihood of all units of the recording, each given those before it and what is heard of the text.
        text_only_nats: The same where nothing is heard: what the text alone foretells.
        units: How many there are; the same for every text.
    """

    text: str
    nats: float
    text_only_nats: float
    units: int


def score(tokenizer: object, clip: Audio, texts: Sequence[str]) -> list[Likelihood]:
    """How likely a recording is, given each of some texts.

    Args:
        tokenizer: Of text-aligned tokens, such as ``vocable.load("taste-small")``.
        clip: Any rate.
        texts: One at least.

    Returns:
        One for each text, the likeliest first.

    Raises:
        SpecError: The tokenizer's tokens stand for no text.
        TextError: There are no texts, or no letters in one.
        AudioError: The clip is empty.
        CheckpointError: The source of the units is not at hand.

    Source:
        TASTE, arXiv:2504.07053, compares utterances by likelihood, there of its spoken language model; here it is that
        of the tokenizer's own unit model.
    """
    if not isinstance(tokenizer, LikelihoodScorer):
        raise SpecError(
            f"a {type(tokenizer).__name__} does not tell how likely speech is, given a text: TASTE does, such as "
            "taste-small"
        )
    if not texts:
        raise TextError("there is no text that the recording could be scored with; give one or more")
    found = []
    for text in texts:
        heard, unheard = tokenizer.score(clip, text), tokenizer.score(clip, text, text_only=True)
        found.append(
            Likelihood(text=text, nats=float(heard.sum()), text_only_nats=float(unheard.sum()), units=len(heard))
        )
    return sorted(found, key=lambda one: -one.nats)
