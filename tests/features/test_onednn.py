"""Frozen networks by oneDNN: the same features up to rounding, and clips alone or in a batch."""

import torch
from torch import nn

from vocable.features.onednn import OneDnnLinear, with_onednn
from vocable.features.whisper import WhisperEncoder
from vocable.systems.guided.teachers import FrameFeatureExtractor
from vocable.testing import speechlike


def encoder() -> WhisperEncoder:
    torch.manual_seed(0)
    return WhisperEncoder(width=128, depth=2)


def test_a_copy_computes_the_same_up_to_rounding_and_shares_its_weights() -> None:
    plain = encoder()
    fast = with_onednn(plain)
    assert {type(one) for one in plain.modules() if isinstance(one, nn.Linear)} == {nn.Linear}
    assert any(isinstance(one, OneDnnLinear) for one in fast.modules())
    assert fast.conv1.weight is plain.conv1.weight
    assert fast.blocks[0].mlp[0].weight is plain.blocks[0].mlp[0].weight
    clip = speechlike(16_123)
    assert torch.allclose(fast.features(clip), plain.features(clip), atol=1e-4)
    half = nn.Sequential(nn.Linear(2, 2)).half()
    assert with_onednn(half) is half


def test_a_teacher_takes_clips_alone_and_together() -> None:
    plain = encoder()
    teacher = FrameFeatureExtractor(plain, (-1,)).to("cpu")
    clips = [speechlike(size, seed=size) for size in (16_000, 4_001, 9_999)]
    for clip, together in zip(clips, teacher.extract_batch(clips), strict=True):
        assert torch.allclose(together, teacher.extract(clip), atol=1e-3)
        assert torch.equal(teacher.extract(clip), teacher.extract(clip))
    assert teacher.device.type == "cpu"
    assert teacher.digest == FrameFeatureExtractor(plain, (2,)).digest
