"""Diagnostics of a TASTE model: guesses, attention, padding, subwords and encoder layers, and checks of causes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from vocable.audio import Audio
from vocable.errors import CheckpointError, OutputError, TextError
from vocable.evaluate.card import Card, Entry, ProbeRow
from vocable.evaluate.plan import Plan, common_settings, describe_split, short_names
from vocable.evaluate.runner import Evaluation, ResultRow, Results
from vocable.evaluate.summary import speaker_figures
from vocable.features.hub import located
from vocable.features.whisper import WhisperEncoder, load_encoder
from vocable.files import make_folder, write_whole
from vocable.folder import open_tensors
from vocable.metrics.codebook import mean_entropy
from vocable.metrics.score import Figure, Score, summarize, undefined
from vocable.metrics.units import unit_anchors
from vocable.systems.registry import load_as
from vocable.systems.taste.data import TasteBatch
from vocable.systems.taste.model import UnitPrediction, predict_units
from vocable.systems.taste.objective import attention_centers
from vocable.systems.taste.tokenizer import TasteTokenizer
from vocable.text.subword_tokenizers import HubTokenizer, subword_tokenizer_from_json
from vocable.text.subwords import SubwordTokenizer
from vocable_lab.shared.pictures import column
from vocable_lab.taste import columns as taste_columns
from vocable_lab.taste.checks import CauseCheck, check_causes
from vocable_lab.taste.probe import (
    CLASSES,
    Halves,
    pool_to_units,
    score_bigram,
    score_layer,
    select_units,
    split_speakers,
)
from vocable_lab.taste.units import (
    align_words,
    clip_row,
    clips_with_text,
    has_trained_quantizer,
    prediction_figures,
    read_audio,
)
from vocable_lab.taste.words import Words

_SILENCE = round(10 * WhisperEncoder.frame_rate)  # frames of silence appended to a clip
_UNIT_COLUMNS = ("top1", "top5", "loss", "heard_to_said", "attention_entropy", "attention_coverage",
                 "alignment_error_ms")  # fmt: skip
_PADDED = "10 s of zero frames appended to each clip"
_COLUMNS = (
    column("attention_spread", "attention spread", "neither",
           "Entropy of a subword's attention over that of uniform attention, mean of the heads."),
    column("monotonicity", "in order", "higher",
           "Share of neighboring subwords whose second is attended no earlier than the first.", "%", ".1f"),
    column("padding_mass", "attention on padding", "lower",
           f"Share of the attention behind the clip's end with {_PADDED}, masked if the model masks.", "%", ".2f"),
    column("padding_loss", "loss by padding", "lower", f"Loss with {_PADDED} minus that without.", "nats", ".4f"),
    column("padding_mass_unmasked", "attention on padding, unmasked", "neither", "The same without a mask.", "%",
           ".2f"),
    column("padding_loss_unmasked", "loss by padding, unmasked", "neither", "The same without a mask.", "nats", ".4f"),
    column("pieces_written", "subwords/s", "neither", "Subwords a second of the texts as written.", "", ".2f"),
    column("pieces_lower", "subwords/s, lower case", "neither", "The same in lower case.", "", ".2f"),
    column("pieces_upper", "subwords/s, upper case", "neither", "The same in upper case.", "", ".2f"),
)  # fmt: skip
COLUMNS = (*(column for column in taste_columns.COLUMNS if column.key in _UNIT_COLUMNS), *_COLUMNS)
_MAIN = ("top1", "top5", "loss", "heard_to_said", "attention_spread", "alignment_error_ms", "padding_mass",
         "pieces_written", "pieces_lower", "pieces_upper")  # fmt: skip


class TasteDiagnostics(Evaluation):
    """Diagnostics of one model; an :class:`~vocable.evaluate.runner.Evaluation`.

    Args:
        plan: One tokenizer, manifests, split, ``limit`` of clips and seed.
        out: Folder in which the frames of the encoder's layers are kept.

    Raises:
        TextError: If no clip has a text.
        CheckpointError: If the tokenizer, its Whisper or the source of its units is not at hand.
    """

    def __init__(self, plan: Plan, out: Path) -> None:
        self.plan, self.out = plan, out
        ((self.name, source),) = short_names(plan.tokenizers).items()
        self.tokenizer = load_as(source, TasteTokenizer, beam=plan.beam)
        self.source, self.encoder = self.tokenizer.source, load_encoder(self.tokenizer.config.encoder)
        self.clips, self.excluded = clips_with_text(plan)
        self.words, self.quantized = Words(), has_trained_quantizer(self.tokenizer)
        self.subword_tokenizers, self.missing = _subword_tokenizers(self.tokenizer)

    def items(self) -> Sequence[str]:
        """Return the keys of the clips."""
        return list(self.clips)

    def work(self, item: str) -> Sequence[ResultRow]:
        """Score one clip in every way and with every subword tokenizer, and keep the frames of the layers."""
        audio, clip = read_audio(self.clips[item]), self.clips[item]
        text, units = clip.text or "", self.source.units(audio)
        row = self.tokenizer.example(audio, text, units)
        batch, model = TasteBatch.of([row]).to(self.tokenizer.device), self.tokenizer.model
        prediction = predict_units(model, batch, row.subwords, quantize=self.quantized)
        control = predict_units(model, batch, row.subwords, text_only=True)
        found = clip_row(prediction, control, align_words(self.words, clip, audio))
        scores = {**found.scores, **_attention_scores(prediction), **self._padding_scores(prediction, batch)}
        self._write_layers(item, audio, units)
        others = [
            ResultRow(entry=name, item=item, scores=_subword_rates(subword_tokenizer, text, audio.duration))
            for name, subword_tokenizer in self.subword_tokenizers.items()
        ]
        own = _subword_rates(self.tokenizer.subword_tokenizer, text, audio.duration)
        return [ResultRow(entry=self.name, item=item, scores=scores | own, extra=found.extra), *others]

    def settings(self) -> dict[str, Any]:
        """Return everything that the rows depend on."""
        return common_settings(self.plan, self.clips, {self.name: self.tokenizer.digest}) | {
            "task": "taste doctor",
            "encoder": self.tokenizer.config.encoder.name,
            "units": f"{self.source.spec.name}, level {self.source.spec.level}, {self.source.spec.digest}",
            "tables": list(self.subword_tokenizers),
        }

    def card(self, results: Results) -> Card:
        """Return the figures beside those of guesses, probes of the layers, and checks of causes."""
        rows = [row for row in results.rows if row.entry == self.name]
        speakers = {row.item: self.clips[row.item].speaker or row.item for row in rows}
        parts = split_speakers(speakers)
        figures = prediction_figures(rows, self.clips, self.source.spec.size, self.plan.seed) | speaker_figures(
            rows, _COLUMNS, speakers, self.plan.seed
        )
        guesses = self._guesses(rows, speakers, figures, parts)
        probes = self._probes(speakers, parts) if parts else []
        left_out = [f"{key}: {reason}" for key, reason in self.excluded.items()] + self.missing
        if self.tokenizer.config.quantizer is not None and not self.quantized:
            left_out.append("the quantizer: training has not reached it; speech vectors are not quantized")
        if parts is None:
            left_out.append("guess by the unit before, probes of layers: they need two speakers, and there is one")
        return Card(
            title=f"{self.name}: diagnostics of unit prediction",
            lead=f"{len(rows)} clips of {len(set(speakers.values()))} speakers, {describe_split(self.plan.split)}; "
            f"units: {self.source.spec.name}, level {self.source.spec.level}.",
            columns=COLUMNS, quarantined=results.quarantined, settings=self.settings(), main=_MAIN, left_out=left_out,
            entries=[self._entry(self.name, "the model", figures), *guesses,
                     *self._subword_entries(results.rows, speakers)],
            probes=probes, findings=[check.text for check in self._checks(figures, guesses, probes)],
        )  # fmt: skip

    # ---- rows -----------------------------------------------------------------------------------------------------

    def _padding_scores(self, prediction: UnitPrediction, batch: TasteBatch) -> dict[str, Score]:
        """Score the effect of silence behind the clip, masked and not."""
        frames = batch.keys.shape[1]
        keys, values = (F.pad(one, (0, 0, 0, _SILENCE)) for one in (batch.keys, batch.values))
        mask = F.pad(batch.frame_mask, (0, _SILENCE))
        scores = {}
        for suffix, frame_mask in (("", mask), ("_unmasked", torch.ones_like(mask))):
            longer = replace(batch, keys=keys, values=values, frame_mask=frame_mask)
            padded = predict_units(self.tokenizer.model, longer, prediction.subwords, quantize=self.quantized)
            assert padded.attention is not None
            mass = padded.attention.double().mean(0)[:, frames:].sum(1).mean()
            scores[f"padding_mass{suffix}"] = Score(float(mass), weight=float(len(prediction.text)))
            scores[f"padding_loss{suffix}"] = Score(
                _loss(padded) - _loss(prediction), weight=float(len(prediction.units))
            )
        return scores

    def _write_layers(self, item: str, audio: Audio, units: Tensor) -> None:
        """Write the features of every encoder layer, averaged within the span of each unit."""
        samples = torch.from_numpy(audio.resample(self.encoder.sample_rate).samples)[None]
        with torch.no_grad():
            hidden = torch.cat(self.encoder.hidden_states(samples.to(self.encoder.positional_embedding.device))).cpu()
        selected = torch.from_numpy(select_units(len(hidden), hidden.shape[2], len(units)))
        frames = pool_to_units(hidden, len(units), self.source.spec.frame_rate)[:, selected].half()
        make_folder(self._file(item).parent)
        tensors = {"frames": frames.contiguous(), "units": units[selected].contiguous()}
        write_whole(self._file(item), lambda path: save_file(tensors, path))

    # ---- figures --------------------------------------------------------------------------------------------------

    def _guesses(
        self,
        rows: Sequence[ResultRow],
        speakers: Mapping[str, str],
        figures: Mapping[str, Figure],
        parts: Halves | None,
    ) -> list[Entry]:
        """Return the figures of predictions without speech, or without a model."""
        units = {row.item: row.extra["units"] for row in rows}
        joined = torch.cat([torch.tensor(one) for one in units.values()]) if units else torch.zeros(0).long()
        size, n = self.source.spec.size, len(rows)
        anchors = unit_anchors(joined[None], torch.ones_like(joined, dtype=torch.bool)[None], size)
        controls = {"top1": "text_only_top1", "top5": "text_only_top5", "loss": "text_only_loss"}
        control = {key: figures[name] for key, name in controls.items() if name in figures}
        entries = [self._entry("text only", "the same model without speech", control)]
        if parts is not None:
            found = score_bigram(units, parts, size)
            groups = [speakers[item] for item in found]
            entries.append(self._entry(
                "the unit before", "counts in the other half of the speakers, smoothed after Witten and Bell",
                {key: summarize([scores[key] for scores in found.values()], seed=self.plan.seed, groups=groups)
                 for key in ("top1", "top5", "loss")},
            ))  # fmt: skip
        repeated = {"top1": figures["repeat_last_top1"]} if "repeat_last_top1" in figures else {}
        entries.append(self._entry("repeat last", "the previous unit, repeated", repeated))
        for name, note, guess in (
            ("unigram", "frequencies of the units in these clips; top-1 is the majority's", anchors.unigram),
            ("uniform", f"all {size} units alike; the loss is ln (K + 1), the end included", anchors.uniform),
        ):
            nats = math.log(size + 1) if name == "uniform" else guess.nats.value
            values = {"top1": guess.top[1].value, "top5": guess.top[5].value, "loss": nats}
            entries.append(self._entry(name, note, {
                key: Figure(mean=value, low=math.nan, high=math.nan, n=n) for key, value in values.items()
            }))  # fmt: skip
        return entries

    def _subword_entries(self, rows: Sequence[ResultRow], speakers: Mapping[str, str]) -> list[Entry]:
        """Return the subword rates of each subword tokenizer."""
        entries = []
        for name in self.subword_tokenizers:
            own = [row for row in rows if row.entry == name]
            entries.append(
                self._entry(name, "a subword tokenizer", speaker_figures(own, _COLUMNS, speakers, self.plan.seed))
            )
        return entries

    def _probes(self, speakers: Mapping[str, str], parts: Halves) -> list[ProbeRow]:
        """Probe each layer of the encoder for the units."""
        files = {item: _load(self._file(item)) for item in speakers}
        units = {item: one["units"] for item, one in files.items()}
        found = []
        for layer in range(self.encoder.depth + 1):
            scores, majority = score_layer({item: one["frames"][layer] for item, one in files.items()}, units, parts)
            if not scores:
                continue
            groups = [speakers[item] for item in scores]
            found.append(ProbeRow(
                entry=self.tokenizer.config.encoder.name, probe="unit", view=f"layer {layer}", better="higher",
                metric="top-1 accuracy", figure=summarize(list(scores.values()), seed=self.plan.seed, groups=groups),
                chance=1 / CLASSES, majority=summarize(list(majority.values()), groups=groups).mean,
                note=f"ridge regression on the means of a unit's frames, the {CLASSES} commonest units; each half of "
                "the speakers by a probe that was fitted on the other",
            ))  # fmt: skip
        return found

    def _checks(
        self, figures: Mapping[str, Figure], guesses: Sequence[Entry], probes: Sequence[ProbeRow]
    ) -> list[CauseCheck]:
        means = {key: figure.mean for key, figure in figures.items()}
        means |= {f"{entry.name} top1": entry.figures["top1"].mean for entry in guesses if "top1" in entry.figures}
        layers = {int(row.view.split()[-1]): row.figure.mean for row in probes}
        config = self.tokenizer.config
        return check_causes(
            means, layers, value_layer=config.layers[1], normalized=config.fusion == "weighted",
            masked=config.aggregator.mask_padding,
        )  # fmt: skip

    def _entry(self, name: str, note: str, figures: Mapping[str, Figure]) -> Entry:
        is_model = name == self.name
        shown = {column.key: figures[column.key] for column in COLUMNS if column.key in figures}
        kind: Literal["tokenizer", "anchor"] = "tokenizer" if is_model else "anchor"
        return Entry(name=name, kind=kind, family=name, figures=shown, note=self.tokenizer.digest if is_model else note)

    def _file(self, item: str) -> Path:
        return self.out / "layers" / f"{list(self.clips).index(item):05d}.safetensors"


def _attention_scores(prediction: UnitPrediction) -> dict[str, Score]:
    """Score the spread of the attention and its monotonicity."""
    assert prediction.attention is not None
    weights = prediction.attention.double().mean(0)
    largest = math.log(weights.shape[1])
    steps = attention_centers(weights, 1.0).diff()
    monotonicity = undefined("there is one subword")
    if len(steps):
        monotonicity = Score(float((steps >= 0).double().mean()), weight=float(len(steps)))
    spread = undefined("there is one frame")
    if largest:
        spread = Score(mean_entropy(weights) / largest, weight=float(len(weights)))
    return {"attention_spread": spread, "monotonicity": monotonicity}


def _loss(prediction: UnitPrediction) -> float:
    """Return the cross-entropy of a unit in nats, without the end symbol."""
    return float(F.cross_entropy(prediction.logits[:-1], prediction.units))


def _subword_rates(subword_tokenizer: SubwordTokenizer, text: str, seconds: float) -> dict[str, Score]:
    """Compute the subwords a second of a text as written, in lower case and in upper case."""
    found = {}
    for name, variant in (("written", text), ("lower", text.lower()), ("upper", text.upper())):
        try:
            found[f"pieces_{name}"] = Score(len(subword_tokenizer.tokenize(variant).ids) / seconds, weight=seconds)
        except TextError as error:
            found[f"pieces_{name}"] = undefined(str(error))
    return found


def _subword_tokenizers(tokenizer: TasteTokenizer) -> tuple[dict[str, SubwordTokenizer], list[str]]:
    """Return subword tokenizers to compare with: the model's own with the case kept, and Whisper's if at hand."""
    own = subword_tokenizer_from_json(
        {**tokenizer.config.subwords, "case": "as_is"}, "the model's subwords", located=located
    )
    found: dict[str, SubwordTokenizer] = {"its subwords, case kept": own}
    name = tokenizer.config.encoder.name
    try:
        found[f"subwords of {name}"] = HubTokenizer.load(name, "as_is", located=located)
    except CheckpointError as error:
        return found, [f"subwords a second by the encoder's own subwords: {error}"]
    return found, []


def _load(path: Path) -> dict[str, Tensor]:
    with open_tensors(path, OutputError, advice="remove it, and the clip is evaluated again") as stored:
        return {"frames": stored.get_tensor("frames").float(), "units": stored.get_tensor("units")}
