"""Distillation of teachers into the levels, and its alarms."""

from typing import Any

import pytest
import torch
from torch import Tensor

from vocable.data.crops import CropBatch
from vocable.errors import AudioError, ConfigError
from vocable.features.ecapa import EcapaTdnn
from vocable.features.ge2e import Ge2eEncoder
from vocable.folder import digest_of
from vocable.quantizers import Quantized
from vocable.systems.guided.config import AcousticConfig, SemanticConfig
from vocable.systems.guided.teachers import (
    AcousticTeacher,
    AlignLayer,
    MeanLayer,
    SemanticTeacher,
    SpeakerFeatureExtractor,
    distillation_alarms,
)
from vocable.testing import speechlike
from vocable.train.schedule import Weight

CLIPS, FRAMES, WIDTH, LEVELS = 4, 10, 16, 3
LATE = 5_000  # a step at which every student is due to have learned


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def quantized(levels: Tensor) -> Quantized:
    ids = torch.zeros(CLIPS, LEVELS, FRAMES, dtype=torch.int64)
    return Quantized(ids=ids, latents=levels.sum(0), levels=levels, losses={}, stats={})


def batch(**targets: Tensor) -> CropBatch:
    mask = torch.ones(CLIPS, FRAMES, dtype=torch.bool)
    mask[1, 6:] = False
    return CropBatch(noise(CLIPS, 320 * FRAMES), mask, ("a", "b", "c", "d"), targets)


def semantic(**settings: Any) -> SemanticTeacher:
    torch.manual_seed(0)
    mean, deviation = torch.full((5,), 3.0), torch.tensor([1.0, 2.0, 1.0, 1.0, 0.0])
    return SemanticTeacher(
        SemanticConfig(**settings), latents=WIDTH, weight=Weight(value=1.0), mean=mean, deviation=deviation
    )


def acoustic(target: Tensor, **settings: Any) -> AcousticTeacher:
    torch.manual_seed(0)
    mean, deviation = target.mean(0), target.std(0, correction=0)
    config = AcousticConfig(**settings)
    return AcousticTeacher(config, latents=WIDTH, weight=Weight(value=1.0), mean=mean, deviation=deviation)


@pytest.mark.parametrize("form", ["cosine", "d_axis", "t_axis"])
def test_the_semantic_loss_reaches_the_first_level_alone(form: str) -> None:
    teacher, levels = semantic(form=form), noise(LEVELS, CLIPS, FRAMES, WIDTH).requires_grad_()
    target = noise(CLIPS, FRAMES, 5, seed=1)
    optimizer = torch.optim.Adam([*teacher.parameters(), levels], lr=0.05)
    outputs = []
    for _ in range(60):
        outputs.append(teacher.distill(batch(semantic=target), quantized(levels), 0))
        optimizer.zero_grad()
        outputs[-1].loss.backward()
        optimizer.step()
    assert levels.grad is not None
    assert levels.grad[0].abs().sum() > 0
    assert not levels.grad[1:].any()
    assert not levels.grad[0, 1, 6:].any(), "padding has a gradient"
    distances = [float(output.stats["semantic_distance"]) for output in outputs]
    assert distances[-1] < 0.3 * distances[0]
    assert outputs[0].stats.keys() == {"semantic_distance", "semantic_of_a_constant", "semantic_variety"}


def test_what_is_the_same_in_every_frame_is_no_target_once_standardized() -> None:
    """A constant answer is near targets with a large constant part, and far from standardized ones."""
    levels, target = noise(LEVELS, CLIPS, FRAMES, WIDTH), 3.0 + noise(CLIPS, FRAMES, 5, seed=1)
    target[..., 4] = 3.0  # constant
    plain, standardized = (
        semantic(standardize=one).distill(batch(semantic=target), quantized(levels), 0) for one in (False, True)
    )
    assert float(plain.stats["semantic_of_a_constant"]) < 0.1
    assert float(standardized.stats["semantic_of_a_constant"]) > 0.7


def test_frames_without_a_target_do_not_count() -> None:
    teacher, levels, target = semantic(), noise(LEVELS, CLIPS, FRAMES, WIDTH), noise(CLIPS, FRAMES, 5, seed=1)
    target[:, -1] = 0
    before = teacher.distill(batch(semantic=target), quantized(levels), 0)
    levels[0, :, -1] = 100.0
    after = teacher.distill(batch(semantic=target), quantized(levels), 0)
    assert torch.equal(before.loss, after.loss)


