"""CosyVoice's published folder: a decoder from S3 units and a voice to speech, and weights to begin training from.

Package and weights are CosyVoice's own. The tests replace the package by one of the same names, so they check what goes
in and comes out, not the sound. The names are those of github.com/FunAudioLLM/CosyVoice (Apache-2.0) at the end of
2025. The package reads its weights with ``torch.load``: give it only folders that you trust. vocable itself reads
``llm.pt``, ``flow.pt`` and ``hift.pt`` as tensors alone.
"""

import tempfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vocable.audio import Audio
from vocable.errors import CheckpointError, MissingDependencyError
from vocable.features.hub import read_tensors
from vocable.features.s3 import FILES as S3_FILES
from vocable.files import check_regular, is_file, sha256
from vocable.folder import Migration

WEIGHTS: Final = ("flow.pt", "hift.pt", "campplus.onnx", "cosyvoice.yaml")
INIT: Final = "cosyvoice:"
"""Prefix of the name of a folder to begin training from, ``--init cosyvoice:FOLDER``."""

_LLM = "llm.pt"
_ADVICE = "give the folder of CosyVoice-300M as published"
_SHAPES: Final[Mapping[str, Mapping[str, tuple[int, ...]]]] = {  # tensors where units and voices enter, and F0 leaves
    "flow.pt": {
        "input_embedding.weight": (4096, 512), "spk_embed_affine_layer.weight": (80, 192),
        "encoder_proj.weight": (80, 512),
    },
    "hift.pt": {"f0_predictor.classifier.weight": (1, 512)},
}  # fmt: skip
_TENSORS = (  # of CosyVoice, and of TasteModel
    (r"^text_embedding\.", "text.embedding."),
    (r"^text_encoder_affine_layer\.", "text.out_proj."),
    (r"^text_encoder\.", "text.encoder."),
    (r"^llm_embedding\.", "lm.special."),
    (r"^llm_decoder\.", "lm.head."),
    (r"^speech_embedding\.", "lm.embedding."),
    (r"^spk_embed_affine_layer\.", "lm.voice_proj."),
    (r"^llm\.", "lm.decoder."),
    (r"\.embed\.out\.", ".in_proj."),
    (r"\.after_norm\.", ".norm."),
    (r"\.encoders\.", ".blocks."),
    (r"\.self_attn\.linear_q\.", ".query."),
    (r"\.self_attn\.linear_k\.", ".key."),
    (r"\.self_attn\.linear_v\.", ".value."),
    (r"\.self_attn\.linear_out\.", ".out."),
    (r"\.self_attn\.linear_pos\.", ".distance."),
    (r"\.self_attn\.pos_bias_u$", ".content_bias"),
    (r"\.self_attn\.pos_bias_v$", ".distance_bias"),
    (r"\.feed_forward\.w_1\.", ".expand."),
    (r"\.feed_forward\.w_2\.", ".contract."),
    (r"\.(norm1|norm_mha)\.", ".before."),
    (r"\.(norm2|norm_ff)\.", ".between."),
)
_INSTALL = (
    "clone github.com/FunAudioLLM/CosyVoice with its submodules, install its requirements, and put it and its "
    "third_party/Matcha-TTS on PYTHONPATH"
)


class CosyVoiceDecoder:
    """Decoder from units to a waveform by flow matching and HiFT. A voice is an x-vector of CAM++.

    Args:
        folder: Folder of a CosyVoice-300M as published.

    Attributes:
        voice_width: Dimension of a voice vector.

    Raises:
        CheckpointError: If the folder lacks a file.
        MissingDependencyError: (of the methods) If the package cannot be imported.

    Source:
        CosyVoice, arXiv:2407.05407, section 3.3; ``cosyvoice/cli/model.py`` and ``frontend.py`` of its repository.
    """

    voice_width: Final = 192

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if missing := [name for name in WEIGHTS if not is_file(self.folder / name)]:
            raise CheckpointError(f"{folder}: no CosyVoice: {', '.join(missing)} missing; give CosyVoice-300M's folder")

    @cached_property
    def _model(self) -> Any:
        try:
            from cosyvoice.cli.cosyvoice import CosyVoice
        except ImportError as error:
            raise MissingDependencyError(f"{self.folder}: needs the cosyvoice package ({error}); {_INSTALL}") from error
        for name in WEIGHTS:
            check_regular(self.folder / name)
        return CosyVoice(str(self.folder))

    def voice(self, clip: Audio) -> Float[Tensor, " V"]:
        """Return the voice vector of a recording."""
        with tempfile.TemporaryDirectory() as folder:  # the package takes a file
            path = Path(folder) / "voice.wav"
            clip.resample(16_000).write(path)
            return self._model.frontend._extract_spk_embedding(str(path)).flatten().float().cpu()

    def speech(self, units: Int[Tensor, " N"], voice: Float[Tensor, " V"]) -> Audio:
        """Decode at least one unit to speech at the package's sample rate (22,050 Hz), without a prompt."""
        inputs = {"source_speech_token": units[None].int(), "flow_embedding": voice[None].float()}
        parts = [part["tts_speech"].float().cpu() for part in self._model.model.tts(**inputs, stream=False)]
        return Audio(torch.cat(parts, dim=1)[0].clamp(-1, 1).numpy(), int(self._model.sample_rate))


