"""Neural codecs of others: Lyra v2, and EnCodec, DAC, Mimi and X-codec of the transformers package."""

import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from vocable.audio import Audio
from vocable.errors import AudioError, ConfigError, MissingDependencyError
from vocable.evaluate.codecs.base import Coded, Kind, match_clip
from vocable.files import check_regular, folder_exists, is_file, sha256
from vocable.tokens import Tokens, TokenSpec

_LYRA_RATE = 16_000  # Hz
_LYRA_HOP = 320  # samples of a frame
_LYRA_BITS = 4  # of a stage with 16 entries
_LYRA_STAGES = {3.2: 16, 6.0: 30, 9.2: 46}  # number of stages by bit rate in kbit/s
_LYRA_FILES = ("soundstream_encoder.tflite", "quantizer.tflite", "lyragan.tflite")
_HUB_TIMEOUT = 5.0  # seconds


@dataclass(frozen=True)
class Lyra:
    """Lyra v2: frames of 20 ms with 64 values, a residual quantizer of 46 stages with 16 entries, a generative decoder.

    There is no delay to remove: encoder and decoder are causal and were trained without one.

    Attributes:
        folder: Folder with ``soundstream_encoder.tflite``, ``quantizer.tflite`` and ``lyragan.tflite``.
        kilobits: Bit rate in kbit/s: 3.2, 6 or 9.2.

    Source:
        google/lyra, ``lyra/model_coeffs``; SoundStream, arXiv:2107.03312.
    """

    folder: Path
    kilobits: float = 3.2
    kind: ClassVar[Kind] = "codec"
    family: ClassVar[str] = "Lyra v2"

    def __post_init__(self) -> None:
        if self.kilobits not in _LYRA_STAGES:
            raise ConfigError(
                f"Lyra at {self.kilobits:g} kbit/s: there are {', '.join(map('{:g}'.format, _LYRA_STAGES))}"
            )
        for name in _LYRA_FILES:
            if not is_file(self.folder / name):
                raise ConfigError(f"{self.folder / name}: no such file; give the folder of Lyra v2's TFLite models")
        if importlib.util.find_spec("ai_edge_litert") is None:
            raise MissingDependencyError("needs ai-edge-litert: pip install 'vocable[evaluate]'")

    @property
    def name(self) -> str:
        """Name with the bit rate, such as ``Lyra v2 3.2k``."""
        return f"Lyra v2 {self.kilobits:g}k"

    @property
    def note(self) -> str:
        """Version and settings, in one line."""
        return f"{_LYRA_STAGES[self.kilobits]} of 46 stages of 16 entries, ai-edge-litert {version('ai-edge-litert')}"

    def code(self, clip: Audio, key: str) -> Coded:
        """Code and decode a clip; there is no container."""
        decoded, tokens = self._run(clip)
        bits = tokens.ids.numel() * _LYRA_BITS
        return Coded(audio=match_clip(clip, decoded, _LYRA_RATE), payload_bits=bits, container_bits=0, tokens=tokens)

    def encode(self, clip: Audio, key: str) -> Tokens:
        """Return the tokens of a clip."""
        return self._run(clip)[1]

    def _run(self, clip: Audio) -> tuple[Float[ndarray, " T"], Tokens]:
        samples = clip.resample(_LYRA_RATE).samples
        decoded, ids = _run_lyra(self.folder, samples, _LYRA_STAGES[self.kilobits])
        spec = TokenSpec(sample_rate=_LYRA_RATE, hop=_LYRA_HOP, codebook_size=2**_LYRA_BITS, num_codebooks=len(ids))
        return decoded, _make_tokens(ids, samples.size, spec, self.name)


def _run_lyra(
    folder: Path, samples: Float[ndarray, " T"], stages: int
) -> tuple[Float[ndarray, " T"], Int[ndarray, "Q N"]]:
    """Return the decoded samples and the ids.

    The networks are loaded for every clip (20 ms). Encoder and decoder keep a state in resource variables, which
    TFLite's ``reset_all_variables`` does not reset.
    """
    encoder, quantizer, decoder = (_load_tflite(folder / name) for name in _LYRA_FILES)
    to_latents, to_samples = encoder.get_signature_runner(), decoder.get_signature_runner()
    to_ids, from_ids = quantizer.get_signature_runner("encode"), quantizer.get_signature_runner("decode")
    count = np.array(stages, dtype=np.int32)
    decoded, used = [], []
    for frame in np.pad(samples, (0, -samples.size % _LYRA_HOP)).reshape(-1, 1, _LYRA_HOP):
        outputs = to_ids(input_frames=to_latents(input_audio=frame)["output_0"], num_quantizers=count)
        ids = next(value for value in outputs.values() if value.size > 1)  # the other output: bits of an id
        used.append(ids[ids >= 0])  # -1 stands for a stage that is left out
        decoded.append(to_samples(input_audio=from_ids(encoding_indices=ids)["output_0"])["output_0"])
    return np.concatenate(decoded, axis=None)[: samples.size], np.stack(used, axis=1)


