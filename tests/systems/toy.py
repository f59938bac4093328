"""Loudness tokens: a tokenizer system in a package of its own."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vocable.audio import Audio
from vocable.schema import Entries, Width, config
from vocable.shapes import frames_for
from vocable.systems.base import BaseTokenizer, System
from vocable.systems.describe import Table, parameter_rows, spec_rows
from vocable.tokens import Tokens, TokenSpec


@config
class ToyConfig:
    sample_rate: int = 8_000
    hop: Width = 80
    codebook_size: Entries = 16

    @property
    def spec(self) -> TokenSpec:
        return TokenSpec(sample_rate=self.sample_rate, hop=self.hop, codebook_size=self.codebook_size, num_codebooks=1)


class ToyModel(nn.Module):
    """Entries are the loudness of a frame."""

    def __init__(self, config: ToyConfig) -> None:
        super().__init__()
        self.config = config
        self.entries = nn.Parameter(torch.linspace(0, 1, config.codebook_size))


class ToyTokenizer(BaseTokenizer[ToyModel]):
    """The mean magnitude of each frame, in one of a few steps."""

    system, config_class, model_class = "toy", ToyConfig, ToyModel

    @torch.inference_mode()
    def encode(self, audio: Audio, text: str | None = None) -> Tokens:
        hop = self.config.hop
        samples = torch.from_numpy(audio.resample(self.spec.sample_rate).samples)
        frames = torch.zeros(frames_for(len(samples), hop) * hop)
        frames[: len(samples)] = samples.abs()
        ids = (frames.reshape(-1, hop).mean(1)[:, None] - self.model.entries).abs().argmin(1)
        return self._tokens(ids[None, None], len(samples), text)

    @torch.inference_mode()
    def decode(self, tokens: Tokens, voice: Audio | None = None) -> Audio:
        tokens = self.check_clip(tokens)
        samples = self.model.entries[tokens.ids[0, 0]].repeat_interleave(self.config.hop)
        return Audio(samples[: int(tokens.samples[0])].numpy(), self.spec.sample_rate)

    def describe(self) -> list[Table]:
        return [Table("Model toy", [*spec_rows(self.spec), *parameter_rows({"toy": self.model})])]

    def _look_up(self, ids: Int[Tensor, "B Q N"], levels: Any) -> Float[Tensor, "B N D"]:
        return self.model.entries[ids[:, 0]][..., None]


SYSTEM = System(
    name="toy", title="Toy", tokenizer=ToyTokenizer, recipes={}, example="a model of your own",
    describe_config=lambda config: [Table("Sizes", spec_rows(config.spec))],
)  # fmt: skip
