"""A VQ-CTAP that knows nothing, one that knows everything, and made-up speech whose samples say which phoneme it is."""

import json
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vocable import recipes
from vocable.audio import Audio
from vocable.data.alignment import Alignment, Segment
from vocable.systems.ctap.networks import CtapModel
from vocable.systems.ctap.tokenizer import CtapTokenizer
from vocable.testing import speechlike

PHONES = (
    "HH", "AH", "L", "OW", "W", "ER", "L", "D", "G", "UH", "D", "M", "AO", "R", "N", "IH", "NG", "S", "P", "IY", "CH",
)  # fmt: skip
RATE = 8_000
LENGTH = 0.08  # seconds of a phoneme


def little(trained: bool = False) -> CtapTokenizer:
    """Random weights; if asked, as if connector and durations were trained."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = CtapModel(recipes.find("ctap-tiny").model)
        model.transcoder.quantizer.codebooks[0].entries.normal_()  # which begin on a first batch
    model.trained.fill_(int(trained))
    return CtapTokenizer(model, "griffin-lim")


class Oracle(CtapTokenizer):
    """Hears the phoneme in the samples and puts every frame where the phoneme encoder puts it."""

    def __init__(self) -> None:
        super().__init__(CtapModel(recipes.find("ctap-tiny").model), "griffin-lim")

    def latents(self, audio: Audio) -> Tensor:
        each = self.config.mel.hop
        spectra = np.pad(audio.samples, (0, -audio.samples.size % self.config.hop))[each // 2 :: each]
        return self.phoneme_latents(torch.from_numpy(np.round(spectra * 100)).long())

    def phoneme_latents(self, phonemes: Tensor) -> Tensor:
        """What is said, and a place of its own for every frame of every sequence of phonemes."""
        tokens = phonemes[:: self.config.transcoder.reduction]
        own = torch.Generator().manual_seed(zlib.crc32(phonemes.numpy().tobytes()))
        return torch.cat([torch.nn.functional.one_hot(tokens, 40), torch.randn(len(tokens), 60, generator=own)], 1)[
            None
        ]


def phones_of(number: int) -> list[str]:
    """Of an utterance of this number: the same phones in another order."""
    return np.random.default_rng(number).permutation(PHONES).tolist()


def alignment(phones: Sequence[str]) -> Alignment:
    """Silence, the phones one behind the other, silence."""
    symbols = ["SIL", *phones, "SIL"]
    return Alignment(tuple(Segment(one, at * LENGTH, (at + 1) * LENGTH) for at, one in enumerate(symbols)))


def telling(tokenizer: CtapTokenizer, phones: Sequence[str]) -> Audio:
    """Sound whose samples are the phonemes' ids."""
    ids = np.array(tokenizer.phonemes.ids(["SIL", *phones, "SIL"]))
    return Audio(np.repeat(ids, round(LENGTH * RATE)).astype(np.float32) / 100, RATE)


def write_corpus(folder: Path, speakers: int = 4, clips: int = 2, splits: Sequence[str] = ("test",)) -> Path:
    """A manifest of speech-like sounds with made-up alignments; splits take turns."""
    lines = []
    for number in range(speakers * clips):
        phones = phones_of(number)
        speechlike(round((len(phones) + 2) * LENGTH * RATE), sample_rate=RATE, seed=number).write(
            folder / f"{number}.flac"
        )
        lines.append({
            "audio_path": f"{number}.flac", "speaker": f"s{number % speakers}", "split": splits[number % len(splits)],
            "gender": "female" if number % 2 else "male", "text": "hello world", "duration": (len(phones) + 2) * LENGTH,
            "alignment": alignment(phones).values(), "emotion": "sad" if number < speakers else "angry",
        })  # fmt: skip
    manifest = folder / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return manifest
