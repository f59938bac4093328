"""Short clips that share a window have the ids that each has alone."""

import random

import numpy as np
import pytest
import torch

import vocable
from tests.models import ready
from vocable.audio import Audio
from vocable.systems.guided.tokenizer import GuidedTokenizer
from vocable.systems.windows import sample_windows, shared_windows
from vocable.testing import speechlike


def test_every_kept_frame_of_every_clip_is_in_one_window_with_the_context_it_has_alone() -> None:
    rng = np.random.default_rng(0)
    core, reach, hop = 14, 3, 4
    clips = [rng.standard_normal(size).astype(np.float32) for size in rng.integers(1, 150, 40)]
    found: dict[tuple[int, int], np.ndarray] = {}
    for window in shared_windows(clips, core, reach, hop):
        assert window.content.shape == (1, 20 * hop)
        assert not window.content[0][~window.mask[0].repeat_interleave(hop)].any()
        for clip, number, kept in window.parts:
            lone = list(sample_windows([clips[clip]], core, reach, hop))[number]
            shift = kept.start - lone.core.start
            for frame in range(max(0, lone.core.start - reach), min(20, lone.core.stop + reach)):
                place = frame + shift
                if not 0 <= place < 20:  # beyond the window, where a network sees zeros
                    assert not lone.mask[0, frame]
                    continue
                assert window.mask[0, place] == lone.mask[0, frame]
                mine, alone = (one[0, at * hop : at * hop + hop] for one, at in
                               ((window.content, place), (lone.content, frame)))  # fmt: skip
                assert torch.equal(mine, alone)
            assert (clip, number) not in found
            found[clip, number] = window.content[0, kept.start * hop : kept.stop * hop].numpy()
    for index, clip in enumerate(clips):
        joined = np.concatenate([found[key] for key in sorted(found) if key[0] == index])
        assert np.array_equal(joined[: clip.size], clip)


@pytest.mark.parametrize("name", ["guided-small", "spectral"])
def test_ids_in_a_batch_are_those_of_the_clip_alone(name: str) -> None:
    codec = vocable.load(name) if name == "guided-small" else ready(name)
    assert isinstance(codec, GuidedTokenizer)
    sizes = random.Random(0)
    clips = [speechlike(sizes.randrange(200, 14_000), 16_000, seed=seed) for seed in range(12)]
    clips.insert(3, speechlike(90_000, 16_000))
    clips.append(Audio(np.zeros(3_000, np.float32), 8_000))
    together = codec.encode_batch(clips, [str(index) for index in range(len(clips))])
    for index, clip in enumerate(clips):
        assert together.clip(index) == codec.encode(clip, str(index))
