"""What VQ-CTAP tells of itself."""

import torch

from vocable.systems.ctap.config import CtapConfig
from vocable.systems.ctap.model import CtapModel
from vocable.systems.describe import Table, codebook_table, parameter_rows, spec_rows


def model_facts(model: CtapModel, *, digest: str, vocoder: str) -> list[Table]:
    """Tables of a trained model: sizes and rates, and its codebook as training left it."""
    config = model.config
    rows = [
        ("digest", digest),
        *_rows(model),
        ("vocoder", vocoder),
        ("contrastive factor", f"{float(model.transcoder.sharpness.detach().exp()):.2f}"),
        ("text to speech", f"trained for {int(model.trained)} steps" if int(model.trained) else "not trained yet"),
        ("drawn with", f"temperature {config.temperature:g}"),
        ("recognition", f"best path, {config.change_cost:g} nat for a change" if config.change_cost else "best each"),
    ]
    return [Table("Model", rows), codebook_table(model.transcoder.quantizer.books)]


def config_facts(config: CtapConfig) -> list[Table]:
    """A table of a model that is not trained yet."""
    with torch.device("meta"):
        model = CtapModel(config)
    return [Table("Model", _rows(model))]


def _rows(model: CtapModel) -> list[tuple[str, str]]:
    config, part = model.config, model.transcoder
    parts = {
        "speech encoder": part.speech_encoder, "phoneme encoder": part.phoneme_encoder,
        "voice encoder": part.voice_encoder, "speech decoder": part.speech_decoder,
        "phoneme decoder": part.phoneme_decoder, "connector": model.connector, "durations": model.durations,
    }  # fmt: skip
    sizes = config.transcoder
    return [
        *spec_rows(config.spec),
        ("samples to a token", f"{config.hop}"),
        ("beside the tokens", f"a voice of {config.voice_size} numbers a clip"),
        ("window", f"{sizes.window} tokens, {sizes.margin} of them context on either side"),
        *parameter_rows(parts),
    ]
