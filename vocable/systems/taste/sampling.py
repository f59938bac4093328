"""How one unit is drawn from what the model thinks of all of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vocable.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """A unit among the likeliest; one that was drawn a moment ago is drawn again, among all.

    Attributes:
        top_p: The fewest of the likeliest that have this much probability together.
        top_k: And no more than so many.
        window: Units before, in which a repetition is looked for.
        repetition: Share of the window that must be the drawn unit for it to be drawn again.
        temperature: Under 1 the likely becomes likelier; 0 always takes the likeliest.

    Raises:
        ConfigError: A value is out of range.

    Source:
        VALL-E 2, arXiv:2406.05370, section 4.4, with CosyVoice's numbers: github.com/FunAudioLLM/CosyVoice
        (Apache-2.0) ``cosyvoice/utils/common.py``.

    Example:
        >>> rule, generator = Sampling(top_k=1), torch.Generator().manual_seed(0)
        >>> rule.draw(torch.tensor([0.0, 9.0, 1.0]), [], generator)
        1
    """

    top_p: float = 0.8
    top_k: int = 25
    window: int = 10
    repetition: float = 0.1
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.top_p <= 1 or self.top_k < 1:
            raise ConfigError(
                f"top_p is {self.top_p}, over 0 and at most 1 is wanted; top_k is {self.top_k}, 1 or more is"
            )
        if self.window < 0 or not 0 < self.repetition < math.inf:
            raise ConfigError(
                f"window is {self.window}, at least 0 is wanted; repetition is {self.repetition}, over 0 is"
            )
        if not 0 <= self.temperature < math.inf:
            raise ConfigError(f"temperature is {self.temperature}: 0 or more is wanted")

    def draw(self, logits: Float[Tensor, " K"], before: Sequence[int], generator: torch.Generator) -> int:
        """One entry.

        Args:
            logits: Of all entries; −∞ is never drawn.
            before: What was drawn before, the last one last.
            generator: Of the processor, whatever the logits lie on: so one seed draws alike everywhere.
        """
        exact = logits.detach().double().cpu()
        if self.temperature == 0:
            return int(exact.argmax())
        chances = ((exact - exact.max()) / self.temperature).softmax(0)
        sizes, ids = chances.sort(descending=True, stable=True)
        kept = sizes.cumsum(0) - sizes < self.top_p  # what lies before has less than top_p: the first is always kept
        kept[self.top_k :] = False
        drawn = int(ids[torch.multinomial(sizes * kept, 1, generator=generator)])
        recent = before[max(0, len(before) - self.window) :]
        if self.window and recent.count(drawn) >= self.window * self.repetition:
            drawn = int(torch.multinomial(chances, 1, generator=generator))
        return drawn
