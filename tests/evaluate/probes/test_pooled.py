"""What whole clips tell."""

import math

import numpy as np
import pytest
import torch

from tests.evaluate.probes.drawn import Embedder, emotional, tokens
from vocable.data.manifest import Utterance, read_manifest
from vocable.evaluate.card import ProbeRow
from vocable.evaluate.probes.base import ProbeTask, inner_folds, split_by_clip, split_by_speaker
from vocable.evaluate.probes.clip import classify_clips, fit_logistic_path
from vocable.evaluate.probes.run import run_probe
from vocable.evaluate.probes.views import Clip, ProbeInput


def accuracy(rows: list[ProbeRow], view: str) -> float:
    return next(row.figure.mean for row in rows if row.view == view and row.metric == "top-1 accuracy")


@pytest.mark.parametrize("tokenizer", [Embedder(), object()], ids=["vectors", "ids"])
def test_what_level_one_alone_says_is_found_there_and_not_in_the_rest(tokenizer: object) -> None:
    rows = run_probe("emotion", tokenizer, "drawn", emotional(voice=True))
    assert accuracy(rows, "level 1") > 0.9
    assert accuracy(rows, "all levels") > 0.75
    assert accuracy(rows, "voice vector") > 0.9
    assert 0.25 < accuracy(rows, "levels 2 to 3") < 0.75
    assert {row.chance for row in rows} == {0.5}
    assert {row.metric for row in rows} == {"top-1 accuracy", "mean recall of classes"}


def test_shuffled_labels_fall_to_chance() -> None:
    clips = emotional(each=20)
    order = np.random.default_rng(3).permutation(len(clips))
    moods = [clips[at][0].extra["emotion"] for at in order]
    shuffled = [
        (utterance.model_copy(update={"extra": {"emotion": mood}}), made)
        for (utterance, made), mood in zip(clips, moods, strict=True)
    ]
    assert 0.35 < accuracy(run_probe("emotion", Embedder(), "drawn", shuffled), "level 1") < 0.65


def test_the_same_seed_gives_the_same_rows() -> None:
    one, two = (run_probe("gender", Embedder(), "drawn", emotional(), seed=4) for _ in range(2))
    assert one == two


def test_speakers_are_known_voices_and_everything_else_is_told_of_unknown_ones() -> None:
    clips = emotional()
    speakers = [utterance.speaker for utterance, _ in clips]
    told = split_by_speaker([utterance for utterance, _ in clips], ["x"] * len(clips), 0, 3)
    for fit, scored in told.rounds[0]:
        assert not {speakers[at] for at in fit} & {speakers[at] for at in scored}
    names = [str(speaker) for speaker in speakers]
    rounds = split_by_clip(names, 0, 3).rounds
    assert len(rounds) == len(told.rounds) == 3
    for folds in rounds:
        assert sorted(at for _, scored in folds for at in scored.tolist()) == list(range(len(clips)))
        assert all({names[at] for at in fit} == set(names) for fit, _ in folds)
    assert all(
        not {names[at] for at in fit} & {names[at] for at in scored} for fit, scored in inner_folds(names, names, 0)
    )


def test_a_class_of_speakers_is_in_every_fold() -> None:
    utterances = [utterance for utterance, _ in emotional(speakers=7)]
    genders = [utterance.extra["gender"] for utterance in utterances]
    splits = split_by_speaker(utterances, genders, 0, 2)
    assert len(splits.rounds) == 2
    for folds in splits.rounds:
        assert all({genders[at] for at in scored} == {"f", "m"} for _, scored in folds)


def test_the_manifests_own_test_is_used_where_it_has_speakers_enough() -> None:
    clips = emotional(speakers=24, each=2)
    named = [
        (utterance.model_copy(update={"split": "test" if int(str(utterance.speaker)[1:]) < 10 else "train"}), made)
        for utterance, made in clips
    ]
    row = run_probe("emotion", Embedder(), "drawn", named, views=["level 1"])[0]
    assert row.figure.n == 20
    assert "scored on the 10 speakers of its test" in row.note
    assert "5 folds of 24 speakers" in run_probe("emotion", Embedder(), "drawn", clips, views=["level 1"])[0].note