def _load_tflite(path: Path) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    try:
        check_regular(path)
        interpreter = Interpreter(str(path), num_threads=1)
        interpreter.allocate_tensors()
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(f"{path}: is no usable TFLite model ({reason}); copy it again from google/lyra") from error
    return interpreter


@dataclass(frozen=True, kw_only=True)
class Network:
    """Hub name, usual rate and rate setting of a codec of transformers.

    Attributes:
        title: Name in the results.
        hub: Hub name of the authors' weights.
        kilobits: Usual bit rate in kbit/s.
        setting: Argument of ``encode`` that sets the rate: ``bandwidth`` in kbit/s, or a number of levels.
    """

    title: str
    hub: str
    kilobits: float
    setting: str


NETWORKS: Mapping[str, Network] = {
    "encodec": Network(title="EnCodec", hub="facebook/encodec_24khz", kilobits=6.0, setting="bandwidth"),
    "dac": Network(title="DAC", hub="descript/dac_16khz", kilobits=6.0, setting="n_quantizers"),
    "mimi": Network(title="Mimi", hub="kyutai/mimi", kilobits=1.1, setting="num_quantizers"),
    "xcodec": Network(
        title="X-codec", hub="hf-audio/xcodec-hubert-librispeech", kilobits=2.0, setting="bandwidth"
    ),
}  # fmt: skip  # by the model type in config.json


