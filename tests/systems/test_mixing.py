"""Voice conversion by levels: the words' levels stay, the others come from the reference, frame by frame."""

from dataclasses import replace

import pytest
import torch

from vocable.errors import SpecError
from vocable.systems.guided.mixing import mix_levels
from vocable.tokens import Tokens, TokenSpec


def clip(frames: int, seed: int, levels: int = 4) -> Tokens:
    ids = torch.randint(16, (1, levels, frames), generator=torch.Generator().manual_seed(seed))
    return Tokens(
        ids=ids, lengths=torch.tensor([frames]), samples=torch.tensor([320 * frames]), tokenizer="one",
        spec=TokenSpec(sample_rate=16_000, hop=320, codebook_size=16, num_codebooks=levels),
    )  # fmt: skip


@pytest.mark.parametrize(("frames", "there"), [(9, 4), (4, 9), (5, 5), (1, 3)])
@pytest.mark.parametrize("kept", [1, 2, 3])
def test_levels_come_from_where_they_should_whatever_the_lengths(frames: int, there: int, kept: int) -> None:
    source, reference = clip(frames, 0), clip(there, 1)
    mixed = mix_levels(source, reference, kept)
    assert torch.equal(mixed.ids[:, :kept], source.ids[:, :kept])
    for frame in range(frames):
        assert torch.equal(mixed.ids[0, kept:, frame], reference.ids[0, kept:, frame % there])
    assert int(mixed.samples[0]) == int(source.samples[0])


def test_mixing_a_clip_with_itself_changes_nothing() -> None:
    source = clip(7, 0)
    assert torch.equal(mix_levels(source, source).ids, source.ids)


def test_what_does_not_belong_together_is_refused() -> None:
    source = clip(4, 0)
    with pytest.raises(SpecError, match="different tokenizers or levels"):
        mix_levels(source, replace(clip(4, 1), tokenizer="two"))
    with pytest.raises(SpecError, match="different tokenizers or levels"):
        mix_levels(source, clip(4, 1, levels=3))
    with pytest.raises(SpecError, match="4 levels are kept: it must be 1 to 3"):
        mix_levels(source, clip(4, 1), 4)
    with pytest.raises(SpecError, match="the reference has no frames"):
        mix_levels(source, clip(0, 1))