def labelled(labels: list[str | None], speakers: list[str]) -> list[Clip]:
    ids = torch.randint(16, (1, 6), generator=torch.Generator().manual_seed(1))
    return [
        (Utterance(audio_path="a.flac", speaker=speaker, extra={} if label is None else {"mood": label}), tokens(ids))
        for label, speaker in zip(labels, speakers, strict=True)
    ]


@pytest.mark.parametrize(
    ("probe", "clips", "reason"),
    [
        ("key:mood", labelled(["a"] * 4, list("xyxy")), "one class of 'mood' only"),
        ("key:mood", labelled(["a", "b"], ["x", "x"]), "the only speaker of its class"),
        ("key:mood", labelled([None, None], ["x", "y"]), "the manifest has no 'mood' for it"),
        ("speaker", labelled(["a"] * 3, list("xyz")), "the only clip of its class"),
        ("speaker", labelled(["a"] * 3, list("xxx")), "one class of 'speaker' only"),
        ("speaker", labelled(["a"] * 3, list("xxy")), "one class of 'speaker' only"),
    ],
)
def test_what_cannot_be_told_is_undefined_with_its_reason(probe: str, clips: list[Clip], reason: str) -> None:
    (row,) = run_probe(probe, Embedder(), "drawn", clips)
    assert math.isnan(row.figure.mean)
    assert reason in next(iter(row.figure.reasons))
    assert row.figure.excluded == len(clips)


def test_clips_that_take_no_part_are_counted() -> None:
    clips = [*emotional(), *labelled([None] * 3, list("xyz"))]
    clips = [(utterance, made if made.spec.num_codebooks == 3 else clips[0][1]) for utterance, made in clips]
    row = run_probe("emotion", Embedder(), "drawn", clips, views=["level 1"])[0]
    assert (row.figure.n, row.figure.excluded) == (48, 3)
    assert row.figure.reasons == {"the manifest has no 'emotion' for it": 3}


def test_logistic_regression_equals_scikit_learns() -> None:
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(0)
    ids = np.arange(90) % 3
    rows = random.standard_normal((90, 6)) + ids[:, None] * np.eye(6)[0]
    for strength, ours in zip((0.01, 1.0), fit_logistic_path(rows, ids, 3, (0.01, 1.0)), strict=True):
        theirs = LogisticRegression(C=strength, tol=1e-8, max_iter=1000).fit(rows, ids)
        logits = rows @ ours[:-1] + ours[-1]
        shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        np.testing.assert_allclose(shares, theirs.predict_proba(rows), atol=0.01)


def test_log_mel_frames_of_real_voices_tell_who_speaks(speech_data) -> None:
    from vocable.audio import Audio
    from vocable.features.spectrogram import mel_filters, spectra

    utterances = read_manifest(speech_data / "read_librispeech" / "manifest.jsonl", "test")
    utterances = [utterance for utterance in utterances if utterance.duration and utterance.duration < 6][:40]

    def frames(at: int) -> np.ndarray:
        samples = torch.from_numpy(Audio.read(utterances[at].audio_path).samples)[None, :32_000]
        power = spectra(samples[:, : samples.shape[1] // 320 * 320], 640, 320).abs().square()
        return (power @ mel_filters(16_000, 640, 40)).clamp(min=1e-8).log()[0].numpy()

    material = ProbeInput(view="log-mel", utterances=utterances, frames=frames, seconds=0.02)
    (row,) = classify_clips(ProbeTask(entry="log-mel", probe="speaker"), [material], "speaker")
    assert row.figure.low > 2 * row.chance
