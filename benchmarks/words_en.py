"""Make the bundled model of English words, `words-en`: pronunciations and a trigram model, of free sources alone.

python benchmarks/words_en.py OUT MANIFEST...

Sources: the trigram model inside the package pocketsphinx (BSD licence), whose n-grams are read from its file; texts of
the manifests' split ``train``; pronunciations of CMUdict inside pocketsphinx, and of the bundled g2p-en for words of
the texts that it lacks. Prints the perplexity on the split ``dev`` of the general model, that of the texts, both mixed,
and the pruned one. No text of a test split is read.
"""

import math
import struct
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from anchors import main

_MAGIC = b"Trie Language Model"
_BINS = 1 << 16  # of each quantized table
_LOG_BASE = math.log(1.0001)  # of the logarithms in the file


def words_en(
    out: Annotated[Path, typer.Argument(help="Folder to write.")],
    manifests: Annotated[list[Path], typer.Argument(help="Manifests of English speech with texts.")],
    weight: Annotated[float, typer.Option(help="Weight of the texts beside pocketsphinx's model.")] = 0.3,
    bigrams: Annotated[int, typer.Option(help="Number of bigrams to keep, beside those of trigrams.")] = 800_000,
    trigrams: Annotated[int, typer.Option(help="Number of trigrams to keep.")] = 800_000,
) -> None:
    """Make the model."""
    import pocketsphinx

    from vocable.text.lexicon import Lexicon
    from vocable.text.ngram import END, START, mix, prune, train_ngram
    from vocable.text.pronounce import ArpabetPronouncer
    from vocable.text.word_model import WordModel

    general = read_trie(Path(pocketsphinx.get_model_path()) / "en-us" / "en-us.lm.bin")
    domain = train_ngram(_texts(manifests, "train"))
    lexicon, pronouncer = Lexicon.installed(), ArpabetPronouncer()
    usual = sorted(general.vocabulary, key=lambda word: -general.log_probs[0][general.ids[word]])
    words = list(dict.fromkeys([*domain.vocabulary, *(word for word in usual if word in lexicon.words)]))
    words = [word for word in words if word not in (START, END)][: (1 << 16) - 2]
    spellings = {word: tuple(lexicon.words.get(word) or [_pronounce(word, pronouncer)]) for word in words}
    mixed = mix([general, domain], [1 - weight, weight], words)
    pruned = prune(mixed, bigrams, trigrams)
    for manifest in manifests:
        texts = list(_texts([manifest], "dev"))
        if texts:
            parts = [f"{math.exp(one.cross_entropy(texts)):.0f}" for one in (general, domain, mixed, pruned)]
            spoken = [word for text in texts for word in text.split()]
            unknown = sum(word not in spellings for word in spoken) / len(spoken)
            typer.echo(f"{manifest.absolute().parent.name} dev: perplexity {', '.join(parts)}; unknown {unknown:.2%}")
    WordModel(spellings, pruned).save(out)
    typer.echo(f"{out}: {len(words)} words, {len(pruned.keys[0])} bigrams, {len(pruned.keys[1])} trigrams")


def _texts(manifests: list[Path], split: str) -> Any:
    from vocable.data.manifest import read_manifest
    from vocable.text.normalize import PAUSES, to_words

    for manifest in manifests:
        for item in read_manifest(manifest, None):
            if item.split == split and item.text:
                yield " ".join(word for word in to_words(item.text) if word not in PAUSES)


def _pronounce(word: str, pronouncer: Any) -> str:
    return " ".join(phone for one in pronouncer.phones(word) for phone in one.phones)


def read_trie(path: Path) -> Any:
    """Return a trigram model in the binary format of sphinxbase, of which the package cannot write all n-grams.

    N-grams lie in a tree from their last word to their first, as numbers of a few bits behind one another. The format
    is that of ``lm_trie.c`` in github.com/cmusphinx/pocketsphinx (BSD licence).
    """
    from vocable.text.ngram import NgramModel

    data = path.read_bytes()
    place = len(_MAGIC)
    if not data.startswith(_MAGIC) or data[place] != 3:
        raise typer.BadParameter(f"{path}: no trigram model of pocketsphinx")
    size, *capacity = struct.unpack_from("<3I", data, place + 1)
    place += 1 + 3 * 4 + 4  # the last 4: kind of quantization
    tables = np.frombuffer(data, "<f4", 3 * _BINS, place).reshape(3, _BINS)
    place += tables.nbytes
    singles = np.frombuffer(data, [("prob", "<f4"), ("backoff", "<f4"), ("next", "<u4")], size + 1, place)
    place += singles.nbytes
    word_bits, next_bits = size.bit_length(), capacity[1].bit_length()
    pairs, count = int(singles["next"][-1]), capacity[0]
    middle, place = _records(data, place, count, word_bits + 32 + next_bits)
    before, after = middle(0, word_bits, pairs), middle(word_bits + 32, next_bits, pairs + 1)
    pair_backoffs, pair_probs = (tables[1 - at][middle(word_bits + 16 * at, 16, pairs)] for at in (0, 1))
    longest, place = _records(data, place, capacity[1], word_bits + 16)
    triples = int(after[-1])
    first, triple_probs = longest(0, word_bits, triples), tables[2][longest(word_bits, 16, triples)]
    words = tuple(word.decode() for word in data[place + 4 :].split(b"\0")[:-1])
    last = np.repeat(np.arange(size), np.diff(singles["next"].astype(np.int64)))
    keys = before * size + last
    order = np.argsort(keys)
    parent = np.repeat(np.arange(pairs), np.diff(after))
    wanted = first * size + before[parent]
    context = np.minimum(np.searchsorted(keys[order], wanted), pairs - 1)
    known = np.flatnonzero(keys[order][context] == wanted)
    triple_keys = context[known] * size + last[parent[known]]
    triple_order = np.argsort(triple_keys)

    def logs(values: Any) -> Any:
        return values.astype(np.float64) * _LOG_BASE

    return NgramModel(
        words, (keys[order], triple_keys[triple_order]),
        (logs(singles["prob"][:-1]), logs(pair_probs)[order], logs(triple_probs)[known][triple_order]),
        (logs(singles["backoff"][:-1]), logs(pair_backoffs)[order]),
    )  # fmt: skip


def _records(data: bytes, place: int, count: int, bits: int) -> tuple[Any, int]:
    """Return a reader of the fields of packed records, and the place behind them."""
    size = ((1 + count) * bits + 7) // 8 + 8
    words = np.ndarray((size - 7,), "<u8", data, place, (1,))

    def read(offset: int, width: int, number: int) -> Any:
        at = np.arange(number, dtype=np.int64) * bits + offset
        return ((words[at >> 3] >> (at & 7).astype(np.uint64)) & np.uint64((1 << width) - 1)).astype(np.int64)

    return read, place + size


if __name__ == "__main__":
    main(words_en)
