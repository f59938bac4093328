"""``vocable inspect`` as a user types it: tables, and a line for each picture."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.models import ready
from vocable.testing import speechlike


@pytest.mark.slow
def test_each_picture_has_a_line(run: Run, tmp_path: Path) -> None:
    speechlike(9_000).write(tmp_path / "a.wav")
    out = tmp_path / "deep" / "out"
    code, said, _ = run("inspect", tmp_path / "a.wav", "--out", out)
    assert code == 0
    assert said.endswith(f"{out / 'log-mel.png'}: Log-mel spectrograms\n")
    assert (out / "log-mel.png").read_bytes().startswith(b"\x89PNG")
    code, said, _ = run("inspect", tmp_path / "a.wav")
    assert code == 0
    assert "0.56 s" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "deep"]


def test_options_reach_the_pictures(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ready("spectral").save(tmp_path / "model")
    for number in range(3):
        speechlike(9_000, seed=number).write(tmp_path / f"{number}.wav")
    lines = [{"audio_path": f"{number}.wav", "split": "x", "gender": "mf"[number % 2]} for number in range(3)]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    monkeypatch.setattr("vocable.evaluate.canvas.draw_figure", lambda width, height, fill: b"PNG")
    words = (tmp_path / "model", "--data", tmp_path / "m.jsonl", "--split", "x", "--limit", 2, "--color", "gender")
    code, _, err = run("inspect", *words)
    assert (code, err) == (1, f"vocable: {tmp_path / 'model'}: pictures with --data need a folder; pass --out\n")
    code, said, _ = run("inspect", *words, "-o", tmp_path / "out")
    assert code == 0
    names = ["codebooks", "log-mel-1", "log-mel-2", "pca-gender", "tsne-gender"]
    assert sorted(path.stem for path in (tmp_path / "out").iterdir()) == names  # both clips are of one gender
    assert "Latents by gender: t-SNE of 2 points" in said
