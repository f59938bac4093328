"""Every law, on both backbones; the exact ones again on a thousand random batches."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.models import CONFIGS, ready, ready_supervised, save_whisper
from vocable import audio, check_tokenizer, numerics
from vocable.audio import Audio, read_blocks
from vocable.errors import AudioError, SpecError
from vocable.interfaces import Streaming, Tokenizer
from vocable.systems import weights
from vocable.systems.guided.tokenizer import GuidedTokenizer
from vocable.systems.windows import sample_windows
from vocable.testing import LAWS, speechlike
from vocable.tokens import Tokens


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_every_law(name: str) -> None:
    check_tokenizer(ready(name))
    assert isinstance(ready(name), Tokenizer)


@pytest.mark.slow
def test_every_law_on_supervised_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOCABLE_WEIGHTS", str(tmp_path))
    tokenizer = ready_supervised(save_whisper(tmp_path / "whisper-random"))
    check_tokenizer(tokenizer)
    assert isinstance(tokenizer, Tokenizer)
    assert not isinstance(tokenizer, Streaming)  # Whisper hears a clip as a whole


@pytest.mark.slow
@settings(max_examples=1_000, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    lengths=st.lists(st.integers(1, 12_000), min_size=1, max_size=3),
    cut=st.integers(40, 9_000),
    seed=st.integers(0, 10_000),
)
def test_a_thousand_random_batches_without_one_mismatch(lengths: list[int], cut: int, seed: int) -> None:
    tokenizer = ready("spectral")
    clips = [speechlike(length, seed=seed + index) for index, length in enumerate(lengths)]
    batch = tokenizer.encode_batch(clips)
    for row, clip in enumerate(clips):
        alone = tokenizer.encode(clip)
        pieces = tokenizer.encode_blocks(clip.samples[at : at + cut] for at in range(0, clip.samples.size, cut))
        assert torch.equal(batch.clip(row).ids, alone.ids)
        assert torch.equal(pieces.ids, alone.ids)


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_windows_give_what_one_masked_pass_over_a_padded_batch_gives(name: str) -> None:
    """The window grid is a way of computing, not another model: up to rounding it is the training pass."""
    tokenizer = ready(name)
    model, hop = tokenizer.model.eval(), tokenizer.spec.hop or 1
    clips = [speechlike(hop * frames, seed=frames) for frames in (700, 333, 1)]
    samples = torch.zeros(3, 700 * hop)
    mask = torch.zeros(3, 700, dtype=torch.bool)
    for row, clip in enumerate(clips):
        samples[row, : clip.samples.size] = torch.from_numpy(clip.samples)
        mask[row, : clip.samples.size // hop] = True
    with torch.inference_mode():
        latents = model.encoder(samples, mask)
        made = model.decoder(latents * mask[..., None], mask)
        for row, clip in enumerate(clips):
            frames = clip.samples.size // hop
            alone = torch.cat([model.encoder(*window[:2])[0, window[2]] for window in _cut(tokenizer, clip)])
            assert torch.allclose(alone, latents[row, :frames], rtol=1e-4, atol=1e-5)
            tokens = tokenizer.encode(clip)
            again = model.decoder(model.quantizer.decode(tokens.ids), torch.ones(1, frames, dtype=torch.bool))
            assert np.allclose(tokenizer.decode(tokens).samples, again[0].numpy(), atol=1e-5)
    assert not made[1:, 333 * hop :].any()


def _cut(tokenizer: GuidedTokenizer, clip: Audio) -> list[tuple[torch.Tensor, torch.Tensor, slice]]:
    hop, reach = tokenizer.spec.hop or 1, tokenizer.model.encoder.reach
    if reach is None:
        return list(sample_windows([clip.samples], -(-clip.samples.size // hop), 0, hop))
    return list(sample_windows([clip.samples], 100, reach, hop))


def test_reach_is_the_receptive_field_and_no_less() -> None:
    """A change in the sound reaches exactly the tokens' latents that ``reach`` says, and so for samples."""
    tokenizer = ready("spectral")
    model = tokenizer.model.eval()
    mask = torch.ones(1, 61, dtype=torch.bool)
    with torch.inference_mode():
        quiet, loud = torch.zeros(1, 61 * 320), torch.zeros(1, 61 * 320)
        loud[:, 30 * 320 : 31 * 320] = torch.randn(320) * 0.1
        moved = (model.encoder(quiet, mask) - model.encoder(loud, mask)).abs().amax(2)[0] > 1e-6
        assert moved.nonzero().flatten().tolist() == list(range(30 - model.encoder.reach, 31 + model.encoder.reach))
        flat, bump = (
            torch.zeros(1, 61, model.config.backbone.latent_width),
            torch.zeros(1, 61, model.config.backbone.latent_width),
        )
        bump[:, 30] = 1.0
        heard = (model.decoder(flat, mask) - model.decoder(bump, mask)).abs().reshape(61, 320).amax(1) > 1e-7
        reached = heard.nonzero().flatten().tolist()
        assert reached[0] >= 30 - model.decoder.reach
        assert reached[-1] <= 30 + model.decoder.reach


