"""Views of tokens that a probe is fitted on: chosen levels as codebook vectors or as ids, or the voice vector."""

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
class ProbeInput:
    """Clips in the representation that a probe is fitted on.

    Latents of any other source can be probed, too: pass a function that returns them.

    Attributes:
        view: Name of the view, such as ``level 1``.
        utterances: Manifest entry of each clip.
        frames: Function from the index of a clip to its frames, without padding: vectors (N, D), or ids (N, Q) if
            ``codebook_size`` is set.
        seconds: Duration of a frame; None if frames follow a text and not time.
        codebook_size: Entries K of each level of ids; None for vectors.
        utterance_level: Whether each clip is one vector and not a sequence.
        refused: Reason why the view is not available; empty if it is.

    Example:
        >>> import numpy as np
        >>> clips = [Utterance(audio_path="a.flac"), Utterance(audio_path="b.flac")]
        >>> latents = [np.zeros((10, 4), np.float32), np.ones((7, 4), np.float32)]
        >>> ProbeInput(view="layer 9", utterances=clips, frames=latents.__getitem__, seconds=0.02).frames(1).shape
        (7, 4)
    """

    view: str
    utterances: Sequence[Utterance]
    frames: Callable[[int], Frames]
    seconds: float | None
    codebook_size: int | None = None
    utterance_level: bool = False
    refused: str = ""

    @property
    def representation(self) -> str:
        """Name of the representation, for a note."""
        if self.utterance_level:
            return "one vector a clip"
        return "codebook vectors" if self.codebook_size is None else "ids, for want of codebook vectors"


def default_views(num_codebooks: int, *, voice: bool) -> list[str]:
    """Return the views that differ for a tokenizer with this many levels.

    Example:
        >>> default_views(8, voice=True)
        ['level 1', 'levels 2 to 8', 'all levels', 'voice vector']
        >>> default_views(1, voice=False)
        ['level 1']
    """
    return [*all_views(num_codebooks)[: 1 if num_codebooks == 1 else 3], *([VOICE] if voice else [])]


def all_views(num_codebooks: int) -> list[str]:
    """Return the four columns of the matrix, available or not.

    Example:
        >>> all_views(1)
        ['level 1', 'levels 2 and up', 'all levels', 'voice vector']
    """
    rest = {1: "levels 2 and up", 2: "level 2"}.get(num_codebooks, f"levels 2 to {num_codebooks}")
    return ["level 1", rest, "all levels", VOICE]


def levels_of(view: str, num_codebooks: int) -> list[int]:
    """Return the levels of a view, counted from 1; an empty list if the tokenizer has fewer levels.

    Raises:
        ConfigError: If the name is not that of a view.

    Example:
        >>> levels_of("levels 2 to 4", 8), levels_of("level 3", 8), levels_of("levels 2 and up", 1)
        ([2, 3, 4], [3], [])
    """
    if view == "all levels":
        return list(range(1, num_codebooks + 1))
    match = re.fullmatch(r"level (\d+)|levels (\d+) (?:to (\d+)|and up)", view)
    if match is None:
        raise ConfigError(
            f"there is no view '{view}'; give 'level 1', 'levels 2 to 8', 'levels 2 and up', 'all levels' or "
            f"'{VOICE}', with any numbers"
        )
    first = int(match[1] or match[2])
    last = int(match[1] or match[3] or num_codebooks)
    if first < 1 or (last < first and match[3]):
        raise ConfigError(f"view '{view}' names no level; level 1 is the first")
    return list(range(first, last + 1)) if last <= num_codebooks else []


def make_input(view: str, tokenizer: object, clips: Sequence[Clip]) -> ProbeInput:
    """Return one view of the tokens of these clips.

    Args:
        view: ``level 1``, ``levels 2 to 8``, ``levels 2 and up``, ``all levels`` or ``voice vector``.
        tokenizer: Tokenizer that made the tokens. An :class:`~vocable.interfaces.Embedding` gives vectors, any other
            ids.
        clips: Utterances, each with its tokens alone.

    Raises:
        ConfigError: If there is no such view, if tokens hold more or fewer than one clip, or if their specs differ.
    """
    utterances = [utterance for utterance, _ in clips]
    tokens = [one for _, one in clips]
    spec = _common_spec(tokens)
    seconds = None if spec.hop is None else spec.hop / spec.sample_rate
    if view == VOICE:
        missing = any(one.voice is None for one in tokens)
        return ProbeInput(
            view=view, utterances=utterances, frames=lambda index: _voice(tokens[index]), seconds=seconds,
            utterance_level=True, refused="this tokenizer makes no voice vector" if missing else "",
        )  # fmt: skip
    levels = levels_of(view, spec.num_codebooks)
    count = "1 level" if spec.num_codebooks == 1 else f"{spec.num_codebooks} levels"
    refused = "" if levels else f"this tokenizer has {count}"
    if isinstance(tokenizer, Embedding):
        return ProbeInput(
            view=view, utterances=utterances, seconds=seconds, refused=refused,
            frames=lambda index: tokenizer.embed(tokens[index], levels)[0].float().numpy(),
        )  # fmt: skip
    rows = [level - 1 for level in levels]
    return ProbeInput(
        view=view, utterances=utterances, seconds=seconds, codebook_size=spec.codebook_size, refused=refused,
        frames=lambda index: tokens[index].ids[0][rows].T.numpy(),
    )  # fmt: skip


def _voice(tokens: Tokens) -> Float[ndarray, "1 D"]:
    assert tokens.voice is not None
    return tokens.voice.float().numpy()


def _common_spec(tokens: Sequence[Tokens]) -> TokenSpec:
    sizes = [len(one) for one in tokens if len(one) != 1]
    if not tokens or sizes:
        given = f"{sizes[0]} clips together" if sizes else "none"
        raise ConfigError(f"a probe needs the tokens of each clip alone, got {given}; use Tokens.clip")
    specs = {one.spec for one in tokens}
    if len(specs) > 1:
        raise ConfigError(f"a probe needs tokens of one kind, got {' and '.join(map(str, specs))}")
    return specs.pop()
