"""Dev split of a run in training: batches for the losses, and clips whose reconstructions are measured."""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from vocable.audio import Audio
from vocable.data.manifest import Utterance, read_manifest
from vocable.errors import ManifestError, VocableError
from vocable.evaluate.pictures import mel_power
from vocable.evaluate.plan import spread_evenly
from vocable.metrics.spectral import log_mel_distance
from vocable.shares import split_shares
from vocable.train.objective import Batches
from vocable.train.run import OpenValidation, Run
from vocable.train.validation import Listening

SPLIT = "dev"
_MAX_CLIPS = 64  # of the batches
_MAX_HEARD = 6  # clips that are encoded and decoded
_MAX_SECONDS = 15.0  # of such a clip
_BATCHES = 2
_RANGE_DB = 80.0  # of the pictures


class DevSplit:
    """Clips of the split ``dev``; see :class:`vocable.train.validation.Validation`.

    Args:
        utterances: Utterances of the split.
        batches: Batches for the losses; None where the split has none.
        load: Function that loads a model's folder; None for runs whose model is no tokenizer.
    """

    def __init__(
        self, utterances: Sequence[Utterance], batches: Batches | None, load: Callable[[str], Any] | None
    ) -> None:
        self.batches, self.num_batches, self._load = batches, _BATCHES, load
        self._heard = spread_evenly(utterances, _MAX_HEARD)
        self._has_recordings = False  # in TensorBoard

    @classmethod
    def opener(cls, manifests: Sequence[str | os.PathLike[str]], load: Callable[[str], Any],
               say: Callable[[str], None]) -> OpenValidation:  # fmt: skip
        """Return the function that opens the dev split of a run's manifests.

        Args:
            manifests: Paths of the run's manifests.
            load: Function that loads a model's folder.
            say: Function that gets a line if the split has no recording or cannot be batched.
        """

        def open_split(run: Run, material: Any) -> DevSplit | None:
            if run.train.eval_every == 0:
                return None
            utterances: list[Utterance] = []
            for manifest, _ in split_shares(manifests):
                with suppress(ManifestError):  # this one has no such split
                    utterances += read_manifest(manifest, SPLIT)
            if not utterances:
                say(f"no line of the manifests has the split {SPLIT}, so training is not evaluated on it")
                return None
            try:
                batches = run.validation_material(spread_evenly(utterances, _MAX_CLIPS), material)
            except VocableError as error:
                say(f"split {SPLIT}: no losses are measured on it: {error}")
                batches = None
            return cls(utterances, batches, load if run.makes_tokenizer else None)

        return open_split

    def listen(self, model: Path) -> Listening:
        """Return the log-mel distance of clips to their reconstructions, and both for listening."""
        if self._load is None:
            return Listening()
        values: list[float] = []
        sounds: dict[str, tuple[Float[ndarray, " T"], int]] = {}
        images: dict[str, Float[ndarray, "H W"]] = {}
        problems = []
        try:
            tokenizer = self._load(str(model))
        except VocableError as error:
            return Listening(problems=[f"the model cannot be listened to: {error}"])
        rate = tokenizer.spec.sample_rate
        for number, utterance in enumerate(self._heard, 1):
            try:
                clip = Audio.read(utterance.audio_path, rate)
                clip = Audio(clip.samples[: int(_MAX_SECONDS * rate)], rate)
                decoded = tokenizer.decode(tokenizer.encode(clip, utterance.text)).resample(rate)
            except VocableError as error:
                problems.append(f"{utterance.audio_path} cannot be judged: {error}")
                continue
            score = log_mel_distance(clip.samples, decoded.samples, rate)
            if np.isfinite(score.value):
                values.append(score.value)
            for name, audio in (("recording", clip), ("decoded", decoded)):
                if name == "decoded" or not self._has_recordings:
                    sounds[f"{number}/{name}"] = audio.samples, rate
                    images[f"{number}/{name}"] = _draw(audio)
        self._has_recordings = True
        means = {"log_mel_distance": float(np.mean(values))} if values else {}
        return Listening(values=means, sounds=sounds, images=images, problems=problems)


def _draw(audio: Audio) -> Float[ndarray, "H W"]:
    """Return the log-mel spectrum of a clip as a gray image, low frequencies at the bottom."""
    power = np.asarray(mel_power(audio), dtype=np.float32).T[::-1]
    decibels = 10.0 * np.log10(np.maximum(power, 1e-10) / max(float(power.max()), 1e-10))
    image: Float[ndarray, "H W"] = np.clip(1.0 + decibels / _RANGE_DB, 0.0, 1.0)
    return image
