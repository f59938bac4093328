"""Statistics of a token corpus: how much it holds, what its tokens cost, what occurs twice, and what failed."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from numpy import ndarray

from vocable.arguments import check_arguments
from vocable.corpus.token_corpus import TokenCorpus
from vocable.metrics.codebook import LevelUsage, bit_rates, count_usage
from vocable.schema import to_json

_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
_EDGES = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 300.0, 3600.0, math.inf)  # seconds
_UNKNOWN = "(unknown)"
_EXAMPLES = 5  # duplicates and failures that are named


@dataclass(frozen=True, kw_only=True)
class PartStatistics:
    """Statistics of the rows of one split.

    Attributes:
        rows: Number of rows.
        hours: Length of the recordings in hours.
        speakers: Number of different speakers; rows without one are not counted.
        with_text: Number of rows with a text.
    """

    rows: int
    hours: float
    speakers: int
    with_text: int


@dataclass(frozen=True, kw_only=True)
class FailureStatistics:
    """Statistics of the recordings that failed with one kind of error.

    Attributes:
        count: Number of recordings.
        examples: Messages of the first ones.
    """

    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class CorpusStatistics:
    """Statistics of a token corpus.

    Attributes:
        model: Name of the tokenizer, or None.
        tokenizer: Digest of the tokenizer.
        settings: Settings of the encoding.
        shards: Number of shards.
        size: Length of all shards in bytes.
        rows: Number of recordings with tokens.
        hours: Length of these recordings in hours.
        frames: Number of token frames.
        tokens: Number of tokens: frames times levels.
        voice_bits: Bits of the voice vectors as they are stored; 0 if there are none.
        nominal_bits: Bits of the tokens at log2 K bits a token.
        coded_bits: Bits of the tokens with an ideal entropy coder for each level, which knows its frequencies.
        bit_rate: Bits of tokens and voices per second of speech.
        seconds: Quantiles of the recordings' lengths in seconds, by their share, such as ``"0.5"``.
        histogram: Number of recordings from each length in seconds up to the next.
        splits: Statistics of each split, by its name.
        levels: Use of each level's codebook.
        recordings: Number of different recordings, by the SHA-256 of their files.
        duplicates: Number of rows whose recording occurs in an earlier row, too.
        duplicate_examples: Some of them, each with the row where it occurs first.
        failures: Statistics of the recordings that failed, by the kind of error.
    """

    model: str | None
    tokenizer: str
    settings: Mapping[str, Any]
    shards: int
    size: int
    rows: int
    hours: float
    frames: int
    tokens: int
    voice_bits: int
    nominal_bits: float
    coded_bits: float
    bit_rate: float
    seconds: Mapping[str, float]
    histogram: Mapping[str, int]
    splits: Mapping[str, PartStatistics]
    levels: tuple[LevelUsage, ...]
    recordings: int
    duplicates: int
    duplicate_examples: tuple[str, ...]
    failures: Mapping[str, FailureStatistics]

    def summary(self) -> list[tuple[str, str]]:
        """Return names and values of the main figures, as ``vocable corpus stats`` prints them."""
        used = ", ".join(f"{level.used:.0%}" for level in self.levels if level.frames)
        failed = ", ".join(f"{failure.count:,} × {kind}" for kind, failure in self.failures.items())
        coded = f", {self.coded_bits / self.nominal_bits:.1%} coded by frequency" if self.nominal_bits else ""
        rate = f"; {self.bit_rate:,.0f} bit/s" if self.hours else ""
        return [
            ("tokenizer", f"{self.model or ''} {self.tokenizer[:23]}".strip()),
            ("recordings", f"{self.rows:,} in {self.shards:,} shards, {self.size / 1e6:,.2f} MB"),
            ("hours", f"{self.hours:,.2f}"),
            ("tokens", f"{self.tokens:,}: {self.frames:,} frames × {len(self.levels)} levels"),
            ("bits", f"{self.nominal_bits:,.0f}{coded}; {self.voice_bits:,} of voices{rate}"),
            ("entries used", used),
            ("seconds", f"median {self.seconds['0.5']:.2f}, longest {self.seconds['1.0']:.2f}" if self.rows else ""),
            ("splits", ", ".join(f"{name} {part.hours:,.2f} h" for name, part in self.splits.items())),
            ("duplicates", f"{self.duplicates:,}"),
            ("failed", failed or "0"),
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the statistics as JSON values; NaN is None. A level has its used share and its perplexity, too."""
        values: dict[str, Any] = to_json(self)
        for level, usage in zip(values["levels"], self.levels, strict=True):
            level |= {"used": usage.used, "perplexity": usage.perplexity}
        return dict(_without_nan(values))


