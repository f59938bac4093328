"""What VQalAttent tells of itself."""

from math import log2

import torch

from vocable.systems.describe import Table, codebook_table, parameter_rows, spec_rows
from vocable.systems.vqalattent.config import VqalattentConfig
from vocable.systems.vqalattent.model import VqalattentModel


def model_facts(model: VqalattentModel, *, digest: str, vocoder: str) -> list[Table]:
    """Tables of a trained model: sizes, what may be asked of it, its codebook as training left it."""
    low, high = model.bounds.tolist()
    rows = [
        ("digest", digest),
        *parameter_rows({"VQ-VAE": model.vqvae, "prior": model.prior}),
        *_utterance_rows(model.config),
        ("scale", f"{low:.1f} to {high:.1f} dB"),
        ("speech lasts", f"{float(model.typical):.3f} s on average"),
        ("vocoder", vocoder),
        (
            "drawn with",
            f"temperature {model.config.prior.temperature:g}, top-p {model.config.prior.top_p:g}, "
            f"guidance {model.config.prior.guidance:g}",
        ),
        ("prior", "trained" if int(model.prior_of) else "not trained yet"),
    ]
    asked = [(key, ", ".join(model.config.labels.get(key, ()))) for key in model.config.prior.conditions]
    tables = [Table("Model", rows), codebook_table(model.vqvae.quantizer.books)]
    return [*tables, Table("May be asked for", asked)] if asked else tables


def config_facts(config: VqalattentConfig) -> list[Table]:
    """A table of a model that is not trained yet."""
    with torch.device("meta"):
        model = VqalattentModel(config)
    return [Table("Model", [*_utterance_rows(config), *parameter_rows({"VQ-VAE": model.vqvae, "prior": model.prior})])]


def _utterance_rows(config: VqalattentConfig) -> list[tuple[str, str]]:
    rows, columns = config.grid
    image, bits = config.image, log2(config.vqvae.codebook_size)
    return [
        *spec_rows(config.spec),
        ("picture", f"{image.bins} mel × {image.frames} spectra of {image.n_fft} samples, {image.duration:.2f} s"),
        ("ids of an utterance", f"{config.frames} ({rows} × {columns}), {config.frames * bits:.0f} bit"),
        ("picture values to an id", f"{image.bins * image.frames / config.frames:g}"),
    ]
