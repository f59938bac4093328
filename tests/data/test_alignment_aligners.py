"""Aligners on real speech and on what is none: phones in order, silences between, or a named error."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.needed import needed
from vocable.audio import Audio
from vocable.data.alignment import ctc
from vocable.data.alignment.ctc import CtcAligner, ctc_loss, train_head, with_pauses
from vocable.data.alignment.make import find_aligner
from vocable.data.alignment.pocketsphinx import Aligner
from vocable.data.alignment.record import PhoneAligner
from vocable.data.alignment.words import words_of
from vocable.data.manifest import Utterance, read_manifest
from vocable.errors import AlignmentError, CheckpointError, ConfigError, MissingDependencyError
from vocable.features.whisper import WhisperEncoder

pytestmark = pytest.mark.slow  # trains


@pytest.fixture(scope="module")
def read(speech_data: Path) -> list[Utterance]:
    return read_manifest(speech_data / "read_speechocean762" / "manifest.jsonl")


@pytest.fixture(scope="module")
def pocketsphinx() -> Aligner:
    return Aligner()


@pytest.fixture(scope="module")
def hama() -> PhoneAligner:
    needed("hama")
    return find_aligner("hama")


@pytest.fixture(scope="module")
def encoder(weights: Path) -> WhisperEncoder:
    return WhisperEncoder.load(str(weights / "whisper-tiny.en"))


@pytest.fixture(scope="module")
def trained(encoder: WhisperEncoder, read: list[Utterance]) -> CtcAligner:
    """Trained for seconds only: what it finds is rough."""
    return CtcAligner(encoder, train_head(encoder, read[:24], rounds=(6, 6), say=lambda line: None))


def check(aligner: PhoneAligner, utterance: Utterance) -> list[str]:
    """What every aligner keeps; the symbols."""
    clip, words = Audio.read(utterance.audio_path), words_of(utterance)
    found = aligner.phones(clip, words)
    symbols = found.alignment.symbols
    assert [symbol for symbol in symbols if symbol != "SIL"] == [phone for word in words for phone in word]
    assert found.alignment.end == pytest.approx(clip.duration, abs=0.001)
    assert found.score < 0
    assert sum(found.alignment.durations(round(clip.duration * 100), 100.0)) == round(clip.duration * 100)
    again = aligner.phones(clip, words)
    assert again == found
    return symbols


def test_hama_finds_given_phones_near_where_pocketsphinx_does(
    hama: PhoneAligner, pocketsphinx: Aligner, read: list[Utterance]
) -> None:
    gaps = []
    for utterance in read[:4]:
        assert check(hama, utterance)[0] == "SIL"
        clip, words = Audio.read(utterance.audio_path), words_of(utterance)
        starts = [
            np.array([one.start for one in aligner.phones(clip, words).alignment.segments if one.symbol != "SIL"])
            for aligner in (hama, pocketsphinx)
        ]
        gaps.append(np.abs(starts[0] - starts[1]))
    assert np.median(np.concatenate(gaps)) < 0.06
    silence = Audio(np.zeros(16_000), 16_000)
    assert hama.phones(silence, [["HH", "AY"]]).alignment.end == pytest.approx(1.0)
    for words, message in (([], "0 words"), ([["QQ"]], "no ARPAbet"), ([["AH"] * 60], "do not fit")):
        with pytest.raises(AlignmentError, match=message):
            hama.phones(silence, words)


def test_pocketsphinx_finds_given_phones_and_the_pauses(pocketsphinx: Aligner, read: list[Utterance]) -> None:
    for utterance in read[:60:20]:
        assert check(pocketsphinx, utterance)[0] == "SIL"
    half = np.zeros(8_000, dtype=np.float32)
    samples = Audio.read(read[0].audio_path).samples
    joined = Audio(np.concatenate([samples, half, samples]), 16_000)
    words = words_of(read[0])
    twice = pocketsphinx.phones(joined, [*words, *words]).alignment
    middle = samples.size / 16_000 + 0.25  # seconds
    assert next(one.symbol for one in twice.segments if one.end > middle) == "SIL"


def test_pocketsphinx_is_near_the_marks_of_a_hand(pocketsphinx: Aligner, speech_data: Path) -> None:
    """A German sentence, marked by ear, as English phones: half of the starts within 15 ms."""
    source = speech_data / "emo_emodb_de" / "manifest.jsonl"
    clip = Audio.read(source.parent / "audio" / "03a01Fa.flac")
    row = next(
        row for row in map(json.loads, source.read_text().splitlines()) if row["audio_path"].endswith("a01Fa.flac")
    )
    marks = [at for at, label in row["phone_marks"] if label[0] not in "\t!" and "asp" not in label]
    words = ["T EH", "L AA P M", "L IY T", "AA F D IH M", "AY S SH HH AA NG K"]
    found = pocketsphinx.phones(clip, [word.split() for word in words]).alignment
    starts = [one.start for one in found.segments if one.symbol != "SIL"]
    assert len(starts) == len(marks) - 1
    errors = np.abs(np.array(starts) - marks[:-1])
    assert np.median(errors) < 0.015
    assert errors.max() < 0.1


def test_speech_and_other_phones_do_not_go_together(pocketsphinx: Aligner, read: list[Utterance]) -> None:
    right, wrong = [], []
    for one, other in zip(read[:120:30], read[1:121:30], strict=True):
        clip = Audio.read(one.audio_path)
        right.append(pocketsphinx.phones(clip, words_of(one)).score)
        try:
            wrong.append(pocketsphinx.phones(clip, words_of(other)[::-1]).score)
        except AlignmentError:
            continue
    assert np.mean(right) > np.mean(wrong) + 5


def test_the_ctc_aligner_keeps_the_same_laws(trained: CtcAligner, read: list[Utterance]) -> None:
    for utterance in read[:2]:
        check(trained, utterance)
        clip = Audio.read(utterance.audio_path)
        assert trained.phones(clip, words_of(utterance)) == trained.phones(clip, words_of(utterance))


def test_a_head_is_saved_and_read_again(
    trained: CtcAligner, read: list[Utterance], weights: Path, tmp_path: Path
) -> None:
    trained.save(tmp_path / "head")
    found = find_aligner("ctc", whisper=str(weights / "whisper-tiny.en"), head=tmp_path / "head")
    clip, words = Audio.read(read[3].audio_path), words_of(read[3])
    assert found.phones(clip, words) == trained.phones(clip, words)
    other = WhisperEncoder(width=64, depth=1)
    with pytest.raises(CheckpointError, match="this head reads another encoder"):
        CtcAligner.load(tmp_path / "head", other)
    card = json.loads((tmp_path / "head" / "model.json").read_text())
    (tmp_path / "head" / "model.json").write_text(json.dumps(card | {"system": "guided"}))
    with pytest.raises(CheckpointError, match="holds no CTC head; name a new folder"):
        CtcAligner.load(tmp_path / "head", trained.encoder)


@pytest.mark.parametrize("name", ["pocketsphinx", "trained", "hama"])
def test_what_cannot_be_aligned_is_named(name: str, request: pytest.FixtureRequest) -> None:
    aligner: PhoneAligner = request.getfixturevalue(name)
    noise = Audio(np.random.default_rng(0).uniform(-0.1, 0.1, 16_000).astype(np.float32), 16_000)
    for words, message in (
        ([], "0 words: it needs 1 to 10000 words"),
        ([[]], "0 words"),
        ([["QQ"]], "'QQ' is no ARPAbet phone; those are AA AE"),
        ([["SIL"]], "'SIL' is no ARPAbet phone"),
        ([["AA"] * 201], "1 to 200 phones"),
        ([["AA", "B", "IY"]] * 100, "compare them with"),
    ):
        with pytest.raises(AlignmentError, match=message):
            aligner.phones(noise, words)
    for size in (1, 100, 400, 960):
        with pytest.raises(AlignmentError):
            aligner.phones(Audio(np.zeros(size, dtype=np.float32), 16_000), [["AA", "B", "IY", "T"]])
    for clip in (
        noise,
        Audio(np.zeros(16_000, dtype=np.float32), 8_000),
        Audio(np.ones(16_000, dtype=np.float32), 48_000),
    ):
        try:
            found = aligner.phones(clip, [["AA0", "b"]]).alignment
        except AlignmentError:
            continue
        assert [symbol for symbol in found.symbols if symbol != "SIL"] == ["AA", "B"]


def test_ctc_loss_is_that_of_torch_and_its_gradient_holds_without_normalising() -> None:
    generator = torch.Generator().manual_seed(0)
    log_probs = torch.randn(2, 6, 4, generator=generator, dtype=torch.float64).log_softmax(-1)
    lengths, targets = torch.tensor([6, 4]), [[1, 2, 2], [3]]
    expected = torch.nn.functional.ctc_loss(
        log_probs.transpose(0, 1), torch.tensor([1, 2, 2, 3]), lengths, torch.tensor([3, 1]), reduction="sum"
    )
    assert ctc_loss(log_probs, lengths, targets).item() == pytest.approx(expected.item())
    scores = (log_probs + torch.randn(4, generator=generator, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(lambda one: _difference(one, lengths, targets), (scores,), atol=1e-5)


def _difference(scores: torch.Tensor, lengths: torch.Tensor, targets: list[list[int]]) -> torch.Tensor:
    return ctc_loss(scores, lengths, targets)


def test_training_needs_phones_that_fit(encoder: WhisperEncoder, read: list[Utterance], tmp_path: Path) -> None:
    said: list[str] = []
    Audio(np.zeros(1_600, dtype=np.float32), 16_000).write(tmp_path / "short.wav")
    useless = [
        Utterance(audio_path=tmp_path / "nowhere.wav", extra={"phones": [["AA"]]}),
        Utterance(audio_path=tmp_path / "short.wav", extra={"phones": [["AA", "B"] * 9]}),
        read[0].model_copy(update={"extra": {}}),
    ]
    with pytest.raises(AlignmentError, match="none of 3 recordings has 'phones' that fit its audio; nothing to learn"):
        train_head(encoder, useless, say=said.append)
    train_head(encoder, [*useless, read[0]], rounds=(1,), say=said.append)
    assert said == [
        "CTC head: 3 of 3 recordings left out: no 'phones', or they do not fit the audio",
        "CTC head: 3 of 4 recordings left out: no 'phones', or they do not fit the audio",
        said[-1],
    ]
    assert said[-1].startswith("CTC head: pass 1 of 1, ")


def test_the_same_seed_makes_the_same_head(encoder: WhisperEncoder, read: list[Utterance]) -> None:
    one, two = (train_head(encoder, read[:3], seed=4, rounds=(1, 1), say=lambda line: None) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


def test_aligners_are_known_by_name_and_say_what_they_lack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no aligner 'mfa'; there are pocketsphinx, ctc"):
        find_aligner("mfa")
    with pytest.raises(ConfigError, match="'ctc' needs --whisper, an encoder, and --head"):
        find_aligner("ctc")
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'vocable\[evaluate\]'"):
        find_aligner("pocketsphinx")


def test_a_long_blank_between_words_is_a_pause_and_a_short_one_is_none() -> None:
    """Two words of a phone each, with 4 or 5 frames of blank between, and 2 at both ends; and within a word none is."""
    for blanks, words, expected in (
        (5, [["AA"], ["B"]], [0, 0, 1, 2, 2, 2, 2, 2, 3, 4, 4]),
        (4, [["AA"], ["B"]], [0, 0, 1, -1, -1, -1, -1, 3, 4, 4]),
        (5, [["AA", "B"]], [0, 0, 1, -1, -1, -1, -1, -1, 2, 3, 3]),
    ):
        classes = with_pauses(words)
        first, second = (one for one in classes if one != 1)
        frames = [0, 0, first, *[0] * blanks, second, 0, 0]
        log_probs = torch.full((len(frames), 41), -9.0)
        log_probs[torch.arange(len(frames)), frames] = -0.1
        assert ctc.aligned_path(log_probs, classes) == expected


def test_silence_stands_around_words() -> None:
    assert with_pauses([["AH0"], [], ["B", "IY1"]]) == [1, 4, 1, 8, 19, 1]
    assert (ctc.SYSTEM, ctc.BLANK) == ("ctc-aligner", 0)
