"""A TASTE that has learnt nothing, with all that it needs in folders, and made-up speech whose words have times."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from tests.models import ready
from tests.systems.taste.made import model_of
from vocable.features.whisper import WhisperEncoder
from vocable.systems import registry as hub
from vocable.systems.taste.config import tiny
from vocable.systems.taste.model import UnitPrediction
from vocable.systems.taste.tokenizer import TasteTokenizer
from vocable.systems.units import find_units
from vocable.testing import speechlike
from vocable.text.subword_tokenizers import BytePairTokenizer
from vocable.text.subwords import Subwords

PHONES = {
    "the": "DH AH", "dog": "D AO G", "is": "IH Z", "there": "DH EH R", "who": "HH UW", "then": "DH EH N",
    "she": "SH IY", "sees": "S IY Z", "it": "IH T",
}  # fmt: skip
TEXTS = ("the dog is there", "who sees the dog then", "she is there", "then she sees it", "is it there")
RATE = 16_000
PHONE, PAUSE = 0.08, 0.2  # seconds


def write_weights(folder: Path) -> Path:
    """A folder of pretrained parts with a Whisper of random weights."""
    torch.manual_seed(0)
    (folder / "whisper-tiny.en").mkdir(parents=True)
    state = {f"encoder.{name}": value for name, value in WhisperEncoder(width=128, depth=2).state_dict().items()}
    save_file(state, folder / "whisper-tiny.en" / "encoder.safetensors")
    return folder


def little(codec: Path, **changes: Any) -> TasteTokenizer:
    """Random weights; its units are the first level of a small codec, which is written to a folder if it is not there.

    Args:
        codec: The folder.
        changes: Of the tiny configuration.
    """
    if not codec.exists():
        ready("spectral").save(codec)
    subword_tokenizer = BytePairTokenizer.train(TEXTS, 40)
    encoder = WhisperEncoder.load("openai/whisper-tiny.en").spec
    config = tiny(encoder, find_units(str(codec), hub.load).spec, subword_tokenizer.to_json(), subword_tokenizer.size)
    return TasteTokenizer(model_of(replace(config, **changes)), find=hub.load)


def line_of(number: int, text: str) -> dict[str, Any]:
    """A manifest's line whose words follow each other between two pauses."""
    words = [PHONES[word].split() for word in text.split()]
    phones = [phone for word in words for phone in word]
    times = [["SIL", 0.0, PAUSE]]
    times += [[phone, PAUSE + at * PHONE, PAUSE + (at + 1) * PHONE] for at, phone in enumerate(phones)]
    end = 2 * PAUSE + len(phones) * PHONE
    return {
        "audio_path": f"{number}.flac", "speaker": f"s{number % 3}", "split": "dev", "text": text, "duration": end,
        "phones": words, "alignment": [*times, ["SIL", end - PAUSE, end]],
    }  # fmt: skip


def write_corpus(folder: Path, texts: Sequence[str] = (*TEXTS, TEXTS[0])) -> Path:
    """A manifest of speech-like sounds of three speakers; the first text is said twice."""
    lines = [line_of(number, text) for number, text in enumerate(texts)]
    for number, line in enumerate(lines):
        speechlike(round(line["duration"] * RATE), seed=number).write(folder / f"{number}.flac")
    manifest = folder / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return manifest


def look_of(logits: torch.Tensor, units: Sequence[int], weights: torch.Tensor | None = None) -> UnitPrediction:
    """Return a prediction of the two words "this is", of three subwords."""
    return UnitPrediction(
        subwords=Subwords(ids=(5, 6, 7), word_ids=(0, 0, 1), texts=("th", "is", "is")), units=torch.tensor(units),
        logits=logits, text=torch.ones(3, 4), acoustic=torch.full((3, 4), 0.5), attention=weights, durations=None,
    )  # fmt: skip