@dataclass(frozen=True)
class TransformersCodec:
    """A neural codec of the transformers package at one of its rates.

    The clip is resampled to the codec's rate and back. The payload is the number of ids times the bits of an id. The
    output is used as it is; a delay that the codec was trained with is not removed.

    Attributes:
        system: ``encodec``, ``dac``, ``mimi`` or ``xcodec``.
        source: Folder or hub name; None takes the authors' weights from the hub.
        kilobits: Bit rate in kbit/s; None takes the rate next to the usual one.
        rate: Bit rate in kbit/s that is used.

    Source:
        EnCodec, arXiv:2210.13438; DAC, arXiv:2306.06546; Mimi, arXiv:2410.00037; X-codec, arXiv:2408.17175.
    """

    system: str
    source: str | None = None
    kilobits: float | None = None
    rate: float = field(init=False)
    kind: ClassVar[Kind] = "codec"

    def __post_init__(self) -> None:
        rates = self._loaded.rates
        rate = min(rates, key=lambda rate: abs(rate - (self.kilobits or NETWORKS[self.system].kilobits)))
        if self.kilobits is not None and not abs(rate - self.kilobits) <= 0.01 * self.kilobits:  # NaN is no rate either
            raise ConfigError(
                f"{self.family} at {self.kilobits:g} kbit/s: these weights work at {', '.join(f'{r:g}' for r in rates)}"
            )
        object.__setattr__(self, "rate", rate)

    @property
    def name(self) -> str:
        """Name with the bit rate, such as ``EnCodec 6k``."""
        return f"{self.family} {self.rate:g}k"

    @property
    def family(self) -> str:
        """Name of the system."""
        return NETWORKS[self.system].title

    @property
    def note(self) -> str:
        """Version, weights and settings, in one line."""
        config, setting = self._loaded.model.config, NETWORKS[self.system].setting
        return (
            f"{setting} {self._loaded.rates[self.rate]:g}, {_rate(config)} Hz, weights {self._loaded.digest}, "
            f"transformers {version('transformers')}"
        )

    def code(self, clip: Audio, key: str) -> Coded:
        """Code and decode a clip."""
        model = self._loaded.model
        with self._refusing(clip):
            coded = self._encode(clip)
            scales = {"audio_scales": coded.audio_scales} if self.system == "encodec" else {}
            decoded = model.decode(audio_codes=coded.audio_codes, **scales).audio_values
        bits = int(coded.audio_codes.numel()) * (model.config.codebook_size - 1).bit_length()
        return Coded(
            audio=match_clip(clip, decoded.reshape(-1).numpy(), _rate(model.config)),
            payload_bits=bits, container_bits=0, tokens=self._tokens(clip, coded),
        )  # fmt: skip

    def encode(self, clip: Audio, key: str) -> Tokens:
        """Return the tokens of a clip."""
        with self._refusing(clip):
            return self._tokens(clip, self._encode(clip))

    def _encode(self, clip: Audio) -> Any:
        setting = {NETWORKS[self.system].setting: self._loaded.rates[self.rate]}
        samples = torch.from_numpy(clip.resample(_rate(self._loaded.model.config)).samples)
        padded = torch.nn.functional.pad(samples, (0, -samples.numel() % self._hop))[None, None]
        return self._loaded.model.encode(padded, **setting)

    def _tokens(self, clip: Audio, coded: Any) -> Tokens:
        config = self._loaded.model.config
        ids = coded.audio_codes.reshape(-1, *coded.audio_codes.shape[-2:])[0].numpy()  # one clip, in one piece
        rate = _rate(config)
        hop = round(rate / getattr(config, "frame_rate", rate / self._hop))  # Mimi halves the rate of its encoder
        spec = TokenSpec(sample_rate=rate, hop=hop, codebook_size=config.codebook_size, num_codebooks=len(ids))
        return _make_tokens(ids, clip.resample(rate).samples.size, spec, self.name)

    @contextmanager
    def _refusing(self, clip: Audio) -> Iterator[None]:
        """Run the network without gradients, and raise its errors as AudioError."""
        try:
            with torch.inference_mode():
                yield
        except (RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise AudioError(f"{self.name} refuses a clip of {clip.duration:.3f} s ({reason})") from error

    @property
    def _loaded(self) -> "_LoadedNetwork":
        return _load_network(self.system, self.source or NETWORKS[self.system].hub)

    @property
    def _hop(self) -> int:
        """Samples of a frame."""
        config = self._loaded.model.config
        return int(np.prod(getattr(config, "acoustic_model_config", config).upsampling_ratios))


def _make_tokens(ids: Int[ndarray, "Q N"], samples: int, spec: TokenSpec, name: str) -> Tokens:
    """Return the ids of one clip as tokens, under the name of the codec."""
    return Tokens(
        ids=torch.from_numpy(ids.astype(np.int64))[None], lengths=torch.tensor([ids.shape[1]]),
        samples=torch.tensor([samples]), spec=spec, tokenizer=name,
    )  # fmt: skip


@dataclass(frozen=True)
class _LoadedNetwork:
    """A network, its rates in kbit/s with the argument that sets each, and the digest of its weights."""

    model: Any
    rates: dict[float, float | int]
    digest: str


@cache
def _load_network(system: str, source: str) -> _LoadedNetwork:
    """Load a network from a folder or from the hub; only safetensors are read."""
    if importlib.util.find_spec("transformers") is None:
        raise MissingDependencyError("needs transformers: pip install 'vocable[hf]'")
    folder = _find_folder(source)
    try:
        model, missing = _open(folder)
        digest = sha256(folder / "model.safetensors")[:12]
    except Exception as error:  # transformers, huggingface_hub and safetensors raise many kinds
        reason = " ".join(str(error).split())[:300]
        remedy = "give a folder with config.json and model.safetensors"
        raise ConfigError(f"{source}: cannot be loaded ({reason}); {remedy}") from error
    found, channels = model.config.model_type, getattr(model.config, "audio_channels", 1)
    if found != system or channels != 1:
        raise ConfigError(f"{source}: holds {found} of {channels} channel(s), not a mono {system}")
    if missing:
        raise ConfigError(f"{source}: model.safetensors lacks {missing[0]} and {len(missing) - 1} more; copy it again")
    return _LoadedNetwork(model, _rates(system, model.config), digest)


def _open(folder: Path) -> tuple[Any, list[str]]:
    """Load the network; also return the names of weights that its file lacks, which would be random."""
    from transformers import AutoModel
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # it would break the bar of the evaluation
    try:
        model, info = AutoModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    finally:
        if shown:
            logging.enable_progress_bar()
    return model.eval(), sorted(info["missing_keys"])


def _rates(system: str, config: Any) -> dict[float, float | int]:
    """Return the rates in kbit/s with the argument for each."""
    if NETWORKS[system].setting == "bandwidth":
        return {float(rate): float(rate) for rate in config.target_bandwidths}
    ids = _rate(config) / config.hop_length if system == "dac" else config.frame_rate
    level = ids * (config.codebook_size - 1).bit_length() / 1000
    levels = config.n_codebooks if system == "dac" else config.num_quantizers
    return {round(level * count, 4): count for count in range(1, levels + 1)}


def _rate(config: Any) -> int:
    return config.sample_rate if hasattr(config, "sample_rate") else config.sampling_rate


def _find_folder(source: str) -> Path:
    """Return a folder as it is, and the local copy of a hub name, which is downloaded if it is missing."""
    if folder_exists(Path(source)):
        return Path(source)
    from huggingface_hub import snapshot_download

    try:
        files = ["config.json", "model.safetensors"]
        return Path(snapshot_download(source, allow_patterns=files, etag_timeout=_HUB_TIMEOUT))
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(f"{source}: no such folder, and the hub does not give it ({reason})") from error
