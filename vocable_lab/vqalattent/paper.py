"""Evaluation of VQalAttent's paper: a classifier's accuracy (Table I) and TopP&R (Table II).

The classifier is trained on recordings alone. It scores the split's recordings, their reconstructions by the VQ-VAE,
and fakes (generated utterances) of every label. TopP&R compares fakes with recordings of the prior's training speakers
in equal numbers, or with the scored recordings where the manifests have none of those speakers.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float
from torch import Tensor

from vocable.audio import Audio
from vocable.data.manifest import Utterance, read_manifest
from vocable.errors import AudioError, ConfigError
from vocable.evaluate.card import Card, Entry
from vocable.evaluate.codecs.base import Noise
from vocable.evaluate.plan import Plan, common_settings, select_clips, short_names
from vocable.evaluate.runner import Evaluation, ResultRow, Results
from vocable.evaluate.summary import entry_figures
from vocable.files import make_folder
from vocable.metrics.score import Figure, Score, summarize
from vocable.systems import registry as hub
from vocable.systems.base import collate_tokens
from vocable.systems.vqalattent.image import from_unit
from vocable.systems.vqalattent.tokenizer import VqalattentTokenizer
from vocable.tokens import Tokens
from vocable_lab.vqalattent.classifier import find_classifier
from vocable_lab.vqalattent.figures import (
    ACCURACY,
    COLUMNS,
    PAPER,
    SUPPORT,
    TABLE_I,
    TABLE_II,
    distributions,
    memorization,
    variety,
)
from vocable_lab.vqalattent.pictures import GeneratedSpeech, pictures, samples

_FAKES = 500  # fakes of each label; as many times the number of labels without a label
_BATCH_SIZE = 50  # fakes of one item
_NOISE = "noise"
_MIN_OVER_CHANCE = 3.0  # accuracy on recordings, over chance, under which a classifier is no scorer


@dataclass(frozen=True, kw_only=True)
class _FakeBatch:
    """Fakes of one tokenizer and label that are sampled together.

    Attributes:
        name: Name of the tokenizer.
        label: Label asked for; None asks for nothing.
        first: Index of the first one among the fakes of its label.
        count: Number of fakes.
    """

    name: str
    label: str | None
    first: int
    count: int

    @property
    def item(self) -> str:
        """Key of the item."""
        return f"{self.count} fakes of {self.name}, {self.label or 'anything'}, from {self.first}"

    @property
    def entry(self) -> str:
        """Name of the tokenizer and condition that the batch's row belongs to."""
        return self.name if self.label is not None else f"{self.name}, nothing asked"


