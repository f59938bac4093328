"""Speech recognition by Moonshine tiny.en, through ONNX Runtime, with a greedy search of its own."""

import math
import re
from collections.abc import Iterator, Sequence
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from vocable.audio import Audio
from vocable.errors import CheckpointError, MissingDependencyError
from vocable.evaluate.judges.base import SAMPLE_RATE, speech_samples
from vocable.files import MAX_FILE_BYTES, check_regular, folder_exists, is_file, read_file
from vocable.interfaces import Recognition
from vocable.metrics.text import normalize, repeats_itself

INSTALL = "pip install 'vocable[evaluate]' && pip install --no-deps moonshine-voice==0.0.59"
"""Command that installs the recognizer: its package, without the microphone and network clients that it asks for."""

_ENCODER, _DECODER, _SUBWORDS = FILES = ("encoder_model.ort", "decoder_model_merged.ort", "tokenizer.bin")
_PACKAGE = "moonshine-voice"
_BOS, _EOS = 1, 2
_TOKENS_PER_SECOND, _MORE_TOKENS = 6.5, 8  # limit of a hypothesis: more than people say, in short clips, too
_MIN_SECONDS, _MAX_SECONDS = 0.5, 20.0  # of the encoder's input: shorter audio is padded, longer audio is cut
_CUT_RANGE = 4.0  # seconds in which the quietest place is looked for, and the least that remains after a cut
_FRAME, _SMOOTHED = 320, 10  # samples of a frame of loudness, and frames of the mean: 20 ms and 0.2 s
_LAYERS, _HEADS, _HEAD_DIM = 6, 8, 36
_BYTE = re.compile(rb"<0x([0-9A-F]{2})>")


class MoonshineRecognizer:
    """Moonshine tiny.en: a transformer of 27 M parameters for English, greedy search with a key–value cache.

    Audio over 20 s is cut at quiet places. A hypothesis of 8 tokens and 6.5 per second is stopped and marked as a
    loop. On one thread it is 30 to 50 times faster than real time.

    It recognizes English alone: for other languages and for music it invents English words, or returns none.

    Args:
        folder: Folder with ``encoder_model.ort``, ``decoder_model_merged.ort`` and ``tokenizer.bin``; by default that
            inside the installed package ``moonshine-voice``.

    Attributes:
        name: Model, and the version of the package or the hash of the files.
        language: Language that it recognizes.

    Raises:
        MissingDependencyError: If onnxruntime, or without a folder the package, is not installed.
        CheckpointError: If a file of the folder is missing or cannot be read.

    Source:
        Jeffries et al., Moonshine, arXiv:2410.15608; package moonshine-voice 0.0.59 (MIT).

    Example:
        >>> MoonshineRecognizer().transcribe(Audio(np.zeros(16_000), 16_000))
        ''
    """

    language: Final = "en"

    def __init__(self, folder: Path | None = None) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingDependencyError(f"recognizing speech needs onnxruntime; run {INSTALL}") from error
        files, version = _packaged_files() if folder is None else _files_of(folder)
        self.name = f"moonshine-tiny.en-{version}"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors; they are raised, too
        try:
            for name in (_ENCODER, _DECODER):
                check_regular(files[name])
            self._encoder, self._decoder = (
                onnxruntime.InferenceSession(str(files[name]), options, providers=["CPUExecutionProvider"])
                for name in (_ENCODER, _DECODER)
            )
            self._subwords = read_subwords(read_file(files[_SUBWORDS], CheckpointError, "copy it again"))
            self._outputs = [output.name for output in self._decoder.get_outputs()]
        except Exception as error:  # ONNX Runtime raises errors of many types
            reason = " ".join(str(error).split())[:120]
            raise CheckpointError(
                f"{files[_ENCODER].parent}: cannot be read as Moonshine ({reason}); run {INSTALL}, or copy the folder "
                "again"
            ) from error

    def transcribe(self, clip: Audio) -> str:
        """Return the words in lower case; none for silence and for less than a tenth of a second."""
        return normalize(self.recognize(clip).text)

    def recognize(self, clip: Audio) -> Recognition:
        """Return the words as they are written, with capitals and punctuation, and how far to trust them.

        Clips of any length are taken. Silence and less than a tenth of a second have no words.
        """
        samples = speech_samples(clip)
        if samples is None:
            return Recognition(text="")
        texts: list[str] = []
        log_probabilities: list[float] = []
        is_loop = False
        for window in cut_windows(samples):
            ids, chosen = self._search(window)
            limit = _max_tokens(window.size)
            is_loop |= len(ids) >= limit
            texts.append(decode_subwords(ids, self._subwords))
            log_probabilities += chosen
        text = " ".join(" ".join(texts).split())
        mean = float(np.mean(log_probabilities)) if log_probabilities else math.nan
        return Recognition(text=text, log_probability=mean, is_loop=is_loop or repeats_itself(text))

    def _search(self, samples: Float[ndarray, " T"]) -> tuple[list[int], list[float]]:
        """Return the most probable token at each step up to the end or the limit, and their log-probabilities."""
        padded = np.pad(samples, (0, max(0, int(_MIN_SECONDS * SAMPLE_RATE) - samples.size)))[None].astype(np.float32)
        mask = np.ones(padded.shape, dtype=np.int64)
        (states,) = self._encoder.run(["last_hidden_state"], {"input_values": padded, "attention_mask": mask})
        inputs: dict[str, Any] = {"encoder_hidden_states": states, "encoder_attention_mask": mask}
        inputs |= {
            f"past_key_values.{layer}.{part}.{kind}": np.zeros((1, _HEADS, 0, _HEAD_DIM), dtype=np.float32)
            for layer in range(_LAYERS)
            for part in ("decoder", "encoder")
            for kind in ("key", "value")
        }
        ids, chosen, token = [], [], _BOS
        for step in range(_max_tokens(samples.size)):
            inputs |= {"input_ids": np.array([[token]]), "use_cache_branch": np.array([step > 0])}
            logits, *present = self._decoder.run(self._outputs, inputs)
            token, log_probability = _most_probable(logits[0, -1])
            chosen.append(log_probability)
            if token == _EOS:
                break
            ids.append(token)
            for name, value in zip(self._outputs[1:], present, strict=True):
                if step == 0 or ".decoder." in name:  # keys and values of the encoder stay as they are
                    inputs[name.replace("present", "past_key_values")] = value
        return ids, chosen


