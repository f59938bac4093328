"""Probes of sequences: phones or letters, recognized by a small BLSTM with CTC on the splits of the manifest."""

import copy
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial, reduce
from itertools import pairwise
from operator import add

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Num
from numpy import ndarray
from pydantic import RootModel
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from vocable.data.manifest import Utterance
from vocable.errors import ManifestError
from vocable.evaluate.card import ProbeRow
from vocable.evaluate.probes.base import ProbeTask
from vocable.evaluate.probes.views import ProbeInput
from vocable.metrics.classification import guess_accuracies
from vocable.metrics.score import undefined
from vocable.metrics.text import NORMALIZER, ErrorCounts, cer, normalize, per, wer
from vocable.schema import parse
from vocable.shapes import mask_from_lengths

_HIDDEN = 128  # units of each direction
_BATCH = 8  # clips of similar length
_LEARNING_RATE = 2e-3  # of Adam; halved when the error on dev does not fall
_PATIENCE = 4  # epochs without a lower error on dev before training stops
_MAX_POSITIONS = 8  # output positions per frame
_UNTRAINED = 0.95  # error rate from which on a network predicts nothing yet: it neither slows down nor stops

CountErrors = Callable[[list[str], list[str]], ErrorCounts]


@dataclass(frozen=True, kw_only=True)
class _Alphabet:
    """Symbols to be recognized, and the functions that count errors; the first one decides when training stops."""

    symbols_of: Callable[[Utterance], list[str]]
    missing: str
    errors: dict[str, CountErrors]
    note: str


class _Phones(RootModel[list[str | list[str]]]):
    """Value of a manifest's key ``phones``: phones, or a list of phones for each word."""


def phones_of(utterance: Utterance) -> list[str]:
    """Return the phones of the key ``phones``, one list or one list per word, without the stress marks of ARPAbet.

    Raises:
        ManifestError: If the key is no list of phones, or of lists of phones.

    Example:
        >>> phones_of(Utterance(audio_path="a.flac", extra={"phones": [["Z", "IH1"], ["T", "UW0"]]}))
        ['Z', 'IH', 'T', 'UW']
    """
    values = utterance.extra.get("phones") or []
    words = parse(_Phones, values, f"{utterance.name}: 'phones'", ManifestError).root
    flat = [phone for word in words for phone in ([word] if isinstance(word, str) else word)]
    return [re.sub(r"(?<=[A-Z])[012]$", "", phone) for phone in flat]


def letters_of(utterance: Utterance) -> list[str]:
    """Return the letters and spaces of the normalized text.

    Example:
        >>> "".join(letters_of(Utterance(audio_path="a.flac", text="Good  Morning!")))
        'good morning'
    """
    return list(normalize(utterance.text or ""))


def _joined(count: Callable[..., ErrorCounts]) -> CountErrors:
    return lambda reference, hypothesis: count("".join(reference), "".join(hypothesis), normalizer=str)


_PHONES = _Alphabet(
    symbols_of=phones_of, missing="the manifest has no 'phones' for it", errors={"PER": per}, note="stress removed"
)
_LETTERS = _Alphabet(
    symbols_of=letters_of, missing="the manifest has no 'text' for it",
    errors={"CER": _joined(cer), "WER": _joined(wer)}, note=NORMALIZER,
)  # fmt: skip


def recognize_phones(task: ProbeTask, inputs: Sequence[ProbeInput]) -> list[ProbeRow]:
    """Report the phone error rate of a small BLSTM with CTC on the manifest's ``phones``.

    As every sequence probe, it is fitted on the split ``train`` and scored on ``test``, with greedy decoding, no
    language model and one seed. The error on ``dev`` stops the training; a tenth of train replaces a missing dev.
    ``chance`` is the error of an empty hypothesis. ``majority`` is the error of the most frequent symbol (or word),
    repeated to the length of the reference.
    """
    return [row for one in inputs for row in _rows(task, one, _PHONES)]


def recognize_letters(task: ProbeTask, inputs: Sequence[ProbeInput]) -> list[ProbeRow]:
    """Report character and word error rates of a small BLSTM with CTC; see :func:`recognize_phones`.

    Source:
        The recognition probe of SpeechTokenizer (Zhang et al., arXiv:2308.16692), smaller and on less data. Its
        figures compare only between tokenizers that are probed on the same clips.
    """
    return [row for one in inputs for row in _rows(task, one, _LETTERS)]


