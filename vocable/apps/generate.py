"""Generation of speech: ids are sampled from a prior and decoded."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from vocable.arguments import Count, Seed, check_arguments
from vocable.audio import Audio
from vocable.audio_files.mark import SyntheticMark
from vocable.errors import ConfigError, SpecError
from vocable.interfaces import TokenGenerator

_PAUSE = 0.08  # seconds between the parts of a strip
_SETTINGS = ("seed", "temperature", "top_k", "top_p", "guidance")


@check_arguments
def generate(
    tokenizer: object, label: object = None, n: Count = 1, *, seed: Seed = 0, temperature: float | None = None,
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
    return _generate(
        generator, [label] * n, seed=seed, temperature=temperature, top_k=top_k, top_p=top_p, guidance=guidance,
        **conditions,
    )  # fmt: skip


@check_arguments
def generate_strip(tokenizer: object, labels: Sequence[object], *, seed: Seed = 0, **options: Any) -> Audio:
    """Generate several labels one after another as one clip, by one speaker where the prior has speakers.

    Args:
        tokenizer: Tokenizer with a prior.
        labels: Values of the prior's first condition, such as ``[2, 0, 2, 6]``.
        seed: Seed of the speaker, if none is given, and of the utterances.
        options: Settings and conditions as :func:`generate` takes them, such as ``temperature=0.9``.

    Raises:
        VocableError: As :func:`generate`; and if there is no label.
    """
    generator = _check_generator(tokenizer)
    if not labels:
        raise ConfigError("generate_strip got no label; give at least one")
    voices = generator.labels.get("speaker", ())
    if voices and options.get("speaker") is None:
        options["speaker"] = voices[int(np.random.default_rng(seed).integers(len(voices)))]
    clips = _generate(generator, labels, seed=seed, **options)
    pause = np.zeros(round(_PAUSE * clips[0].sample_rate), dtype=np.float32)
    parts = [part for clip in clips for part in (clip.samples, pause)]
    return replace(clips[0], samples=np.concatenate(parts[:-1]))


def _check_generator(tokenizer: object) -> TokenGenerator:
    if not isinstance(tokenizer, TokenGenerator):
        raise SpecError(
            f"a {type(tokenizer).__name__} has no prior to sample from; take a VQalAttent, such as vqalattent-fsdd"
        )
    return tokenizer


def _generate(generator: TokenGenerator, labels: Sequence[object], **options: Any) -> list[Audio]:
    """Generate an utterance of each label; None leaves the first condition to the prior."""
    settings = {name: options.pop(name) for name in _SETTINGS if name in options}
    conditions: dict[str, object] = {key: value for key, value in options.items() if value is not None}
    first, label = next(iter(generator.labels), ""), next((label for label in labels if label is not None), None)
    if not first and label is not None:
        raise ConfigError(f"label {label} was given to a model that was trained without conditions; leave it out")
    rows = [conditions if label is None else {first: label} | conditions for label in labels]
    mark = SyntheticMark.by(generator, "generation")
    return [replace(clip, mark=mark) for clip in generator.decode_batch(generator.sample(rows, **settings))]
