"""Speech that nobody said: ids drawn from a prior and decoded."""

from collections.abc import Mapping, Sequence

import numpy as np

from vocable.audio import Audio
from vocable.errors import ConfigError, SpecError
from vocable.interfaces import TokenGenerator

_PAUSE = 0.08  # seconds between the parts of a strip


def generate(
    tokenizer: object, label: object = None, n: int = 1, *, seed: int = 0, temperature: float | None = None,
    top_k: int | None = None, top_p: float | None = None, guidance: float | None = None, **conditions: object,
) -> list[Audio]:  # fmt: skip
    """Utterances drawn from a tokenizer's prior.

    Args:
        tokenizer: One that has a prior, such as ``vocable.load("vqalattent-fsdd")``.
        label: What its first condition is asked to be: for digits, 0 to 9; anything by default.
        n: How many.
        seed: The k-th utterance of a seed is the same however many there are.
        temperature: Under 1 the likely becomes likelier; 0 always takes the likeliest. The model's own by default.
        top_k: Draw among so many of the likeliest ids.
        top_p: Draw among the fewest ids that have this much probability together. The model's own by default.
        guidance: Over 0 what is asked counts for more, and variety shrinks. The model's own by default.
        conditions: More of what the prior can be asked for, by name: ``speaker="fsdd-jackson"``.

    Returns:
        At the tokenizer's rate.

    Raises:
        SpecError: The tokenizer has no prior.
        ConfigError: A label is not known (the message lists those that are), or a setting is out of range.
        CheckpointError: The prior is not trained, or on another codebook.

    Example:
        >>> import vocable
        >>> (seven,) = vocable.generate(vocable.load("vqalattent-fsdd"), label=7)
        >>> seven.sample_rate
        8000
    """
    speaker = _generator(tokenizer)
    if n < 1:
        raise ConfigError(f"{n} utterances were asked for: give at least 1")
    asked = [_asked(speaker, label, conditions)] * n
    tokens = speaker.sample(asked, seed=seed, temperature=temperature, top_k=top_k, top_p=top_p, guidance=guidance)
    return speaker.decode_batch(tokens)


def generate_strip(
    tokenizer: object, labels: Sequence[object], *, seed: int = 0, temperature: float | None = None,
    top_k: int | None = None, top_p: float | None = None, guidance: float | None = None, **conditions: object,
) -> Audio:  # fmt: skip
    """Several labels one after another as one clip, in one voice where the prior knows voices.

    Args:
        tokenizer: As :func:`generate` takes it.
        labels: Such as ``[2, 0, 2, 6]``.
        seed: Of the voice, if none is asked for, and of the utterances.
        temperature: As :func:`generate` takes it, like the others.
        top_k: See there.
        top_p: See there.
        guidance: See there.
        conditions: See there.

    Raises:
        SpecError, ConfigError, CheckpointError: As :func:`generate`.
    """
    speaker = _generator(tokenizer)
    if not labels:
        raise ConfigError("there is nothing to say: give at least one label")
    voices = speaker.labels.get("speaker", ())
    if voices and conditions.get("speaker") is None:
        conditions = {**conditions, "speaker": voices[int(np.random.default_rng(seed).integers(len(voices)))]}
    asked = [_asked(speaker, label, conditions) for label in labels]
    tokens = speaker.sample(asked, seed=seed, temperature=temperature, top_k=top_k, top_p=top_p, guidance=guidance)
    clips = speaker.decode_batch(tokens)
    pause = np.zeros(round(_PAUSE * clips[0].sample_rate), dtype=np.float32)
    parts = [part for clip in clips for part in (clip.samples, pause)]
    return Audio(np.concatenate(parts[:-1]), clips[0].sample_rate)


def _generator(tokenizer: object) -> TokenGenerator:
    if not isinstance(tokenizer, TokenGenerator):
        raise SpecError(
            f"a {type(tokenizer).__name__} has no prior to draw from: VQalAttent has, such as vqalattent-fsdd"
        )
    return tokenizer


def _asked(speaker: TokenGenerator, label: object, conditions: Mapping[str, object]) -> dict[str, object]:
    asked = {key: value for key, value in conditions.items() if value is not None}
    if label is None:
        return asked
    if not speaker.labels:
        raise ConfigError(f"label {label} was asked of a model that takes none: it was trained without conditions")
    return {next(iter(speaker.labels)): label} | asked
