"""EnCodec, DAC, Mimi and X-codec, through the transformers package."""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from vocable.audio import Audio
from vocable.errors import AudioError, ConfigError, MissingDependencyError
from vocable.evaluate.codecs.base import Coded, Kind, like
from vocable.files import sha256

_PATIENCE = 5.0  # seconds that a hub may take to answer


@dataclass(frozen=True, kw_only=True)
class Network:
    """What is particular to one of the codecs.

    Attributes:
        title: For the table.
        hub: Where its weights are.
        kilobits: A second, where nothing else is asked for.
        setting: The argument of ``encode`` that sets the rate: ``bandwidth`` in kbit/s, or a number of levels.
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
}  # fmt: skip  # by the type that their config.json tells


@dataclass(frozen=True)
class TransformersCodec:
    """A neural codec of the transformers package at one of its rates.

    The clip is resampled to the codec's rate and back. Bits are those of the ids: as many as they are, times the bits
    that an entry of the codebook needs. What the codec was trained to give back, with or without delay, is taken as is.

    Attributes:
        system: ``encodec``, ``dac``, ``mimi`` or ``xcodec``.
        source: A folder, or a name on the hub; None takes the authors' weights from the hub.
        kilobits: A second; None takes the rate next to the usual one.

    Raises:
        ConfigError: The weights cannot be had or are of another system, or the system has no such rate.
        MissingDependencyError: transformers is not installed.

    Source:
        EnCodec, arXiv:2210.13438; DAC, arXiv:2306.06546; Mimi, arXiv:2410.00037; X-codec, arXiv:2408.17175.
    """

    system: str
    source: str | None = None
    kilobits: float | None = None
    rate: float = field(init=False)  # kbit/s
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
        """With the bit rate: ``EnCodec 6k``."""
        return f"{self.family} {self.rate:g}k"

    @property
    def family(self) -> str:
        """The system's name."""
        return NETWORKS[self.system].title

    @property
    def note(self) -> str:
        """Version, weights and settings."""
        config, setting = self._loaded.model.config, NETWORKS[self.system].setting
        return (
            f"{setting} {self._loaded.rates[self.rate]:g}, {_rate(config)} Hz, weights {self._loaded.digest}, "
            f"transformers {version('transformers')}"
        )

    def code(self, clip: Audio, key: str) -> Coded:
        """Code and decode.

        Raises:
            AudioError: The network refuses the clip, for instance as too long for the memory.
        """
        model, setting = self._loaded.model, {NETWORKS[self.system].setting: self._loaded.rates[self.rate]}
        rate = _rate(model.config)
        samples = torch.from_numpy(clip.resample(rate).samples)
        hop = int(np.prod(self._ratios))
        padded = torch.nn.functional.pad(samples, (0, -samples.numel() % hop))[None, None]
        try:
            with torch.inference_mode():
                coded = model.encode(padded, **setting)
                scales = {"audio_scales": coded.audio_scales} if self.system == "encodec" else {}
                made = model.decode(audio_codes=coded.audio_codes, **scales).audio_values
        except (RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise AudioError(f"{self.name} refuses a clip of {clip.duration:.3f} s ({reason})") from error
        bits = int(coded.audio_codes.numel()) * (model.config.codebook_size - 1).bit_length()
        return Coded(audio=like(clip, made.reshape(-1).numpy(), rate), payload_bits=bits, container_bits=0)

    @property
    def _loaded(self) -> "_Loaded":
        return _load(self.system, self.source or NETWORKS[self.system].hub)

    @property
    def _ratios(self) -> list[int]:
        config = self._loaded.model.config
        return list(getattr(config, "acoustic_model_config", config).upsampling_ratios)


@dataclass(frozen=True)
class _Loaded:
    """A network with the rates it works at, in kbit/s, and what sets each."""

    model: Any
    rates: dict[float, float | int]
    digest: str


@cache
def _load(system: str, source: str) -> _Loaded:
    """A network from a folder or from the hub; only safetensors are read."""
    if importlib.util.find_spec("transformers") is None:
        raise MissingDependencyError("needs transformers: pip install 'vocable[hf]'")
    folder = _folder(source)
    try:
        model, missing = _open(folder)
        digest = sha256(folder / "model.safetensors")[:12]
    except Exception as error:  # transformers, huggingface_hub and safetensors have many ways to say it
        reason = " ".join(str(error).split())[:300]
        remedy = "give a folder with config.json and model.safetensors"
        raise ConfigError(f"{source}: cannot be loaded ({reason}); {remedy}") from error
    found, channels = model.config.model_type, getattr(model.config, "audio_channels", 1)
    if found != system or channels != 1:
        raise ConfigError(f"{source}: holds {found} of {channels} channel(s), not a mono {system}")
    if missing:
        raise ConfigError(f"{source}: model.safetensors lacks {missing[0]} and {len(missing) - 1} more; copy it again")
    return _Loaded(model, _rates(system, model.config), digest)


def _open(folder: Path) -> tuple[Any, list[str]]:
    """The network, and the names of weights that its file lacks: they would be random."""
    from transformers import AutoModel
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # it would run through ours
    try:
        model, told = AutoModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    finally:
        if shown:
            logging.enable_progress_bar()
    return model.eval(), sorted(told["missing_keys"])


def _rates(system: str, config: Any) -> dict[float, float | int]:
    """Rates in kbit/s and the argument for each."""
    if NETWORKS[system].setting == "bandwidth":
        return {float(rate): float(rate) for rate in config.target_bandwidths}
    ids = _rate(config) / config.hop_length if system == "dac" else config.frame_rate
    level = ids * (config.codebook_size - 1).bit_length() / 1000
    levels = config.n_codebooks if system == "dac" else config.num_quantizers
    return {round(level * count, 4): count for count in range(1, levels + 1)}


def _rate(config: Any) -> int:
    return config.sample_rate if hasattr(config, "sample_rate") else config.sampling_rate


def _folder(source: str) -> Path:
    """A folder as it is; a name of the hub from the cache or, if the hub answers, from there."""
    if Path(source).is_dir():
        return Path(source)
    from huggingface_hub import snapshot_download

    try:
        wanted = ["config.json", "model.safetensors"]
        return Path(snapshot_download(source, allow_patterns=wanted, etag_timeout=_PATIENCE))
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(f"{source}: no such folder, and the hub does not give it ({reason})") from error