class CosyVoiceStart:
    """Weights of a CosyVoice-300M to begin training from: its text encoder and its unit model.

    Flow, vocoder and S3 tokenizer are not trained. They are checked, so that a folder of another model is refused
    before any data is read.

    Args:
        folder: Folder of a CosyVoice-300M as published.

    Attributes:
        digest: Digest of ``llm.pt``.

    Raises:
        CheckpointError: If the folder lacks a file, or a file holds other tensors.

    Source:
        Names and shapes: github.com/FunAudioLLM/CosyVoice (Apache-2.0), ``cosyvoice/llm/llm.py``,
        ``cosyvoice/flow/flow.py`` and ``cosyvoice/hifigan/f0_predictor.py``, with
        ``examples/libritts/cosyvoice/conf/cosyvoice.yaml``. Prefix of the vocoder: ``cosyvoice/cli/model.py``.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        missing = [name for name in (_LLM, *WEIGHTS) if not is_file(self.folder / name)]
        if not any(is_file(self.folder / name) for name in S3_FILES):
            missing.append(S3_FILES[0])
        if missing:
            raise CheckpointError(f"{folder}: no CosyVoice: {', '.join(missing)} missing; {_ADVICE}")
        for name, shapes in _SHAPES.items():
            _check_shapes(self.folder / name, shapes)
        self.digest = f"sha256:{sha256(self.folder / _LLM)}"

    def load_into(self, model: nn.Module) -> None:
        """Load the weights into a TASTE model of their sizes; see :func:`load_cosyvoice`."""
        file = self.folder / _LLM
        load_cosyvoice(model, _read_state(file), str(file))


def load_cosyvoice(model: nn.Module, state: Mapping[str, Tensor], where: str = _LLM) -> None:
    """Load the weights of CosyVoice's text encoder and unit model; aggregator, fusion and quantizer stay as they are.

    Args:
        model: Model with the sizes of the weights, such as that of :func:`~vocable.systems.taste.config.seed_exact`.
        state: Tensors of ``llm.pt``, from :func:`vocable.features.hub.read_tensors`.
        where: Path of the file, for messages.

    Raises:
        CheckpointError: If a tensor is missing, unknown or of another shape.

    Source:
        github.com/FunAudioLLM/CosyVoice (Apache-2.0) ``cosyvoice/llm/llm.py``.
    """
    names = Migration(config=dict, tensors=_TENSORS)
    tensors = {names.rename(name): value for name, value in state.items()}
    own = {name: value for name, value in model.state_dict().items() if name.startswith(("text.", "lm."))}
    if different := sorted(tensors.keys() ^ own.keys()):
        kind = "has no" if different[0] in own else "has an unknown"
        raise CheckpointError(f"{where}: {kind} {different[0]}; give the llm.pt of CosyVoice-300M, and a model like it")
    for name, value in tensors.items():
        if value.shape != own[name].shape:
            raise CheckpointError(
                f"{where}: {name} is of {tuple(value.shape)}, not {tuple(own[name].shape)}; give a model of its sizes"
            )
    model.load_state_dict(tensors, strict=False)


def _check_shapes(file: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
    state = {name.removeprefix("generator."): value for name, value in _read_state(file).items()}
    for name, shape in shapes.items():
        if name not in state:
            raise CheckpointError(f"{file}: has no {name}; {_ADVICE}")
        if (actual := tuple(state[name].shape)) != shape:
            raise CheckpointError(f"{file}: {name} is of {actual}, not {shape}; {_ADVICE}")


def _read_state(file: Path) -> Mapping[str, Tensor]:
    state = read_tensors(file)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{file}: holds no table of tensors; {_ADVICE}")
    return {str(name): value for name, value in state.items()}
