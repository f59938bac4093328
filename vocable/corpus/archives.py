"""Archives of recordings, cut into spans: WebDataset tar files, and Parquet files of ``datasets``."""

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Literal

from vocable.audio import header_seconds
from vocable.corpus.archive_sample import DAMAGED, ArchiveSample, audio_file
from vocable.corpus.parquet_files import list_parquet, read_parquet
from vocable.corpus.sources import Span, archive_id
from vocable.corpus.tar_files import list_tar, read_tar
from vocable.errors import AudioError, InputError


def list_spans(path: Path, seconds: float, rows: int) -> Iterator[tuple[Span, float]]:
    """Cut an archive into spans, each with an estimate of its seconds of speech. No audio is read.

    Args:
        path: Absolute path of a tar or Parquet file.
        seconds: Speech of a span at most, if it is more than one sample.
        rows: Samples of a span at most.

    Raises:
        InputError: If the archive cannot be read, or has no samples.
        MissingDependencyError: If a Parquet file is given and pyarrow is not installed.
    """
    is_tar, problem = path.suffix.lower() == ".tar", None
    kind: Literal["tar", "parquet"] = "tar" if is_tar else "parquet"
    first, count, offset, total = 0, 0, 0, 0.0
    repeated: list[int] = []

    def span() -> tuple[Span, float]:
        return Span(
            id=archive_id(path), path=str(path), kind=kind, first=first, count=count, offset=offset,
            repeated=tuple(repeated),
        ), total  # fmt: skip

    try:
        for number, (place, length, is_repeated) in enumerate(list_tar(path) if is_tar else list_parquet(path)):
            if count and (count == rows or total + length > seconds):
                yield span()
                first, count, total, repeated = number, 0, 0.0, []
            if not count:
                offset = place
            count, total = count + 1, total + length
            repeated += [number] * is_repeated
    except InputError as error:  # the samples before the damage are sound
        problem = error
    if count:
        yield span()
    elif not first and problem is None:
        problem = InputError(f"{path}: holds no recordings; {DAMAGED}")
    if problem is not None:
        raise problem


def read_span(span: Span) -> Iterator[ArchiveSample]:
    """Yield the samples of a span; what is wrong with one is its problem.

    Raises:
        InputError: If the archive cannot be read, or does not hold what it held when it was planned.
    """
    samples = (
        read_tar(Path(span.path), span.offset)
        if span.kind == "tar"
        else read_parquet(Path(span.path), span.offset, span.first)
    )
    count = 0
    for number, sample in enumerate(islice(samples, span.count), span.first):
        if number in span.repeated:
            sample.problem = f"the key '{sample.key}' stands twice in the archive; its first recording is used"
            sample.key = f"{sample.key}#{number}"
        count += 1
        yield sample
    if count < span.count:
        raise InputError(
            f"{span.path}: ends {span.count - count} recordings before its plan; put back the archive as it was planned"
        )


def span_seconds(span: Span) -> float:
    """Return the seconds of speech of a span by the headers of its recordings; those that cannot be read count 0."""
    total = 0.0
    for sample in read_span(span):
        with suppress(AudioError), audio_file(sample.data or b"", sample.suffix) as path:
            total += header_seconds(path)
    return total