@pytest.mark.parametrize(("distilled_levels", "reached"), [("2:", [False, True, True]), ("2", [False, True, False])])
@pytest.mark.parametrize("form", ["kl", "cosine"])
@pytest.mark.parametrize("pooling", ["attention", "mean"])
def test_the_acoustic_loss_reaches_the_configured_levels_alone(
    form: str, pooling: str, distilled_levels: str, reached: list[bool]
) -> None:
    target = noise(CLIPS, 6, seed=1)
    teacher = acoustic(target, form=form, pooling=pooling, levels=distilled_levels)
    levels = noise(LEVELS, CLIPS, FRAMES, WIDTH)
    levels.requires_grad_()
    optimizer = torch.optim.Adam([*teacher.parameters(), levels], lr=0.02)
    losses = []
    for _ in range(40):
        output = teacher.distill(batch(acoustic=target), quantized(levels), 0)
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
        losses.append(float(output.loss.detach()))
    assert losses[-1] < 0.3 * losses[0]
    assert levels.grad is not None
    assert [bool(level.any()) for level in levels.grad] == reached
    assert output.stats.keys() == {"acoustic_of_a_constant", "acoustic_variety", "acoustic_entropy"}


def test_clips_that_dropped_these_levels_do_not_count() -> None:
    target = noise(CLIPS, 6, seed=1)
    teacher, levels = acoustic(target), noise(LEVELS, CLIPS, FRAMES, WIDTH)
    levels[1:, 2] = 0
    before = teacher.distill(batch(acoustic=target), quantized(levels), 0)
    other = target.clone()
    other[2] = 50.0
    after = teacher.distill(batch(acoustic=other), quantized(levels), 0)
    assert torch.equal(before.loss, after.loss)
    levels[1:] = 0
    empty = teacher.distill(batch(acoustic=target), quantized(levels), LATE)
    assert float(empty.loss.detach()) == 0.0
    assert empty.alarms == (), "without a clip there is no alarm"


@pytest.mark.parametrize("pooling", ["attention", "mean"])
def test_padding_changes_no_vector(pooling: str) -> None:
    layer = acoustic(noise(CLIPS, 6, seed=1), pooling=pooling).align
    hidden, mask = noise(2, FRAMES, WIDTH), torch.ones(2, FRAMES, dtype=torch.bool)
    mask[1, 7:] = False
    both = layer(hidden, mask)
    alone = layer(hidden[1:, :7], mask[1:, :7])
    assert torch.allclose(both[1:], alone, atol=1e-5)


def test_pooling_is_by_eight_heads_or_by_a_plain_mean() -> None:
    attention, mean = (acoustic(noise(CLIPS, 6, seed=1), pooling=pooling).align for pooling in ("attention", "mean"))
    assert isinstance(attention, AlignLayer)
    assert attention.attention.head_dim == WIDTH // 8
    assert isinstance(mean, MeanLayer)
    hidden, mask = noise(2, FRAMES, WIDTH), torch.ones(2, FRAMES, dtype=torch.bool)
    mixed = hidden[:, torch.randperm(FRAMES, generator=torch.Generator().manual_seed(0))]
    assert torch.allclose(mean(hidden, mask), mean.out_proj(hidden.mean(1)), atol=1e-6)
    assert torch.allclose(mean(hidden, mask), mean(mixed, mask), atol=1e-6)


def only_alarm(part: str, output: Any) -> str:
    [alarm] = output.alarms
    assert part in alarm
    return alarm


def test_a_semantic_teacher_of_constant_targets_is_inert() -> None:
    target = (noise(1, 1, 5) + 0.01 * noise(CLIPS, FRAMES, 5, seed=1)).expand(CLIPS, FRAMES, 5)
    output = semantic().distill(batch(semantic=target), quantized(noise(LEVELS, CLIPS, FRAMES, WIDTH)), 0)
    assert "semantic teacher is inert" in only_alarm("semantic", output)


