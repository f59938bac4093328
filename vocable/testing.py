"""The laws every tokenizer keeps, as one public check for ours and for anybody's.

```python
from vocable.testing import check_tokenizer
check_tokenizer(MyTokenizer())
```

Each law is a function that raises AssertionError and says which clip broke it. Tokens are compared exactly.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from vocable.audio import Audio
from vocable.errors import AudioError, SpecError, TextError
from vocable.interfaces import Streaming, Tokenizer
from vocable.shapes import frames_for
from vocable.tokens import Tokens


def speechlike(samples: int, sample_rate: int = 16_000, seed: int = 0) -> Audio:
    """A clip with the rough shape of speech: a gliding voice with harmonics, syllables, noise and pauses.

    Args:
        samples: Length.
        sample_rate: Hz.
        seed: Of everything random.

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


def check_tokenizer(tokenizer: Tokenizer, clips: Sequence[Audio] | None = None, text: str | None = None) -> None:
    """Check every law; raises AssertionError naming the broken one.

    Args:
        tokenizer: Anything that follows :class:`~vocable.interfaces.Tokenizer`.
        clips: What to try it on; synthetic clips of many lengths by default.
        text: Said to be spoken in every clip, for tokenizers that need a text.
    """
    chosen = _usable(tokenizer, list(clips) if clips is not None else _clips(tokenizer), text)
    for law in LAWS:
        law(tokenizer, chosen, text)


def ids_in_range(tokenizer: Tokenizer, clips: Sequence[Audio], text: str | None = None) -> None:
    """Ids lie in [0, K), one row a codebook, and the number of frames follows the spec."""
    spec = tokenizer.spec
    for clip in clips:
        tokens = tokenizer.encode(clip, text)
        where = f"a clip of {clip.samples.size} samples at {clip.sample_rate} Hz"
        assert tokens.ids.shape[:2] == (1, spec.num_codebooks), f"{where}: ids are {tuple(tokens.ids.shape)}"
        assert tokens.spec == spec, f"{where}: tokens say {tokens.spec}, the tokenizer {spec}"
        assert tokens.tokenizer == tokenizer.digest, f"{where}: tokens carry another digest"
        assert int(tokens.ids.min()) >= 0, f"{where}: an id is negative"
        assert int(tokens.ids.max()) < spec.codebook_size, f"{where}: an id is past the codebook"
        if spec.hop is not None:
            samples = clip.resample(spec.sample_rate).samples.size
            wanted = frames_for(samples, spec.hop)
            assert tokens.ids.shape[2] == wanted, f"{where}: {tokens.ids.shape[2]} frames, the spec says {wanted}"


def decode_restores_length(tokenizer: Tokenizer, clips: Sequence[Audio], text: str | None = None) -> None:
    """Decoding gives as many samples as were encoded, at the spec's rate, all finite."""
    for clip in clips:
        made = tokenizer.decode(tokenizer.encode(clip, text))
        wanted = clip.resample(tokenizer.spec.sample_rate).samples.size
        assert made.sample_rate == tokenizer.spec.sample_rate, "decode gives another sample rate than the spec's"
        assert made.samples.size == wanted, f"{wanted} samples came back as {made.samples.size}"


def batch_equals_singles(tokenizer: Tokenizer, clips: Sequence[Audio], text: str | None = None) -> None:
    """A clip has the same tokens and the same decoded samples alone and among clips of other lengths."""
    batch = tokenizer.encode_batch(clips, _said(text, clips))
    decoded = tokenizer.decode_batch(batch)
    for row, clip in enumerate(clips):
        alone = tokenizer.encode(clip, text)
        _same(batch.clip(row), alone, f"clip {row} in a batch of {len(clips)}")
        behind = batch.ids[row, :, int(batch.lengths[row]) :]
        assert not behind.any(), f"clip {row}: ids behind its end are not 0"
        assert np.array_equal(decoded[row].samples, tokenizer.decode(alone).samples), f"clip {row}: decoded otherwise"


def company_is_invisible(tokenizer: Tokenizer, clips: Sequence[Audio], text: str | None = None) -> None:
    """The order of a batch, and a much longer neighbour, change nothing."""
    longest = max(clips, key=lambda clip: clip.duration)
    company = [*reversed(clips), Audio(np.tile(longest.samples, 3), longest.sample_rate)]
    batch = tokenizer.encode_batch(company, _said(text, company))
    for row, clip in enumerate(company[:-1]):
        _same(batch.clip(row), tokenizer.encode(clip, text), f"clip {row} beside a longer one")


def pieces_equal_the_whole(tokenizer: Tokenizer, clips: Sequence[Audio], text: str | None = None) -> None:
    """A clip that comes in pieces has the tokens of the whole (where the receptive field is finite)."""
    if not isinstance(tokenizer, Streaming):
        return
    random = np.random.default_rng(0)
    for index, clip in enumerate(clips):
        here = clip.resample(tokenizer.spec.sample_rate)
        whole = tokenizer.encode(here)  # pieces come without a text
        for size in (1 + int(random.integers(1, 700)), 16_000):
            if here.samples.size / size > 2_000:
                continue
            pieces = (here.samples[at : at + size] for at in range(0, here.samples.size, size))
            _same(tokenizer.encode_blocks(pieces), whole, f"clip {index} in pieces of {size} samples")
        made = np.concatenate(list(tokenizer.decode_blocks(whole)))
        assert np.array_equal(made, tokenizer.decode(whole).samples), f"clip {index}: decoded otherwise in pieces"