@check_arguments
def corpus_statistics(corpus: TokenCorpus) -> CorpusStatistics:
    """Return the statistics of a corpus. Its ids are read block by block, so memory does not grow with them.

    Beside that, about 100 bytes are kept of each row, and the name of each speaker.

    Raises:
        TokenFileError: If a shard is damaged.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> import vocable
        >>> from vocable.corpus.shard_format import ShardRow
        >>> from vocable.corpus.shard_writer import shard_header, write_shard
        >>> from vocable.testing import speechlike
        >>> codec = vocable.load("guided-small")
        >>> tokens = codec.encode(speechlike(3_200))
        >>> rows = [(ShardRow(id=f"{number}.wav", audio="0" * 64), tokens) for number in (1, 2)]
        >>> with TemporaryDirectory() as folder:
        ...     write_shard(f"{folder}/a.shard", rows, shard_header(codec))
        ...     statistics = corpus_statistics(TokenCorpus.open(folder))
        >>> statistics.tokens, statistics.nominal_bits, statistics.duplicates, statistics.duplicate_examples
        (160, 1600.0, 1, ('2.wav: as 1.wav',))
    """
    spec = corpus.spec
    counts = np.zeros((spec.num_codebooks, spec.codebook_size), dtype=np.int64)
    parts, hashes, failures = _Parts(), _Hashes(len(corpus)), Counter[str]()
    examples: dict[str, list[str]] = {}
    for number, shard in enumerate(corpus.shards()):
        for frames in shard.frames():
            for level in range(spec.num_codebooks):
                counts[level] += np.bincount(frames[:, level], minlength=spec.codebook_size)
        for row, samples in zip(shard.rows(), shard.samples.tolist(), strict=True):
            parts.add(row.split, samples / spec.sample_rate, row.speaker, row.text)
            hashes.add(row.audio)
        for failure in shard.failed:
            failures[failure.kind] += 1
            shown = examples.setdefault(failure.kind, [])
            if len(shown) < _EXAMPLES:
                shown.append(failure.reason)
        if number == 0:
            header = shard.header
    levels = count_usage(torch.from_numpy(counts))
    frames_total, seconds = int(corpus.lengths.sum()), corpus.samples / spec.sample_rate
    rates = bit_rates(levels, float(frames_total))
    voice_bits = 8 * header.voice_bytes * len(corpus)
    hours = float(seconds.sum()) / 3600
    repeated = hashes.repeated()
    return CorpusStatistics(
        model=header.model, tokenizer=corpus.digest, settings=dict(header.settings), shards=len(corpus.paths),
        size=sum(path.stat().st_size for path in corpus.paths), rows=len(corpus), hours=hours, frames=frames_total,
        tokens=frames_total * spec.num_codebooks, voice_bits=voice_bits, nominal_bits=rates.nominal,
        coded_bits=rates.entropy_coded if frames_total else 0.0,
        bit_rate=(rates.nominal + voice_bits) / (3600 * hours) if hours else math.nan,
        seconds=_quantiles(seconds),
        histogram={f"{edge:g}": int(n) for edge, n in zip(_EDGES, np.histogram(seconds, _EDGES)[0], strict=False)},
        splits=parts.finish(), levels=levels,
        recordings=len(corpus) - len(repeated), duplicates=len(repeated),
        duplicate_examples=tuple(
            f"{corpus.row(later).id}: as {corpus.row(first).id}" for later, first in repeated[:_EXAMPLES]
        ),
        failures={
            kind: FailureStatistics(count=count, examples=tuple(examples[kind]))
            for kind, count in failures.most_common()
        },
    )  # fmt: skip


class _Parts:
    """Sums over the rows of each split."""

    def __init__(self) -> None:
        self.rows: Counter[str] = Counter()
        self.seconds: Counter[str] = Counter()
        self.texts: Counter[str] = Counter()
        self.speakers: dict[str, set[str]] = {}

    def add(self, split: str | None, seconds: float, speaker: str | None, text: str | None) -> None:
        name = split or _UNKNOWN
        self.rows[name] += 1
        self.seconds[name] += seconds  # type: ignore[assignment]  # a Counter adds floats, too
        self.texts[name] += text is not None
        self.speakers.setdefault(name, set()).update([] if speaker is None else [speaker])

    def finish(self) -> dict[str, PartStatistics]:
        return {
            name: PartStatistics(
                rows=self.rows[name], hours=self.seconds[name] / 3600, speakers=len(self.speakers[name]),
                with_text=self.texts[name],
            )
            for name in sorted(self.rows)
        }  # fmt: skip


class _Hashes:
    """Hashes of the recordings, in 32 bytes a row."""

    def __init__(self, rows: int) -> None:
        self._hashes = np.zeros((rows, 4), dtype="<u8")
        self._is_known = np.zeros(rows, dtype=bool)
        self._next = 0

    def add(self, audio: str | None) -> None:
        if audio is not None:
            self._hashes[self._next] = np.frombuffer(bytes.fromhex(audio), dtype="<u8")
            self._is_known[self._next] = True
        self._next += 1

    def repeated(self) -> list[tuple[int, int]]:
        """Return each row whose recording occurs earlier, with the row where it occurs first; in the order of rows."""
        known = np.flatnonzero(self._is_known)
        _, first, group = np.unique(self._hashes[known], axis=0, return_index=True, return_inverse=True)
        firsts = known[first[group.reshape(-1)]]
        is_later = firsts != known
        return list(zip(known[is_later].tolist(), firsts[is_later].tolist(), strict=True))


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nan(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _quantiles(seconds: Float64[ndarray, " R"]) -> dict[str, float]:
    if not seconds.size:
        return {}
    return dict(zip(map(str, _QUANTILES), np.quantile(seconds, _QUANTILES).tolist(), strict=True))