def test_an_embedding_that_is_not_standardized_is_inert_and_has_maximal_entropy() -> None:
    target = torch.nn.functional.normalize(noise(CLIPS, 192, seed=1), dim=1)
    levels = quantized(noise(LEVELS, CLIPS, FRAMES, WIDTH))
    teacher = acoustic(target)
    assert teacher.distill(batch(acoustic=target), levels, 0).alarms == ()
    teacher.mean.zero_()
    teacher.deviation.fill_(1.0)
    output = teacher.distill(batch(acoustic=target), levels, 0)
    assert "acoustic teacher is inert" in only_alarm("acoustic", output)
    assert float(output.stats["acoustic_entropy"]) == pytest.approx(torch.tensor(192.0).log().item(), abs=0.01)


def test_constant_levels_have_collapsed() -> None:
    target = noise(CLIPS, FRAMES, 5, seed=1)
    same = quantized(noise(LEVELS, 1, 1, WIDTH).expand(LEVELS, CLIPS, FRAMES, WIDTH))
    teacher = semantic()
    assert teacher.distill(batch(semantic=target), same, 0).alarms == (), "a student is not due at the first step"
    assert "semantic levels collapsed" in only_alarm("semantic", teacher.distill(batch(semantic=target), same, LATE))
    voices = noise(CLIPS, 6, seed=1)
    output = acoustic(voices).distill(batch(acoustic=voices), same, LATE)
    assert "acoustic levels collapsed" in only_alarm("acoustic", output)


def test_a_student_no_better_than_a_constant_learns_nothing() -> None:
    levels = quantized(3 * noise(LEVELS, CLIPS, FRAMES, WIDTH))
    target = noise(CLIPS, FRAMES, 5, seed=1)
    output = semantic().distill(batch(semantic=target), levels, LATE)
    assert "semantic loss teaches nothing" in only_alarm("semantic", output)
    voices = noise(CLIPS, 6, seed=1)
    with torch.no_grad():
        teacher = acoustic(voices)
        teacher.align.out_proj.weight.mul_(10.0)
    assert "acoustic loss teaches nothing" in only_alarm(
        "acoustic", teacher.distill(batch(acoustic=voices), levels, LATE)
    )


def test_a_loss_near_zero_is_an_alarm_and_a_middling_one_is_none() -> None:
    assert distillation_alarms("acoustic", 0.005, 0.5, 0.5, is_due=False) == (
        "the acoustic loss has nothing left to teach: its distance is 0.005; lower its weight",
    )
    assert distillation_alarms("acoustic", 0.2, 0.5, 0.3, is_due=True) == ()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AcousticConfig(temperature=0.0), "temperature is 0.0: Input should be greater than 0"),
        (lambda: AlignLayer(width=10, heads=8, outputs=2), "8 heads must divide the width 10"),
    ],
)
def test_settings_out_of_range_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_embeddings_of_a_batch_are_those_of_each_clip_up_to_rounding() -> None:
    """Clips of one length go together; the others alone, as padding would change their vectors."""
    torch.manual_seed(0)
    clips = [speechlike(size, 16_000, seed=seed) for seed, size in enumerate((16_000, 4_000, 16_000, 9_000))]
    for encoder in (EcapaTdnn(width=16, outputs=24), Ge2eEncoder().requires_grad_(False)):
        sizes: list[int] = []
        encoder.register_forward_pre_hook(lambda _, inputs, sizes=sizes: sizes.append(len(inputs[0])))
        extractor = SpeakerFeatureExtractor(encoder, "voice")
        batch = extractor.extract_batch(clips)
        assert sorted(sizes) == [1, 1, 2]
        for clip, vector in zip(clips, batch, strict=True):
            torch.testing.assert_close(vector, extractor.extract(clip), rtol=1e-4, atol=1e-5)
        with pytest.raises(AudioError, match=r"the clip has 0\.10 s, voice needs 0\.20 s for a speaker embedding"):
            extractor.check_length(1_600)


def test_the_digest_of_a_speaker_extractor_is_that_of_vocable_0_1() -> None:
    """Cached features and runs from before the encoder was renamed stay valid."""
    encoder = Ge2eEncoder()
    former = digest_of({"voice": "VoiceEncoder"}, encoder.state_dict())
    assert SpeakerFeatureExtractor(encoder, "resemblyzer").digest == former
