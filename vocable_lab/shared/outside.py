"""Speech and sound that a tokenizer did not learn from: each manifest a domain, and two kinds of sound that is none.

For every domain: how much of the codebook it uses, how unlike the ids are to those of the first domain, and how far
what is decoded is from the recording. Any tokenizer whose tokens have a ``spec`` will do. Animals and song are not at
hand: a manifest of them is one more domain.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vocable.audio import Audio
from vocable.data.manifest import Utterance
from vocable.errors import AudioError, ConfigError, InputError
from vocable.evaluate.canvas import add_panels, clean_label, draw_figure
from vocable.evaluate.card import Card, Column, Entry, Picture, Sample
from vocable.evaluate.measures import RATE
from vocable.evaluate.pictures import count_ids
from vocable.evaluate.plan import Plan, as_scored, common_settings, describe_split, select_clips, short_names
from vocable.evaluate.runner import Evaluation, ResultRow, Results
from vocable.evaluate.summary import level_usage
from vocable.files import make_folder
from vocable.interfaces import Tokenizer
from vocable.metrics.codebook import LevelUsage, divergence, mean_entropy
from vocable.metrics.score import Figure, summarize
from vocable.metrics.spectral import log_mel_distance
from vocable.systems import registry as hub
from vocable.tokens import Tokens
from vocable_lab.shared.made_up import MADE

_SOUNDS = 10  # of either kind
_EQUAL = "of as many frames in every domain, drawn by the seed"


def _column(key: str, title: str, caption: str, unit: str = "", form: str = ".3f", better: Any = "neither") -> Column:
    return Column(key=key, title=title, unit=unit, better=better, caption=caption, form=form)


COLUMNS = (
    _column("log_mel_distance", "log-mel distance", "Mean absolute difference of 80 log-mel bands at 16 kHz between "
            "recording and decoded sound; interval over clips.", "dB", ".2f", "lower"),
    _column("distance_from_first", "distance of ids", "Jensen-Shannon divergence between the ids of this domain and "
            f"of the first, mean over levels, {_EQUAL}: 0 is alike, 1 has no id in common. Of the first: between "
            "two halves of its clips, which is what chance gives.", "bit"),
    _column("codebook_used_equal", "codebook used", f"Share of entries that occur, mean over levels, {_EQUAL}.", "%",
            ".1f"),
    _column("entropy_equal", "entropy", f"Of an id, mean over levels, {_EQUAL}.", "bit", ".2f"),
    _column("codebook_used", "codebook used, all frames", "Share of entries that occur in all the domain's frames; "
            "longer domains use more.", "%", ".1f"),
    _column("frames", "frames", "Of all the domain's clips.", "", ",.0f"),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Item:
    """A clip of a domain; without an utterance a sound that is made up."""

    domain: str
    key: str
    number: int
    utterance: Utterance | None = None


class Outside(Evaluation):
    """Domains side by side; an :class:`~vocable.evaluate.runner.Evaluation` for tokenizers of any system.

    Args:
        plan: Tokenizers, manifests (the first is what others are compared with), split, ``limit`` of clips of each
            domain, and seed.
        out: Tokens are kept here.

    Raises:
        ConfigError: No manifest is named.
        CheckpointError: A tokenizer cannot be loaded.
    """

    def __init__(self, plan: Plan, out: Path) -> None:
        self.plan, self.out = plan, out
        self.tokenizers: dict[str, Tokenizer] = {
            name: hub.load(source) for name, source in short_names(plan.tokenizers).items()
        }
        if not plan.manifests:
            raise ConfigError("there is nothing to judge on: name manifests with --data, each a domain")
        names = _names(plan.manifests)
        domains = {
            name: select_clips(replace(plan, manifests=(path,)))
            for name, path in zip(names, plan.manifests, strict=True)
        }
        self.domains = [*domains, *MADE]
        found = [
            _Item(domain=domain, key=f"{domain} | {key}", number=number, utterance=clip)
            for domain, clips in domains.items() for number, (key, clip) in enumerate(clips.items())
        ]  # fmt: skip
        many = min(_SOUNDS, plan.limit or _SOUNDS)
        found += [_Item(domain=kind, key=f"{kind} | {at}", number=at) for kind in MADE for at in range(many)]
        self.clips = {one.key: one for one in found}

    def items(self) -> Sequence[str]:
        """Clips of every domain."""
        return list(self.clips)

    def work(self, item: str) -> Sequence[ResultRow]:
        """A clip as each tokenizer has it."""
        clip = self._sound(self.clips[item])
        return [self._row(name, self.clips[item], clip) for name in self.tokenizers]

    def settings(self) -> dict[str, Any]:
        """All that the rows depend on."""
        known = {key: one.utterance for key, one in self.clips.items() if one.utterance is not None}
        digests = {name: tokenizer.digest for name, tokenizer in self.tokenizers.items()}
        return common_settings(self.plan, known, digests) | {"task": "outside", "domains": self.domains}

    def card(self, results: Results) -> Card:
        """A row for each tokenizer and domain, pictures of their ids, a clip of each to listen to."""
        entries: list[Entry] = []
        pictures: list[Picture] = []
        for name in self.tokenizers:
            rows, tokens = {}, {}
            for domain in self.domains:
                some = [row for row in results.rows if row.entry == _entry(name, domain)]
                if some:
                    rows[domain] = some
                    tokens[domain] = [Tokens.read(self._file(name, row.item)) for row in some]
            compared = self._compared(tokens)
            for domain, some in rows.items():
                levels = level_usage(tokens[domain], tokens[domain][0].spec.num_codebooks)
                entries.append(self._described(name, domain, some, levels, compared[domain]))
            pictures.append(histograms(name, tokens))
        names = " and ".join(path.absolute().parent.name for path in self.plan.manifests)
        return Card(
            title=f"{', '.join(self.tokenizers)}: outside the domain",
            lead=f"{len(self.clips) - len(results.quarantined)} clips of {names}, {describe_split(self.plan.split)}, "
            f"and of {' and '.join(MADE)}, which are made up.",
            columns=COLUMNS, entries=entries, samples=list(self._samples()), quarantined=results.quarantined,
            settings=self.settings(), pictures=pictures, main=[column.key for column in COLUMNS[:4]],
        )  # fmt: skip

    def _row(self, name: str, one: _Item, clip: Audio) -> ResultRow:
        tokenizer = self.tokenizers[name]
        tokens = tokenizer.encode(clip)
        make_folder(self._file(name, one.key).parent)
        tokens.write(self._file(name, one.key))
        made = as_scored(tokenizer.decode(tokens))
        score = log_mel_distance(as_scored(clip).samples, made.samples, RATE)
        return ResultRow(entry=_entry(name, one.domain), item=one.key, scores={"log_mel_distance": score})

    def _sound(self, one: _Item) -> Audio:
        if one.utterance is None:
            return MADE[one.domain](np.random.default_rng([self.plan.seed, one.number]))
        try:
            return Audio.read(one.utterance.audio_path)
        except AudioError as error:  # a result names no machine's folders
            raise AudioError(str(error).replace(f"{one.utterance.audio_path}: ", "")) from error

    def _compared(self, tokens: Mapping[str, Sequence[Tokens]]) -> dict[str, dict[str, float]]:
        """Use and distance of every domain from as many frames."""
        ids = {domain: [one.ids[0, :, : int(one.lengths[0])] for one in some] for domain, some in tokens.items()}
        first = next(iter(tokens))
        halves = [torch.cat(ids[first][start::2] or ids[first], dim=1) for start in (0, 1)]
        every = {domain: torch.cat(parts, dim=1) for domain, parts in ids.items()}
        frames = min(part.shape[1] for part in (*halves, *every.values()))
        if frames == 0:
            raise InputError("a domain has no frame: its clips are too short for these tokens")
        size = tokens[first][0].spec.codebook_size
        half, base = (_counts(part, frames, size, self.plan.seed) for part in halves)
        found = {}
        for domain, part in every.items():
            counts = _counts(part, frames, size, self.plan.seed)
            shares = counts / frames
            found[domain] = {
                "distance_from_first": divergence(half if domain == first else counts, base),
                "codebook_used_equal": float((counts > 0).double().mean()),
                "entropy_equal": mean_entropy(shares) / math.log(2),
            }
        return found

    def _described(
        self,
        name: str,
        domain: str,
        rows: Sequence[ResultRow],
        levels: Sequence[LevelUsage],
        compared: Mapping[str, float],
    ) -> Entry:
        spec = self.tokenizers[name].spec
        counted = dict(compared) | {
            "codebook_used": float(np.mean([level.used for level in levels])), "frames": float(levels[0].frames),
        }  # fmt: skip
        nothing = float("nan")  # counted over all clips at once: there is no interval
        return Entry(
            name=_entry(name, domain), kind="tokenizer", family=name, usage=levels,
            bit_rate=nothing if spec.hop is None else spec.bit_rate,
            note="made up, and no speech" if domain in MADE else f"{len(rows)} clips",
            figures={
                "log_mel_distance": summarize([row.scores["log_mel_distance"] for row in rows], seed=self.plan.seed),
                **{key: Figure(mean=one, low=nothing, high=nothing, n=len(rows)) for key, one in counted.items()},
            },
        )  # fmt: skip

    def _samples(self) -> Sequence[Sample]:
        """The middle clip of every domain."""
        shown = []
        for domain in self.domains:
            some = [one for one in self.clips.values() if one.domain == domain]
            one = some[len(some) // 2]
            try:
                clip = self._sound(one)
                made = {
                    name: (tokenizer.decode(tokenizer.encode(clip)), "decoded")
                    for name, tokenizer in self.tokenizers.items()
                }
            except AudioError:
                continue
            text = one.utterance.text if one.utterance is not None else None
            shown.append(
                Sample(utterance=one.key, reason=domain, labels={"text": text or ""}, recording=clip, versions=made)
            )
        return shown

    def _file(self, name: str, item: str) -> Path:
        return self.out / "tokens" / name / f"{list(self.clips).index(item):05d}.tokens"


def histograms(name: str, tokens: Mapping[str, Sequence[Tokens]]) -> Picture:
    """How often each domain uses each entry of level 1: a line of shades a domain."""
    counts = np.stack([np.sum([count_ids(one)[0] for one in some], axis=0) for some in tokens.values()])
    shares = counts[:, np.argsort(-counts[0], kind="stable")] / counts.sum(1, keepdims=True)
    shades = np.log10(np.maximum(shares, 1e-5))

    def put(figure: Any) -> None:
        figure.suptitle(clean_label(f"{name}: codebook use by domain"))
        (axes,) = add_panels(figure, 1, 1)
        axes.grid(visible=False)
        image = axes.imshow(shades, aspect="auto", cmap="magma", interpolation="nearest")
        axes.set_yticks(range(len(tokens)), [clean_label(domain) for domain in tokens])
        axes.set_xlabel("entry of level 1, the first domain's commonest first")
        figure.colorbar(image, ax=axes, label="log10 of the share of ids")

    return Picture(
        title=f"{name}: codebook use by domain",
        caption="A line is the histogram of one domain's ids. Where it is bright on the left it uses what the first "
        "domain uses; what is bright on the right stands for what the first domain has not.",
        png=draw_figure(10.0, 1.4 + 0.35 * len(tokens), put),
    )


def _counts(ids: Tensor, frames: int, size: int, seed: int) -> Float[Tensor, "Q K"]:
    """How often entries occur in so many frames, drawn without putting back."""
    drawn = torch.randperm(ids.shape[1], generator=torch.Generator().manual_seed(seed))[:frames]
    return torch.stack([torch.bincount(row, minlength=size) for row in ids[:, drawn]]).double()


def _entry(name: str, domain: str) -> str:
    return f"{name} on {domain}"


def _names(manifests: Sequence[Path]) -> list[str]:
    """A name for each manifest: its folder's, with the file's where that is not enough."""
    folders = [path.absolute().parent.name for path in manifests]
    pairs = zip(folders, manifests, strict=True)
    return [name if folders.count(name) == 1 else f"{name} {path.stem}" for name, path in pairs]