def cut_windows(samples: Float[ndarray, " T"]) -> Iterator[Float[ndarray, " T_window"]]:
    """Yield a clip at 16 kHz in windows of at most 20 s that end at quiet places and cover it without a gap.

    Example:
        >>> [window.size / 16_000 for window in cut_windows(np.zeros(21 * 16_000))]
        [13.1, 7.9]
    """
    longest, searched = int(_MAX_SECONDS * SAMPLE_RATE), int(_CUT_RANGE * SAMPLE_RATE)
    while samples.size > longest:
        end = min(longest, samples.size - searched)
        frames = np.abs(samples[end - searched : end]).reshape(-1, _FRAME).mean(1)
        loudness = np.convolve(frames, np.ones(_SMOOTHED), mode="valid")
        cut = end - searched + (int(loudness.argmin()) + _SMOOTHED // 2) * _FRAME
        yield samples[:cut]
        samples = samples[cut:]
    yield samples


def read_subwords(content: bytes) -> list[bytes]:
    """Return the tokens of a ``tokenizer.bin``: records with their length before them, in one byte, or two from 128.

    Raises:
        CheckpointError: If the last record is incomplete.

    Example:
        >>> read_subwords(bytes([1]) + b"a" + bytes([2]) + b"an")
        [b'a', b'an']
    """
    tokens: list[bytes] = []
    at = 0
    while at < len(content):
        length, at = content[at], at + 1
        if length >= 128:
            if at == len(content):
                raise CheckpointError("tokenizer.bin ends inside a record; copy the file again")
            length, at = length - 128 + 128 * content[at], at + 1
        if at + length > len(content):
            raise CheckpointError("tokenizer.bin ends inside a record; copy the file again")
        tokens.append(content[at : at + length])
        at += length
    return tokens


def decode_subwords(ids: Sequence[int], subwords: Sequence[bytes]) -> str:
    """Return the text of tokens; ``<0x41>`` is a byte and ``▁`` a space.

    Example:
        >>> decode_subwords([0, 1], ["▁hello".encode(), b"<0x21>"])
        'hello!'
    """
    pieces = (subwords[index] for index in ids)
    content = b"".join(bytes([int(byte[1], 16)]) if (byte := _BYTE.fullmatch(piece)) else piece for piece in pieces)
    return content.decode("utf-8", errors="replace").replace("▁", " ").strip()


def _max_tokens(samples: int) -> int:
    return int(samples / SAMPLE_RATE * _TOKENS_PER_SECOND) + _MORE_TOKENS


def _most_probable(logits: Float[ndarray, " V"]) -> tuple[int, float]:
    """Return the index of the largest logit and the logarithm of its probability."""
    index = int(logits.argmax())
    return index, -float(np.log(np.exp(logits - logits[index]).sum()))


def _packaged_files() -> tuple[dict[str, Path], str]:
    """Return the files inside the installed package, and its version; the package is never imported."""
    try:
        package = metadata.distribution(_PACKAGE)
    except metadata.PackageNotFoundError as error:
        raise MissingDependencyError(
            f"the speech recognizer is inside the package {_PACKAGE}, which is not installed; run {INSTALL}"
        ) from error
    folder = Path(str(package.locate_file("moonshine_voice/assets/tiny-en")))
    if not folder_exists(folder):
        raise MissingDependencyError(f"{_PACKAGE} {package.version} holds no model, as from 0.1 on; run {INSTALL}")
    return _find_files(folder), package.version


def _files_of(folder: Path) -> tuple[dict[str, Path], str]:
    """Return the files of a folder, and the first digits of their hash."""
    files = _find_files(folder)
    digest = sha256()
    for path in files.values():
        digest.update(read_file(path, CheckpointError, "copy it again", limit=MAX_FILE_BYTES))
    return files, digest.hexdigest()[:8]


def _find_files(folder: Path) -> dict[str, Path]:
    files = {name: folder / name for name in FILES}
    if lacking := [name for name, path in files.items() if not is_file(path)]:
        raise CheckpointError(f"{folder}: lacks {', '.join(lacking)} of Moonshine; run {INSTALL}, or give its folder")
    return files
