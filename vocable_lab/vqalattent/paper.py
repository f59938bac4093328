"""Evaluation of VQalAttent's paper: a classifier's accuracy (Table I) and TopP&R (Table II).

The classifier is trained on recordings alone. It scores the split's recordings, their reconstructions by the VQ-VAE,
and fakes (generated utterances) of every label: as the model is used, and as in the paper with the label alone and
without guidance. TopP&R compares fakes with recordings of the prior's training speakers in equal numbers, or with the
scored recordings where the manifests have none of those speakers. Recordings of these speakers are scored like fakes:
the ceiling in the voices that the fakes have.
"""

from collections.abc import Iterable, Mapping, Sequence
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
from vocable.evaluate.plan import Plan, common_settings, select_clips, short_names, spread_evenly
from vocable.evaluate.runner import Evaluation, ResultRow, Results
from vocable.evaluate.summary import entry_figures
from vocable.files import make_folder
from vocable.metrics.score import Figure, Score, summarize
from vocable.systems import registry as hub
from vocable.systems.base import collate_tokens
from vocable.systems.vqalattent.image import from_unit
from vocable.systems.vqalattent.tokenizer import VqalattentTokenizer
from vocable.tokens import Tokens
from vocable_lab.vqalattent.classifier import Classifier, find_classifier
from vocable_lab.vqalattent.fakes import Condition, FakeBatch, attributes, fake_batches, paper_condition, why_not_told
from vocable_lab.vqalattent.figures import (
    ACCURACY,
    ATTRIBUTES,
    COLUMNS,
    PAPER,
    ROW_COLUMNS,
    SUPPORT,
    TABLE_I,
    TABLE_II,
    codebook_use,
    distributions,
    exponential,
    memorization,
    select_rows,
    variety,
)
from vocable_lab.vqalattent.pictures import GeneratedSpeech, pictures, samples

