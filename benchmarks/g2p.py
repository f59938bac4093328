"""Train the letter-to-sound model on the CMU dictionary inside pocketsphinx, and measure it on unseen words.

Words that share a stem are all in the same part, so that "walker" does not help with "walked". Possessives, which a
rule handles, and words with dots or hyphens are left out. A word is right if it equals one of the dictionary's
pronunciations. Its phone errors are those to the nearest of them.
"""

import hashlib
import json
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from anchors import RESULTS, interval, main, need, record, verdict
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from vocable.text.letters import LettersNetwork

BATCH = 256  # words
RATE = 3e-3  # peak learning rate
WARM_UP = 200  # steps
_ENDING = re.compile(r"(ingly|edly|ness(es)?|ments?|ings?|ers?|ed|es|s|ly|y|ie|e|')$")
_TARGETS = {"per": 0.10, "wer": 0.40}
Words = dict[str, list[tuple[str, ...]]]  # word → pronunciations


def g2p(
    model: Annotated[Path | None, typer.Option(help="Folder of a model to measure, instead of training one.")] = None,
    save: Annotated[Path, typer.Option(help="Folder of the trained model.")] = Path("runs/g2p-en"),
    epochs: Annotated[int, typer.Option(min=1, help="Passes through the training words.")] = 4,
    seed: Annotated[int, typer.Option(help="Seed of weights, order and bootstrap.")] = 0,
    manifest: Annotated[
        Path | None, typer.Option(help="Manifest with texts to convert to phones and back to words.")
    ] = None,
    clips: Annotated[int, typer.Option(min=1, help="Largest number of texts of the manifest.")] = 40,
    out: Annotated[Path, typer.Option(help="Folder of the result file.")] = RESULTS,
) -> None:
    """Train and measure the letter-to-sound model."""
    need("pocketsphinx", "pocketsphinx")
    need("rapidfuzz", "rapidfuzz")
    from vocable.text.letters import LettersToPhones
    from vocable.text.lexicon import Lexicon, phones_by_rule

    lexicon = Lexicon.installed()
    parts = _parts(lexicon.words)
    cost: dict[str, Any] = {}
    if model is None:
        started = time.perf_counter(), time.process_time()
        network = _train(parts["train"], epochs, seed)
        cost = {"seconds": time.perf_counter() - started[0], "cpu_seconds": time.process_time() - started[1]}
        cost |= {"epochs": epochs, "batch": BATCH, "rate": RATE, "precision": "bfloat16"}
        LettersToPhones(network).save(save, half=True)
    letters = LettersToPhones.load(model or save)
    values: dict[str, Any] = {
        part: _errors(parts[part], letters.phones, seed) for part in ("dev", "test")
    }  # fmt: skip
    train = {word: variants[0] for word, variants in parts["train"].items()}
    by_rule = {
        word: variants for word, variants in parts["test"].items() if phones_by_rule(word, train.get) is not None
    }  # fmt: skip
    values["test, words a rule makes of training words"] = {
        "rule": _errors(by_rule, lambda word: phones_by_rule(word, train.get) or (), seed),
        "model": _errors(by_rule, letters.phones, seed),
    }
    if manifest is not None:
        values["words of phones"] = _round_trip(manifest, clips, letters.phones, seed)
    Console(width=120).print(_table(values))
    target = record(
        "g2p",
        folder=out,
        letters={"folder": (model or save).name, "digest": letters.digest,
               "parameters": sum(value.numel() for value in letters.network.parameters())},
        data={"dictionary": lexicon.name, "words": {part: len(words) for part, words in parts.items()}},
        seed=seed,
        training=cost,
        values=values,
    )  # fmt: skip
    for name, most in _TARGETS.items():
        typer.echo(f"{name} <= {most:g}: {verdict(values['test'][name] - most)}")
    typer.echo(f"{target}")


def _parts(lexicon: Mapping[str, Sequence[str]]) -> dict[str, Words]:
    """Split a dictionary by the hash of the stem: five words of a hundred for the test, three for development."""
    parts: dict[str, Words] = {"train": {}, "dev": {}, "test": {}}
    for word, variants in lexicon.items():
        if re.fullmatch(r"[a-z][a-z']*", word) and not word.endswith(("'s", "s'")):
            place = int(hashlib.sha256(_stem(word).encode()).hexdigest()[:8], 16) % 100
            part = "test" if place < 5 else "dev" if place < 8 else "train"
            parts[part][word] = [tuple(phones.split()) for phones in variants]
    return parts


def _stem(word: str) -> str:
    while len(shorter := _ENDING.sub("", word)) >= 4 and shorter != word:
        word = shorter
    return word


