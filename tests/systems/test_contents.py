"""Tokens with wrong contents are refused by the tokenizer that reads them: every system, in memory and from a file."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vocable
from vocable.corpus.files import decode_files
from vocable.errors import AudioError, SpecError, VocableError
from vocable.evaluate.describe import describe
from vocable.systems import token_format
from vocable.systems.base import BaseTokenizer
from vocable.testing import speechlike
from vocable.tokens import Tokens, pack

GOLDEN = Path(__file__).parents[1] / "golden"
MODELS = ("guided-small", "ctap-small", "supervised-small", "taste-small", "vqalattent-fsdd")
Change = Callable[[Tokens], Tokens]


@cache
def model(name: str) -> BaseTokenizer[Any]:
    return vocable.load(name)


def good(name: str) -> Tokens:
    return Tokens.read(GOLDEN / f"{name}-0.tokens")


def frames(count: int) -> Change:
    return lambda tokens: replace(tokens, ids=tokens.ids[..., :count], lengths=torch.tensor([count]))


def samples(count: int) -> Change:
    return lambda tokens: replace(tokens, samples=torch.tensor([count]))


def spec(**values: Any) -> Change:
    return lambda tokens: replace(tokens, spec=replace(tokens.spec, **values))


def no_clips(tokens: Tokens) -> Tokens:
    voice = None if tokens.voice is None else tokens.voice[:0]
    text = None if tokens.text is None else ()
    none = torch.zeros(0, dtype=torch.int64)
    return replace(tokens, ids=tokens.ids[:0], lengths=none, samples=none, voice=voice, text=text)


def a_level_more(tokens: Tokens) -> Tokens:
    more = replace(tokens.spec, num_codebooks=tokens.spec.num_codebooks + 1)
    return replace(tokens, ids=torch.cat([tokens.ids, tokens.ids[:, :1]], 1), spec=more)


def voice(values: list[float]) -> Change:
    def change(tokens: Tokens) -> Tokens:
        width = len(values) if tokens.voice is None else tokens.voice.shape[1]
        made = torch.tensor([(values * width)[: len(values) if len(values) > 1 else width]])
        return replace(tokens, voice=made, voice_levels=None)  # of float32, which may hold anything

    return change


EVERY: dict[str, Change] = {
    "no clips": no_clips,
    "no frames": frames(0),
    "no samples": samples(0),
    "2^49 samples": samples(1 << 49),
    "an hour and a sample": lambda tokens: samples(3_600 * tokens.spec.sample_rate + 1)(tokens),
    "other rate": spec(sample_rate=22_050),
    "other hop": spec(hop=123),
    "larger codebook": spec(codebook_size=1 << 20),
    "a level more": a_level_more,
    "voice of another width": voice([0.0] * 7),
    "voice that is not a number": voice([float("nan")]),
    "infinite voice": voice([float("inf")]),
}
CLOCKED: dict[str, Change] = {  # where a frame has a duration
    "3 frames and 16,000 samples": lambda tokens: samples(16_000)(frames(3)(tokens)),
    "a frame too few": lambda tokens: frames(int(tokens.lengths[0]) - 1)(tokens),
    "a frame's samples too many": lambda tokens: samples(int(tokens.samples[0]) + (tokens.spec.hop or 0))(tokens),
    "a frame's samples too few": lambda tokens: samples(int(tokens.samples[0]) - (tokens.spec.hop or 0))(tokens),
    "one sample": samples(1),
}
TEXTED: dict[str, Change] = {
    "another text": lambda tokens: replace(tokens, text=("hello",)),
    "a word more": lambda tokens: replace(tokens, text=(f"{(tokens.text or ('',))[0]} indeed",)),
    "no text": lambda tokens: replace(tokens, text=None),
    "an empty text": lambda tokens: replace(tokens, text=("",)),
    "a text that cannot be said": lambda tokens: replace(tokens, text=("…",)),
    "half a minute a subword and a sample": lambda tokens: samples(30 * 16_000 * int(tokens.lengths[0]) + 1)(tokens),
}
IMAGES: dict[str, Change] = {"half an image": lambda tokens: frames(int(tokens.lengths[0]) // 2)(tokens)}
CASES = [
    (name, case, change)
    for name in MODELS
    for case, change in {
        **EVERY,
        **(CLOCKED if name in ("guided-small", "ctap-small", "supervised-small") else {}),
        **(TEXTED if name == "taste-small" else {}),
        **(IMAGES if name == "vqalattent-fsdd" else {}),
    }.items()
]
UNSAYABLE = ("an empty text", "a text that cannot be said")  # a TextError says which symbol
USES = ("decode", "decode_batch", "decode_blocks", "phoneme_path", "transcribe", "units", "words", "seconds", "score",
        "decode_images")  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_the_tokens_are_sound_before_they_are_spoilt(name: str) -> None:
    model(name).check_tokens(good(name))


@pytest.mark.parametrize(("name", "case", "change"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_wrong_contents_are_refused_by_every_use(name: str, case: str, change: Change, tmp_path: Path) -> None:
    tokens, tokenizer = change(good(name)), model(name)
    error = VocableError if case in UNSAYABLE else SpecError
    for use in USES:
        run = getattr(tokenizer, use, None)
        if run is not None and (name == "vqalattent-fsdd" or use not in ("score", "decode_images")):
            with pytest.raises(error):
                tuple(run(tokens))
    (tmp_path / "bad.tokens").write_bytes(pack(tokens))
    outcome = decode_files(tokenizer, [tmp_path / "bad.tokens"], tmp_path / "out.wav", say=lambda line: None)
    assert not outcome.done
    assert str(outcome.failed[0]).startswith(f"{tmp_path / 'bad.tokens'}: ")
    assert not (tmp_path / "out.wav").exists()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("value", [-1, 1 << 24, 1 << 62])
def test_ids_that_were_changed_in_place_are_refused(name: str, value: int) -> None:
    tokens = good(name)
    tokens.ids[0, -1, -1] = value
    with pytest.raises(SpecError, match="ids lie in"):
        model(name).decode(tokens)
    with pytest.raises(SpecError, match="ids lie in"):
        model(name).embed(tokens)


@pytest.mark.parametrize("name", MODELS[:3])
def test_padding_behind_the_end_is_not_decoded(name: str) -> None:
    tokens = good(name)
    padded = replace(tokens, ids=torch.nn.functional.pad(tokens.ids, (0, 5), value=3))
    assert np.array_equal(model(name).decode(padded).samples, model(name).decode(tokens).samples)


def test_a_batch_names_its_bad_clip() -> None:
    codec = model("guided-small")
    batch = codec.encode_batch([speechlike(3_200), speechlike(6_400)])
    with pytest.raises(SpecError, match="clip 2 has 20 frames and 16000 samples, which take 50 frames"):
        codec.check_tokens(replace(batch, samples=torch.tensor([3_200, 16_000])))


def test_what_could_not_be_decoded_is_not_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_format, "MAX_SECONDS", 1.0)
    speech = speechlike(9_000, 8_000)
    with pytest.raises(AudioError, match="cannot be encoded: clip 1 has 352 frames and 9000 samples, 1 s: at most 1 s"):
        model("vqalattent-fsdd").encode(speech)


@pytest.mark.parametrize("case", ["no clips", "no frames", "2^49 samples"])
def test_inspect_says_what_is_wrong_with_a_file(case: str, tmp_path: Path) -> None:
    (tmp_path / "a.tokens").write_bytes(pack(EVERY[case](good("guided-small"))))
    rows = dict(row[:2] for row in describe(str(tmp_path / "a.tokens"))[0].rows)
    assert rows["model"] == "guided-small"
    expected = {"no clips": "hold no clip", "no frames": "clip 1 is empty", "2^49 samples": "562949953421312 samples"}
    assert expected[case] in rows["cannot be decoded"]
