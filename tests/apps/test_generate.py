"""Speech that nobody said: as many clips as asked for, by their seed, in one voice, or a clear refusal."""

from typing import Any

import numpy as np
import pytest

import vocable
from tests.models import ready, ready_speaker
from vocable.apps.generate import _PAUSE, generate, generate_strip
from vocable.audio import Audio
from vocable.errors import CheckpointError, ConfigError, SpecError
from vocable.systems.vqalattent.tokenizer import VqalattentTokenizer

RATE = 8_000
VOICES = tuple(f"voice{number}" for number in range(10))


@pytest.fixture(scope="module")
def speaker() -> VqalattentTokenizer:
    """Each speaker takes his own time for each digit."""
    return ready_speaker(speakers=VOICES)


def seconds(which: int, voice: int) -> float:
    """How long a digit of a speaker lasts."""
    return (0.2 + which / 50) * (1 + voice / 2)


def same(one: list[Audio], two: list[Audio]) -> bool:
    return len(one) == len(two) and all(np.array_equal(a.samples, b.samples) for a, b in zip(one, two, strict=True))


def test_as_many_clips_as_asked_for_at_the_models_rate(speaker: VqalattentTokenizer) -> None:
    clips = generate(speaker, label=7, n=3, seed=1, speaker="voice1")
    assert [clip.sample_rate for clip in clips] == [RATE] * 3
    assert [clip.duration for clip in clips] == pytest.approx([seconds(7, 1)] * 3, abs=1e-3)
    assert all(np.abs(clip.samples).max() > 1e-3 for clip in clips)


def test_the_public_name_is_this_function() -> None:
    assert vocable.generate is generate


def test_equal_seeds_equal_speech_and_others_other(speaker: VqalattentTokenizer) -> None:
    clips = generate(speaker, label=7, n=2, seed=1)
    assert same(generate(speaker, label=7, n=2, seed=1), clips)
    assert same(generate(speaker, label="7", n=5, seed=1)[:2], clips), "the first two depend on how many there are"
    assert not any(same([one], [two]) for one, two in zip(generate(speaker, label=7, n=2, seed=2), clips, strict=True))
    assert not same(clips[:1], clips[1:])


def test_what_is_asked_for_is_what_is_drawn(speaker: VqalattentTokenizer) -> None:
    """The same ids that the tokenizer draws when it is asked by name; a condition that is None is not named."""
    wanted = speaker.decode_batch(speaker.sample([{"digit": 7, "speaker": "voice2"}] * 2, seed=4))
    assert same(generate(speaker, 7, 2, seed=4, speaker="voice2", gender=None), wanted)
    anything = speaker.decode_batch(speaker.sample([{}] * 2, seed=4))
    assert same(generate(speaker, n=2, seed=4), anything)


@pytest.mark.parametrize("choice", [{"temperature": 0.0}, {"top_k": 1}, {"top_p": 1e-6}])
def test_the_choice_can_be_narrowed_to_one(speaker: VqalattentTokenizer, choice: dict[str, Any]) -> None:
    one, two = (generate(speaker, label=3, seed=seed, speaker="voice0", **choice) for seed in (1, 2))
    assert same(one, two)
    strips = [generate_strip(speaker, [3, 4], seed=seed, speaker="voice0", **choice) for seed in (1, 2)]
    assert same(strips[:1], strips[1:])


def test_a_strip_is_its_parts_with_pauses_between(speaker: VqalattentTokenizer) -> None:
    labels = [2, 0, 2]
    strip = generate_strip(speaker, labels, seed=5, speaker="voice1")
    parts = speaker.decode_batch(speaker.sample([{"digit": which, "speaker": "voice1"} for which in labels], seed=5))
    pause = np.zeros(round(_PAUSE * RATE), dtype=np.float32)
    wanted = np.concatenate([parts[0].samples, pause, parts[1].samples, pause, parts[2].samples])
    assert strip.sample_rate == RATE
    assert np.array_equal(strip.samples, wanted)
    assert not np.array_equal(parts[0].samples, parts[2].samples), "the same digit again is said anew"


@pytest.mark.parametrize("seed", range(4))
def test_a_strip_has_one_voice(speaker: VqalattentTokenizer, seed: int) -> None:
    """Its length tells: each speaker takes his own time."""
    strip = generate_strip(speaker, [1, 2, 3, 4], seed=seed)
    spoken = strip.duration - 3 * _PAUSE
    lasting = [sum(seconds(which, voice) for which in (1, 2, 3, 4)) for voice in range(10)]
    assert min(abs(spoken - each) for each in lasting) < 2e-3
    assert same([strip], [generate_strip(speaker, [1, 2, 3, 4], seed=seed)])


@pytest.mark.slow
def test_the_voice_of_a_strip_is_drawn_from_its_seed(speaker: VqalattentTokenizer) -> None:
    assert len({generate_strip(speaker, [1], seed=seed).samples.size for seed in range(8)}) > 3


def test_a_strip_without_voices_to_choose_from() -> None:
    tokenizer = ready_speaker(prior={"conditions": ("digit",)})
    assert generate_strip(tokenizer, [1, 2]).duration == pytest.approx(0.22 + 0.24 + _PAUSE, abs=1e-3)


def test_a_label_that_is_not_known_lists_those_that_are(speaker: VqalattentTokenizer) -> None:
    with pytest.raises(ConfigError, match="digit '10' is unknown; choose one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"):
        generate(speaker, label=10)
    with pytest.raises(ConfigError, match="digit 'x' is unknown"):
        generate_strip(speaker, [1, "x"])
    with pytest.raises(ConfigError, match="speaker 'eve' is unknown; choose one of voice0, voice1"):
        generate(speaker, label=1, speaker="eve")
    with pytest.raises(ConfigError, match="this model has no condition 'accent'; its conditions: digit, speaker"):
        generate(speaker, label=1, accent="x")


def test_counts_are_at_least_one(speaker: VqalattentTokenizer) -> None:
    with pytest.raises(ConfigError, match="n is 0: pass a number from 1"):
        generate(speaker, label=1, n=0)
    with pytest.raises(ConfigError, match="generate_strip got no label; give at least one"):
        generate_strip(speaker, [])


@pytest.mark.parametrize("ask", [generate, lambda tokenizer: generate_strip(tokenizer, [1])])
def test_a_tokenizer_without_a_prior_is_refused(ask: Any) -> None:
    with pytest.raises(SpecError, match="a GuidedTokenizer has no prior to sample from; take a VQalAttent"):
        ask(ready("spectral"))


def test_a_model_without_conditions_takes_no_label() -> None:
    tokenizer = ready_speaker(prior={"conditions": ()})
    assert len(generate(tokenizer, n=2)) == 2
    with pytest.raises(ConfigError, match="label 7 was given to a model that was trained without conditions"):
        generate(tokenizer, label=7)


def test_a_prior_that_is_not_trained_is_refused() -> None:
    model = ready_speaker().model
    model.prior_codebook.zero_()
    with pytest.raises(CheckpointError, match="prior is not trained"):
        generate(VqalattentTokenizer(model), label=7)
