"""The evaluation that VQalAttent's paper reports: a classifier's accuracy (Table I) and TopP&R (Table II).

The classifier has heard recordings and nothing that was made. It judges the split's recordings, what the VQ-VAE makes
of them, and fakes of every label. TopP&R compares fakes with recordings of the speakers that the prior learnt from, in
equal numbers; where the manifests have none of them, with those judged.
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
from vocable_lab.vqalattent.figures import (
    ACCURACY,
    COLUMNS,
    PAPER,
    SUPPORT,
    TABLE_I,
    TABLE_II,
    distributions,
    memory,
    variety,
)
from vocable_lab.vqalattent.judge import find_classifier
from vocable_lab.vqalattent.look import Look, pictures, samples

_FAKES = 500  # of each label, and so many times the labels where nothing is asked
_TOGETHER = 50  # fakes of one item
_NOISE = "noise"
_KNOWN = 3.0  # times chance: under that of recordings, a classifier cannot judge


@dataclass(frozen=True, kw_only=True)
class _Batch:
    """Fakes that are drawn together."""

    name: str  # of the tokenizer
    label: str | None
    first: int  # its place among the fakes of its kind
    count: int

    @property
    def item(self) -> str:
        """Its key."""
        return f"{self.count} fakes of {self.name}, {self.label or 'anything'}, from {self.first}"

    @property
    def entry(self) -> str:
        """Whose figures it belongs to."""
        return self.name if self.label is not None else f"{self.name}, nothing asked"


class VqalattentPaper(Evaluation):
    """Tables I and II, for one or more tokenizers; a :class:`~vocable.evaluate.runner.Evaluation`.

    Args:
        plan: Tokenizers, manifests, split, ``limit`` (of recordings, and of the fakes of each label) and seed.
        out: Fakes are kept here as token files.

    Raises:
        ConfigError: The recordings, or the classifier's pictures, do not fit the tokenizers.
        CheckpointError: A prior is not trained, or on another codebook.
    """

    takes_several: ClassVar[bool] = True

    def __init__(self, plan: Plan, out: Path) -> None:
        self.plan, self.out = plan, out
        self.tokenizers: dict[str, VqalattentTokenizer] = {
            name: hub.load_as(source, VqalattentTokenizer) for name, source in short_names(plan.tokenizers).items()
        }
        first = next(iter(self.tokenizers.values()))
        for name, tokenizer in self.tokenizers.items():
            tokenizer.model.check_prior()
            if tokenizer.config.image != first.config.image:
                raise ConfigError(f"{name}: its pictures are {tokenizer.config.image}, not {first.config.image}")
        self.key = next(iter(first.labels), "digit")
        self.clips = {name: one for name, one in select_clips(plan).items() if one.value(self.key) is not None}
        if not self.clips:
            raise ConfigError(f"no recording of the split says its '{self.key}': there is nothing to compare with")
        self.learnt = _learnt(first, [one for manifest in plan.manifests for one in read_manifest(manifest)], self.key)
        self.classifier, self.judge = find_classifier(
            hub.folder_of(plan.tokenizers[0]), self.learnt, first.config.image, self.key, out, seed=plan.seed
        )
        self.batches = {batch.item: batch for batch in self._batches()}

    def items(self) -> Sequence[str]:
        """Recordings, then batches of fakes."""
        return [*(f"clip {key}" for key in self.clips), *self.batches]

    def work(self, item: str) -> Sequence[ResultRow]:
        """The rows of one of them."""
        return self._fakes(item) if item in self.batches else self._clip(item)

    def settings(self) -> dict[str, Any]:
        """All that the rows depend on."""
        digests = {name: tokenizer.digest for name, tokenizer in self.tokenizers.items()}
        return common_settings(self.plan, self.clips, digests) | {
            "task": "vqalattent paper",
            "classifier": self.judge,
            "fakes": sum(batch.count for batch in self.batches.values()),
            "vocoder": next(iter(self.tokenizers.values())).vocoder.name,
        }

    def card(self, results: Results) -> Card:
        """Both tables with reported beside measured, the other measures, and pictures."""
        entries, looks = [], []
        for batch in {batch.entry: batch for batch in self.batches.values()}.values():
            tokenizer, asked = self.tokenizers[batch.name], batch.label is not None
            rows = [row for row in results.rows if row.entry == batch.entry]
            drawn = [self.batches[row.item] for row in rows if row.item in self.batches]
            if not drawn:
                continue
            fakes = collate_tokens([Tokens.read(self._file(part.item)) for part in drawn])
            labels = [part.label for part in drawn for _ in range(part.count)]
            told = [one for row in rows for one in row.extra.get("told", ())]
            found = self._figures(tokenizer, rows, fakes, told, labels)
            entries.append(self._entry(batch, tokenizer, found, len(fakes)))
            if asked or not tokenizer.labels:
                names = [label or one for label, one in zip(labels, told, strict=True)]
                looks.append(Look(name=batch.name, tokenizer=tokenizer, clips=self.clips, key=self.key, fakes=fakes,
                                  labels=names))  # fmt: skip
        noisy = entry_figures([row for row in results.rows if row.entry == _NOISE], ACCURACY, self.plan.seed)
        note = "the recordings of the split in noise at −5 dB SNR"
        entries.append(Entry(name=_NOISE, kind="anchor", family=_NOISE, note=note, figures=noisy))
        return Card(
            title=f"{' and '.join(self.tokenizers)}: the paper's tables", lead=self._lead(),
            columns=[column for column in COLUMNS if any(column.key in entry.figures for entry in entries)],
            entries=entries, samples=[sample for look in looks for sample in samples(look)],
            alarms=self._alarms(entries), quarantined=results.quarantined, settings=self.settings(),
            left_out=() if self.learnt else (f"no recording of {self._voices()}: TopP&R compares with those judged",),
            pictures=[picture for look in looks for picture in pictures(look)],
        )  # fmt: skip

    # ---- the work -------------------------------------------------------------------------------------------------

    def _clip(self, item: str) -> list[ResultRow]:
        utterance = self.clips[item.removeprefix("clip ")]
        wanted, clip = utterance.value(self.key), Audio.read(utterance.audio_path)
        rows = []
        for name, tokenizer in self.tokenizers.items():
            shown = {
                "real_accuracy": tokenizer.image(clip)[None],
                "reconstruction_accuracy": tokenizer.decode_images(tokenizer.encode(clip)),
            }
            told = {key: self._told(tokenizer, picture) for key, picture in shown.items()}
            rows.append(
                ResultRow(
                    entry=name, item=item, scores={key: Score(float(one == [wanted])) for key, one in told.items()}
                )
            )
        noisy = tokenizer.image(Noise(self.plan.seed).code(clip, item).audio)[None]
        heard = Score(float(self._told(tokenizer, noisy) == [wanted]))
        return [*rows, ResultRow(entry=_NOISE, item=item, scores={"real_accuracy": heard})]

    def _fakes(self, item: str) -> list[ResultRow]:
        batch = self.batches[item]
        tokenizer = self.tokenizers[batch.name]
        asked = dict.fromkeys(tokenizer.labels) if batch.label is None else {self.key: batch.label}
        seed = int(np.random.SeedSequence([self.plan.seed, *item.encode()]).generate_state(1)[0])
        tokens = tokenizer.sample([asked] * batch.count, seed=seed)
        make_folder(self.out / "fakes")
        tokens.write(self._file(item))
        told = self._told(tokenizer, tokenizer.decode_images(tokens))
        return [ResultRow(entry=batch.entry, item=item, extra={"told": told})]

    def _told(self, tokenizer: VqalattentTokenizer, pictures: Float[Tensor, "B F S"]) -> list[str]:
        return self.classifier.told(from_unit(pictures, tokenizer.model.bounds))

    def _batches(self) -> list[_Batch]:
        found = []
        for name, tokenizer in self.tokenizers.items():
            labels = tokenizer.labels.get(self.key, ())
            kinds: list[tuple[str | None, int]] = [(label, _FAKES) for label in labels]
            if not labels or tokenizer.config.prior.label_dropout:
                kinds.append((None, _FAKES * max(10, len(labels))))
            for label, count in kinds:
                most = count if self.plan.limit is None else min(count, self.plan.limit * (count // _FAKES))
                found += [
                    _Batch(name=name, label=label, first=first, count=min(_TOGETHER, most - first))
                    for first in range(0, most, _TOGETHER)
                ]
        return found

    def _file(self, item: str) -> Path:
        return self.out / "fakes" / f"{''.join(one if one.isalnum() else '-' for one in item)}.tokens"

    # ---- what it says together ------------------------------------------------------------------------------------

    def _figures(
        self, tokenizer: VqalattentTokenizer, rows: Sequence[ResultRow], fakes: Tokens, told: Sequence[str],
        labels: Sequence[str | None],
    ) -> dict[str, Figure]:  # fmt: skip
        found = entry_figures(rows, ACCURACY, self.plan.seed)
        if labels[0] is not None:
            right = [Score(float(one == label)) for one, label in zip(told, labels, strict=True)]
            found["conditional_accuracy"] = summarize(right, seed=self.plan.seed)
        real, kept = self._encoded(tokenizer, self._reference)
        found |= distributions(tokenizer, real, fakes, self.plan.seed)
        found |= variety(tokenizer, fakes, told, real, [one.value(self.key) or "" for one in kept])
        voices = [one.speaker or "unknown" for one in kept]
        return found | (memory(tokenizer, fakes, real, voices, self.plan.seed) if self.learnt else {})

    def _encoded(self, tokenizer: VqalattentTokenizer, clips: Sequence[Utterance]) -> tuple[Tokens, list[Utterance]]:
        """Tokens of the recordings that can be used, and which those are."""
        kept, found = [], []
        for clip in clips:
            try:
                found.append(tokenizer.encode(Audio.read(clip.audio_path)))
            except AudioError:
                continue
            kept.append(clip)
        return collate_tokens(found), kept

    def _entry(self, batch: _Batch, tokenizer: VqalattentTokenizer, found: Mapping[str, Figure], fakes: int) -> Entry:
        image, ids, asked = tokenizer.config.image, tokenizer.config.frames, batch.label is not None
        values = image.bins * image.frames // ids
        reported: dict[str, tuple[float, str]] = {}
        if values in TABLE_I:
            first = dict(zip([column.key for column in ACCURACY], TABLE_I[values], strict=True))
            both = (first if asked else {}) | dict(zip(SUPPORT, TABLE_II[values, asked], strict=True))
            reported = {key: (value, PAPER) for key, value in both.items() if key in found}
        return Entry(
            name=batch.entry, kind="tokenizer", family=batch.name, figures=found, reported=reported,
            note=f"{values} picture values to an id, {ids} ids; {fakes} fakes; recordings of "
            f"{_speakers(self.clips.values())}, classifier {self.judge}; {tokenizer.digest[:19]}",
        )  # fmt: skip

    @cached_property
    def _reference(self) -> list[Utterance]:
        """What fakes should be like: recordings of the voices learnt from, or those judged where there are none."""
        chosen = self.learnt or list(self.clips.values())
        if self.plan.limit is None:
            return chosen
        many = min(len(chosen), 10 * self.plan.limit)
        return [chosen[at] for at in np.unique(np.linspace(0, len(chosen) - 1, many).round().astype(int))]

    def _lead(self) -> str:
        speakers, against = _speakers(self.clips.values()), _speakers(self._reference)
        return (
            f"{len(self.clips)} recordings of {speakers} judged; the classifier was {self.judge}. TopP&R against "
            f"{len(self._reference)} recordings of {against}, in the space of flattened codebook vectors unless a "
            "column says otherwise. Reported figures are of another corpus: they say where this one stands, and not "
            "which is better."
        )

    def _voices(self) -> str:
        return ", ".join(next(iter(self.tokenizers.values())).labels.get("speaker", ())) or "the train split"

    def _alarms(self, entries: Sequence[Entry]) -> list[str]:
        """The classifier must know recordings when it hears them."""
        heard = next(entry.figures["real_accuracy"].mean for entry in entries if "real_accuracy" in entry.figures)
        chance = 1.0 / len(self.classifier.config.labels)
        if heard >= _KNOWN * chance:
            return []
        return [f"anchor off: the classifier tells {heard:.1%} of the recordings themselves; its figures say nothing"]


def _speakers(clips: Iterable[Utterance]) -> str:
    return ", ".join(sorted({one.speaker or "unknown" for one in clips}))


def _learnt(tokenizer: VqalattentTokenizer, everything: Sequence[Utterance], key: str) -> list[Utterance]:
    """Recordings of the speakers the prior knows; of the train split where it was not told who speaks."""
    voices = set(tokenizer.labels.get("speaker", ()))
    labelled = [one for one in everything if one.value(key) is not None]
    return [one for one in labelled if (one.speaker in voices if voices else one.split == "train")]
