"""Jobs: whatever happens to one item, it is named and counted, and the others go on."""

from pathlib import Path

import pytest
import torch

from vocable.audio import Audio
from vocable.corpus.jobs import Made, Outcome, Report, process_each, write_each
from vocable.errors import AudioError, OutputError, SpecError, VocableError
from vocable.testing import speechlike

CLIP = speechlike(800)


def clip_of(name: str) -> Made:
    return Made(result=CLIP, summary="fine", seconds=CLIP.duration)


def quiet(line: str) -> None:
    pass


FOREIGN = [
    MemoryError(), RuntimeError("CUDA error\nof two lines"), OSError(5, "Input/output error"), ValueError("x" * 999),
    KeyError("a"), RecursionError(), torch.OutOfMemoryError("no room"), StopIteration(),
    AssertionError(), ZeroDivisionError("division by zero"),
]  # fmt: skip


@pytest.mark.parametrize("error", FOREIGN, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("where", ["make", "write"])
def test_a_foreign_error_stops_one_item_alone(tmp_path: Path, error: Exception, where: str) -> None:
    class Broken:
        def write(self, path: object) -> None:
            raise error

    def make(name: str) -> Made:
        if name != "bad":
            return clip_of(name)
        if where == "make":
            raise error
        return Made(result=Broken(), summary="", seconds=0.0)

    said: list[str] = []
    complained: list[str] = []
    names = ["one", "bad", "two"]
    targets = [tmp_path / f"{name}.wav" for name in names]
    outcome = write_each(names, targets, make, say=said.append, complain=complained.append)
    assert outcome.done == [tmp_path / "one.wav", tmp_path / "two.wav"]
    assert [line.partition(" → ")[0] for line in said] == ["one", "two"]
    (line,) = complained
    assert line.startswith("failed: bad: ")
    assert "\n" not in line
    assert len(line) < 450
    with pytest.raises(VocableError, match="1 of 3 files failed; the others are done"):
        outcome.finish()


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_what_shall_stop_a_job_stops_it(tmp_path: Path, stop: type[BaseException]) -> None:
    def make(name: str) -> Made:
        raise stop

    with pytest.raises(stop):
        write_each(["a"], [tmp_path / "a.wav"], make, say=quiet)


def test_an_error_names_its_item_once() -> None:
    def process(name: str) -> Report:
        raise {"a.wav": SpecError("wrong levels"), "b.wav": AudioError("b.wav: it is empty")}[name]

    said: list[str] = []
    outcome = process_each(["a.wav", "b.wav"], process, quiet, said.append)
    assert said == ["failed: a.wav: wrong levels", "failed: b.wav: it is empty"]
    assert [type(error) for error in outcome.failed] == [SpecError, AudioError]
    with pytest.raises(VocableError, match="2 of 2 files failed"):
        outcome.finish()


def test_items_that_share_a_file_are_counted_and_the_others_go_on(tmp_path: Path) -> None:
    names = ["x/a", "b", "y/a", "z/c", "w/c"]
    said: list[str] = []
    targets = [tmp_path / f"{name[-1]}.wav" for name in names]
    outcome = write_each(names, targets, clip_of, say=quiet, complain=said.append)
    assert [path.name for path in outcome.done] == ["b.wav"]
    assert [path.name for path in tmp_path.iterdir()] == ["b.wav"]
    assert len(said) == 2
    assert said[0].endswith("a.wav: two inputs would be written here; rename one, or write them to different folders: "
                            "x/a, y/a")  # fmt: skip
    with pytest.raises(VocableError, match="4 of 5 files failed"):
        outcome.finish()


def test_an_input_among_the_outputs_fails_alone(tmp_path: Path) -> None:
    CLIP.write(tmp_path / "a.wav")
    before = (tmp_path / "a.wav").read_bytes()
    names = ["a", "b"]
    outcome = write_each(
        names, [tmp_path / f"{name}.wav" for name in names], clip_of, say=quiet, inputs=[tmp_path / "a.wav"],
        overwrite=True,
    )  # fmt: skip
    assert [type(error) for error in outcome.failed] == [OutputError]
    assert outcome.done == [tmp_path / "b.wav"]
    assert (tmp_path / "a.wav").read_bytes() == before


def test_progress_counts_items_and_seconds_of_speech(tmp_path: Path) -> None:
    def make(name: str) -> Made:
        if name == "bad":
            raise AudioError("bad: no")
        return clip_of(name)

    seen: list[tuple[int, int, float]] = []
    names = ["a", "bad", "b"]
    write_each(
        names, [tmp_path / f"{name}.wav" for name in names], make, say=quiet, watch=lambda *state: seen.append(state)
    )
    assert seen == [(1, 3, CLIP.duration), (2, 3, CLIP.duration), (3, 3, 2 * CLIP.duration)]


def test_what_exists_is_left_or_refused_before_any_work(tmp_path: Path) -> None:
    made: list[str] = []

    def make(name: str) -> Made:
        made.append(name)
        return clip_of(name)

    def is_done(name: str, target: Path) -> float | None:
        return {"done": 1.5, "unknown": None}[name]

    for name, samples in (("done", 100), ("unknown", 800)):
        Audio(CLIP.samples[:samples], CLIP.sample_rate).write(tmp_path / f"{name}.wav")
    names = ["done", "unknown", "new"]
    said: list[str] = []
    outcome = write_each(names, [tmp_path / f"{name}.wav" for name in names], make, say=said.append, is_done=is_done)
    assert made == ["unknown", "new"]
    assert [path.stem for path in outcome.skipped] == ["done"]
    assert [line.rpartition(", ")[2] for line in said] == ["it is done already", "unchanged", said[2]]
    outcome.finish()


def test_an_outcome_without_failures_is_fine() -> None:
    for outcome in (Outcome(), Outcome(done=[Path("a")])):
        outcome.finish()
        assert not outcome.failed


def test_one_failure_alone_is_raised_as_it_is(tmp_path: Path) -> None:
    def make(name: str) -> Made:
        raise AudioError(f"{name}: it is empty")

    said: list[str] = []
    outcome = write_each(["a.wav"], [tmp_path / "a.wav"], make, say=said.append)
    with pytest.raises(AudioError, match=r"^a\.wav: it is empty$"):
        outcome.finish()
    assert said == []
