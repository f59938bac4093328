"""SHA-256 of training batches of every kind, to compare with those of another version of the code.

Each kind of batch is drawn at tiny size from real recordings: WAV-like FLAC, Ogg Opus, at their own sample rate and
resampled, with a recording that is listed twice, for one process and for the first and last of several. The digests of
another commit are made by running this script there.
"""

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from anchors import RESULTS, main, record
from rich.console import Console
from torch import Tensor

from vocable.audio import Audio
from vocable.data.crops import CropConfig, Crops
from vocable.data.manifest import Utterance, read_manifest
from vocable.data.targets import TargetCache
from vocable.systems.ctap.recipe import paper as ctap_paper
from vocable.systems.ctap.recipe import tiny as ctap_tiny
from vocable.systems.supervised.data import UtteranceConfig, UtteranceData
from vocable.systems.supervised.recipe import tiny as supervised_tiny
from vocable.systems.taste.data import TasteBatchConfig, TasteData
from vocable.systems.vqalattent.data import ImageConfig, Images
from vocable.systems.vqalattent.recipe import tiny as vqalattent_tiny
from vocable.text.subword_tokenizers import BytePairTokenizer

_SETS = ("read_librispeech", "read_librispeech_tc5", "emo_emodb_de", "digits_fsdd", "tts_kathleen")
_WORLDS = (1, 2, 4)
_LATER = ("letters", "num_letters")  # fields of batches that came after the first digests; left out where all are 0


class Level:
    """Stand-in for a teacher: the level of each frame, or of a recording, by additions alone.

    Args:
        sample_rate: Sample rate in Hz.
        frame_rate: Frames per second; None for one vector.
        width: Dimension of a frame.
        ids: Whether frames are ids in [0, width).
    """

    def __init__(self, sample_rate: int, frame_rate: float | None, width: int, *, ids: bool = False) -> None:
        self.name = self.digest = f"level-{sample_rate}-{frame_rate}-{width}-{ids}"
        self.sample_rate, self.frame_rate, self.width, self._ids = sample_rate, frame_rate, width, ids

    def extract(self, clip: Audio) -> Tensor:
        """Return the level, repeated to the width."""
        hop = clip.samples.size if self.frame_rate is None else round(self.sample_rate / self.frame_rate)
        samples = np.pad(np.abs(clip.samples), (0, -clip.samples.size % hop)).reshape(-1, hop)
        levels = torch.from_numpy(samples.mean(axis=1))
        if self._ids:
            return (levels.clamp(max=0.999) * self.width).long()
        rows = levels[:, None] * (torch.arange(self.width) + 1.0)
        return rows[0] if self.frame_rate is None else rows


def batches(
    data: Annotated[Path, typer.Argument(help="Folder of the sets of recordings, each with a manifest.jsonl.")],
    steps: Annotated[int, typer.Option(min=1, help="Steps of each kind.")] = 200,
    clips: Annotated[int, typer.Option(min=1, help="Recordings of each set.")] = 12,
    kind: Annotated[list[str] | None, typer.Option(help="Kind of batches; repeat for several. Default: all.")] = None,
    against: Annotated[Path | None, typer.Option(help="Result of another version to compare with.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the result file.")] = RESULTS,
) -> None:
    """Draw the batches of every kind and write their digests."""
    console = Console()
    utterances = _utterances(data, clips)
    with tempfile.TemporaryDirectory() as folder:
        kinds = dict(_kinds(utterances, Path(folder)))
        values = {name: _digests(kinds[name](), steps) for name in kind or kinds}
    for name, digests in values.items():
        console.print(name, " ".join(digest[:12] for digest in digests.values()), markup=False)
    target = record(
        "batches", folder=out, data={"sets": _SETS, "clips_each": clips, "n": len(utterances), "excluded": 0}, seed=0,
        steps=steps, worlds=_WORLDS, values=values,
    )  # fmt: skip
    console.print(f"written: {target}", markup=False)
    if against is not None:
        before = json.loads(against.read_text(encoding="utf-8"))["values"]
        different = [name for name, digests in values.items() if digests != before[name]]
        console.print(f"{len(values) - len(different)} of {len(values)} kinds are equal; different: {different}")
        if different:
            raise typer.Exit(1)


def _utterances(data: Path, clips: int) -> list[Utterance]:
    """Return the first recordings of each set, with an alignment of equal lengths for two of three, and one twice."""
    found = [one for name in _SETS for one in read_manifest(data / name / "manifest.jsonl", "train")[:clips]]
    found.append(found[0])
    return [one if index % 3 == 2 else _aligned(one, index) for index, one in enumerate(found)]