def _train(words: Words, epochs: int, seed: int) -> "LettersNetwork":
    """Train by CTC with AdamW and a learning rate that rises linearly, then falls linearly to 0."""
    import torch
    from torch.nn.functional import ctc_loss

    from vocable.text.letters import SLOTS, LettersConfig, LettersNetwork, ids_of_letters
    from vocable.text.phonemes import ARPABET

    torch.manual_seed(seed)
    network = LettersNetwork(LettersConfig()).train()
    pairs = [
        (ids_of_letters(word), torch.tensor([ARPABET.index(phone) + 1 for phone in phones]))
        for word, variants in words.items()
        for phones in variants
        if len(phones) + sum(map(str.__eq__, phones, phones[1:])) <= SLOTS * len(word)  # "mrs" has too few letters
    ]
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.01)
    order = random.Random(seed)
    batches = [batch for _ in range(epochs) for batch in _batches([len(pair[0]) for pair in pairs], order)]
    for step, batch in enumerate(batches):
        optimizer.param_groups[0]["lr"] = RATE * min(1, (step + 1) / WARM_UP) * (1 - step / len(batches))
        letters, phones = zip(*(pairs[place] for place in batch), strict=True)
        padded = torch.nn.utils.rnn.pad_sequence(letters, batch_first=True, padding_value=-1)
        with torch.autocast("cpu", torch.bfloat16):
            logs = network(padded, padded >= 0)
        sizes = torch.tensor([SLOTS * len(each) for each in letters]), torch.tensor([len(each) for each in phones])
        loss = ctc_loss(logs.transpose(0, 1), torch.cat(phones), *sizes, reduction="sum") / len(batch)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        if (step + 1) % 500 == 0:
            typer.echo(f"step {step + 1} of {len(batches)}: {float(loss.detach()):.2f} nats a word")
    return network


def _batches(lengths: Sequence[int], order: random.Random) -> Iterator[list[int]]:
    """Yield one pass in random order, in batches of words of similar length."""
    places = list(range(len(lengths)))
    order.shuffle(places)
    for start in range(0, len(places), 50 * BATCH):
        near = sorted(places[start : start + 50 * BATCH], key=lambda place: lengths[place])
        cut = [near[at : at + BATCH] for at in range(0, len(near), BATCH)]
        order.shuffle(cut)
        yield from cut


def _errors(words: Words, phones_of: Callable[[str], tuple[str, ...]], seed: int) -> dict[str, Any]:
    """Return phone and word error rates with 95 % bootstrap intervals over words."""
    from vocable.metrics.text import per

    rows = []
    for word, variants in words.items():
        counts = min((per(phones, phones_of(word)) for phones in variants), key=lambda counts: counts.total)
        rows.append((counts.total, counts.reference))
    errors, phones = np.array(rows).T
    draws = np.random.default_rng(seed).integers(len(rows), size=(2_000, len(rows)))
    low, high = np.percentile(errors[draws].sum(1) / phones[draws].sum(1), [2.5, 97.5])
    wrong = interval([float(error > 0) for error in errors], seed=seed)
    return {
        "n": len(rows), "phones": int(phones.sum()), "per": float(errors.sum() / phones.sum()),
        "per_interval": [float(low), float(high)], "wer": wrong["mean"], "wer_interval": [wrong["low"], wrong["high"]],
    }  # fmt: skip


def _round_trip(manifest: Path, clips: int, phones_of: Callable[[str], tuple[str, ...]], seed: int) -> dict[str, Any]:
    """Return word errors of texts converted to phones and back, without errors and with every tenth phone replaced."""
    from vocable.metrics.text import wer
    from vocable.text.lexicon import Lexicon
    from vocable.text.normalize import PAUSES, to_words
    from vocable.text.phonemes import ARPABET
    from vocable.text.words import WordFinder

    lexicon = Lexicon.installed()
    finder = WordFinder(lexicon)
    lines = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    texts = [line["text"] for line in lines if line.get("text")][:clips]
    draw = random.Random(seed)
    values: dict[str, Any] = {"manifest": manifest.parent.name, "texts": len(texts)}
    for share in (0.0, 0.1):
        counts, seconds = [], 0.0
        for text in texts:
            words = [word for word in to_words(text, lexicon.words) if word not in PAUSES]
            phones = [phone for word in words for phone in lexicon.lookup(word) or phones_of(word)]
            noisy = [draw.choice(ARPABET) if draw.random() < share else phone for phone in phones]
            started = time.perf_counter()
            hypothesis = finder.words(noisy)
            seconds += time.perf_counter() - started
            counts.append(wer(" ".join(words), " ".join(hypothesis)))
        total = sum(counts[1:], counts[0])
        values[f"wer at {share:.0%} of phones wrong"] = {
            "wer": total.rate, "words": total.reference, "seconds_a_text": seconds / len(texts)
        }  # fmt: skip
    return values


def _table(values: Mapping[str, Any]) -> Table:
    table = Table(box=MARKDOWN)
    for name in ("words", "said by", "n", "PER", "WER"):
        table.add_column(name)
    cases = [(part, "model", values[part]) for part in ("dev", "test")]
    cases += [
        ("made of training words", by, case) for by, case in values[next(k for k in values if "rule" in k)].items()
    ]
    for words, by, case in cases:
        per, wer = (f"{case[name]:.1%} ({case[f'{name}_interval'][0]:.1%}–{case[f'{name}_interval'][1]:.1%})"
                    for name in ("per", "wer"))  # fmt: skip
        table.add_row(words, by, str(case["n"]), per, wer)
    return table


if __name__ == "__main__":
    main(g2p)
