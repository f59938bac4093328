"""CosyVoice's supervised units, and with a whole CosyVoice their way back to speech."""

from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vocable.audio import Audio
from vocable.errors import ConfigError
from vocable.features.s3 import S3Encoder
from vocable.systems.cosyvoice import WEIGHTS, CosyVoiceDecoder
from vocable.systems.units import UnitsSpec, check_units, samples_of


class S3Units:
    """Units of CosyVoice's supervised tokenizer; a whole CosyVoice folder also gives voices and speech.

    Args:
        path: An ONNX file, or a folder with it: units alone. A folder with ``flow.pt``: with voices and speech, for
            which the package ``cosyvoice`` is needed.

    Raises:
        CheckpointError: There is no S3 tokenizer, or the folder is not whole.
        MissingDependencyError: onnxruntime is not installed.
    """

    def __init__(self, path: str | Path) -> None:
        self.encoder = S3Encoder(path)
        self.decoder = CosyVoiceDecoder(path) if (Path(path) / WEIGHTS[0]).is_file() else None
        self.spec = UnitsSpec(
            name=f"s3:{path}", level=1, digest=self.encoder.digest, sample_rate=self.encoder.sample_rate,
            hop=self.encoder.hop, size=self.encoder.size,
            voice_width=0 if self.decoder is None else self.decoder.voice_width,
        )  # fmt: skip

    def units(self, clip: Audio) -> Int[Tensor, " N"]:
        """The units of a clip of 30 s at most."""
        return self.encoder.units(clip)

    def voice(self, clip: Audio) -> Float[Tensor, " V"] | None:
        """The x-vector of a clip; None where there is no decoder."""
        return None if self.decoder is None else self.decoder.voice(clip)

    def speech(
        self, units: Int[Tensor, " N"], voice: Float[Tensor, " V"] | None = None, samples: int | None = None
    ) -> Audio:
        """Speech by CosyVoice's flow and vocoder, at 16 kHz."""
        if self.decoder is None:
            raise ConfigError(
                f"{self.spec.name}: these units have no decoder; give the folder of a whole CosyVoice-300M"
            )
        check_units(self.spec, units, voice)
        assert voice is not None  # there is a decoder, so there is a width
        wanted = torch.zeros(samples_of(self.spec, units, samples)).numpy()
        made = self.decoder.speech(units, voice).resample(self.spec.sample_rate).samples
        wanted[: made.size] = made[: wanted.size]  # the vocoder's frames end elsewhere, by less than 12 ms
        return Audio(wanted, self.spec.sample_rate)
