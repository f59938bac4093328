from pathlib import Path

import numpy as np
import pytest

from vocable.audio import Audio
from vocable.errors import AudioError, ConfigError
from vocable.evaluate.judges.base import OpinionPredictor
from vocable.evaluate.judges.find import find_scorer
from vocable.evaluate.judges.quality import DnsmosPredictor


@pytest.fixture(scope="module")
def clip(speech_data: Path) -> Audio:
    return Audio.read(sorted((speech_data / "read_librispeech" / "audio").rglob("*.*"))[0], 16_000)


# repeated to one window, which leaves a second out; more than one window
@pytest.mark.slow
@pytest.mark.parametrize("samples", [20_000, 170_000])
@pytest.mark.filterwarnings("ignore")  # of librosa
def test_opinions_equal_those_of_the_package(clip, samples, monkeypatch) -> None:
    from speechmos import dnsmos

    session, options = dnsmos.ort.InferenceSession, dnsmos.ort.SessionOptions()
    options.intra_op_num_threads = 1  # the package's threads spin on busy cores
    monkeypatch.setattr(dnsmos.ort, "InferenceSession", lambda path, *_, **__: session(path, options))
    part = np.tile(clip.samples, 2)[:samples]
    expected = dnsmos.run(part, 16_000)
    said = DnsmosPredictor().rate(Audio(part, 16_000))
    assert DnsmosPredictor(("p808",)).rate(Audio(part, 16_000)) == {"p808": said["p808"]}
    assert set(said) == {"ovrl", "sig", "bak", "p808"}
    assert said == pytest.approx({scale: expected[f"{scale}_mos"] for scale in said}, abs=1e-4)


def test_noise_lowers_the_opinion_and_loudness_beyond_full_scale_is_clipped(clip) -> None:
    judge = DnsmosPredictor(("p808",))
    speech = clip.samples[:80_000]
    noise = np.random.default_rng(0).standard_normal(speech.size).astype(np.float32) * speech.std()
    clean, noisy = (judge.rate(Audio(samples, 16_000))["p808"] for samples in (speech, speech + noise))
    assert clean - noisy > 0.5
    loud = speech / np.abs(speech).max() * 4
    assert judge.rate(Audio(loud, 16_000)) == judge.rate(Audio(np.clip(loud, -1, 1), 16_000))


def test_what_cannot_be_judged_says_why() -> None:
    judge = DnsmosPredictor(("p808",))
    with pytest.raises(AudioError, match=r"^silent$"):
        judge.rate(Audio(np.zeros(16_000), 16_000))
    with pytest.raises(AudioError, match=r"^shorter than 0.25 s$"):
        judge.rate(Audio(np.ones(100), 16_000))


def test_an_unknown_scale_lists_those_that_exist() -> None:
    with pytest.raises(ConfigError, match=r"'mos' is no scale of DNSMOS; there are ovrl, sig, bak, p808"):
        DnsmosPredictor(("mos",))


@pytest.mark.slow
def test_distillmos_hears_noise_and_says_what_it_cannot_judge(clip) -> None:
    judge = find_scorer("opinion", "distillmos")
    speech = clip.samples[:80_000]
    noise = np.random.default_rng(0).standard_normal(speech.size).astype(np.float32) * speech.std()
    clean, noisy = (judge.rate(Audio(samples, 16_000))["distillmos"] for samples in (speech, speech + noise))
    assert clean - noisy > 0.7
    assert judge.name == "distillmos-0.9.1"
    assert isinstance(judge, OpinionPredictor)
    with pytest.raises(AudioError, match=r"^silent$"):
        judge.rate(Audio(np.zeros(16_000), 16_000))
    with pytest.raises(AudioError, match=r"^shorter than 0.25 s$"):
        judge.rate(Audio(np.ones(100), 16_000))
