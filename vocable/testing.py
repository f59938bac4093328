"""Public check of the laws that every tokenizer keeps, built-in or of another package.

```python
from vocable.testing import check_tokenizer
check_tokenizer(MyTokenizer())
```

Each law is a function that raises an AssertionError naming the clip that broke it. Tokens are compared exactly.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from vocable.arguments import check_arguments
from vocable.audio import Audio
from vocable.errors import AudioError, SpecError, TextError, VocableError
from vocable.interfaces import Streaming, Tokenizer
from vocable.shapes import frames_for
from vocable.states import CALLER_STATES, MODEL_CHANGES, array_layouts, read_state
from vocable.tokens import BEAM, Tokens


def speechlike(samples: int, sample_rate: int = 16_000, seed: int = 0) -> Audio:
    """Return a synthetic clip that resembles speech: gliding pitch with harmonics, syllables, noise and pauses.

    Args:
        samples: Length in samples.
        sample_rate: Sample rate in Hz.
        seed: Seed of everything random.

    Example:
        >>> speechlike(16_000).duration
        1.0
    """
    random = np.random.default_rng(seed)
    time = np.arange(samples) / sample_rate
    pitch = random.uniform(80, 250) * (1 + 0.15 * np.sin(2 * np.pi * random.uniform(0.3, 1.0) * time))
    phase = 2 * np.pi * np.cumsum(pitch) / sample_rate
    voice = sum(np.sin(k * phase + random.uniform(0, 6)) / k for k in range(1, 12))
    syllables = np.clip(np.sin(2 * np.pi * random.uniform(2, 5) * time + random.uniform(0, 6)) + 0.3, 0, None)
    sound = 0.15 * voice * syllables + 0.02 * random.standard_normal(samples)
    return Audio((sound * random.uniform(0.2, 1.0)).astype(np.float32), sample_rate)


@check_arguments
def check_tokenizer(tokenizer: Tokenizer, clips: Sequence[Audio] | None = None, text: str | None = None) -> None:
    """Check a tokenizer against every law.

    Args:
        tokenizer: Tokenizer to check; see :class:`~vocable.interfaces.Tokenizer`.
        clips: Clips to check it on; synthetic clips of many lengths by default.
        text: Transcript of every clip, for tokenizers that need one.

    Raises:
        AssertionError: If a law is broken; the message names the clip.
    """
    accepted = _accepted(tokenizer, list(clips) if clips is not None else _clips(tokenizer), text)
    for law in LAWS:
        law(tokenizer, accepted, text)
    if torch.cuda.is_available():
        print(compare_devices(tokenizer, accepted, text))


def ids_in_range(tokenizer: Tokenizer, clips: Sequence[Audio], text: str | None = None) -> None:
    """Check that ids lie in [0, K), one row a codebook, and that the number of frames follows the spec."""
    spec = tokenizer.spec
    for clip in clips:
        tokens, where = tokenizer.encode(clip, text), _name(clip)
        assert tokens.ids.shape[:2] == (1, spec.num_codebooks), f"{where}: ids are {tuple(tokens.ids.shape)}"
        assert tokens.spec == spec, f"{where}: the tokens' spec is {tokens.spec}, the tokenizer's {spec}"
        assert tokens.tokenizer == tokenizer.digest, f"{where}: tokens carry another digest"
        assert int(tokens.ids.min()) >= 0, f"{where}: an id is negative"
        assert int(tokens.ids.max()) < spec.codebook_size, f"{where}: an id is past the codebook"
        if spec.hop is not None:
            frames = frames_for(clip.resample(spec.sample_rate).samples.size, spec.hop)
            assert tokens.ids.shape[2] == frames, f"{where}: {tokens.ids.shape[2]} frames, the spec says {frames}"


def decode_restores_length(tokenizer: Tokenizer, clips: Sequence[Audio], text: str | None = None) -> None:
    """Check that decoding gives as many samples as were encoded, at the spec's sample rate."""
    for clip in clips:
        decoded = tokenizer.decode(tokenizer.encode(clip, text))
        expected = clip.resample(tokenizer.spec.sample_rate).samples.size
        assert decoded.sample_rate == tokenizer.spec.sample_rate, "decode gives another sample rate than the spec's"
        assert decoded.samples.size == expected, f"{expected} samples were decoded to {decoded.samples.size}"