def test_a_file_read_in_blocks_has_the_tokens_of_the_file_read_whole(tmp_path: Path) -> None:
    speechlike(5 * 44_100, 44_100).write(tmp_path / "a.flac")
    tokenizer = ready("spectral")
    assert isinstance(tokenizer, Streaming)
    whole = tokenizer.encode(Audio.read(tmp_path / "a.flac"))
    for seconds in (0.05, 0.7, 60.0):
        pieces = tokenizer.encode_blocks(read_blocks(tmp_path / "a.flac", 16_000, seconds=seconds))
        assert torch.equal(pieces.ids, whole.ids)
        assert torch.equal(pieces.samples, whole.samples)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_each_law_can_fail(law: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """A law that no tokenizer breaks proves nothing: here is one tokenizer that breaks each."""
    if law.__name__ == "files_round_trip":  # type: ignore[attr-defined]
        read = Tokens.read
        monkeypatch.setattr(Tokens, "read", lambda path: replace(read(path), samples=read(path).samples + 1))
    if law.__name__ == "caller_state_changes_nothing":  # type: ignore[attr-defined]
        monkeypatch.setattr(numerics, "_enter", lambda restore: None)
    if law.__name__ == "changed_networks_are_exact_or_refused":  # type: ignore[attr-defined]
        monkeypatch.setattr(weights.Fingerprint, "matches", lambda self, model: True)
    if law.__name__ == "layout_of_arrays_changes_nothing":  # type: ignore[attr-defined]
        monkeypatch.setattr(audio, "_as_floats", lambda samples: np.float32(samples * (samples.strides[0] > 0)))
    with pytest.raises(AssertionError):
        law(_Broken(law.__name__), [speechlike(4_000), speechlike(9_000, seed=1)], None)  # type: ignore[operator]


class _Broken(GuidedTokenizer):
    """Breaks the law of its name."""

    def __init__(self, law: str = "") -> None:
        super().__init__(ready("spectral").model)
        self.law, self.calls = law, 0

    def encode(self, audio: Audio, text: str | None = None) -> Tokens:
        tokens = super().encode(audio, text)
        self.calls += 1
        if self.law == "ids_in_range":
            return replace(tokens, ids=tokens.ids[..., :-1], lengths=tokens.lengths - 1)
        if self.law == "encoding_is_deterministic" and self.calls % 2:
            return replace(tokens, ids=(tokens.ids + 1) % self.spec.codebook_size)
        return tokens

    def encode_batch(self, clips: object, texts: object = None) -> Tokens:
        tokens = super().encode_batch(clips, texts)  # type: ignore[arg-type]
        if self.law in {"batch_equals_singles", "neighbors_change_nothing"}:
            return replace(tokens, ids=tokens.ids.roll(1, dims=2))
        return tokens

    def encode_blocks(self, blocks: object) -> Tokens:
        pieces = list(blocks)  # type: ignore[call-overload]
        if self.law == "blocks_equal_the_whole" and len(pieces) > 1:
            pieces = pieces[:-1]
        return super().encode_blocks(pieces)

    def decode(self, tokens: Tokens, voice: Audio | None = None) -> Audio:
        if self.law == "foreign_tokens_are_refused":
            tokens = replace(tokens, tokenizer=self.digest)
        made = super().decode(tokens, voice)
        return Audio(made.samples[:-1], made.sample_rate) if self.law == "decode_restores_length" else made

    def save(self, folder: object, *, half: bool = False) -> None:
        super().save(folder, half=self.law == "save_then_load_is_identity")  # type: ignore[arg-type]

    @classmethod
    def load(cls, folder: object, device: str = "cpu") -> GuidedTokenizer:
        return GuidedTokenizer.load(folder, device)  # type: ignore[arg-type]


def test_decode_says_what_is_wrong() -> None:
    tokenizer = ready("spectral")
    tokens = tokenizer.encode_batch([speechlike(900), speechlike(2_000)])
    with pytest.raises(SpecError, match="one clip, these tokens hold 2; use decode_batch"):
        tokenizer.decode(tokens)
    with pytest.raises(SpecError, match="load the one that made them"):
        tokenizer.decode(replace(tokens.clip(0), tokenizer="sha256:other"))
    with pytest.raises(SpecError, match="takes no other"):
        tokenizer.decode(tokens.clip(0), voice=speechlike(100))
    with pytest.raises(SpecError, match="this tokenizer makes"):
        tokenizer.decode(replace(tokens.clip(0), spec=replace(tokens.spec, hop=160)))
    with pytest.raises(AudioError, match="empty"):
        tokenizer.encode_blocks([])


def test_levels_are_a_prefix() -> None:
    tokenizer = ready("spectral")
    tokens = tokenizer.encode(speechlike(8_000))
    lengths = {tokenizer.decode(tokens.keep_levels(levels)).samples.size for levels in (1, 2, 3, 4)}
    assert lengths == {8_000}
    assert not np.array_equal(tokenizer.decode(tokens.keep_levels(1)).samples, tokenizer.decode(tokens).samples)