_NOISE = "noise"
_MAX_VOICES = 300  # recordings in the fakes' voices that the classifier scores
_MIN_OVER_CHANCE = 3.0  # accuracy on recordings, over chance, under which a classifier is no scorer


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
        self._references: dict[str, tuple[Tokens, list[Utterance]]] = {}
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
        self.batches = {
            batch.item: batch
            for name, tokenizer in self.tokenizers.items()
            for batch in fake_batches(name, tokenizer, self.key, plan.limit)
        }
        spoken = spread_evenly(self._reference, _MAX_VOICES) if self.training else []
        self.voices = {f"voice {at}": one for at, one in enumerate(spoken)}
        unanswered = {key: reason for key in ATTRIBUTES if (reason := why_not_told(self.training, key))}
        self._attributes = {
            name: [key for key in attributes(tokenizer, self.key) if key not in unanswered]
            for name, tokenizer in self.tokenizers.items()
        }
        asked = {key for tokenizer in self.tokenizers.values() for key in attributes(tokenizer, self.key)}
        self.left_out = [reason for key, reason in unanswered.items() if key in asked]
        if not self.training:
            self.left_out.append(f"no recording of {self._voices()}: TopP&R takes the scored ones")
        self._judges = {
            key: find_classifier(
                hub.folder_of(plan.tokenizers[0]), self.training, first.config.image, key, out, seed=plan.seed
            )[0]
            for key in dict.fromkeys(key for keys in self._attributes.values() for key in keys)
        }

    def items(self) -> Sequence[str]:
        """Return the recordings, those of the voices of fakes, then the batches of fakes."""
        return [*(f"clip {key}" for key in self.clips), *self.voices, *self.batches]

    def work(self, item: str) -> Sequence[ResultRow]:
        """Return the rows of one recording or batch of fakes."""
        if item in self.batches:
            return self._fakes(item)
        return self._voice(item) if item in self.voices else self._clip(item)

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
            tokenizer = self.tokenizers[batch.name]
            rows = [row for row in results.rows if row.entry in (batch.entry, _of_voices(batch.name))]
            batches = [self.batches[row.item] for row in rows if row.item in self.batches]
            if not batches:
                continue
            fakes = collate_tokens([Tokens.read(self._file(part.item)) for part in batches])
            labels = [part.label for part in batches for _ in range(part.count)]
            predicted = [label for row in rows for label in row.extra.get("predicted", ())]
            found = self._figures(tokenizer, rows, fakes, predicted, labels)
            entries.append(self._entry(batch, tokenizer, found, len(fakes)))
            if batch.condition == "default" or not tokenizer.labels:
                names = [label or prediction for label, prediction in zip(labels, predicted, strict=True)]
                shown.append(GeneratedSpeech(name=batch.name, tokenizer=tokenizer, clips=self.clips, key=self.key,
                                             fakes=fakes, labels=names))  # fmt: skip
        if self.training:
            entries += [self._ceiling(name, results) for name in self.tokenizers]
        noisy = entry_figures([row for row in results.rows if row.entry == _NOISE], ACCURACY, self.plan.seed)
        note = "the recordings of the split in noise at −5 dB SNR"
        entries.append(Entry(name=_NOISE, kind="anchor", family=_NOISE, note=note, figures=noisy))
        return Card(
            title=f"{' and '.join(self.tokenizers)}: the paper's tables", lead=self._lead(),
            columns=[column for column in COLUMNS if any(column.key in entry.figures for entry in entries)],
            entries=entries, samples=[sample for speech in shown for sample in samples(speech)],
            alarms=self._alarms(entries), quarantined=results.quarantined, settings=self.settings(),
            left_out=self.left_out,
            pictures=[picture for speech in shown for picture in pictures(speech)],
        )  # fmt: skip

    # ---- rows -----------------------------------------------------------------------------------------------------

    def _clip(self, item: str) -> list[ResultRow]:
        utterance = self.clips[item.removeprefix("clip ")]
        target, clip = utterance.value(self.key), Audio.read(utterance.audio_path)
        scores: dict[str, dict[str, Score]] = {}
        for name, tokenizer in self.tokenizers.items():
            tokens, image = tokenizer.encode(clip), tokenizer.image(clip)[None]
            scores[name] = self._accuracies(tokenizer, image, tokens, target)
            for key in self._attributes[name]:
                if (value := utterance.value(key)) is not None:
                    heard = self._predict(tokenizer, image, self._judges[key])
                    scores[name][f"{key}_recordings"] = Score(float(heard == [value]))
            for entry, labels in self._known(name, target).items():
                nats = -float(tokenizer.score(tokens, [labels]).mean())
                scores.setdefault(entry, {})["perplexity"] = Score(nats)
        noisy = tokenizer.image(Noise(self.plan.seed).code(clip, item).audio)[None]
        scores[_NOISE] = {"real_accuracy": Score(float(self._predict(tokenizer, noisy) == [target]))}
        return [ResultRow(entry=entry, item=item, scores=found) for entry, found in scores.items()]

    def _voice(self, item: str) -> list[ResultRow]:
        clip, target = Audio.read(self.voices[item].audio_path), self.voices[item].value(self.key)
        rows = []
        for name, tokenizer in self.tokenizers.items():
            found = self._accuracies(tokenizer, tokenizer.image(clip)[None], tokenizer.encode(clip), target)
            scores = {f"voice_{key}": score for key, score in found.items()}
            rows.append(ResultRow(entry=_of_voices(name), item=item, scores=scores))
        return rows

    def _accuracies(
        self, tokenizer: VqalattentTokenizer, image: Float[Tensor, "1 F S"], tokens: Tokens, target: str | None
    ) -> dict[str, Score]:
        """Return whether the classifier recognizes a recording, and its reconstruction, whose error comes with it."""
        images = {"real_accuracy": image, "reconstruction_accuracy": tokenizer.decode_images(tokens)}
        error = Score(float((images["reconstruction_accuracy"] - image).square().mean()))
        accuracies = {key: Score(float(self._predict(tokenizer, one) == [target])) for key, one in images.items()}
        return accuracies | {"picture_error": error}

    def _known(self, name: str, target: str | None) -> dict[str, dict[str, str | None]]:
        """Return the entries whose likelihood of a recording is defined, each with the labels that its prior gets."""
        tokenizer = self.tokenizers[name]
        conditions: dict[Condition, dict[str, str | None]] = {"nothing": {}}
        if target in tokenizer.labels.get(self.key, ()):
            conditions[paper_condition(tokenizer, self.key)] = {self.key: target}
        entries = {batch.condition: batch.entry for batch in self.batches.values() if batch.name == name}
        return {
            entries[condition]: labels for condition, labels in conditions.items() if condition in entries
            and (tokenizer.config.prior.label_dropout or labels.keys() == tokenizer.labels.keys())
        }  # fmt: skip

    def _fakes(self, item: str) -> list[ResultRow]:
        batch = self.batches[item]
        tokenizer = self.tokenizers[batch.name]
        seed = int(np.random.SeedSequence([self.plan.seed, *item.encode()]).generate_state(1)[0])
        drawn = self._attributes[batch.name] if batch.condition == "default" else []
        labels = batch.labels(tokenizer, self.key, drawn, seed)
        guidance = 0.0 if batch.condition == "label alone" else None
        tokens = tokenizer.sample(labels, seed=seed, guidance=guidance)
        make_folder(self.out / "fakes")
        tokens.write(self._file(item))
        images = tokenizer.decode_images(tokens)
        heard = {
            f"{key}_heard": Score(float(np.mean([
                value == row[key]
                for value, row in zip(self._predict(tokenizer, images, self._judges[key]), labels, strict=True)
            ])), weight=float(batch.count)) for key in drawn
        }  # fmt: skip
        return [
            ResultRow(entry=batch.entry, item=item, scores=heard, extra={"predicted": self._predict(tokenizer, images)})
        ]

    def _predict(
        self, tokenizer: VqalattentTokenizer, images: Float[Tensor, "B F S"], judge: Classifier | None = None
    ) -> list[str]:
        """Return the label of each image in [0, 1], by the classifier of labels or another."""
        return (judge or self.classifier).predict(from_unit(images, tokenizer.model.bounds))

    def _file(self, item: str) -> Path:
        return self.out / "fakes" / f"{''.join(one if one.isalnum() else '-' for one in item)}.tokens"

    # ---- figures --------------------------------------------------------------------------------------------------

    def _figures(
        self, tokenizer: VqalattentTokenizer, rows: Sequence[ResultRow], fakes: Tokens, predicted: Sequence[str],
        labels: Sequence[str | None],
    ) -> dict[str, Figure]:  # fmt: skip
        found = entry_figures(rows, ROW_COLUMNS, self.plan.seed)
        if "perplexity" in found:
            found["perplexity"] = exponential(found["perplexity"])
        if labels[0] is not None:
            correct = [Score(float(one == label)) for one, label in zip(predicted, labels, strict=True)]
            found["conditional_accuracy"] = summarize(correct, seed=self.plan.seed)
        real, kept = self._encoded(tokenizer)
        found |= codebook_use(real) | distributions(tokenizer, real, fakes, self.plan.seed)
        found |= variety(tokenizer, fakes, predicted, real, [one.value(self.key) or "" for one in kept])
        voices = [one.speaker or "unknown" for one in kept]
        return found | (memorization(tokenizer, fakes, real, voices, self.plan.seed) if self.training else {})

    def _ceiling(self, name: str, results: Results) -> Entry:
        """Return the figures of recordings of the fakes' voices in the place of fakes: one half against the other."""
        tokenizer, seed = self.tokenizers[name], self.plan.seed
        found = entry_figures([row for row in results.rows if row.entry == _of_voices(name)], ROW_COLUMNS, seed)
        real, kept = self._encoded(tokenizer)
        order = np.random.default_rng(seed).permutation(len(kept))
        first, second = (select_rows(real, np.sort(order[start::2])) for start in (0, 1))
        names = [one.value(self.key) or "" for one in kept]
        found |= distributions(tokenizer, first, second, seed)
        found |= variety(tokenizer, real, names, real, names)
        note = f"{len(kept)} recordings of {_speakers(kept)}: what fakes in their voices can reach; TopP&R and the "
        note += "other distances are of one half of them against the other"
        return Entry(name=_of_voices(name), kind="anchor", family=name, note=note, figures=found)

    def _encoded(self, tokenizer: VqalattentTokenizer) -> tuple[Tokens, list[Utterance]]:
        """Encode the recordings that fakes are compared with, once; return their tokens and their lines."""
        if tokenizer.digest not in self._references:
            kept, found = [], []
            for clip in self._reference:
                try:
                    found.append(tokenizer.encode(Audio.read(clip.audio_path)))
                except AudioError:
                    continue
                kept.append(clip)
            self._references[tokenizer.digest] = collate_tokens(found), kept
        return self._references[tokenizer.digest]

    def _entry(
        self, batch: FakeBatch, tokenizer: VqalattentTokenizer, found: Mapping[str, Figure], fakes: int
    ) -> Entry:
        image, ids, has_label = tokenizer.config.image, tokenizer.config.frames, batch.label is not None
        values = image.bins * image.frames // ids
        reported: dict[str, tuple[float, str]] = {}
        if values in TABLE_I and batch.condition in (paper_condition(tokenizer, self.key), "nothing"):
            first = dict(zip([column.key for column in ACCURACY], TABLE_I[values], strict=True))
            both = (first if has_label else {}) | dict(zip(SUPPORT, TABLE_II[values, has_label], strict=True))
            reported = {key: (value, PAPER) for key, value in both.items() if key in found}
        return Entry(
            name=batch.entry, kind="tokenizer", family=batch.name, figures=found, reported=reported,
            note=f"{self._asked(batch, tokenizer)}; {values} image values to an id, {ids} ids; {fakes} fakes; "
            f"recordings of {_speakers(self.clips.values())}, classifier {self.classifier_source}; "
            f"{tokenizer.digest[:19]}",
        )  # fmt: skip

    def _asked(self, batch: FakeBatch, tokenizer: VqalattentTokenizer) -> str:
        """Return a description of what a batch of fakes is asked for."""
        if batch.condition == "nothing":
            return "no label, no guidance, as the paper's T1 and T2"
        if batch.condition == paper_condition(tokenizer, self.key):
            return f"{self.key} alone, no guidance, as the paper's T1ᶜ and T2ᶜ"
        others = " and ".join(key for key in tokenizer.labels if key != self.key)
        drawn = f", {others} drawn" if others else ""
        return f"{self.key} asked{drawn}, guidance {tokenizer.config.prior.guidance:g}, as the model is used"

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


def _of_voices(name: str) -> str:
    return f"{name}, recordings in its voices"


def _speakers(clips: Iterable[Utterance]) -> str:
    return ", ".join(sorted({one.speaker or "unknown" for one in clips}))


def _training_recordings(tokenizer: VqalattentTokenizer, utterances: Sequence[Utterance], key: str) -> list[Utterance]:
    """Return recordings of the prior's speakers, or of the train split where it has no speaker condition."""
    voices = set(tokenizer.labels.get("speaker", ()))
    labeled = [one for one in utterances if one.value(key) is not None]
    return [one for one in labeled if (one.speaker in voices if voices else one.split == "train")]
