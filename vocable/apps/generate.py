"""Generation of speech: ids are sampled from a prior and decoded."""

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
    """Generate utterances from a tokenizer's prior.

    Args:
        tokenizer: Tokenizer with a prior, such as ``vocable.load("vqalattent-fsdd")``.
        label: Value of the prior's first condition, such as a digit from 0 to 9; drawn by default.
        n: Number of utterances.
        seed: Seed of all utterances. The k-th utterance of a seed is the same however many there are.
        temperature: Divisor of the logits; under 1 sharpens the distribution, 0 takes the most likely ids. The model's
            default if None.
        top_k: Number of most likely ids to sample from; all if None.
        top_p: Probability mass of the smallest set of ids to sample from. The model's default if None.
        guidance: Weight of classifier-free guidance; higher values follow the labels more and vary less. The model's
            default if None.
        conditions: Values of other conditions by name, such as ``speaker="fsdd-jackson"``.

    Returns:
        Utterances at the tokenizer's sample rate.

    Raises:
        SpecError: If the tokenizer has no prior.
        ConfigError: If a label is unknown or a setting is out of range.
        CheckpointError: If the prior is not trained, or was trained on another codebook.

    Example:
        >>> import vocable
        >>> (seven,) = vocable.generate(vocable.load("vqalattent-fsdd"), label=7)
        >>> seven.sample_rate
        8000
    """
    generator = _check_generator(tokenizer)
    if n < 1:
        raise ConfigError(f"n is {n}: give at least 1")
    rows = [_label_values(generator, label, conditions)] * n
    tokens = generator.sample(rows, seed=seed, temperature=temperature, top_k=top_k, top_p=top_p, guidance=guidance)
    return generator.decode_batch(tokens)


def generate_strip(
    tokenizer: object, labels: Sequence[object], *, seed: int = 0, temperature: float | None = None,
    top_k: int | None = None, top_p: float | None = None, guidance: float | None = None, **conditions: object,
) -> Audio:  # fmt: skip
    """Generate several labels one after another as one clip, by one speaker where the prior has speakers.

    Args:
        tokenizer: Tokenizer with a prior.
        labels: Values of the prior's first condition, such as ``[2, 0, 2, 6]``.
        seed: Seed of the speaker, if none is given, and of the utterances.
        temperature: As in :func:`generate`.
        top_k: As in :func:`generate`.
        top_p: As in :func:`generate`.
        guidance: As in :func:`generate`.
        conditions: As in :func:`generate`.

    Raises:
        VocableError: As :func:`generate`; and if there is no label.
    """
    generator = _check_generator(tokenizer)
    if not labels:
        raise ConfigError("generate_strip got no label; give at least one")
    voices = generator.labels.get("speaker", ())
    if voices and conditions.get("speaker") is None:
        conditions = {**conditions, "speaker": voices[int(np.random.default_rng(seed).integers(len(voices)))]}
    rows = [_label_values(generator, label, conditions) for label in labels]
    tokens = generator.sample(rows, seed=seed, temperature=temperature, top_k=top_k, top_p=top_p, guidance=guidance)
    clips = generator.decode_batch(tokens)
    pause = np.zeros(round(_PAUSE * clips[0].sample_rate), dtype=np.float32)
    parts = [part for clip in clips for part in (clip.samples, pause)]
    return Audio(np.concatenate(parts[:-1]), clips[0].sample_rate)


def _check_generator(tokenizer: object) -> TokenGenerator:
    if not isinstance(tokenizer, TokenGenerator):
        raise SpecError(
            f"a {type(tokenizer).__name__} has no prior to sample from; take a VQalAttent, such as vqalattent-fsdd"
        )
    return tokenizer


def _label_values(generator: TokenGenerator, label: object, conditions: Mapping[str, object]) -> dict[str, object]:
    values = {key: value for key, value in conditions.items() if value is not None}
    if label is None:
        return values
    if not generator.labels:
        raise ConfigError(f"label {label} was given to a model that was trained without conditions; leave it out")
    return {next(iter(generator.labels)): label} | values