@dataclass(frozen=True)
class _Parts:
    """Indices of the clips of each split, and the reason for each test clip that is left out."""

    train: list[int] = field(default_factory=list)
    dev: list[int] = field(default_factory=list)
    test: list[int] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


def _rows(task: ProbeTask, inputs: ProbeInput, alphabet: _Alphabet) -> list[ProbeRow]:
    references = [alphabet.symbols_of(utterance) for utterance in inputs.utterances]
    parts = _Parts() if inputs.refused else _split(inputs, references, alphabet.missing)
    reason = inputs.refused or ("one vector of a clip does not say when" if inputs.utterance_level else _lack(parts))
    if reason:
        return [task.undefined_row(inputs, metric, "lower", reason) for metric in alphabet.errors]
    symbols = sorted({symbol for at in parts.train for symbol in references[at]})
    number = {symbol: place for place, symbol in enumerate(symbols, start=1)}
    frames = {at: inputs.frames(at) for at in (*parts.train, *parts.dev, *parts.test)}
    clips = CtcClips(
        frames=[frames[at] for at in parts.train],
        targets=[[number[symbol] for symbol in references[at]] for at in parts.train],
    )
    rate = positions_per_frame(clips)
    too_long = sum(
        min_positions(target) > len(rows) * rate for rows, target in zip(clips.frames, clips.targets, strict=True)
    )

    def recognize(network: CtcNetwork, where: Sequence[int]) -> list[list[str]]:
        hypotheses = decode_greedy(network, [frames[at] for at in where])
        return [[symbols[symbol - 1] for symbol in hypothesis] for hypothesis in hypotheses]

    def dev_error(network: CtcNetwork) -> float:
        count = next(iter(alphabet.errors.values()))
        pairs = zip(parts.dev, recognize(network, parts.dev), strict=True)
        return reduce(add, [count(references[at], hypothesis) for at, hypothesis in pairs]).rate

    network, epochs = train(
        clips, dev_error, classes=len(symbols) + 1, entries=inputs.codebook_size, seed=task.seed, epochs=task.epochs
    )
    hypotheses = recognize(network, parts.test)
    note = (
        f"BLSTM-CTC, greedy, {alphabet.note}; fitted on train ({len(parts.train)} clips, {epochs} of at most "
        f"{task.epochs} passes by dev, {len(parts.dev)} clips), scored on test; seed {task.seed}"
    )
    note += f"; {too_long} texts of train are longer than their frames" if too_long else ""
    row = partial(_row, task, inputs, parts, [references[at] for at in parts.test], hypotheses, note)
    return [row(metric, count) for metric, count in alphabet.errors.items()]


def _row(
    task: ProbeTask, inputs: ProbeInput, parts: _Parts, references: Sequence[list[str]],
    hypotheses: Sequence[list[str]], note: str, metric: str, count: CountErrors,
) -> ProbeRow:  # fmt: skip
    scores = [count(reference, found).score() for reference, found in zip(references, hypotheses, strict=True)]
    scores += [undefined(reason) for reason in parts.reasons]
    speakers = [inputs.utterances[at].speaker for at in parts.test]
    groups = [*speakers, *("" for _ in parts.reasons)] if all(speakers) and len(set(speakers)) > 1 else None
    units = [unit for one in references for unit in ("".join(one).split() if metric == "WER" else one)]
    return task.row(
        inputs, metric, "lower", scores, groups=groups, chance=1.0, majority=1.0 - guess_accuracies(units)[1], note=note
    )


def _split(inputs: ProbeInput, references: Sequence[list[str]], missing: str) -> _Parts:
    parts = _Parts()
    clips_of = {"train": parts.train, "dev": parts.dev, "test": parts.test}
    for at, utterance in enumerate(inputs.utterances):
        usable = bool(references[at]) and len(inputs.frames(at)) > 0
        if utterance.split in clips_of and usable:
            clips_of[utterance.split].append(at)
        elif utterance.split == "test":
            parts.reasons.append("it has no frames" if references[at] else missing)
    if not parts.dev and len(parts.train) > 1:
        parts.dev.extend(parts.train[::10])
        parts.train[:] = [at for at in parts.train if at not in set(parts.dev)]
    return parts


def _lack(parts: _Parts) -> str:
    if not parts.train:
        return "there is nothing to fit on: no clip of split 'train' with what it says"
    if not parts.test:
        return "there is nothing to score: no clip of split 'test' with what it says"
    return ""


