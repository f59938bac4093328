"""``vocable inspect`` as a user types it: tables, and a line for each picture."""

import json
import sys
from pathlib import Path

import pytest

from tests.models import ready
from vocable.cli.main import main
from vocable.testing import speechlike


def _run(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr(sys, "argv", ["vocable", "inspect", *map(str, words)])
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    try:
        main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_each_picture_has_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    speechlike(9_000).write(tmp_path / "a.wav")
    out = tmp_path / "deep" / "out"
    assert _run(monkeypatch, tmp_path / "a.wav", "--out", out) == 0
    assert capsys.readouterr().out.endswith(f"{out / 'log-mel.png'}: Log-mel spectrograms\n")
    assert (out / "log-mel.png").read_bytes().startswith(b"\x89PNG")
    assert _run(monkeypatch, tmp_path / "a.wav") == 0
    assert "0.56 s" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "deep"]


def test_options_reach_the_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ready("spectral").save(tmp_path / "model")
    for number in range(3):
        speechlike(9_000, seed=number).write(tmp_path / f"{number}.wav")
    lines = [{"audio_path": f"{number}.wav", "split": "x", "gender": "mf"[number % 2]} for number in range(3)]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for name in ("pictures", "latents", "curves"):
        monkeypatch.setattr(f"vocable.evaluate.{name}.draw", lambda width, height, put: b"PNG")
    words = (tmp_path / "model", "--data", tmp_path / "m.jsonl", "--split", "x", "--limit", 2, "--color", "gender")
    assert _run(monkeypatch, *words) == 1
    assert capsys.readouterr().err == f"vocable: {tmp_path / 'model'}: pictures with --data need a folder; pass --out\n"
    assert _run(monkeypatch, *words, "-o", tmp_path / "out") == 0
    names = ["codebooks", "log-mel-1", "log-mel-2", "pca-gender", "tsne-gender"]
    assert sorted(path.stem for path in (tmp_path / "out").iterdir()) == names  # both clips are of one gender
    assert "Latents by gender: t-SNE of 2 points" in capsys.readouterr().out
