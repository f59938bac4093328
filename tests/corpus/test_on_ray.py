"""Work units on a local Ray with two workers give the corpus that one process gives."""

from pathlib import Path

import pytest

from tests.corpus.corpora import contents, loader, make_clips, save_codec, tokenize
from tests.models import ready
from tests.needed import needed
from vocable.corpus.tokenize import tokenize_corpus
from vocable.errors import ConfigError, VocableError


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Ray
def test_two_workers_make_the_same_bytes_as_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = needed("ray")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))  # of the workers, which load the codec
    make_clips(tmp_path / "in")
    (tmp_path / "in" / "clips" / "bad.flac").write_bytes(b"no audio")
    save_codec(tmp_path / "codec")
    inputs = [tmp_path / "in" / "clips"]
    alone = tokenize(inputs, tmp_path / "alone")
    lines: list[str] = []
    with monkeypatch.context() as patch:
        patch.chdir(tmp_path)
        shared = tokenize(
            inputs, Path("shared"), jobs=2, load=loader(tmp_path / "codec"), engine="ray", say=lines.append
        )
    assert not ray.is_initialized()
    assert (shared.recordings, shared.failed, shared.missing) == (alone.recordings, alone.failed, 0)
    assert shared.failed == 1
    assert contents(tmp_path / "shared") == contents(tmp_path / "alone")
    assert len(lines) >= shared.shards
    ours = contents(tmp_path / "shared")
    with pytest.raises(VocableError, match=r"levels"):  # a worker's error is one line here, too
        tokenize_corpus(
            ready("spectral"), [], tmp_path / "shared", levels=1, load=loader(tmp_path / "codec"), engine="ray"
        )
    assert contents(tmp_path / "shared") == ours


def test_the_engine_is_checked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="choose one of processes, ray"):
        tokenize_corpus(ready("spectral"), [], tmp_path, engine="slurm")
    with pytest.raises(ConfigError, match="pass `load`"):
        tokenize_corpus(ready("spectral"), [], tmp_path, engine="ray")
