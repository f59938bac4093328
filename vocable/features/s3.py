"""CosyVoice's supervised speech tokenizer (S3), from its ONNX file: speech to units that say what is said.

Its weights are another's and not in the box: ``speech_tokenizer_v1.onnx`` of CosyVoice-300M (4096 units, 50 a second),
that of CosyVoice-300M-25Hz, or ``speech_tokenizer_v2.onnx`` of CosyVoice2-0.5B (6561 units, 25 a second). The
package s3tokenizer keeps the same files in ``~/.cache/s3tokenizer``: name them there, the package itself is not
needed. This code has been run with small graphs of the same inputs and outputs, not with those files.
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
from vocable.files import sha256

FILES: Final = (  # that a folder is searched for: names of CosyVoice, and of the package s3tokenizer
    "speech_tokenizer_v1.onnx", "speech_tokenizer_v1_25hz.onnx", "speech_tokenizer_v2.onnx",
    "speech_tokenizer_v2_25hz.onnx",
)  # fmt: skip

_MELS = 128
_STEP = 160  # samples between mel spectra
_PROBE = 400  # spectra of silence, 4 s, that tell how many units there are a second
_LONGEST = 30 * 16_000  # samples
_SIZES = {"v1": 4096, "v2": 6561}


class S3Encoder:
    """Speech to supervised units, one clip at a time.

    The network sees its whole input and has places for 30 s, so longer clips are refused, as CosyVoice's own code
    does; windows with overlap, which the package s3tokenizer adds, give units that depend on where a clip is cut. Here
    silence fills a clip up to a whole unit, so that units follow the clock; in CosyVoice a mirrored end does. The last
    units may differ.

    Args:
        path: The ONNX file, or a folder that has it under one of the names in ``FILES``.
        size: How many units there are; by the file's name where it says ``v1`` or ``v2``.

    Attributes:
        file: The ONNX file.
        hop: Samples that a unit covers: 320 or 640, measured on silence.
        size: How many units there are.

    Raises:
        CheckpointError: There is no such file, it is no network of this kind, or its name does not tell ``size``.
        MissingDependencyError: onnxruntime is not installed.

    Source:
        CosyVoice, arXiv:2407.05407, §3.1, and CosyVoice 2, arXiv:2412.10117; how the file is called:
        github.com/FunAudioLLM/CosyVoice (Apache-2.0), ``cosyvoice/cli/frontend.py``.
    """

    sample_rate: Final = 16_000

    def __init__(self, path: str | Path, size: int | None = None) -> None:
        self.file = _found(Path(path))
        self.size = _size_of(self.file) if size is None else size
        self._session = _session(self.file)
        count = len(self._run(torch.zeros(1, _MELS, _PROBE)))
        if not count or _PROBE % count:
            raise CheckpointError(f"{self.file}: makes {count} units of 4 s, which is no whole number of spectra each")
        self.hop = _STEP * _PROBE // count

    @property
    def name(self) -> str:
        """In reports."""
        return self.file.stem

    @cached_property
    def digest(self) -> str:
        """Name of this very file."""
        return f"sha256:{sha256(self.file)}"

    def units(self, clip: Audio) -> Int[Tensor, " N"]:
        """The units of a clip of any rate: N is its samples at 16 kHz over ``hop``, rounded up.

        Raises:
            AudioError: The clip is longer than 30 s.
            CheckpointError: The network does not do what it says.
        """
        samples = torch.from_numpy(clip.resample(self.sample_rate).samples)
        if len(samples) > _LONGEST:
            raise AudioError(f"the clip is {clip.duration:.1f} s long: S3 takes 30 s at most; cut it between words")
        filled = torch.nn.functional.pad(samples, (0, -len(samples) % self.hop))
        found = self._run(log_mel(filled[None], torch.tensor([len(filled)]), _MELS).mT)
        if len(found) != len(filled) // self.hop or bool(((found < 0) | (found >= self.size)).any()):
            raise CheckpointError(
                f"{self.file}: made {len(found)} units of {len(filled) // self.hop} × {self.hop} samples, or units "
                f"outside 0 to {self.size - 1}; is this another version of S3? Say its size"
            )
        return found

    def _run(self, mel: Tensor) -> Int[Tensor, " N"]:
        """Units of log-mel spectra (1, 128, S)."""
        spectra, length = self._session.get_inputs()
        try:
            ids = self._session.run(
                None, {spectra.name: mel.contiguous().numpy(), length.name: np.array([mel.shape[2]], dtype=np.int32)}
            )[0]
        except Exception as error:  # onnxruntime raises its own, one for each kind of fault
            raise CheckpointError(f"{self.file}: does not run ({' '.join(str(error).split())[:200]})") from error
        if not np.issubdtype(ids.dtype, np.integer):
            raise CheckpointError(f"{self.file}: makes {ids.dtype}, not whole numbers; is it a speech tokenizer?")
        return torch.from_numpy(ids.reshape(-1).astype(np.int64))


def _found(path: Path) -> Path:
    if path.is_file():
        return path
    found = next((path / name for name in FILES if (path / name).is_file()), None)
    if found is None:
        raise CheckpointError(
            f"{path}: no S3 tokenizer; give its ONNX file, or a folder with {' or '.join(FILES[::2])}"
        )
    return found


def _size_of(file: Path) -> int:
    sizes = [size for version, size in _SIZES.items() if version in file.stem.lower()]
    if len(sizes) != 1:
        raise CheckpointError(f"{file}: its name says neither v1 (4096 units) nor v2 (6561); rename it, or give `size`")
    return sizes[0]


def _session(file: Path) -> Any:
    """The network, on one thread: two threads may add up numbers in another order."""
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError(f"{file}: needs onnxruntime; run pip install 'vocable[evaluate]'") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises its own, one for each kind of fault
        raise CheckpointError(f"{file}: cannot be read ({' '.join(str(error).split())[:200]})") from error
    if len(session.get_inputs()) != 2:
        raise CheckpointError(
            f"{file}: takes {len(session.get_inputs())} inputs; S3 takes log-mel spectra and their length"
        )
    return session