def batch_equals_singles(tokenizer: Tokenizer, clips: Sequence[Audio], text: str | None = None) -> None:
    """Check that a clip has the same tokens and decoded samples alone and in a batch with other lengths."""
    batch = tokenizer.encode_batch(clips, _texts(text, clips))
    decoded = tokenizer.decode_batch(batch)
    for row, clip in enumerate(clips):
        alone = tokenizer.encode(clip, text)
        _assert_equal(batch.clip(row), alone, f"clip {row} in a batch of {len(clips)}")
        assert not batch.ids[row, :, int(batch.lengths[row]) :].any(), f"clip {row}: ids behind its end are not 0"
        samples = tokenizer.decode(alone).samples
        assert np.array_equal(decoded[row].samples, samples), f"clip {row}: decoded differently in a batch"


def neighbors_change_nothing(tokenizer: Tokenizer, clips: Sequence[Audio], text: str | None = None) -> None:
    """Check that neither the order of a batch nor a much longer neighbor changes any tokens."""
    longest = max(clips, key=lambda clip: clip.duration)
    neighbors = [*reversed(clips), Audio(np.tile(longest.samples, 3), longest.sample_rate)]
    batch = tokenizer.encode_batch(neighbors, _texts(text, neighbors))
    for row, clip in enumerate(neighbors[:-1]):
        _assert_equal(batch.clip(row), tokenizer.encode(clip, text), f"clip {row} beside a longer one")


def blocks_equal_the_whole(tokenizer: Tokenizer, clips: Sequence[Audio], text: str | None = None) -> None:
    """Check that a clip in blocks has the tokens of the whole clip, where the tokenizer streams."""
    if not isinstance(tokenizer, Streaming):
        return
    random = np.random.default_rng(0)
    for index, clip in enumerate(clips):
        resampled = clip.resample(tokenizer.spec.sample_rate)
        whole = tokenizer.encode(resampled)  # blocks have no text
        for size in (1 + int(random.integers(1, 700)), 16_000):
            if resampled.samples.size / size > 2_000:
                continue
            blocks = (resampled.samples[at : at + size] for at in range(0, resampled.samples.size, size))
            _assert_equal(tokenizer.encode_blocks(blocks), whole, f"clip {index} in blocks of {size} samples")
        joined = np.concatenate(list(tokenizer.decode_blocks(whole)))
        assert np.array_equal(joined, tokenizer.decode(whole).samples), f"clip {index}: decoded differently in blocks"


def encoding_is_deterministic(tokenizer: Tokenizer, clips: Sequence[Audio], text: str | None = None) -> None:
    """Check that a clip gives the same tokens and samples twice, for any random state of torch."""
    with torch.random.fork_rng(devices=[]):
        for clip in clips:
            torch.manual_seed(1)
            first = tokenizer.encode(clip, text)
            torch.manual_seed(2)
            _assert_equal(tokenizer.encode(clip, text), first, "the same clip again")
            assert np.array_equal(tokenizer.decode(first).samples, tokenizer.decode(first).samples), "decoding differs"


def caller_state_changes_nothing(tokenizer: Tokenizer, clips: Sequence[Audio], text: str | None = None) -> None:
    """Check that tokens and samples depend on nothing that a caller sets in torch, and that nothing is left changed.

    See :data:`vocable.states.CALLER_STATES`; :func:`vocable.numerics.reproducible` makes a function keep this law.
    """
    clip = _moderate(clips)
    expected = tokenizer.encode(clip, text)
    samples = tokenizer.decode(expected).samples
    for name, state in CALLER_STATES.items():
        where = f"caller's state '{name}'"
        with state():
            before = read_state()
            try:
                tokens = tokenizer.encode(clip, text)
                decoded = tokenizer.decode(tokens).samples
            except Exception as error:
                raise AssertionError(f"{where}: {type(error).__name__}: {error}") from error
            changed = [key for key, value in read_state().items() if value != before[key]]
        _assert_equal(tokens, expected, where)
        assert np.array_equal(decoded, samples), f"{where}: decoded differently"
        assert not changed, f"{where}: encode or decode left changed: {', '.join(changed)}"
        _assert_equal(tokenizer.encode(clip, text), expected, f"after the {where}")


