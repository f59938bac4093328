"""Why a TASTE does no better: its prediction beside guesses, where it looks, padding, subwords, layers; verdicts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from vocable.audio import Audio
from vocable.errors import CheckpointError, TextError
from vocable.evaluate.card import Card, Column, Entry, ProbeRow
from vocable.evaluate.plan import Plan, common_settings, describe_split, short_names
from vocable.evaluate.runner import Evaluation, ResultRow, Results
from vocable.evaluate.summary import speaker_figures
from vocable.features.hub import located
from vocable.features.whisper import WhisperEncoder, load_encoder
from vocable.files import make_folder, write_whole
from vocable.metrics.codebook import mean_entropy
from vocable.metrics.score import Figure, Score, summarize, undefined
from vocable.metrics.units import unit_anchors
from vocable.systems import registry as hub
from vocable.systems.taste.data import TasteBatch
from vocable.systems.taste.model import UnitPrediction, predict_units
from vocable.systems.taste.objective import attention_centers
from vocable.systems.taste.tokenizer import TasteTokenizer
from vocable.text.subword_tokenizers import HubTokenizer, subword_tokenizer_from_json
from vocable.text.subwords import SubwordTokenizer
from vocable_lab.taste import columns as taste_columns
from vocable_lab.taste.probe import CLASSES, Halves, bigram, halves, kept, layer_top1, to_units
from vocable_lab.taste.units import aligned, looked, quantizes, read, said_clips, unit_entry
from vocable_lab.taste.verdict import Verdict, verdicts
from vocable_lab.taste.words import Words

_SILENCE = round(10 * WhisperEncoder.frame_rate)  # frames of nothing behind a clip
_OF_UNITS = ("top1", "top5", "loss", "heard_to_said", "attention_entropy", "attention_coverage", "alignment_error_ms")
_EACH = "10 s of frames of 0 behind each clip"
_OWN = (
    Column(key="attention_spread", title="attention spread", better="neither", form=".3f",
           caption="Entropy of what a subword looks at over that of looking at all frames alike, mean of the heads."),
    Column(key="monotonicity", title="in order", unit="%", better="higher", form=".1f",
           caption="Share of neighbouring subwords of which the second is looked for no earlier than the first."),
    Column(key="padding_mass", title="attention on padding", unit="%", better="lower", form=".2f",
           caption=f"Share of the attention behind the clip's end with {_EACH}, masked if the model masks."),
    Column(key="padding_loss", title="loss by padding", unit="nats", better="lower", form=".4f",
           caption=f"Loss with {_EACH} less that without."),
    Column(key="padding_mass_unmasked", title="attention on padding, unmasked", unit="%", better="neither", form=".2f",
           caption="The same were the padding taken for speech."),
    Column(key="padding_loss_unmasked", title="loss by padding, unmasked", unit="nats", better="neither", form=".4f",
           caption="The same were the padding taken for speech."),
    Column(key="pieces_written", title="pieces/s", better="neither", caption="Of the texts as they are written."),
    Column(key="pieces_lower", title="pieces/s, lower case", better="neither", caption="Were they in small letters."),
    Column(key="pieces_upper", title="pieces/s, upper case", better="neither", caption="Were they in capitals."),
)  # fmt: skip
COLUMNS = (*(column for column in taste_columns.COLUMNS if column.key in _OF_UNITS), *_OWN)
_MAIN = ("top1", "top5", "loss", "heard_to_said", "attention_spread", "alignment_error_ms", "padding_mass",
         "pieces_written", "pieces_lower", "pieces_upper")  # fmt: skip


class TasteDoctor(Evaluation):
    """One model examined; an :class:`~vocable.evaluate.runner.Evaluation`.

    Args:
        plan: One tokenizer, manifests, split, ``limit`` of clips and seed.
        out: What the encoder's layers say of the clips is kept here.

    Raises:
        TextError: No clip says what is said in it.
        CheckpointError: The tokenizer, its Whisper or the source of its units is not at hand.
    """

    def __init__(self, plan: Plan, out: Path) -> None:
        self.plan, self.out = plan, out
        ((self.name, source),) = short_names(plan.tokenizers).items()
        self.tokenizer = hub.load_as(source, TasteTokenizer)
        self.source, self.encoder = self.tokenizer.source, load_encoder(self.tokenizer.config.encoder)
        self.clips, self.unsaid = said_clips(plan)
        self.words, self.quantizes = Words(), quantizes(self.tokenizer)
        self.tables, self.lacking = _tables(self.tokenizer)

    def items(self) -> Sequence[str]:
        """Clips."""
        return list(self.clips)

    def work(self, item: str) -> Sequence[ResultRow]:
        """A clip: looked at in every way, its text by every table, its layers kept."""
        audio, clip = read(self.clips[item]), self.clips[item]
        text, units = clip.text or "", self.source.units(audio)
        row = self.tokenizer.example(audio, text, units)
        batch, model = TasteBatch.of([row]).to(self.tokenizer.device), self.tokenizer.model
        look = predict_units(model, batch, row.subwords, quantize=self.quantizes)
        found = looked(
            look, predict_units(model, batch, row.subwords, text_only=True), None, aligned(self.words, clip, audio)
        )
        scores = {**found.scores, **_attention(look), **self._padded(look, batch)}
        self._keep(item, audio, units)
        tables = [
            ResultRow(entry=name, item=item, scores=_subword_rates(subword_tokenizer, text, audio.duration))
            for name, subword_tokenizer in self.tables.items()
        ]
        own = _subword_rates(self.tokenizer.subword_tokenizer, text, audio.duration)
        return [ResultRow(entry=self.name, item=item, scores=scores | own, extra=found.extra), *tables]

    def settings(self) -> dict[str, Any]:
        """All that the rows depend on."""
        return common_settings(self.plan, self.clips, {self.name: self.tokenizer.digest}) | {
            "task": "taste doctor",
            "encoder": self.tokenizer.config.encoder.name,
            "units": f"{self.source.spec.name}, level {self.source.spec.level}, {self.source.spec.digest}",
            "tables": list(self.tables),
        }

    def card(self, results: Results) -> Card:
        """Figures beside guesses, probes of layers, and verdicts."""
        rows = [row for row in results.rows if row.entry == self.name]
        speakers = {row.item: self.clips[row.item].speaker or row.item for row in rows}
        parts = halves(speakers)
        figures = unit_entry(rows, self.clips, self.source.spec.size, self.plan.seed) | speaker_figures(
            rows, _OWN, speakers, self.plan.seed
        )
        guesses = self._guesses(rows, speakers, figures, parts)
        probes = self._probes(speakers, parts) if parts else []
        missing = [f"{key}: {reason}" for key, reason in self.unsaid.items()] + self.lacking
        if self.tokenizer.config.quantizer is not None and not self.quantizes:
            missing.append("the quantizer: training has not come to it yet; what is heard is taken as it is")
        if parts is None:
            missing.append("guess by the unit before, probes of layers: they need two speakers, and there is one")
        return Card(
            title=f"{self.name}: why no better?",
            lead=f"{len(rows)} clips of {len(set(speakers.values()))} speakers, {describe_split(self.plan.split)}; "
            f"units: {self.source.spec.name}, level {self.source.spec.level}.",
            columns=COLUMNS, quarantined=results.quarantined, settings=self.settings(), main=_MAIN, left_out=missing,
            entries=[self._entry(self.name, "the model", figures), *guesses, *self._of_tables(results.rows, speakers)],
            probes=probes, findings=[one.text for one in self._verdicts(figures, guesses, probes)],
        )  # fmt: skip

    # ---- the work -------------------------------------------------------------------------------------------------

    def _padded(self, look: UnitPrediction, batch: TasteBatch) -> dict[str, Score]:
        """What silence behind the clip changes, masked and not."""
        frames = batch.keys.shape[1]
        keys, values = (F.pad(one, (0, 0, 0, _SILENCE)) for one in (batch.keys, batch.values))
        mask = F.pad(batch.frame_mask, (0, _SILENCE))
        scores = {}
        for name, seen in (("", mask), ("_unmasked", torch.ones_like(mask))):
            longer = replace(batch, keys=keys, values=values, frame_mask=seen)
            padded = predict_units(self.tokenizer.model, longer, look.subwords, quantize=self.quantizes)
            assert padded.attention is not None
            mass = padded.attention.double().mean(0)[:, frames:].sum(1).mean()
            scores[f"padding_mass{name}"] = Score(float(mass), weight=float(len(look.text)))
            scores[f"padding_loss{name}"] = Score(_loss(padded) - _loss(look), weight=float(len(look.units)))
        return scores

    def _keep(self, item: str, audio: Audio, units: Tensor) -> None:
        """Every layer's frames, as means over units."""
        samples = torch.from_numpy(audio.resample(self.encoder.sample_rate).samples)[None]
        with torch.no_grad():
            hidden = torch.cat(self.encoder.hidden_states(samples.to(self.encoder.positional_embedding.device))).cpu()
        some = torch.from_numpy(kept(len(hidden), hidden.shape[2], len(units)))
        frames = to_units(hidden, len(units), self.source.spec.frame_rate)[:, some].half()
        make_folder(self._file(item).parent)
        tensors = {"frames": frames.contiguous(), "units": units[some].contiguous()}
        write_whole(self._file(item), lambda path: save_file(tensors, path))

    # ---- what it says together ------------------------------------------------------------------------------------

    def _guesses(
        self,
        rows: Sequence[ResultRow],
        speakers: Mapping[str, str],
        figures: Mapping[str, Figure],
        parts: Halves | None,
    ) -> list[Entry]:
        """What is reached without hearing, or without a model."""
        units = {row.item: row.extra["units"] for row in rows}
        told = torch.cat([torch.tensor(one) for one in units.values()]) if units else torch.zeros(0, dtype=torch.long)
        size, n = self.source.spec.size, len(rows)
        anchors = unit_anchors(told[None], torch.ones_like(told, dtype=torch.bool)[None], size)
        controls = {"top1": "text_only_top1", "top5": "text_only_top5", "loss": "text_only_loss"}
        control = {key: figures[name] for key, name in controls.items() if name in figures}
        entries = [self._entry("text only", "the same model, which hears nothing", control)]
        if parts is not None:
            found = bigram(units, parts, size)
            who = [speakers[item] for item in found]
            entries.append(self._entry(
                "the unit before", "counts in the other half of the speakers, smoothed after Witten and Bell",
                {key: summarize([one[key] for one in found.values()], seed=self.plan.seed, groups=who)
                 for key in ("top1", "top5", "loss")},
            ))  # fmt: skip
        again = {"top1": figures["repeat_last_top1"]} if "repeat_last_top1" in figures else {}
        entries.append(self._entry("repeat last", "the unit before, once more", again))
        for name, note, guess in (
            ("unigram", "how often each unit occurs in these very clips; top-1 is the majority's", anchors.unigram),
            ("uniform", f"all {size} units alike; the loss is ln (K + 1), the end included", anchors.uniform),
        ):
            nats = math.log(size + 1) if name == "uniform" else guess.nats.value
            values = {"top1": guess.top[1].value, "top5": guess.top[5].value, "loss": nats}
            entries.append(self._entry(name, note, {
                key: Figure(mean=value, low=math.nan, high=math.nan, n=n) for key, value in values.items()
            }))  # fmt: skip
        return entries

    def _of_tables(self, rows: Sequence[ResultRow], speakers: Mapping[str, str]) -> list[Entry]:
        """What the texts come to by each table of subwords."""
        return [
            self._entry(
                name,
                "a table of subwords",
                speaker_figures([row for row in rows if row.entry == name], _OWN, speakers, self.plan.seed),
            )
            for name in self.tables
        ]

    def _probes(self, speakers: Mapping[str, str], parts: Halves) -> list[ProbeRow]:
        """What a linear probe reads of the units from each layer."""
        files = {item: _load(self._file(item)) for item in speakers}
        units = {item: one["units"] for item, one in files.items()}
        found = []
        for layer in range(self.encoder.depth + 1):
            scores, commonest = layer_top1({item: one["frames"][layer] for item, one in files.items()}, units, parts)
            if not scores:
                continue
            who = [speakers[item] for item in scores]
            majority = summarize(list(commonest.values()), groups=who).mean
            found.append(ProbeRow(
                entry=self.tokenizer.config.encoder.name, probe="unit", view=f"layer {layer}", better="higher",
                metric="top-1 accuracy", figure=summarize(list(scores.values()), seed=self.plan.seed, groups=who),
                chance=1 / CLASSES, majority=majority,
                note=f"ridge regression on the means of a unit's frames, the {CLASSES} commonest units; each half of "
                "the speakers by what was fitted on the other",
            ))  # fmt: skip
        return found

    def _verdicts(
        self, figures: Mapping[str, Figure], guesses: Sequence[Entry], probes: Sequence[ProbeRow]
    ) -> list[Verdict]:
        means = {key: figure.mean for key, figure in figures.items()}
        means |= {f"{entry.name} top1": entry.figures["top1"].mean for entry in guesses if "top1" in entry.figures}
        layers = {int(row.view.split()[-1]): row.figure.mean for row in probes}
        config = self.tokenizer.config
        return verdicts(
            means, layers, value_layer=config.layers[1], normalised=config.fusion == "weighted",
            masked=config.aggregator.mask_padding,
        )  # fmt: skip

    def _entry(self, name: str, note: str, figures: Mapping[str, Figure]) -> Entry:
        own = name == self.name
        shown = {column.key: figures[column.key] for column in COLUMNS if column.key in figures}
        kind: Literal["tokenizer", "anchor"] = "tokenizer" if own else "anchor"
        return Entry(name=name, kind=kind, family=name, figures=shown, note=self.tokenizer.digest if own else note)

    def _file(self, item: str) -> Path:
        return self.out / "layers" / f"{list(self.clips).index(item):05d}.safetensors"


