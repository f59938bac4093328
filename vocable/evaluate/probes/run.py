"""Every probe by its name, on any view of the tokens; and the matrix of what which level keeps."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType

from vocable.audio import Audio
from vocable.data.manifest import Utterance
from vocable.errors import AudioError, ConfigError
from vocable.evaluate.card import ProbeRow
from vocable.evaluate.judges.base import PitchTracker
from vocable.evaluate.probes.phones import phone_frame_rows
from vocable.evaluate.probes.pitch import pitch_rows
from vocable.evaluate.probes.pooled import pooled_rows
from vocable.evaluate.probes.question import Question
from vocable.evaluate.probes.recognise import letter_rows, phone_rows
from vocable.evaluate.probes.views import Clip, Material, all_views, default_views, material_of
from vocable.interfaces import Tokenizer

Probe = Callable[[Question, Sequence[Material]], list[ProbeRow]]

KEY = "key:"  # before the name of any key of the manifest
MATRIX = ("content", "speaker", "emotion", "pitch")
TAUGHT = ("phoneme", "characters", "content")  # fitted on the split train, scored on test


def _phoneme(question: Question, materials: Sequence[Material]) -> list[ProbeRow]:
    marked = any(utterance.extra.get("phone_marks") for utterance in _utterances(materials))
    return (phone_frame_rows if marked else phone_rows)(question, materials)


def _content(question: Question, materials: Sequence[Material]) -> list[ProbeRow]:
    known = {"phones", "phone_marks"}
    phones = any(known & utterance.extra.keys() for utterance in _utterances(materials))
    return (_phoneme if phones else letter_rows)(question, materials)


def _utterances(materials: Sequence[Material]) -> Sequence[Utterance]:
    return materials[0].utterances if materials else ()


PROBES: Mapping[str, Probe] = MappingProxyType(
    {
        **{key: partial(pooled_rows, key=key) for key in ("speaker", "gender", "emotion", "digit")},
        "phoneme": _phoneme,
        "characters": letter_rows,
        "pitch": pitch_rows,
        "content": _content,
    }
)


def find_probe(name: str) -> Probe:
    """A probe by name: one of ``PROBES``, or ``key:`` and a key of the manifest, such as ``key:accent``.

    Raises:
        ConfigError: There is none; the message lists those that exist.

    Example:
        >>> sorted(PROBES)
        ['characters', 'content', 'digit', 'emotion', 'gender', 'phoneme', 'pitch', 'speaker']
    """
    if name.startswith(KEY) and len(name) > len(KEY):
        return partial(pooled_rows, key=name.removeprefix(KEY))
    if name not in PROBES:
        raise ConfigError(f"there is no probe '{name}'; there are {', '.join(PROBES)}, and {KEY}NAME for any other key")
    return PROBES[name]


def run_probe(
    probe: str, tokenizer: object, name: str, clips: Sequence[Clip], *, views: Sequence[str] | None = None,
    seed: int = 0, seeds: int = 3, epochs: int = 30, tracker: PitchTracker | None = None,
) -> list[ProbeRow]:  # fmt: skip
    """What a small model reads out of tokens.

    Args:
        probe: One of ``PROBES``, or ``key:`` and a key of the manifest.
        tokenizer: What made the tokens. An :class:`~vocable.interfaces.Embedding` shows its codebook vectors; of any
            other the ids are shown.
        name: The tokenizer's, in the rows.
        clips: Utterances, each with the tokens of it alone. Probes of sequences need the splits train and test.
        views: Such as ``level 1`` or ``levels 2 to 8``; by default level 1, the rest, all, and the voice vector where
            there is one.
        seed: The first of the seeds.
        seeds: How often a probe whose folds are drawn by chance is fitted; a sequence probe is fitted once.
        epochs: Most passes of a sequence probe.
        tracker: Who hears the pitch; the default one if None.

    Returns:
        Rows for each view; what the data or the tokenizer cannot give is undefined, with its reason.

    Raises:
        ConfigError: There is no such probe or view, a number is out of range, or the tokens do not belong together.
        MissingDependencyError: An optional package is not installed.

    Example:
        >>> import torch
        >>> from vocable.tokens import Tokens, TokenSpec
        >>> def tokens_of(digit: int) -> Tokens:
        ...     spec = TokenSpec(sample_rate=16_000, hop=320, codebook_size=4)
        ...     ids = torch.tensor([[[digit, 3, digit, 2]]])
        ...     lengths, samples = torch.tensor([4]), torch.tensor([1280])
        ...     return Tokens(ids=ids, lengths=lengths, samples=samples, spec=spec, tokenizer="example")
        >>> clips = [
        ...     (Utterance(audio_path="a.flac", speaker=speaker, extra={"digit": digit}), tokens_of(digit))
        ...     for speaker in "abc" for digit in (0, 1)
        ... ]
        >>> row = run_probe("digit", None, "example", clips)[0]
        >>> row.view, row.figure.mean, row.chance
        ('level 1', 1.0, 0.5)
    """
    asked = find_probe(probe)
    for setting, value in (("seeds", seeds), ("epochs", epochs)):
        if value < 1:
            raise ConfigError(f"{setting} is {value}: it must be at least 1")
    if not clips:
        raise ConfigError(f"probe '{probe}' was given no clips")
    question = Question(entry=name, probe=probe, seed=seed, seeds=seeds, epochs=epochs, tracker=tracker)
    first = clips[0][1]
    if views is None:
        views = default_views(first.spec.num_codebooks, voice=first.voice is not None)
    return asked(question, [material_of(view, tokenizer, clips) for view in views])


def matrix(
    tokenizer: Tokenizer, name: str, utterances: Sequence[Utterance], *, seed: int = 0, seeds: int = 3,
    epochs: int = 30, tracker: PitchTracker | None = None,
) -> list[ProbeRow]:  # fmt: skip
    """What each part of the tokens keeps: content, speaker, emotion and pitch × level 1, the rest, all, the voice.

    Content is the phone of each frame where the manifest has ``phone_marks``, else its ``phones`` read by a BLSTM,
    else the letters of its text. Every cell has a row; what the data or the tokenizer cannot give is undefined.

    Args:
        tokenizer: Encodes the clips.
        name: The tokenizer's, in the rows.
        utterances: Of a manifest; all its splits, where it has them.
        seed: The first of the seeds.
        seeds: As :func:`run_probe`.
        epochs: As :func:`run_probe`.
        tracker: As :func:`run_probe`.

    Raises:
        ConfigError: No clip can be encoded, or a number is out of range.
        MissingDependencyError: An optional package is not installed.
    """
    clips, failed = encoded(tokenizer, utterances)
    rows = [
        row
        for probe in MATRIX
        for row in run_probe(
            probe, tokenizer, name, clips, views=all_views(tokenizer.spec.num_codebooks), seed=seed, seeds=seeds,
            epochs=epochs, tracker=tracker,
        )
    ]  # fmt: skip
    if failed:
        said = f"; {len(failed)} clips could not be encoded, the first: {failed[0]}"
        rows = [replace(row, note=row.note + said) for row in rows]
    return rows


def encoded(tokenizer: Tokenizer, utterances: Sequence[Utterance]) -> tuple[list[Clip], list[str]]:
    """Utterances with their tokens, and why the others have none.

    Raises:
        ConfigError: Not one can be encoded.
    """
    clips: list[Clip] = []
    failed: list[str] = []
    for utterance in utterances:
        try:
            clips.append((utterance, tokenizer.encode(Audio.read(utterance.audio_path), utterance.text)))
        except AudioError as error:
            failed.append(str(error).removeprefix(f"{utterance.audio_path}: "))  # a result names no machine's folders
    if not clips:
        raise ConfigError(f"no clip can be encoded; the first: {failed[0]}" if failed else "there are no clips")
    return clips, failed