# ---- the network ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class CtcClips:
    """Frames of some clips, vectors or ids, and their target symbols from 1; 0 is the blank of CTC."""

    frames: Sequence[Num[ndarray, "N D"]]
    targets: Sequence[Sequence[int]]


class BidirectionalLstm(nn.Module):
    """A bidirectional LSTM layer for padded batches.

    It computes what torch's layer computes for packed sequences, without the quadratic time of that one's backward.

    Args:
        width: Dimension of the input.

    Example:
        >>> BidirectionalLstm(4)(torch.zeros(2, 5, 4), torch.tensor([5, 3])).shape
        torch.Size([2, 5, 256])
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.forward_lstm = nn.LSTM(width, _HIDDEN, batch_first=True)
        self.backward_lstm = nn.LSTM(width, _HIDDEN, batch_first=True)

    def forward(self, frames: Float[Tensor, "B N D"], lengths: Int[Tensor, " B"]) -> Float[Tensor, "B N D2"]:
        """Return the states of both directions; padding does not change those of real frames."""
        positions = torch.arange(frames.shape[1])[None]
        mirror = torch.where(positions < lengths[:, None], lengths[:, None] - 1 - positions, positions)[..., None]
        reversed_states = self.backward_lstm(frames.gather(1, mirror.expand_as(frames)))[0]
        backward = reversed_states.gather(1, mirror.expand_as(reversed_states))
        return torch.cat([self.forward_lstm(frames)[0], backward], dim=2)


class CtcNetwork(nn.Module):
    """Frames to log-probabilities of symbols, the same for a clip alone and in any batch.

    Args:
        width: Dimension of a frame: values of a vector, or levels of ids.
        classes: Number of symbols, with the blank 0.
        entries: Entries of a level where frames are ids, whose embeddings are then learned; None for vectors.
        rate: Output positions per frame; 0.5 joins two frames into one position.

    Example:
        >>> network = CtcNetwork(width=4, classes=3, rate=2.0)
        >>> network(torch.zeros(1, 5, 4), torch.tensor([5]))[0].shape
        torch.Size([1, 10, 3])
    """

    def __init__(self, *, width: int, classes: int, entries: int | None = None, rate: float = 1.0) -> None:
        super().__init__()
        self.classes, self.entries = classes, entries
        self.stack, self.spread = (2, 1) if rate < 1 else (1, int(rate))
        self.embedding = nn.Embedding(width * entries, _HIDDEN) if entries else None
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.in_proj = nn.Linear((_HIDDEN if entries else width) * self.stack, _HIDDEN)
        self.layers = nn.ModuleList(BidirectionalLstm(width) for width in (_HIDDEN, 2 * _HIDDEN))
        self.dropout = nn.Dropout(0.2)
        self.out_proj = nn.Linear(2 * _HIDDEN, classes * self.spread)

    def fit_scale(self, frames: Sequence[Num[ndarray, "N D"]]) -> None:
        """Store mean and standard deviation of these vectors; ids need none."""
        if self.entries is None:
            rows = torch.from_numpy(np.concatenate(list(frames))).float()
            self.mean, self.scale = rows.mean(0), rows.std(0, correction=0).clamp(min=1e-6)

    def forward(
        self, frames: Num[Tensor, "B N D"], lengths: Int[Tensor, " B"]
    ) -> tuple[Float[Tensor, "B P k"], Int[Tensor, " B"]]:
        """Return the log-probabilities at each output position, and the number of real positions of each clip."""
        if self.embedding is not None:
            rows = frames.long() + torch.arange(frames.shape[2]) * (self.entries or 0)
            vectors = self.embedding(rows).sum(2)
        else:
            vectors = (frames.float() - self.mean) / self.scale
        vectors = vectors * mask_from_lengths(lengths, frames.shape[1])[..., None]
        vectors = F.pad(vectors, (0, 0, 0, -frames.shape[1] % self.stack))
        lengths = -(-lengths // self.stack)
        states = F.relu(self.in_proj(self.dropout(vectors.reshape(len(vectors), -1, self.in_proj.in_features))))
        for layer in self.layers:
            states = layer(self.dropout(states), lengths)
        logits = self.out_proj(self.dropout(states)).reshape(len(vectors), -1, self.classes)
        return logits.log_softmax(-1), lengths * self.spread


def positions_per_frame(clips: CtcClips) -> float:
    """Return the output positions per frame under which 99 % of the targets fit: 0.5, or a whole number up to 8.

    Example:
        >>> fast = CtcClips(frames=[np.zeros((5, 2))], targets=[[1, 2, 3, 4, 5, 5]])
        >>> slow = CtcClips(frames=[np.zeros((50, 2))], targets=[[1, 2, 3, 4, 5, 5]])
        >>> positions_per_frame(fast), positions_per_frame(slow)
        (2.0, 0.5)
    """
    needed = [min_positions(target) / len(rows) for rows, target in zip(clips.frames, clips.targets, strict=True)]
    typical = float(np.percentile(needed, 99))
    return 0.5 if typical <= 0.4 else float(min(_MAX_POSITIONS, np.ceil(typical)))


def min_positions(symbols: Sequence[int]) -> int:
    """Return the fewest CTC positions of a sequence: one per symbol, and a blank between two equal ones."""
    return len(symbols) + sum(a == b for a, b in pairwise(symbols))


def train(
    clips: CtcClips, dev_error: Callable[[CtcNetwork], float], *,
    classes: int, entries: int | None, seed: int, epochs: int,
) -> tuple[CtcNetwork, int]:  # fmt: skip
    """Fit a network and restore its weights of the lowest error on dev.

    Args:
        clips: Training clips; every clip has frames and symbols.
        dev_error: Function from the network to its error rate on other clips.
        classes: Number of symbols, with the blank 0.
        entries: Entries of a level where frames are ids.
        seed: Seed of the weights, the order of the clips and the dropout.
        epochs: Most passes over the clips.

    Returns:
        The network, and the epoch of its lowest error.
    """
    random = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        rate = positions_per_frame(clips)
        network = CtcNetwork(width=clips.frames[0].shape[1], classes=classes, entries=entries, rate=rate)
        network.fit_scale(clips.frames)
        optimizer = torch.optim.Adam(network.parameters(), lr=_LEARNING_RATE)
        schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
        lowest, best, best_epoch = np.inf, copy.deepcopy(network.state_dict()), 0
        stale = 0
        for epoch in range(1, epochs + 1):
            network.train()
            for batch in _batches(clips, random):
                _step(network, optimizer, clips, batch)
            error = dev_error(network.eval())
            is_learning = min(error, lowest) < _UNTRAINED
            if is_learning:
                schedule.step(error)
            if error < lowest:
                lowest, best, best_epoch, stale = error, copy.deepcopy(network.state_dict()), epoch, 0
            else:
                stale += 1
            if is_learning and stale >= _PATIENCE:
                break
    network.load_state_dict(best)
    return network.eval(), best_epoch


@torch.no_grad()
def decode_greedy(network: CtcNetwork, frames: Sequence[Num[ndarray, "N D"]]) -> list[list[int]]:
    """Return the most likely symbol of each position, without repetitions and blanks."""
    found = []
    for start in range(0, len(frames), 32):
        rows = [torch.from_numpy(one) for one in frames[start : start + 32]]
        lengths = torch.tensor([len(row) for row in rows])
        scores, counts = network(pad_sequence(rows, batch_first=True), lengths)
        for best, count in zip(scores.argmax(-1), counts.tolist(), strict=True):
            merged = torch.unique_consecutive(best[:count])
            found.append(merged[merged > 0].tolist())
    return found


def _batches(clips: CtcClips, random: np.random.Generator) -> Iterator[list[int]]:
    """Yield batches of clips of similar length, in random order."""
    lengths = np.array([len(rows) for rows in clips.frames])
    order = np.argsort(lengths * random.uniform(0.9, 1.1, lengths.size))
    batches = [order[start : start + _BATCH].tolist() for start in range(0, lengths.size, _BATCH)]
    yield from (batches[at] for at in random.permutation(len(batches)))


def _step(network: CtcNetwork, optimizer: torch.optim.Optimizer, clips: CtcClips, batch: Sequence[int]) -> None:
    rows = [torch.from_numpy(clips.frames[at]) for at in batch]
    targets = [clips.targets[at] for at in batch]
    scores, counts = network(pad_sequence(rows, batch_first=True), torch.tensor([len(row) for row in rows]))
    loss = F.ctc_loss(
        scores.transpose(0, 1), torch.tensor([symbol for target in targets for symbol in target]), counts,
        torch.tensor([len(target) for target in targets]), zero_infinity=True,
    )  # fmt: skip
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 5.0)
    optimizer.step()
