"""Encode and decode many files. A file that fails is reported, the others go on, and none is half-written."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from vocable.apps.asr import WordRecognizer, transcribe_words
from vocable.audio import (
    AUDIO_SUFFIXES,
    CONVERTIBLE_SUFFIXES,
    Audio,
    find_rooted_audio,
    read_blocks,
    write_blocks,
)
from vocable.corpus.jobs import Made, Outcome, Watch, write_each
from vocable.corpus.plan import Recording, choose_targets, is_folder, mirror_names, read_recordings
from vocable.corpus.voices import find_voice, read_voice, recordings_of
from vocable.errors import ConfigError, OutputError, TextError, TokenFileError, name_failure
from vocable.file_search import find_rooted
from vocable.files import folder_exists, sha256
from vocable.interfaces import NeedsOthers, Streaming, Tokenizer
from vocable.systems.named_voices import is_voice_name
from vocable.tokens import BEAM, Tokens

_SUFFIX = ".tokens"
_MANIFEST = ".jsonl"
_RECOGNIZED = "recognized"  # setting of tokens whose text is from a recognizer
_StrPath = str | os.PathLike[str]


def encode_files(
    tokenizer: Tokenizer, inputs: Sequence[_StrPath], out: _StrPath, *,
    levels: int | None = None, text: str | None = None, recognizer: WordRecognizer | None = None,
    overwrite: bool = False, say: Callable[[str], None] = print, complain: Callable[[str], None] | None = None,
    watch: Watch | None = None,
) -> Outcome:  # fmt: skip
    """Encode audio files into token files, with the transcript of each where it is known.

    A token file that exists is skipped if it is of the same recording (by its SHA-256), tokenizer, beam, levels and
    text.

    Args:
        tokenizer: Tokenizer to encode with.
        inputs: Files, folders, glob patterns, and manifests (``.jsonl``), whose lines may have texts.
        out: Path of a token file for one input. For several or a manifest, a folder that mirrors the inputs' folders.
        levels: Number of levels to keep, counted from the first; all by default.
        text: Transcript, where there is one recording.
        recognizer: Recognizer that transcribes recordings without a text. By default they stay without one.
        overwrite: Whether token files that exist are replaced. If false, one that holds anything else is an error.
        say: Function that gets a line for each file.
        complain: Function that gets a line for each file that fails, where there are several; ``say`` by default.
        watch: Function that is called after each file.

    Raises:
        VocableError: If the inputs cannot be used.
        ConfigError: If a text is passed for more than one recording, or with a manifest.
        OutputError: If ``out`` has the suffix of an audio file, or is one file and there are several recordings.
    """
    if Path(out).suffix.lower() in AUDIO_SUFFIXES | CONVERTIBLE_SUFFIXES and not is_folder(out):
        raise OutputError(f"{out}: tokens are no audio; name a file that ends in {_SUFFIX}, or a folder")
    if isinstance(tokenizer, NeedsOthers):
        tokenizer.check_encoding()
    manifests = [Path(entry) for entry in inputs if Path(entry).suffix == _MANIFEST]
    found = find_recordings(inputs, manifests, text)
    recordings = [recording for recording, _ in found]
    names = mirror_names([(recording.path, root) for recording, root in found], _SUFFIX)
    is_file = len(names) == 1 and not manifests and not _has_folder(inputs)
    targets = choose_targets(names, out, {_SUFFIX}, is_file=is_file)
    hash_of = cache(_sha256)

    def make(recording: Recording) -> Made:
        transcript, note = recording.text, ""
        recognized = {}
        if recognizer is not None and not (transcript or "").strip():
            transcript = transcribe_words(Audio.read(recording.path), recognizer, str(recording))
            note, recognized = f", text recognized: {transcript}", {_RECOGNIZED: True}
        tokens = _encode(tokenizer, recording.path, transcript)
        if levels is not None:
            tokens = tokens.keep_levels(levels)
        source = hash_of(recording.path)
        settings = {**tokens.provenance.settings, **recognized}
        tokens = replace(tokens, provenance=replace(tokens.provenance, source=source, settings=settings))
        seconds = int(tokens.samples[0]) / tokens.spec.sample_rate
        summary = f"{seconds:.2f} s, {tokens.ids.shape[2]} frames × {tokens.ids.shape[1]} levels{note}"
        return Made(result=tokens, summary=summary, seconds=seconds)

    def is_done(recording: Recording, target: Path) -> float | None:
        try:
            tokens = Tokens.read(target)
        except TokenFileError as error:
            raise OutputError(
                f"{target}: exists already and cannot be read as tokens; pass --overwrite, or name another place"
            ) from error
        is_recognized = recognizer is not None and not (recording.text or "").strip()
        source, stored = hash_of(recording.path), tokens.provenance.source
        kept = None if tokens.text is None else tokens.text[0]
        differing = {
            "another recording": source is not None and stored not in (source, None),
            "several clips": len(tokens) != 1,
            "another model": tokens.tokenizer != tokenizer.digest,
            "another beam": tokens.provenance.settings.get(BEAM, 1) != getattr(tokenizer, BEAM, 1),
            "another number of levels": tokens.spec.num_codebooks != (levels or tokenizer.spec.num_codebooks),
            "another text": bool(tokens.provenance.settings.get(_RECOGNIZED)) != is_recognized
            or (not is_recognized and kept != recording.text),
        }
        for reason, is_different in differing.items():
            if is_different:
                raise OutputError(
                    f"{target}: exists already and holds tokens of {reason}; pass --overwrite, or name another place"
                )
        return None if stored is None or source is None else int(tokens.samples[0]) / tokens.spec.sample_rate

    return write_each(
        recordings, targets, make, say=say, complain=complain, is_done=is_done,
        inputs=[*manifests, *(recording.path for recording in recordings)], overwrite=overwrite, watch=watch,
        name=lambda recording: recording.name,
    )  # fmt: skip


def decode_files(
    tokenizer: Tokenizer | Callable[[Tokens], Tokenizer], inputs: Sequence[_StrPath], out: _StrPath, *,
    levels: int | None = None, voice: _StrPath | None = None, overwrite: bool = False,
    say: Callable[[str], None] = print, complain: Callable[[str], None] | None = None, watch: Watch | None = None,
) -> Outcome:  # fmt: skip
    """Decode token files into audio files (WAV in a folder; the suffix decides for a single file).

    Args:
        tokenizer: Tokenizer that made the tokens, or a function that finds it for each file, such as
            :func:`vocable.systems.registry.load_for`; it is called once for each digest.
        inputs: Files, folders, glob patterns.
        out: Path of an audio file for one input, else of a folder.
        levels: Number of levels to decode, counted from the first; all by default.
        voice: Path of a recording of the speaker to decode as, or name of a voice of the tokenizer, where it keeps the
            voice beside its tokens.
        overwrite: Whether files that exist are replaced. If false, one that holds anything else is an error.
        say: Function that gets a line for each file.
        complain: Function that gets a line for each file that fails, where there are several; ``say`` by default.
        watch: Function that is called after each file.

    Raises:
        VocableError: If the inputs or the voice cannot be used.
        OutputError: If ``out`` is one file and there are several token files.
    """
    makers: dict[str, Tokenizer] = {}
    if isinstance(tokenizer, NeedsOthers):
        tokenizer.check_decoding()
    found = find_rooted(inputs, {_SUFFIX}, "token file")
    is_file = len(found) == 1 and not _has_folder(inputs)
    targets = choose_targets(mirror_names(found, ".wav"), out, AUDIO_SUFFIXES, is_file=is_file)
    speakers: dict[str, Audio | Tensor] = {}
    if voice is not None and (recordings_of(voice) or not is_voice_name(str(voice))):
        read_voice(voice)  # an error of the recording is one of the command, not of each file

    def make(source: Path) -> Made:
        tokens = Tokens.read(source)
        if not len(tokens) or int(tokens.lengths.min()) == 0:
            raise TokenFileError(f"{source}: a clip has 0 frames, which cannot be decoded; encode the recording again")
        if not isinstance(tokenizer, Tokenizer) and tokens.tokenizer not in makers:
            makers[tokens.tokenizer] = tokenizer(tokens)
        maker = tokenizer if isinstance(tokenizer, Tokenizer) else makers[tokens.tokenizer]
        if levels is not None:
            tokens = tokens.keep_levels(levels)
        clips = [tokens.clip(index) for index in range(len(tokens))]
        decoded: _Decoding | Audio
        if voice is not None and tokens.tokenizer not in speakers:
            speakers[tokens.tokenizer] = find_voice(maker, voice)
        speaker = None if voice is None else speakers[tokens.tokenizer]
        if isinstance(maker, Streaming) and speaker is None:
            rate, seconds = maker.spec.sample_rate, int(tokens.samples.sum()) / maker.spec.sample_rate
            decoded = _Decoding.start(maker, clips, rate, str(source))
        else:
            parts = [maker.decode(clip, speaker) for clip in clips]
            rate = parts[0].sample_rate
            decoded = Audio(np.concatenate([part.samples for part in parts]), rate, mark=parts[0].mark)
            seconds = decoded.duration
        return Made(result=decoded, summary=f"{seconds:.2f} s at {rate} Hz", seconds=seconds)

    sources = [path for path, _ in found]
    protected = [*sources, *recordings_of(voice)]
    return write_each(
        sources, targets, make, say=say, complain=complain, inputs=protected, overwrite=overwrite, watch=watch
    )


def find_recordings(
    inputs: Sequence[_StrPath], manifests: Sequence[Path], text: str | None
) -> list[tuple[Recording, Path]]:
    """Return the recordings that the inputs stand for, each with the folder that outputs mirror."""
    listed = [pair for manifest in manifests for pair in read_recordings(manifest)]
    others = [entry for entry in inputs if Path(entry) not in manifests]
    found = find_rooted_audio(others) if others else []
    if text is not None and (manifests or len(found) != 1):
        raise ConfigError(
            f"there is one text for {len(found) + len(listed)} recordings or a manifest; "
            "write the texts into a manifest"
        )
    texts = {recording.path: recording.text for recording, _ in listed}
    return [*((Recording(path, texts.get(path, text)), root) for path, root in found), *listed]


@dataclass(frozen=True)
class _Decoding:
    """Speech that is decoded while it is written, so that hours of it take the memory of seconds."""

    blocks: Iterator[Float[ndarray, " T"]]
    sample_rate: int

    @classmethod
    def start(cls, tokenizer: Streaming, clips: Sequence[Tokens], sample_rate: int, where: str) -> "_Decoding":
        """Decode the first block: tokens that cannot be decoded raise their error before there is a file or folder."""

        def decode() -> Iterator[Float[ndarray, " T"]]:
            with name_failure(where):
                for clip in clips:
                    yield from tokenizer.decode_blocks(clip)

        blocks = decode()
        return cls(chain([next(blocks)], blocks), sample_rate)

    def write(self, path: _StrPath) -> None:
        """Decode the other blocks and write all of them."""
        write_blocks(path, self.blocks, self.sample_rate)


def _encode(tokenizer: Tokenizer, source: Path, text: str | None) -> Tokens:
    if text is not None and not text.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise TextError(f"{source}: its text has half of a surrogate pair, which is no character; write it as UTF-8")
    if isinstance(tokenizer, Streaming):
        tokens = tokenizer.encode_blocks(read_blocks(source, tokenizer.spec.sample_rate))
        return tokens if text is None else replace(tokens, text=(text,))
    return tokenizer.encode(Audio.read(source), text)


def _sha256(path: Path) -> str | None:
    """Return the SHA-256 of a file, None where it cannot be read: encoding it raises the error."""
    with suppress(OSError):
        return sha256(path)
    return None


def _has_folder(inputs: Sequence[_StrPath]) -> bool:
    return any(folder_exists(Path(entry)) for entry in inputs)
