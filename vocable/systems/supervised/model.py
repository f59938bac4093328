"""All networks with one state, and the scale of their spectra; Whisper is no part of it."""

from jaxtyping import Float
from torch import Tensor

from vocable.nn.voice import VoiceEncoder
from vocable.quantizers import VectorQuantizer
from vocable.systems.supervised.config import SupervisedConfig
from vocable.systems.supervised.networks import FrameEncoder, PhoneRecogniser, SpectrumDecoder
from vocable.vocoders.scaled import SpectraModel, middle_of


class SupervisedModel(SpectraModel):
    """Everything that is trained.

    Args:
        config: Sizes.

    Example:
        >>> import torch
        >>> from vocable.systems.supervised import recipe as supervised
        >>> model = SupervisedModel(supervised.tiny().model)
        >>> model.heard(model.frames(torch.zeros(1, 16_000))).shape
        torch.Size([1, 60, 32])
    """

    def __init__(self, config: SupervisedConfig) -> None:
        super().__init__(config.mel)
        self.config = config
        self.encoder = FrameEncoder(config)
        self.quantizer = VectorQuantizer(
            codebook_size=config.codebook_size, dim=config.latent_width, restart_below=config.restart_below
        )
        self.recogniser = PhoneRecogniser(config)
        self.voice_encoder = VoiceEncoder(
            bins=config.mel.bins, channels=config.voice_channels, width=config.voice_width
        )
        self.decoder = SpectrumDecoder(config)

    def heard(self, frames: Float[Tensor, "B S F"]) -> Float[Tensor, "B S_voice F"]:
        """The middle of some speech, as long as a voice is heard from; shorter speech is repeated."""
        return middle_of(frames, self.config.voice_frames)
