"""A small network with the inputs and outputs of CosyVoice's S3 files, as ONNX and as torch."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from vocable.audio import Audio
from vocable.features.whisper import log_mel


@dataclass(frozen=True)
class SmallS3:
    """Two convolutions over log-mel spectra; a unit is the largest of so many channels.

    Attributes:
        size: Units.
        stride: Of the first convolution: 1 for 50 units a second, 2 for 25. The second has 2.
        seed: Of the weights.
        inputs: 2 as S3, or only the spectra.
        whole: Whether ids come out, or the channel's number as a float.
    """

    size: int = 4096
    stride: int = 1
    seed: int = 0
    inputs: int = 2
    whole: bool = True

    @cached_property
    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        random = np.random.default_rng(self.seed)
        shapes = ((6, 128, 3), (self.size, 6, 3))
        first, second = (random.standard_normal(shape).astype(np.float32) for shape in shapes)
        return first, second

    def write(self, path: Path) -> Path:
        """Inputs ``feats`` (1, 128, T) and ``feats_length`` (1,), output ``indices`` (1, 1, N): names do not matter."""
        length = "ends" if self.inputs == 2 else "all"
        nodes = [
            helper.make_node("Slice", ["feats", "zero", length, "axis"], ["real"]),
            helper.make_node("Conv", ["real", "w1"], ["a"], pads=[1, 1], strides=[self.stride]),
            helper.make_node("Relu", ["a"], ["b"]),
            helper.make_node("Conv", ["b", "w2"], ["c"], pads=[1, 1], strides=[2]),
            helper.make_node("ArgMax", ["c"], ["d"], axis=1, keepdims=1),
            helper.make_node("Cast", ["d"], ["indices"], to=TensorProto.INT32 if self.whole else TensorProto.FLOAT),
        ]
        if self.inputs == 2:
            nodes.insert(0, helper.make_node("Cast", ["feats_length"], ["ends"], to=TensorProto.INT64))
        constants = {"zero": np.array([0]), "axis": np.array([2]), "all": np.array([1 << 30])}
        constants |= dict(zip(("w1", "w2"), self.weights, strict=True))
        inputs = [
            helper.make_tensor_value_info("feats", TensorProto.FLOAT, [1, 128, "T"]),
            helper.make_tensor_value_info("feats_length", TensorProto.INT32, [1]),
        ]
        kind = TensorProto.INT32 if self.whole else TensorProto.FLOAT
        graph = helper.make_graph(
            nodes, "s3", inputs[: self.inputs], [helper.make_tensor_value_info("indices", kind, [1, 1, "N"])],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        )  # fmt: skip
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        onnx.checker.check_model(model, full_check=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(model.SerializeToString())
        return path

    def units(self, clip: Audio) -> Tensor:
        """What it makes of a clip, by torch."""
        hop = 320 * self.stride
        samples = torch.from_numpy(clip.resample(16_000).samples)
        samples = torch.cat([samples, torch.zeros(-len(samples) % hop)])
        mel = log_mel(samples[None], torch.tensor([len(samples)]), 128).mT
        first, second = (torch.from_numpy(one) for one in self.weights)
        hidden = torch.nn.functional.conv1d(mel, first, padding=1, stride=self.stride).relu()
        return torch.nn.functional.conv1d(hidden, second, padding=1, stride=2).argmax(1)[0]
