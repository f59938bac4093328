"""The beam of a loaded tokenizer: laws, what tokens and figures say of it, commands, and models that have none."""

import json
from pathlib import Path

import pytest
import torch

import vocable
from tests.cli.conftest import Run, run  # noqa: F401
from tests.models import ready, ready_ctap, ready_speaker
from vocable import check_tokenizer
from vocable.errors import ConfigError, VocableError
from vocable.systems.guided.tokenizer import GuidedTokenizer
from vocable.testing import speechlike
from vocable.tokens import Tokens


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "codec"
    ready("spectral").save(path)
    return path


@pytest.fixture
def searched(folder: Path) -> GuidedTokenizer:
    tokenizer = vocable.load(folder, beam=8)
    assert isinstance(tokenizer, GuidedTokenizer)
    return tokenizer


@pytest.mark.slow
def test_every_law_with_a_beam(searched: GuidedTokenizer) -> None:
    check_tokenizer(searched)


def test_the_bundled_codec_is_nearer_with_a_beam_and_any_beam_decodes() -> None:
    greedy, beam = vocable.load("guided-small"), vocable.load("guided-small", beam=8)
    clip = speechlike(16_000)
    plain, found = greedy.encode(clip), beam.encode(clip)
    assert found.tokenizer == plain.tokenizer == greedy.digest
    assert not torch.equal(found.ids, plain.ids)
    model = greedy.model.eval()
    with torch.inference_mode():
        samples = torch.from_numpy(clip.samples)[None]
        latents = model.encoder(samples, torch.ones(1, 50, dtype=torch.bool))
        errors = [float((latents - model.quantizer.decode(one.ids)).square().mean()) for one in (found, plain)]
    assert errors[0] < 0.95 * errors[1]
    assert greedy.decode(found).samples.shape == clip.samples.shape
    assert torch.equal(vocable.load("guided-small").encode(clip).ids, plain.ids), "a beam is of one object alone"


def test_tokens_name_their_beam(folder: Path, searched: GuidedTokenizer, tmp_path: Path) -> None:
    clips = [speechlike(3_200), speechlike(1_600)]
    assert vocable.load(folder).encode(clips[0]).provenance.settings == {}
    batch = searched.encode_batch(clips)
    for tokens in (batch, batch.clip(1), batch.keep_levels(2), searched.encode(clips[0])):
        assert tokens.provenance.settings == {"beam": 8}
    batch.write(tmp_path / "two.tokens")
    assert Tokens.read(tmp_path / "two.tokens").provenance.settings == {"beam": 8}


@pytest.mark.parametrize("tokenizer", [ready_ctap, ready_speaker])
def test_models_without_residual_levels_have_no_beam(tokenizer: object) -> None:
    made = tokenizer()  # type: ignore[operator]
    made.beam = 1
    with pytest.raises(ConfigError, match=r"beam is 4: this \w+ model has no residual levels to search; leave it at 1"):
        made.beam = 4
    assert made.beam == 1


def test_residual_levels_of_other_systems_have_a_beam() -> None:
    taste = vocable.load("taste-small", beam=4)
    assert (taste.beam, taste.model.quantizer.residual.beam) == (4, 4)


@pytest.mark.parametrize(("beam", "message"), [(0, "beam is 0"), (2_000, "beam is 2000"), (2.5, "beam is 2.5")])
def test_a_beam_is_a_number_of_paths(folder: Path, beam: int, message: str) -> None:
    with pytest.raises(VocableError, match=message):
        vocable.load(folder, beam=beam)


def test_encode_takes_a_beam_and_knows_files_of_another(run: Run, folder: Path, tmp_path: Path) -> None:
    speechlike(3_200).write(tmp_path / "a.wav")
    words = ("encode", tmp_path / "a.wav", "-o", tmp_path / "a.tokens", "--model", folder)
    assert run(*words, "--beam", 8)[0] == 0
    kept = Tokens.read(tmp_path / "a.tokens")
    assert kept.provenance.settings == {"beam": 8}
    assert torch.equal(kept.ids, vocable.load(folder, beam=8).encode(tmp_path / "a.wav").ids)
    code, out, _ = run(*words, "--beam", 8)
    assert (code, "skipped" in out) == (0, True)
    code, _, err = run(*words)
    assert code == 1
    assert "holds tokens of another beam; pass --overwrite" in err
    assert run(*words, "--beam", 0)[0] == 2


@pytest.mark.parametrize("command", ["encode", "vc", "evaluate"])
def test_commands_refuse_a_beam_that_a_model_lacks(run: Run, tmp_path: Path, command: str) -> None:
    speechlike(16_000).write(tmp_path / "a.wav")
    (tmp_path / "m.jsonl").write_text(json.dumps({"audio_path": "a.wav", "text": None}) + "\n")
    words = {
        "encode": ("encode", tmp_path / "a.wav", "-o", tmp_path / "out.tokens", "--model", "ctap-small"),
        "vc": ("vc", tmp_path / "a.wav", "--voice", tmp_path / "a.wav", "-o", tmp_path / "out.wav"),
        "evaluate": ("evaluate", "ctap-small", "--data", tmp_path / "m.jsonl", "--out", tmp_path / "out"),
    }[command]
    code, _, err = run(*words, "--beam", 8)
    assert code == 1
    assert "beam is 8: ctap-small has no residual levels to search; leave it at 1" in err
    assert not list(tmp_path.glob("out*"))


@pytest.mark.slow
def test_an_evaluation_says_its_beam_beside_every_figure(run: Run, folder: Path, tmp_path: Path) -> None:
    speechlike(16_000).write(tmp_path / "a.wav")
    (tmp_path / "m.jsonl").write_text(json.dumps({"audio_path": "a.wav", "text": None}) + "\n")
    words = ("evaluate", folder, "--data", tmp_path / "m.jsonl", "--out", tmp_path / "out", "--codecs", "none",
             "--probes", "none", "--metrics", "stoi", "--jobs", 1, "--levels", 2)  # fmt: skip
    run(*words, "--beam", 4)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    for name in ("codec", "codec@2"):
        assert all(figure["settings"].endswith(" beam: 4") for figure in summary[name].values())
    assert "beam" not in summary["identity"]["stoi"]["settings"]
    settings = json.loads((tmp_path / "out" / "run.json").read_text())
    assert settings["beam"] == 4
    assert settings["entries"]["codec@2"].endswith(", beam 4")
    code, _, err = run(*words)
    assert code == 1
    assert "holds another run's results, which differs in beam" in err
