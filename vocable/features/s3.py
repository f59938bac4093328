"""CosyVoice's supervised speech tokenizer (S3), from its ONNX file.

Its weights are not bundled: ``speech_tokenizer_v1.onnx`` of CosyVoice-300M (4096 units at 50 Hz), that of
CosyVoice-300M-25Hz, or ``speech_tokenizer_v2.onnx`` of CosyVoice2-0.5B (6561 units at 25 Hz). The package s3tokenizer
keeps the same files in ``~/.cache/s3tokenizer``; the package itself is not needed. The tests use small graphs with the
same inputs and outputs, not those files.
"""

from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from vocable.audio import Audio
from vocable.errors import AudioError, CheckpointError, MissingDependencyError
from vocable.features.whisper import log_mel
from vocable.files import check_regular, is_file, sha256
from vocable.numerics import aligned, reproducible

FILES: Final = tuple(  # file names of CosyVoice and of the package s3tokenizer
    f"speech_tokenizer_{version}.onnx" for version in ("v1", "v1_25hz", "v2", "v2_25hz")
)
_MELS = 128
_MEL_HOP = 160  # samples
_PROBE = 400  # spectra of silence, 4 s, from which the frame rate of the units is measured
_MAX_SAMPLES = 30 * 16_000
_SIZE_OF_VERSION = {"v1": 4096, "v2": 6561}


class S3Encoder:
    """Encoder from speech to S3 units, one clip at a time.

    The network attends to its whole input and has positions for 30 s. Longer clips are refused, as in CosyVoice's own
    code: the overlapping windows of the package s3tokenizer give units that depend on where a clip is cut. A clip is
    padded with silence to a whole unit; CosyVoice pads with its mirrored end, so the last units may differ.

    Args:
        path: ONNX file, or a folder that has it under one of the names in ``FILES``.
        size: Number of units; by default that of the version in the file's name, ``v1`` or ``v2``.

    Attributes:
        file: ONNX file.
        hop: Samples per unit, 320 or 640, measured on silence.
        size: Number of units.

    Raises:
        CheckpointError: If there is no such file, it is no S3, or its name does not give ``size``.
        MissingDependencyError: If onnxruntime is not installed.

    Source:
        CosyVoice, arXiv:2407.05407, section 3.1, and CosyVoice 2, arXiv:2412.10117. Inputs of the network:
        github.com/FunAudioLLM/CosyVoice (Apache-2.0), ``cosyvoice/cli/frontend.py``.
    """

    sample_rate: Final = 16_000

    def __init__(self, path: str | Path, size: int | None = None) -> None:
        self.file = _find_file(Path(path))
        self.size = _size_of(self.file) if size is None else size
        self._session = _session(self.file)
        count = len(self._run(torch.zeros(1, _MELS, _PROBE)))
        if not count or _PROBE % count:
            raise CheckpointError(f"{self.file}: makes {count} units of 4 s; a unit must be a whole number of spectra")
        self.hop = _MEL_HOP * _PROBE // count

    @cached_property
    def digest(self) -> str:
        """Digest of the file."""
        return f"sha256:{sha256(self.file)}"

    @reproducible
    def units(self, clip: Audio) -> Int[Tensor, " N"]:
        """Return the units of a clip at any sample rate: N is its samples at 16 kHz over ``hop``, rounded up.

        Raises:
            AudioError: If the clip is longer than 30 s.
            CheckpointError: If the network gives another number of units, or units that are out of range.
        """
        samples = aligned(torch.from_numpy(clip.resample(self.sample_rate).samples))
        self.check_length(len(samples))
        padded = torch.nn.functional.pad(samples, (0, -len(samples) % self.hop))
        units = self._run(log_mel(padded[None], torch.tensor([len(padded)]), _MELS).mT)
        count = len(padded) // self.hop
        if len(units) != count or bool(((units < 0) | (units >= self.size)).any()):
            raise CheckpointError(
                f"{self.file}: made {len(units)} units of {count} × {self.hop} samples, or units outside 0 to "
                f"{self.size - 1}; give its `size` if it is another version of S3"
            )
        return units

    def check_length(self, samples: int) -> None:
        """Raise an AudioError if a clip of so many samples at 16 kHz is longer than 30 s."""
        if samples > _MAX_SAMPLES:
            seconds = samples / self.sample_rate
            raise AudioError(f"the clip is {seconds:.1f} s long: S3 takes 30 s at most; cut it between words")

    def _run(self, mel: Tensor) -> Int[Tensor, " N"]:
        """Return the units of log-mel spectra (1, 128, S)."""
        spectra, length = self._session.get_inputs()
        inputs = {spectra.name: mel.contiguous().numpy(), length.name: np.array([mel.shape[2]], dtype=np.int32)}
        try:
            ids = self._session.run(None, inputs)[0]
        except Exception as error:  # onnxruntime has an error of its own for each kind of fault
            raise CheckpointError(f"{self.file}: does not run ({' '.join(str(error).split())[:200]})") from error
        if not np.issubdtype(ids.dtype, np.integer):
            raise CheckpointError(f"{self.file}: makes {ids.dtype}, not integers; give a speech tokenizer")
        return torch.from_numpy(ids.reshape(-1).astype(np.int64))


def _find_file(path: Path) -> Path:
    file = next((one for one in (path, *(path / name for name in FILES)) if is_file(one)), None)
    if file is None:
        names = " or ".join(FILES[::2])
        raise CheckpointError(f"{path}: no S3 tokenizer; give its ONNX file, or a folder with {names}")
    return file


def _size_of(file: Path) -> int:
    sizes = [size for version, size in _SIZE_OF_VERSION.items() if version in file.stem.lower()]
    if len(sizes) != 1:
        raise CheckpointError(f"{file}: its name has neither v1 (4096 units) nor v2 (6561); rename it, or give `size`")
    return sizes[0]


def _session(file: Path) -> Any:
    """Load the network on one thread, because two threads may sum in another order."""
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError(f"{file}: needs onnxruntime; run pip install 'vocable[evaluate]'") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        check_regular(file)
        session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has an error of its own for each kind of fault
        raise CheckpointError(f"{file}: cannot be read ({' '.join(str(error).split())[:200]})") from error
    if (count := len(session.get_inputs())) != 2:
        raise CheckpointError(f"{file}: takes {count} inputs; S3 takes log-mel spectra and their length")
    return session