def same_again(tokenizer: Tokenizer, clips: Sequence[Audio], text: str | None = None) -> None:
    """The same clip gives the same tokens and samples twice, whatever torch's random state."""
    for clip in clips:
        torch.manual_seed(1)
        first = tokenizer.encode(clip, text)
        torch.manual_seed(2)
        _same(tokenizer.encode(clip, text), first, "the same clip again")
        assert np.array_equal(tokenizer.decode(first).samples, tokenizer.decode(first).samples), "decoding differs"


def save_then_load_is_identity(tokenizer: Tokenizer, clips: Sequence[Audio], text: str | None = None) -> None:
    """A saved tokenizer comes back with the same digest, tokens and samples."""
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save(Path(folder) / "model")
        again = type(tokenizer).load(Path(folder) / "model")  # type: ignore[attr-defined]
    assert again.digest == tokenizer.digest, "the digest changed"
    assert again.spec == tokenizer.spec, "the spec changed"
    for clip in clips[:3]:
        _same(again.encode(clip, text), tokenizer.encode(clip, text), "after save and load")


def files_round_trip(tokenizer: Tokenizer, clips: Sequence[Audio], text: str | None = None) -> None:
    """Tokens come back from their file as they were."""
    tokens = tokenizer.encode_batch(clips, _said(text, clips))
    with tempfile.TemporaryDirectory() as folder:
        tokens.write(Path(folder) / "clips.tokens")
        again = Tokens.read(Path(folder) / "clips.tokens")
    for row in range(len(clips)):
        _same(again.clip(row), tokens.clip(row), f"clip {row} from a file")


def foreign_tokens_are_refused(tokenizer: Tokenizer, clips: Sequence[Audio], text: str | None = None) -> None:
    """Tokens of another tokenizer raise a SpecError and do not become noise."""
    from dataclasses import replace

    tokens = replace(tokenizer.encode(clips[0], text), tokenizer="sha256:another")
    try:
        tokenizer.decode(tokens)
    except SpecError:
        return
    raise AssertionError("tokens of another tokenizer were decoded")


Law = Callable[[Tokenizer, Sequence[Audio], str | None], None]
LAWS: tuple[Law, ...] = (
    ids_in_range,
    decode_restores_length,
    batch_equals_singles,
    company_is_invisible,
    pieces_equal_the_whole,
    same_again,
    save_then_load_is_identity,
    files_round_trip,
    foreign_tokens_are_refused,
)


def _usable(tokenizer: Tokenizer, clips: Sequence[Audio], text: str | None = None) -> list[Audio]:
    """Clips that the tokenizer takes. It may refuse some by an AudioError, alone as in a batch, but not all speech."""
    usable = []
    for clip in clips:
        where = f"a clip of {clip.samples.size} samples at {clip.sample_rate} Hz"
        try:
            tokenizer.encode(clip, text)
        except AudioError:
            try:
                tokenizer.encode_batch([clip], _said(text, [clip]))
            except AudioError:
                continue
            raise AssertionError(f"{where} is refused alone and not in a batch") from None
        except TextError as error:
            advice = (
                "pass text=, what shall be said in the clips" if text is None else f"pass another text= than {text!r}"
            )
            raise AssertionError(f"{where}: {error}; {advice}") from error
        except Exception as error:
            raise AssertionError(
                f"{where}: {type(error).__name__}: {error}; an AudioError may refuse a clip"
            ) from error
        usable.append(clip)
    assert len(usable) > len(clips) // 2, f"only {len(usable)} of {len(clips)} clips are taken"
    return usable


def _said(text: str | None, clips: Sequence[Audio]) -> list[str] | None:
    """The text of each clip; None where there is none."""
    return None if text is None else [text] * len(clips)


def _clips(tokenizer: Tokenizer) -> list[Audio]:
    """The lengths and kinds at which tokenizers go wrong."""
    return list(_edge_clips(tokenizer.spec.sample_rate, tokenizer.spec.hop or tokenizer.spec.sample_rate // 10))


def _edge_clips(rate: int, hop: int) -> Iterator[Audio]:
    for seed, samples in enumerate((1, hop - 1, hop, hop + 1, 7 * hop + 3, 2 * rate, 11 * rate + 5)):
        yield speechlike(samples, rate, seed)
    yield Audio(np.zeros(3 * hop, dtype=np.float32), rate)
    yield Audio(np.clip(4 * speechlike(5 * hop, rate, 9).samples, -1, 1), rate)
    yield speechlike(4_410, 44_100, 10)
    yield speechlike(801, 8_000, 11)


def _same(tokens: Tokens, wanted: Tokens, where: str) -> None:
    assert tokens.ids.shape == wanted.ids.shape, (
        f"{where}: ids are {tuple(tokens.ids.shape)}, not {tuple(wanted.ids.shape)}"
    )
    different = int((tokens.ids != wanted.ids).sum())
    assert different == 0, f"{where}: {different} of {wanted.ids.numel()} tokens differ"
    assert torch.equal(tokens.lengths, wanted.lengths), f"{where}: lengths differ"
    assert torch.equal(tokens.samples, wanted.samples), f"{where}: sample counts differ"
    voices = [torch.zeros(0) if part.voice is None else part.voice for part in (tokens, wanted)]
    assert torch.equal(*voices), f"{where}: voices differ"
    texts = [None if part.text is None or part.text == (None,) else part.text for part in (tokens, wanted)]
    assert texts[0] == texts[1], f"{where}: texts differ, {texts[0]} and {texts[1]}"
