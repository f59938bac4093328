"""What a probe is shown of the tokens: which levels, as vectors or as ids."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jaxtyping import Float, Int
from numpy import ndarray

from vocable.data.manifest import Utterance
from vocable.errors import ConfigError
from vocable.interfaces import Embedding
from vocable.tokens import Tokens, TokenSpec

Clip = tuple[Utterance, Tokens]
Frames = Float[ndarray, "N D"] | Int[ndarray, "N Q"]
VOICE = "voice vector"


@dataclass(frozen=True, kw_only=True)
class Material:
    """Clips as a probe sees them.

    Latents of any other source are probed in the same way: give a function that returns them.

    Attributes:
        view: What is shown, such as ``level 1``.
        utterances: What the manifest says of each clip.
        frames: Of the clip of this number: vectors, or ids where ``codebook_size`` is set. No padding.
        seconds: What a frame covers; None where frames follow a text and not the clock.
        codebook_size: Entries K of a level where ids are shown; None for vectors.
        whole: Each clip is one vector, not a sequence.
        refused: Why there is nothing to see; empty if there is.

    Example:
        >>> import numpy as np
        >>> clips = [Utterance(audio_path="a.flac"), Utterance(audio_path="b.flac")]
        >>> latents = [np.zeros((10, 4), np.float32), np.ones((7, 4), np.float32)]
        >>> Material(view="layer 9", utterances=clips, frames=latents.__getitem__, seconds=0.02).frames(1).shape
        (7, 4)
    """

    view: str
    utterances: Sequence[Utterance]
    frames: Callable[[int], Frames]
    seconds: float | None
    codebook_size: int | None = None
    whole: bool = False
    refused: str = ""

    @property
    def shown(self) -> str:
        """How frames are represented, for a note."""
        if self.whole:
            return "one vector a clip"
        return "codebook vectors" if self.codebook_size is None else "ids, for want of codebook vectors"


def default_views(num_codebooks: int, *, voice: bool) -> list[str]:
    """The views that say something of a tokenizer of so many levels.

    Example:
        >>> default_views(8, voice=True)
        ['level 1', 'levels 2 to 8', 'all levels', 'voice vector']
        >>> default_views(1, voice=False)
        ['level 1']
    """
    return [*all_views(num_codebooks)[: 1 if num_codebooks == 1 else 3], *([VOICE] if voice else [])]


def all_views(num_codebooks: int) -> list[str]:
    """The four columns of the matrix, whether or not this tokenizer has them.

    Example:
        >>> all_views(1)
        ['level 1', 'levels 2 and up', 'all levels', 'voice vector']
    """
    rest = {1: "levels 2 and up", 2: "level 2"}.get(num_codebooks, f"levels 2 to {num_codebooks}")
    return ["level 1", rest, "all levels", VOICE]


def levels_of(view: str, num_codebooks: int) -> list[int]:
    """The levels a view shows, 1 the first; none where the tokenizer has none of them.

    Raises:
        ConfigError: The view is not of a kind there is.

    Example:
        >>> levels_of("levels 2 to 4", 8), levels_of("level 3", 8), levels_of("levels 2 and up", 1)
        ([2, 3, 4], [3], [])
    """
    if view == "all levels":
        return list(range(1, num_codebooks + 1))
    found = re.fullmatch(r"level (\d+)|levels (\d+) (?:to (\d+)|and up)", view)
    if found is None:
        raise ConfigError(
            f"there is no view '{view}'; there are 'level 1', 'levels 2 to 8', 'levels 2 and up', 'all levels' and "
            f"'{VOICE}', with any numbers"
        )
    first = int(found[1] or found[2])
    last = int(found[1] or found[3] or num_codebooks)
    if first < 1 or (last < first and found[3]):
        raise ConfigError(f"view '{view}' names no level; level 1 is the first")
    return list(range(first, last + 1)) if last <= num_codebooks else []


def material_of(view: str, tokenizer: object, clips: Sequence[Clip]) -> Material:
    """One view of these clips.

    Args:
        view: ``level 1``, ``levels 2 to 8``, ``levels 2 and up``, ``all levels`` or ``voice vector``.
        tokenizer: What made the tokens; an :class:`~vocable.interfaces.Embedding` gives vectors, any other ids.
        clips: Utterances, each with the tokens of it alone.

    Raises:
        ConfigError: There is no such view, or tokens that hold more or less than one clip, or differ in their spec.
    """
    utterances = [utterance for utterance, _ in clips]
    tokens = [made for _, made in clips]
    spec = _one_spec(tokens)
    seconds = None if spec.hop is None else spec.hop / spec.sample_rate
    if view == VOICE:
        lacking = any(made.voice is None for made in tokens)
        return Material(
            view=view, utterances=utterances, frames=lambda index: _voice(tokens[index]), seconds=seconds, whole=True,
            refused="this tokenizer makes no voice vector" if lacking else "",
        )  # fmt: skip
    levels = levels_of(view, spec.num_codebooks)
    have = "1 level" if spec.num_codebooks == 1 else f"{spec.num_codebooks} levels"
    refused = "" if levels else f"this tokenizer has {have}"
    if isinstance(tokenizer, Embedding):
        return Material(
            view=view, utterances=utterances, seconds=seconds, refused=refused,
            frames=lambda index: tokenizer.embed(tokens[index], levels)[0].float().numpy(),
        )  # fmt: skip
    rows = [level - 1 for level in levels]
    return Material(
        view=view, utterances=utterances, seconds=seconds, codebook_size=spec.codebook_size, refused=refused,
        frames=lambda index: tokens[index].ids[0][rows].T.numpy(),
    )  # fmt: skip


def _voice(tokens: Tokens) -> Float[ndarray, "1 D"]:
    assert tokens.voice is not None
    return tokens.voice.float().numpy()


def _one_spec(tokens: Sequence[Tokens]) -> TokenSpec:
    wrong = [len(made) for made in tokens if len(made) != 1]
    if not tokens or wrong:
        had = f"{wrong[0]} clips together" if wrong else "none"
        raise ConfigError(f"a probe needs the tokens of each clip alone, got {had}; use Tokens.clip")
    specs = {made.spec for made in tokens}
    if len(specs) > 1:
        raise ConfigError(f"a probe needs tokens of one kind, got {' and '.join(map(str, specs))}")
    return specs.pop()
