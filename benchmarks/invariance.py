"""The laws of a tokenizer on random batches: a clip has the same tokens alone, in company, in pieces and again.

First the public check of every law at the known edges, then random batches drawn by hypothesis (the same ones for the
same seed), then the files. Tokens are compared one by one; the count of those that differ is to be 0.
"""

import ast
import itertools
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from anchors import RESULTS, main, need, record, verdict
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from vocable.audio import Audio
from vocable.errors import VocableError

_LONG = 15.0  # seconds: past several of a codec's windows
_TOKEN_LAWS = ("2: in company", "3: in pieces", "4: again")
_KINDS = ("speech", "speech", "speech", "clipped", "noise", "silence")


@dataclass(frozen=True)
class Piece:
    """A clip of a random batch: where it is cut from, how long it is, what is done to it."""

    source: int
    seconds: float
    offset: float  # in [0, 1] of what is left of the source
    kind: str


@dataclass(frozen=True)
class Batch:
    """A random batch: its clips, noise put among them, the order of all, and the cuts in which each clip comes."""

    clips: tuple[Piece, ...]
    neighbours: tuple[Piece, ...]
    order: int
    cuts: tuple[int, ...]


@dataclass
class Tally:
    """What was compared and what differed."""

    batches: int = 0
    compared: dict[str, int] = field(default_factory=dict)
    mismatches: dict[str, int] = field(default_factory=dict)
    examples: list[dict[str, Any]] = field(default_factory=list)

    def count(self, law: str, compared: int, different: int, batch: Batch) -> None:
        """Add a comparison; the first few that fail are kept as they were drawn."""
        self.compared[law] = self.compared.get(law, 0) + compared
        self.mismatches[law] = self.mismatches.get(law, 0) + different
        if different and len(self.examples) < 5:
            self.examples.append({"law": law, "different": different, "batch": asdict(batch)})


def invariance(
    manifests: Annotated[list[Path] | None, typer.Argument(help="JSONL manifests; synthetic clips by default.")] = None,
    model: Annotated[str, typer.Option(help="A model's name or folder.")] = "guided-small",
    split: Annotated[str, typer.Option(help="The split of the manifests to draw from.")] = "test",
    batches: Annotated[int, typer.Option(min=1, help="Random batches.")] = 1_000,
    longest: Annotated[float, typer.Option(min=0.01, help="Seconds of a clip at most; one in 20 is longer.")] = 3.0,
    seed: Annotated[int, typer.Option(help="Of the batches.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder of the result file.")] = RESULTS,
) -> None:
    """Count tokens that differ between a clip alone, in company, in pieces and again; exit code 1 if any does."""
    need("hypothesis", "hypothesis")
    import torch

    import vocable

    torch.set_num_threads(1)
    console = Console()
    tokenizer = vocable.load(model)
    sources = _sources(manifests or [], split, tokenizer.spec.sample_rate)
    broken = _broken(lambda: vocable.check_tokenizer(tokenizer)) + _broken(lambda: _files_are_safe(tokenizer))
    tally = Tally()
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("batches", total=batches)

        def one(batch: Batch) -> None:
            _compare(tokenizer, batch, sources, tally)
            tally.batches += 1
            progress.advance(bar)

        _draw(one, batches, longest, len(sources), seed)
    console.print(_table(tally, broken))
    different = sum(tally.mismatches.values())
    values = {
        **asdict(tally),
        "tokens_compared": _tokens(tally.compared),
        "token_mismatches": _tokens(tally.mismatches),
    }
    values |= {"broken_laws": broken, "met": different == 0 and not broken}
    data = {
        "manifests": [path.parent.name for path in manifests or []], "split": split if manifests else None,
        "n": len(sources), "longest_s": longest,
    }  # fmt: skip
    target = record("invariance", model, tokenizer, out, data=data, seed=seed, values=values)
    console.print(f"written: {target}", markup=False)
    if not values["met"]:
        sys.exit(1)


