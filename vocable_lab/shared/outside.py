"""Evaluation outside the training domain: each manifest is a domain, and each kind of synthetic sound is one more.

Figures of a domain: codebook use, the divergence of its ids from those of the first domain, and the distance of the
decoded sound from the recording. Tokenizers of any system can be evaluated.
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
from vocable.evaluate.card import Card, Entry, Picture, Sample
from vocable.evaluate.measures import RATE
from vocable.evaluate.pictures import count_ids
from vocable.evaluate.plan import Plan, as_scored, common_settings, describe_split, select_clips, short_names
from vocable.evaluate.runner import Evaluation, ResultRow, Results
from vocable.evaluate.summary import level_usage
from vocable.files import make_folder
from vocable.metrics.codebook import LevelUsage, divergence, mean_entropy
from vocable.metrics.score import Figure, summarize
from vocable.metrics.spectral import log_mel_distance
from vocable.systems.base import BaseTokenizer
from vocable.systems.registry import load_as
from vocable.tokens import Tokens
from vocable_lab.shared.pictures import column, usage_picture
from vocable_lab.shared.synthetic import SYNTHETIC

_SOUNDS = 10  # synthetic sounds of each kind
_EQUAL = "of equally many frames in every domain, drawn by the seed"


COLUMNS = (
    column("log_mel_distance", "log-mel distance", "lower", "Mean absolute difference of 80 log-mel bands at 16 kHz "
           "between recording and decoded sound; interval over clips.", "dB", ".2f"),
    column("distance_from_first", "distance of ids", "neither", "Jensen-Shannon divergence between the ids of this "
           f"domain and of the first, mean over levels, {_EQUAL}: 0 is alike, 1 has no id in common. For the first: "
           "between two halves of its clips, which is the chance level.", "bit"),
    column("codebook_used_equal", "codebook used", "neither",
           f"Share of entries that occur, mean over levels, {_EQUAL}.", "%", ".1f"),
    column("entropy_equal", "entropy", "neither", f"Entropy of an id, mean over levels, {_EQUAL}.", "bit", ".2f"),
    column("codebook_used", "codebook used, all frames", "neither",
           "Share of entries that occur in all the domain's frames; longer domains use more.", "%", ".1f"),
    column("frames", "frames", "neither", "Number of frames of all the domain's clips.", "", ",.0f"),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Item:
    """A clip of a domain.

    Attributes:
        domain: Name of the domain.
        key: Key of the clip.
        number: Index of the clip in its domain.
        utterance: Manifest line; None for a synthetic sound.
    """

    domain: str
    key: str
    number: int
    utterance: Utterance | None = None


class Outside(Evaluation):
    """Comparison of token use and reconstruction across manifests, each a domain; the first is the reference.

    Args:
        plan: Tokenizers, manifests (the first one is the reference), split, ``limit`` of clips of each domain, and
            seed.
        out: Folder in which tokens are kept.

    Raises:
        ConfigError: If no manifest is named.
        CheckpointError: If a tokenizer cannot be loaded.
    """

    def __init__(self, plan: Plan, out: Path) -> None:
        self.plan, self.out = plan, out
        self.tokenizers: dict[str, BaseTokenizer[Any]] = {
            name: load_as(source, BaseTokenizer, plan.device, beam=plan.beam)  # type: ignore[type-abstract]
            for name, source in short_names(plan.tokenizers).items()
        }
        if not plan.manifests:
            raise ConfigError("there is no manifest; name at least one with --data, each a domain")
        names = _names(plan.manifests)
        domains = {
            name: select_clips(replace(plan, manifests=(path,)))
            for name, path in zip(names, plan.manifests, strict=True)
        }
        self.domains = [*domains, *SYNTHETIC]
        found = [
            _Item(domain=domain, key=f"{domain} | {key}", number=number, utterance=clip)
            for domain, clips in domains.items() for number, (key, clip) in enumerate(clips.items())
        ]  # fmt: skip
        count = min(_SOUNDS, plan.limit or _SOUNDS)
        found += [_Item(domain=kind, key=f"{kind} | {at}", number=at) for kind in SYNTHETIC for at in range(count)]
        self.clips = {one.key: one for one in found}

    def items(self) -> Sequence[str]:
        """Return the keys of the clips of every domain."""
        return list(self.clips)

    def work(self, item: str) -> Sequence[ResultRow]:
        """Score one clip with each tokenizer."""
        clip = self._sound(self.clips[item])
        return [self._row(name, self.clips[item], clip) for name in self.tokenizers]

    def settings(self) -> dict[str, Any]:
        """Return everything that the rows depend on."""
        known = {key: one.utterance for key, one in self.clips.items() if one.utterance is not None}
        digests = {name: tokenizer.digest for name, tokenizer in self.tokenizers.items()}
        return common_settings(self.plan, known, digests) | {"task": "outside", "domains": self.domains}

    def card(self, results: Results) -> Card:
        """Return a row for each tokenizer and domain, pictures of their ids, and a clip of each to listen to."""
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
            f"and of {', '.join(SYNTHETIC)}, which are synthetic.",
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
            return SYNTHETIC[one.domain](np.random.default_rng([self.plan.seed, one.number]))
        try:
            return Audio.read(one.utterance.audio_path)
        except AudioError as error:  # a result names no machine's folders
            raise AudioError(str(error).replace(f"{one.utterance.audio_path}: ", "")) from error

    def _compared(self, tokens: Mapping[str, Sequence[Tokens]]) -> dict[str, dict[str, float]]:
        """Compute codebook use and divergence of every domain from equally many frames."""
        ids = {domain: [one.ids[0, :, : int(one.lengths[0])] for one in some] for domain, some in tokens.items()}
        first = next(iter(tokens))
        halves = [torch.cat(ids[first][start::2] or ids[first], dim=1) for start in (0, 1)]
        every = {domain: torch.cat(parts, dim=1) for domain, parts in ids.items()}
        frames = min(part.shape[1] for part in (*halves, *every.values()))
        if frames == 0:
            raise InputError("a domain has no frame: its clips are too short for these tokens; give longer ones")
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
        token_format = self.tokenizers[name].format
        point_figure = dict(compared) | {
            "codebook_used": float(np.mean([level.used for level in levels])), "frames": float(levels[0].frames),
        }  # fmt: skip
        nan = float("nan")  # point_figure over all clips at once: there is no interval
        return Entry(
            name=_entry(name, domain), kind="tokenizer", family=name, usage=levels,
            bit_rate=nan if token_format.spec.hop is None else token_format.bit_rate(10.0),
            note="synthetic, no speech" if domain in SYNTHETIC else f"{len(rows)} clips",
            figures={
                "log_mel_distance": summarize([row.scores["log_mel_distance"] for row in rows], seed=self.plan.seed),
                **{key: Figure(mean=one, low=nan, high=nan, n=len(rows)) for key, one in point_figure.items()},
            },
        )  # fmt: skip

    def _samples(self) -> Sequence[Sample]:
        """Return the middle clip of every domain, to listen to."""
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
    """Draw how often each domain uses each entry of level 1.

    Args:
        name: Name of the tokenizer.
        tokens: Tokens of each domain.
    """
    counts = np.stack([np.sum([count_ids(one)[0] for one in some], axis=0) for some in tokens.values()])
    return usage_picture(
        counts, list(tokens), np.argsort(-counts[0], kind="stable"), title=f"{name}: codebook use by domain",
        axis="entry of level 1, the first domain's commonest first", row_height=0.35,
        caption="A line is the histogram of one domain's ids. Where it is bright on the left it uses what the first "
        "domain uses; what is bright on the right stands for what the first domain has not.",
    )  # fmt: skip


def _counts(ids: Tensor, frames: int, size: int, seed: int) -> Float[Tensor, "Q K"]:
    """Count entries in a number of frames, drawn without replacement."""
    drawn = torch.randperm(ids.shape[1], generator=torch.Generator().manual_seed(seed))[:frames]
    return torch.stack([torch.bincount(row, minlength=size) for row in ids[:, drawn]]).double()


def _entry(name: str, domain: str) -> str:
    return f"{name} on {domain}"


def _names(manifests: Sequence[Path]) -> list[str]:
    """Return a name for each manifest: that of its folder, with that of the file where folders share a name."""
    folders = [path.absolute().parent.name for path in manifests]
    pairs = zip(folders, manifests, strict=True)
    return [name if folders.count(name) == 1 else f"{name} {path.stem}" for name, path in pairs]