def changed_networks_are_exact_or_refused(
    tokenizer: Tokenizer, clips: Sequence[Audio], text: str | None = None
) -> None:
    """Check that tokens are the same after a caller changed the networks, or that a VocableError refuses them.

    See :data:`vocable.states.MODEL_CHANGES`. Networks are those of the attribute ``model``, where there is one.
    """
    if not isinstance(getattr(tokenizer, "model", None), nn.Module):
        return
    clip = _moderate(clips)
    expected = tokenizer.encode(clip, text)
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save(Path(folder) / "model")
        for name, change in MODEL_CHANGES.items():
            loaded = _load_again(tokenizer, Path(folder) / "model")
            change(loaded.model)
            try:
                tokens = loaded.encode(clip, text)
            except VocableError:
                continue
            except Exception as error:
                raise AssertionError(f"networks {name}: {type(error).__name__}: {error}") from error
            _assert_equal(tokens, expected, f"networks {name}")


def layout_of_arrays_changes_nothing(tokenizer: Tokenizer, clips: Sequence[Audio], text: str | None = None) -> None:
    """Check that samples in any layout of memory have the same tokens; see :func:`vocable.states.array_layouts`."""
    clip = _moderate(clips)
    expected = tokenizer.encode(clip, text)
    for name, samples in array_layouts(clip.samples).items():
        _assert_equal(tokenizer.encode(Audio(samples, clip.sample_rate), text), expected, f"samples {name}")


def save_then_load_is_identity(tokenizer: Tokenizer, clips: Sequence[Audio], text: str | None = None) -> None:
    """Check that a saved and loaded tokenizer has the same digest, spec and tokens."""
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save(Path(folder) / "model")
        loaded = _load_again(tokenizer, Path(folder) / "model")
    assert loaded.digest == tokenizer.digest, "the digest changed"
    assert loaded.spec == tokenizer.spec, "the spec changed"
    for clip in clips[:3]:
        _assert_equal(loaded.encode(clip, text), tokenizer.encode(clip, text), "after save and load")


def files_round_trip(tokenizer: Tokenizer, clips: Sequence[Audio], text: str | None = None) -> None:
    """Check that tokens are the same after they are written to a file and read."""
    tokens = tokenizer.encode_batch(clips, _texts(text, clips))
    with tempfile.TemporaryDirectory() as folder:
        tokens.write(Path(folder) / "clips.tokens")
        read = Tokens.read(Path(folder) / "clips.tokens")
    for row in range(len(clips)):
        _assert_equal(read.clip(row), tokens.clip(row), f"clip {row} from a file")


def foreign_tokens_are_refused(tokenizer: Tokenizer, clips: Sequence[Audio], text: str | None = None) -> None:
    """Check that tokens of another tokenizer raise a SpecError instead of decoding to noise."""
    tokens = replace(tokenizer.encode(clips[0], text), tokenizer="sha256:another")
    try:
        tokenizer.decode(tokens)
    except SpecError:
        return
    raise AssertionError("tokens of another tokenizer were decoded")


def compare_devices(tokenizer: Tokenizer, clips: Sequence[Audio], text: str | None = None, device: str = "cuda") -> str:
    """Count the ids on another device that equal those on the CPU, and return a sentence with the counts.

    Ids on a GPU are not promised to be those on a CPU. They are checked to be the same when a clip is encoded twice.
    """
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save(Path(folder) / "model")
        other = _load_again(tokenizer, Path(folder) / "model", device)
    equal = total = 0
    for clip in clips:
        tokens, expected = other.encode(clip, text), tokenizer.encode(clip, text)
        _assert_equal(other.encode(clip, text), tokens, f"the same clip again on {device}")
        equal, total = equal + int((tokens.ids == expected.ids).sum()), total + expected.ids.numel()
    return f"{equal:,} of {total:,} ids on {device} are those on the CPU"


