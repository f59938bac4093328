"""Tokens in which it is known what each level says."""

from collections.abc import Sequence
from pathlib import Path

import torch

from vocable.data.manifest import Utterance
from vocable.evaluate.probes.views import Clip
from vocable.tokens import Tokens, TokenSpec

ENTRIES = 16


def tokens(ids: torch.Tensor, voice: torch.Tensor | None = None) -> Tokens:
    levels, frames = ids.shape
    spec = TokenSpec(sample_rate=16_000, hop=320, codebook_size=ENTRIES, num_codebooks=levels)
    return Tokens(
        ids=ids[None], lengths=torch.tensor([frames]), samples=torch.tensor([frames * 320]), spec=spec,
        tokenizer="drawn", voice=None if voice is None else voice[None],
    )  # fmt: skip


class Embedder:
    """Codebooks drawn at random: an ``Embedding``."""

    def __init__(self, width: int = 8) -> None:
        self.books = torch.randn(8, ENTRIES, width, generator=torch.Generator().manual_seed(5))

    def embed(self, tokens: Tokens, levels: Sequence[int] | None = None) -> torch.Tensor:
        wanted = range(1, tokens.spec.num_codebooks + 1) if levels is None else levels
        return torch.stack([self.books[level - 1][tokens.ids[:, level - 1]] for level in wanted]).sum(0)


def emotional(*, speakers: int = 6, each: int = 8, levels: int = 3, voice: bool = False, seed: int = 0) -> list[Clip]:
    """Two moods: level 1 says which by the half of its codebook it uses; the other levels are noise."""
    random = torch.Generator().manual_seed(seed)
    clips = []
    for speaker in range(speakers):
        for take in range(each):
            mood = take % 2
            ids = torch.randint(ENTRIES, (levels, 20), generator=random)
            ids[0] = torch.randint(ENTRIES // 2, (20,), generator=random) + mood * ENTRIES // 2
            side = torch.randn(4, generator=random) * 0.1 + mood if voice else None
            utterance = Utterance(
                audio_path=Path(f"{speaker}-{take}.flac"), speaker=f"s{speaker}",
                extra={"emotion": ["calm", "angry"][mood], "gender": "fm"[speaker % 2]},
            )  # fmt: skip
            clips.append((utterance, tokens(ids, side)))
    return clips


def spelt(count: int, split: str, *, seed: int, letters: str = "abc") -> list[Clip]:
    """Texts whose letters stand in level 1, six frames each with an empty one behind; level 2 is noise."""
    random = torch.Generator().manual_seed(seed)
    clips = []
    for at in range(count):
        said = [letters[int(place)] for place in torch.randint(len(letters), (4,), generator=random)]
        rows = [row for letter in said for row in [letters.index(letter) + 1] * 5 + [0]]
        ids = torch.stack([torch.tensor(rows), torch.randint(ENTRIES, (len(rows),), generator=random)])
        utterance = Utterance(
            audio_path=Path(f"{split}-{at}.flac"), text="".join(said), split=split, speaker=f"{split}{at % 3}",
            extra={"phones": [[letter.upper() + "1"] for letter in said]},
        )  # fmt: skip
        clips.append((utterance, tokens(ids)))
    return clips