def _sources(manifests: Sequence[Path], split: str, rate: int) -> list[np.ndarray]:
    """Recordings to cut clips from, or synthetic ones."""
    from vocable.data.manifest import read_manifests
    from vocable.testing import speechlike

    if not manifests:
        return [speechlike(int(_LONG * rate), rate, number).samples for number in range(20)]
    return [Audio.read(utterance.audio_path, rate).samples for utterance in read_manifests(manifests, split)]


# ---- random batches -------------------------------------------------------------------------------------------------


def _draw(one: Callable[[Batch], None], batches: int, longest: float, sources: int, seed: int) -> None:
    """Give ``one`` so many batches, drawn by hypothesis from the seed."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded
    from hypothesis import strategies as st

    def piece(kinds: Sequence[str]) -> Any:
        usual, rare = st.floats(0, longest), st.floats(0, _LONG)
        seconds = st.integers(0, 19).flatmap(lambda draw: rare if draw == 19 else usual)
        return st.builds(Piece, st.integers(0, sources - 1), seconds, st.floats(0, 1), st.sampled_from(kinds))

    batch = st.builds(
        Batch,
        clips=st.lists(piece(_KINDS), min_size=1, max_size=5).map(tuple),
        neighbours=st.lists(piece(("noise",)), max_size=2).map(tuple),
        order=st.integers(0, 2**31),
        cuts=st.lists(st.integers(1, 40_000), min_size=1, max_size=8).map(tuple),
    )
    seeded(seed)(
        settings(
            max_examples=batches, database=None, deadline=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )(given(batch)(one))
    )()  # fmt: skip


def _clip(piece: Piece, sources: Sequence[np.ndarray], rate: int) -> Audio:
    """The clip a piece describes: at least one sample."""
    source = sources[piece.source]
    size = min(source.size, max(1, int(piece.seconds * rate)))
    start = int(piece.offset * (source.size - size))
    samples = source[start : start + size]
    if piece.kind == "silence":
        samples = np.zeros_like(samples)
    elif piece.kind == "clipped":
        samples = np.clip(samples * 20, -1, 1)
    elif piece.kind == "noise":
        draw = np.random.default_rng([piece.source, size]).standard_normal(size)
        samples = (0.2 * draw).astype(np.float32)
    return Audio(samples, rate)


def _compare(tokenizer: Any, batch: Batch, sources: Sequence[np.ndarray], tally: Tally) -> None:
    """Every clip of a batch alone, then in company, in pieces and again."""
    import torch

    from vocable.interfaces import Streaming
    from vocable.shapes import frames_for

    spec = tokenizer.spec
    clips = [_clip(piece, sources, spec.sample_rate) for piece in batch.clips]
    noise = [_clip(piece, sources, spec.sample_rate) for piece in batch.neighbours]
    torch.manual_seed(batch.order)
    alone = [tokenizer.encode(clip) for clip in clips]
    for clip, tokens in zip(clips, alone, strict=True):
        outside = int(((tokens.ids < 0) | (tokens.ids >= spec.codebook_size)).sum())
        tally.count("1: ids in range", tokens.ids.numel(), outside, batch)
        if spec.hop is not None:
            frames = frames_for(clip.samples.size, spec.hop)
            tally.count("1: frames follow the spec", 1, int(tokens.ids.shape[2] != frames), batch)
    order = np.random.default_rng(batch.order).permutation(len(clips) + len(noise))
    company = tokenizer.encode_batch([(clips + noise)[place] for place in order])
    for row, tokens in enumerate(alone):
        seat = int(np.flatnonzero(order == row)[0])
        tally.count("2: in company", tokens.ids.numel(), _different(company.clip(seat), tokens), batch)
        behind = company.ids[seat, :, int(company.lengths[seat]) :]
        tally.count("2: nothing behind the end", behind.numel(), int((behind != 0).sum()), batch)
    if isinstance(tokenizer, Streaming):
        for clip, tokens in zip(clips, alone, strict=True):
            pieces = tokenizer.encode_blocks(_cut(clip.samples, batch.cuts))
            tally.count("3: in pieces", tokens.ids.numel(), _different(pieces, tokens), batch)
    torch.manual_seed(batch.order + 1)
    tally.count("4: again", alone[0].ids.numel(), _different(tokenizer.encode(clips[0]), alone[0]), batch)
    if tally.batches % 10 == 0:  # decoding everything would double the time
        made = tokenizer.decode_batch(company)
        for row, tokens in enumerate(alone):
            seat = int(np.flatnonzero(order == row)[0])
            wanted = tokenizer.decode(tokens).samples
            same = wanted.size == clips[row].samples.size and np.array_equal(made[seat].samples, wanted)
            tally.count("1, 2: decoded length and samples", 1, int(not same), batch)


def _cut(samples: np.ndarray, cuts: Sequence[int]) -> list[np.ndarray]:
    """The samples in pieces of these sizes, over and over; none is empty."""
    ends, sizes = [0], itertools.cycle(cuts)
    while ends[-1] < samples.size and len(ends) < 2_000:
        ends.append(ends[-1] + next(sizes))
    return [part for part in np.split(samples, ends[1:]) if part.size]


def _different(tokens: Any, wanted: Any) -> int:
    """Tokens that differ; all of them where the shapes do."""
    if tokens.ids.shape != wanted.ids.shape or not (tokens.samples == wanted.samples).all():
        return max(int(wanted.ids.numel()), 1)
    return int((tokens.ids != wanted.ids).sum())


# ---- laws that are not counted in tokens ----------------------------------------------------------------------------


def _broken(check: Callable[[], None]) -> list[str]:
    """What a check says of a law that is broken."""
    try:
        check()
    except AssertionError as error:
        return [str(error)]
    return []


def _files_are_safe(tokenizer: Any) -> None:
    """Law 5: safetensors and JSON, an altered byte is noticed, and the library unpickles nothing."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "model"
        tokenizer.save(target)
        files = sorted(target.iterdir())
        kinds = {file.suffix for file in files}
        assert kinds <= {".json", ".safetensors"}, f"law 5: a saved model holds files of kinds {sorted(kinds)}"
        weights = next(file for file in files if file.suffix == ".safetensors")
        data = bytearray(weights.read_bytes())
        data[-1] ^= 1
        weights.write_bytes(data)
        try:
            type(tokenizer).load(target)
        except VocableError:
            pass
        else:
            raise AssertionError("law 5: a model with an altered byte was loaded")
    import vocable

    for file in sorted(Path(vocable.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            assert not _unpickles(node), f"law 5: {file.name}, line {getattr(node, 'lineno', '?')}: pickle is used"


def _unpickles(node: ast.AST) -> bool:
    """Whether a piece of syntax imports pickle, calls ``torch.load`` or passes ``allow_pickle``."""
    if isinstance(node, ast.Import):
        return any(name.name.split(".")[0] in {"pickle", "joblib", "dill"} for name in node.names)
    if isinstance(node, ast.ImportFrom):
        return (node.module or "").split(".")[0] in {"pickle", "joblib", "dill"}
    if isinstance(node, ast.keyword):
        return node.arg == "allow_pickle" and not (isinstance(node.value, ast.Constant) and node.value.value is False)
    return isinstance(node, ast.Attribute) and ast.unparse(node) == "torch.load"


def _table(tally: Tally, broken: Sequence[str]) -> Table:
    different = sum(tally.mismatches.values())
    caption = "; ".join(broken) or "vocable.testing.check_tokenizer and the file laws: kept"
    table = Table("law", "compared", "different", title=f"{tally.batches:,} random batches", caption=caption)
    for law in sorted(tally.compared):
        table.add_row(law, f"{tally.compared[law]:,}", str(tally.mismatches[law]))
    table.add_row("tokens: 2, 3 and 4", f"{_tokens(tally.compared):,}", str(_tokens(tally.mismatches)))
    table.add_row("all that differs, 0 wanted", "", f"{different}: {verdict(different)}")
    return table


def _tokens(counts: dict[str, int]) -> int:
    """The sum over the laws that compare a clip's tokens with those it has alone."""
    return sum(count for law, count in counts.items() if law in _TOKEN_LAWS)


if __name__ == "__main__":
    main(invariance)