def _aligned(utterance: Utterance, seed: int) -> Utterance:
    symbols = ("SIL", "AA", "K", "IY", "S", "T")
    duration = Audio.read(utterance.audio_path).duration
    count = 3 + seed % 7
    ends = [duration * (number + 1) / count for number in range(count)]
    rows = [[symbols[(seed + number) % 6], end - duration / count, end] for number, end in enumerate(ends)]
    text = utterance.text or "good morning"
    return utterance.model_copy(update={"text": text, "extra": utterance.extra | {"alignment": rows}})


def _kinds(utterances: Sequence[Utterance], folder: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    plain = [one.model_copy(update={"extra": {"digit": one.extra.get("digit", 10)}}) for one in utterances]
    texts = [one.model_copy(update={"text": one.text or "good morning", "extra": {}}) for one in utterances]
    crops = CropConfig(batch_size=8, frames=50)

    def taught(clips: Sequence[Utterance] = plain, **extractors: Level) -> Crops:
        targets = {name: TargetCache(one, folder / name) for name, one in extractors.items()}
        return Crops(clips, crops, sample_rate=16_000, hop=320, targets=targets)

    flac = [one for one in plain if one.audio_path.suffix == ".flac"]  # decoded alike by every processor
    yield "flac", lambda: taught(flac)
    yield "flac-frames", lambda: taught(flac, semantic=Level(16_000, 50.0, 3), acoustic=Level(16_000, None, 4))
    yield "crops-16k", lambda: Crops(plain, crops, sample_rate=16_000, hop=320)
    yield "crops-8k", lambda: Crops(plain, crops, sample_rate=8_000, hop=64)
    yield "crops-vectors", lambda: taught(acoustic=Level(16_000, None, 4))
    yield "crops-frames", lambda: taught(semantic=Level(16_000, 50.0, 3), acoustic=Level(16_000, None, 4))
    ctap = ctap_tiny()
    yield "ctap-8k", lambda: ctap.material_of(utterances)
    paper = ctap_paper()
    yield "ctap-24k", lambda: replace(paper, batches=replace(paper.batches, batch_size=4)).material_of(utterances)
    supervised = supervised_tiny()
    yield (
        "supervised",
        lambda: UtteranceData(
            plain, UtteranceConfig(batch_size=4), supervised.model,
            TargetCache(Level(16_000, 50.0, 128), folder / "whisper"),
        ),
    )  # fmt: skip
    yield (
        "taste",
        lambda: TasteData(
            texts, TasteBatchConfig(batch_size=8, speeds=(1.0, 0.9), voice_width=2),
            subword_tokenizer=BytePairTokenizer.train([one.text or "" for one in texts], 96),
            units=Level(16_000, 25.0, 64, ids=True), frames=Level(16_000, 50.0, 6), cache=folder / "taste",
            voice=Level(16_000, None, 2),
        ),
    )  # fmt: skip
    spec = vqalattent_tiny().model.image
    images = ImageConfig(batch_size=8, gain_db=(-9.0, -3.0), warp=0.2, shift=0.1, seed=2)
    yield "vqalattent", lambda: Images(plain, images, spec, ("digit",))


def _digests(material: Any, steps: int) -> dict[str, str]:
    """Return the digest of the batches of all ranks, by the number of ranks; of the last world, of two of its ranks."""
    found = {}
    for world in _WORLDS:
        digest = hashlib.sha256()
        for step in range(steps):
            for rank in range(world) if world < max(_WORLDS) else (0, world - 1):
                _add(digest, material.batch(step, rank, world))
        found[str(world)] = digest.hexdigest()
    return found


def _add(digest: Any, value: Any) -> None:
    """Add a batch, or a part of one, to a digest; of a path its last two parts count."""
    if isinstance(value, Tensor):
        digest.update(f"{value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.contiguous().numpy().tobytes())
    elif isinstance(value, dict):
        for name, one in value.items():
            digest.update(name.encode())
            _add(digest, one)
    elif isinstance(value, str):
        digest.update("/".join(value.split("/")[-2:]).encode())
    elif isinstance(value, tuple):
        for one in value:
            _add(digest, one)
    else:
        for field in fields(value):
            part = getattr(value, field.name)
            if field.name not in _LATER or part.any():
                _add(digest, part)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(batches)