def _attention(look: UnitPrediction) -> dict[str, Score]:
    """How far attention spreads, and whether it follows the text."""
    assert look.attention is not None
    looked = look.attention.double().mean(0)
    most = math.log(looked.shape[1])
    centres = attention_centers(looked, 1.0)
    steps = centres[1:] - centres[:-1]
    onward = undefined("there is one subword")
    if len(steps):
        onward = Score(float((steps >= 0).double().mean()), weight=float(len(steps)))
    spread = Score(mean_entropy(looked) / most, weight=float(len(looked))) if most else undefined("there is one frame")
    return {"attention_spread": spread, "monotonicity": onward}


def _loss(look: UnitPrediction) -> float:
    """Nats of a unit; the end is not counted."""
    return float(F.cross_entropy(look.logits[:-1], look.units))


def _subword_rates(subword_tokenizer: SubwordTokenizer, text: str, seconds: float) -> dict[str, Score]:
    """Subwords a second of a text as it is written, in small letters, in capitals."""
    found = {}
    for name, written in (("written", text), ("lower", text.lower()), ("upper", text.upper())):
        try:
            found[f"pieces_{name}"] = Score(len(subword_tokenizer.tokenize(written).ids) / seconds, weight=seconds)
        except TextError as error:
            found[f"pieces_{name}"] = undefined(str(error))
    return found


def _tables(tokenizer: TasteTokenizer) -> tuple[dict[str, SubwordTokenizer], list[str]]:
    """Tables to hold the model's own against: the same with letters as they are, and Whisper's where it is at hand."""
    own = subword_tokenizer_from_json(
        {**tokenizer.config.subwords, "case": "as_is"}, "the model's subwords", located=located
    )
    tables: dict[str, SubwordTokenizer] = {"its table, letters as they are": own}
    name = tokenizer.config.encoder.name
    try:
        tables[f"subwords of {name}"] = HubTokenizer.load(name, "as_is", located=located)
    except CheckpointError as error:
        return tables, [f"subwords a second by the encoder's own table: {error}"]
    return tables, []


def _load(path: Path) -> dict[str, Tensor]:
    tensors = load_file(path)
    return {"frames": tensors["frames"].float(), "units": tensors["units"]}