Law = Callable[[Tokenizer, Sequence[Audio], str | None], None]
LAWS: tuple[Law, ...] = (
    ids_in_range,
    decode_restores_length,
    batch_equals_singles,
    neighbors_change_nothing,
    blocks_equal_the_whole,
    encoding_is_deterministic,
    caller_state_changes_nothing,
    changed_networks_are_exact_or_refused,
    layout_of_arrays_changes_nothing,
    save_then_load_is_identity,
    files_round_trip,
    foreign_tokens_are_refused,
)


def _accepted(tokenizer: Tokenizer, clips: Sequence[Audio], text: str | None = None) -> list[Audio]:
    """Return the clips that the tokenizer accepts: at most half may raise an AudioError, alone as in a batch."""
    accepted = []
    for clip in clips:
        where = _name(clip)
        try:
            tokenizer.encode(clip, text)
        except AudioError:
            try:
                tokenizer.encode_batch([clip], _texts(text, [clip]))
            except AudioError:
                continue
            raise AssertionError(f"{where} raises an AudioError alone and not in a batch") from None
        except TextError as error:
            advice = "pass text=, a transcript of the clips" if text is None else f"pass another text= than {text!r}"
            raise AssertionError(f"{where}: {error}; {advice}") from error
        except Exception as error:
            raise AssertionError(
                f"{where}: {type(error).__name__}: {error}; only an AudioError may reject a clip"
            ) from error
        accepted.append(clip)
    assert len(accepted) > len(clips) // 2, f"only {len(accepted)} of {len(clips)} clips are accepted"
    return accepted


def _load_again(tokenizer: Tokenizer, folder: Path, device: str = "cpu") -> Any:
    """Load a saved tokenizer with the beam of the one that was saved, which no file holds."""
    loaded = type(tokenizer).load(folder, device)  # type: ignore[attr-defined]
    if (beam := getattr(tokenizer, BEAM, 1)) != 1:
        loaded.beam = beam
    return loaded


def _moderate(clips: Sequence[Audio]) -> Audio:
    """Return the clip of median length, at which a law is checked that takes many encodings."""
    return sorted(clips, key=lambda clip: clip.duration)[len(clips) // 2]


def _name(clip: Audio) -> str:
    return f"a clip of {clip.samples.size} samples at {clip.sample_rate} Hz"


def _texts(text: str | None, clips: Sequence[Audio]) -> list[str] | None:
    return None if text is None else [text] * len(clips)


def _clips(tokenizer: Tokenizer) -> list[Audio]:
    """Return clips of lengths and kinds at which tokenizers tend to fail."""
    rate = tokenizer.spec.sample_rate
    hop = tokenizer.spec.hop or rate // 10
    lengths = (1, hop - 1, hop, hop + 1, 7 * hop + 3, 2 * rate, 11 * rate + 5)
    return [
        *(speechlike(samples, rate, seed) for seed, samples in enumerate(lengths)),
        Audio(np.zeros(3 * hop, dtype=np.float32), rate),
        Audio(np.clip(4 * speechlike(5 * hop, rate, 9).samples, -1, 1), rate),
        speechlike(4_410, 44_100, 10),
        speechlike(801, 8_000, 11),
    ]


def _assert_equal(tokens: Tokens, expected: Tokens, where: str) -> None:
    shape, expected_shape = tuple(tokens.ids.shape), tuple(expected.ids.shape)
    assert shape == expected_shape, f"{where}: ids are {shape}, not {expected_shape}"
    different = int((tokens.ids != expected.ids).sum())
    assert different == 0, f"{where}: {different} of {expected.ids.numel()} tokens differ"
    assert torch.equal(tokens.lengths, expected.lengths), f"{where}: lengths differ"
    assert torch.equal(tokens.samples, expected.samples), f"{where}: sample counts differ"
    voices = [torch.zeros(0) if part.voice is None else part.voice for part in (tokens, expected)]
    assert torch.equal(*voices), f"{where}: voices differ"
    texts = [None if part.text is None or part.text == (None,) else part.text for part in (tokens, expected)]
    assert texts[0] == texts[1], f"{where}: texts differ, {texts[0]} and {texts[1]}"