class VqalattentPaper(Evaluation):
    """Tables I and II of one or more tokenizers; a :class:`~vocable.evaluate.runner.Evaluation`.

    Args:
        plan: Tokenizers, manifests, split, ``limit`` (of recordings, and of the fakes of each label) and seed.
        out: Folder in which fakes are kept as token files.

    Raises:
        ConfigError: If the recordings, or the classifier's images, do not fit the tokenizers.
        CheckpointError: If a prior is not trained, or was trained on another codebook.
    """

    takes_several: ClassVar[bool] = True

    def __init__(self, plan: Plan, out: Path) -> None:
        self.plan, self.out = plan, out
        self.tokenizers: dict[str, VqalattentTokenizer] = {
            name: hub.load_as(source, VqalattentTokenizer, beam=plan.beam)
            for name, source in short_names(plan.tokenizers).items()
        }
        first = next(iter(self.tokenizers.values()))
        for name, tokenizer in self.tokenizers.items():
            tokenizer.model.check_prior()
            if tokenizer.config.image != first.config.image:
                raise ConfigError(
                    f"{name}: its images are {tokenizer.config.image}, not {first.config.image}; evaluate it alone"
                )
        self.key = next(iter(first.labels), "digit")
        self.clips = {name: one for name, one in select_clips(plan).items() if one.value(self.key) is not None}
        if not self.clips:
            raise ConfigError(f"no recording of the split has a '{self.key}'; add it to the manifest")
        self.training = _training_recordings(
            first, [one for manifest in plan.manifests for one in read_manifest(manifest)], self.key
        )
        self.classifier, self.classifier_source = find_classifier(
            hub.folder_of(plan.tokenizers[0]), self.training, first.config.image, self.key, out, seed=plan.seed
        )
        self.batches = {batch.item: batch for batch in self._batches()}

    def items(self) -> Sequence[str]:
        """Return the recordings, then the batches of fakes."""
        return [*(f"clip {key}" for key in self.clips), *self.batches]

    def work(self, item: str) -> Sequence[ResultRow]:
        """Return the rows of one recording or batch of fakes."""
        return self._fakes(item) if item in self.batches else self._clip(item)

    def settings(self) -> dict[str, Any]:
        """Return everything that the rows depend on."""
        digests = {name: tokenizer.digest for name, tokenizer in self.tokenizers.items()}
        return common_settings(self.plan, self.clips, digests) | {
            "task": "vqalattent paper",
            "classifier": self.classifier_source,
            "fakes": sum(batch.count for batch in self.batches.values()),
            "vocoder": next(iter(self.tokenizers.values())).vocoder.name,
        }

    def card(self, results: Results) -> Card:
        """Return both tables with reported beside measured values, the other figures, and pictures."""
        entries, shown = [], []
        for batch in {batch.entry: batch for batch in self.batches.values()}.values():
            tokenizer, has_label = self.tokenizers[batch.name], batch.label is not None
            rows = [row for row in results.rows if row.entry == batch.entry]
            batches = [self.batches[row.item] for row in rows if row.item in self.batches]
            if not batches:
                continue
            fakes = collate_tokens([Tokens.read(self._file(part.item)) for part in batches])
            labels = [part.label for part in batches for _ in range(part.count)]
            predicted = [label for row in rows for label in row.extra.get("predicted", ())]
            found = self._figures(tokenizer, rows, fakes, predicted, labels)
            entries.append(self._entry(batch, tokenizer, found, len(fakes)))
            if has_label or not tokenizer.labels:
                names = [label or prediction for label, prediction in zip(labels, predicted, strict=True)]
                shown.append(GeneratedSpeech(name=batch.name, tokenizer=tokenizer, clips=self.clips, key=self.key,
                                             fakes=fakes, labels=names))  # fmt: skip
        noisy = entry_figures([row for row in results.rows if row.entry == _NOISE], ACCURACY, self.plan.seed)
        note = "the recordings of the split in noise at −5 dB SNR"
        entries.append(Entry(name=_NOISE, kind="anchor", family=_NOISE, note=note, figures=noisy))
        return Card(
            title=f"{' and '.join(self.tokenizers)}: the paper's tables", lead=self._lead(),
            columns=[column for column in COLUMNS if any(column.key in entry.figures for entry in entries)],
            entries=entries, samples=[sample for speech in shown for sample in samples(speech)],
            alarms=self._alarms(entries), quarantined=results.quarantined, settings=self.settings(),
            left_out=() if self.training else (f"no recording of {self._voices()}: TopP&R takes the scored ones",),
            pictures=[picture for speech in shown for picture in pictures(speech)],
        )  # fmt: skip

    # ---- rows -----------------------------------------------------------------------------------------------------

    def _clip(self, item: str) -> list[ResultRow]:
        utterance = self.clips[item.removeprefix("clip ")]
        target, clip = utterance.value(self.key), Audio.read(utterance.audio_path)
        rows = []
        for name, tokenizer in self.tokenizers.items():
            images = {
                "real_accuracy": tokenizer.image(clip)[None],
                "reconstruction_accuracy": tokenizer.decode_images(tokenizer.encode(clip)),
            }
            scores = {key: Score(float(self._predict(tokenizer, one) == [target])) for key, one in images.items()}
            rows.append(ResultRow(entry=name, item=item, scores=scores))
        noisy = tokenizer.image(Noise(self.plan.seed).code(clip, item).audio)[None]
        noise_score = Score(float(self._predict(tokenizer, noisy) == [target]))
        return [*rows, ResultRow(entry=_NOISE, item=item, scores={"real_accuracy": noise_score})]

    def _fakes(self, item: str) -> list[ResultRow]:
        batch = self.batches[item]
        tokenizer = self.tokenizers[batch.name]
        labels = dict.fromkeys(tokenizer.labels) if batch.label is None else {self.key: batch.label}
        seed = int(np.random.SeedSequence([self.plan.seed, *item.encode()]).generate_state(1)[0])
        tokens = tokenizer.sample([labels] * batch.count, seed=seed)
        make_folder(self.out / "fakes")
        tokens.write(self._file(item))
        predicted = self._predict(tokenizer, tokenizer.decode_images(tokens))
        return [ResultRow(entry=batch.entry, item=item, extra={"predicted": predicted})]

    def _predict(self, tokenizer: VqalattentTokenizer, images: Float[Tensor, "B F S"]) -> list[str]:
        """Return the classifier's label of each image in [0, 1]."""
        return self.classifier.predict(from_unit(images, tokenizer.model.bounds))

    def _batches(self) -> list[_FakeBatch]:
        """Return the batches of fakes of every tokenizer and label."""
        found = []
        for name, tokenizer in self.tokenizers.items():
            labels = tokenizer.labels.get(self.key, ())
            kinds: list[tuple[str | None, int]] = [(label, _FAKES) for label in labels]
            if not labels or tokenizer.config.prior.label_dropout:
                kinds.append((None, _FAKES * max(10, len(labels))))
            for label, count in kinds:
                most = count if self.plan.limit is None else min(count, self.plan.limit * (count // _FAKES))
                found += [
                    _FakeBatch(name=name, label=label, first=first, count=min(_BATCH_SIZE, most - first))
                    for first in range(0, most, _BATCH_SIZE)
                ]
        return found

    def _file(self, item: str) -> Path:
        return self.out / "fakes" / f"{''.join(one if one.isalnum() else '-' for one in item)}.tokens"

    # ---- figures --------------------------------------------------------------------------------------------------

    def _figures(
        self, tokenizer: VqalattentTokenizer, rows: Sequence[ResultRow], fakes: Tokens, predicted: Sequence[str],
        labels: Sequence[str | None],
    ) -> dict[str, Figure]:  # fmt: skip
        found = entry_figures(rows, ACCURACY, self.plan.seed)
        if labels[0] is not None:
            correct = [Score(float(one == label)) for one, label in zip(predicted, labels, strict=True)]
            found["conditional_accuracy"] = summarize(correct, seed=self.plan.seed)
        real, kept = self._encode(tokenizer, self._reference)
        found |= distributions(tokenizer, real, fakes, self.plan.seed)
        found |= variety(tokenizer, fakes, predicted, real, [one.value(self.key) or "" for one in kept])
        voices = [one.speaker or "unknown" for one in kept]
        return found | (memorization(tokenizer, fakes, real, voices, self.plan.seed) if self.training else {})

    def _encode(self, tokenizer: VqalattentTokenizer, clips: Sequence[Utterance]) -> tuple[Tokens, list[Utterance]]:
        """Encode the recordings that can be used; return their tokens and their lines."""
        kept, found = [], []
        for clip in clips:
            try:
                found.append(tokenizer.encode(Audio.read(clip.audio_path)))
            except AudioError:
                continue
            kept.append(clip)
        return collate_tokens(found), kept

    def _entry(
        self, batch: _FakeBatch, tokenizer: VqalattentTokenizer, found: Mapping[str, Figure], fakes: int
    ) -> Entry:
        image, ids, has_label = tokenizer.config.image, tokenizer.config.frames, batch.label is not None
        values = image.bins * image.frames // ids
        reported: dict[str, tuple[float, str]] = {}
        if values in TABLE_I:
            first = dict(zip([column.key for column in ACCURACY], TABLE_I[values], strict=True))
            both = (first if has_label else {}) | dict(zip(SUPPORT, TABLE_II[values, has_label], strict=True))
            reported = {key: (value, PAPER) for key, value in both.items() if key in found}
        return Entry(
            name=batch.entry, kind="tokenizer", family=batch.name, figures=found, reported=reported,
            note=f"{values} image values to an id, {ids} ids; {fakes} fakes; recordings of "
            f"{_speakers(self.clips.values())}, classifier {self.classifier_source}; {tokenizer.digest[:19]}",
        )  # fmt: skip

    @cached_property
    def _reference(self) -> list[Utterance]:
        """Recordings that fakes are compared with: of the training speakers, else the scored ones."""
        available = self.training or list(self.clips.values())
        if self.plan.limit is None:
            return available
        count = min(len(available), 10 * self.plan.limit)
        return [available[at] for at in np.unique(np.linspace(0, len(available) - 1, count).round().astype(int))]

    def _lead(self) -> str:
        speakers, against = _speakers(self.clips.values()), _speakers(self._reference)
        return (
            f"{len(self.clips)} recordings of {speakers} scored; the classifier was {self.classifier_source}. TopP&R "
            f"against {len(self._reference)} recordings of {against}, in the space of flattened codebook vectors "
            "unless a column names another. Reported figures are of another corpus: compare their order alone."
        )

    def _voices(self) -> str:
        return ", ".join(next(iter(self.tokenizers.values())).labels.get("speaker", ())) or "the train split"

    def _alarms(self, entries: Sequence[Entry]) -> list[str]:
        """Return an alarm if the classifier fails on recordings."""
        accuracy = next(entry.figures["real_accuracy"].mean for entry in entries if "real_accuracy" in entry.figures)
        if accuracy >= _MIN_OVER_CHANCE / len(self.classifier.config.labels):
            return []
        return [f"anchor off: the classifier recognizes {accuracy:.1%} of the recordings; its figures mean nothing"]


def _speakers(clips: Iterable[Utterance]) -> str:
    return ", ".join(sorted({one.speaker or "unknown" for one in clips}))


def _training_recordings(tokenizer: VqalattentTokenizer, utterances: Sequence[Utterance], key: str) -> list[Utterance]:
    """Return recordings of the prior's speakers, or of the train split where it has no speaker condition."""
    voices = set(tokenizer.labels.get("speaker", ()))
    labeled = [one for one in utterances if one.value(key) is not None]
    return [one for one in labeled if (one.speaker in voices if voices else one.split == "train")]
