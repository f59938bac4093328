"""Probes by name, and the matrix of probes and views: small models that show which information the tokens hold."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType

from vocable.audio import Audio
from vocable.data.manifest import Utterance
from vocable.errors import AudioError, ConfigError
from vocable.evaluate.card import ProbeRow
from vocable.evaluate.judges.base import PitchTracker
from vocable.evaluate.probes.base import ProbeTask
from vocable.evaluate.probes.clip import classify_clips
from vocable.evaluate.probes.frame import classify_phones, predict_pitch
from vocable.evaluate.probes.sequence import recognize_letters, recognize_phones
from vocable.evaluate.probes.views import Clip, ProbeInput, default_views, make_input
from vocable.interfaces import Tokenizer

Probe = Callable[[ProbeTask, Sequence[ProbeInput]], list[ProbeRow]]

KEY = "key:"  # prefix of a probe for any key of the manifest
MATRIX = ("content", "speaker", "emotion", "pitch")
NEEDS_TRAIN_SPLIT = ("phoneme", "characters", "content")  # fitted on the split train, scored on test


def _probe_phonemes(task: ProbeTask, inputs: Sequence[ProbeInput]) -> list[ProbeRow]:
    has_marks = any(utterance.extra.get("phone_marks") for utterance in _utterances(inputs))
    return (classify_phones if has_marks else recognize_phones)(task, inputs)


def _probe_content(task: ProbeTask, inputs: Sequence[ProbeInput]) -> list[ProbeRow]:
    has_phones = any({"phones", "phone_marks"} & utterance.extra.keys() for utterance in _utterances(inputs))
    return (_probe_phonemes if has_phones else recognize_letters)(task, inputs)


def _utterances(inputs: Sequence[ProbeInput]) -> Sequence[Utterance]:
    return inputs[0].utterances if inputs else ()


PROBES: Mapping[str, Probe] = MappingProxyType(
    {
        **{key: partial(classify_clips, key=key) for key in ("speaker", "gender", "emotion", "digit")},
        "phoneme": _probe_phonemes,
        "characters": recognize_letters,
        "pitch": predict_pitch,
        "content": _probe_content,
    }
)


def find_probe(name: str) -> Probe:
    """Return a probe by name: one of ``PROBES``, or ``key:`` and a key of the manifest, such as ``key:accent``.

    Raises:
        ConfigError: If there is no such probe; the message lists those that exist.

    Example:
        >>> sorted(PROBES)
        ['characters', 'content', 'digit', 'emotion', 'gender', 'phoneme', 'pitch', 'speaker']
    """
    if name.startswith(KEY) and len(name) > len(KEY):
        return partial(classify_clips, key=name.removeprefix(KEY))
    if name not in PROBES:
        raise ConfigError(f"there is no probe '{name}'; there are {', '.join(PROBES)}, and {KEY}NAME for any other key")
    return PROBES[name]


def run_probe(
    probe: str, tokenizer: object, name: str, clips: Sequence[Clip], *, views: Sequence[str] | None = None,
    seed: int = 0, seeds: int = 3, epochs: int = 30, tracker: PitchTracker | None = None,
) -> list[ProbeRow]:  # fmt: skip
    """Fit a probe on views of tokens and report its figures.

    Args:
        probe: One of ``PROBES``, or ``key:`` and a key of the manifest.
        tokenizer: Tokenizer that made the tokens. An :class:`~vocable.interfaces.Embedding` is probed on its codebook
            vectors, any other on ids.
        name: Name of the tokenizer in the rows.
        clips: Utterances, each with its tokens alone. Sequence probes need the splits train and test.
        views: Views such as ``level 1`` or ``levels 2 to 8``; by default level 1, the rest, all levels, and the voice
            vector if there is one.
        seed: First of the seeds.
        seeds: Number of repetitions of a probe whose folds are drawn at random; sequence probes are fitted once.
        epochs: Most passes of a sequence probe.
        tracker: Pitch tracker; None takes the default one.

    Returns:
        Rows for each view. A figure that the data or the tokenizer does not allow is undefined, with its reason.

    Raises:
        ConfigError: If there is no such probe or view, a number is out of range, or the tokens do not belong together.
        MissingDependencyError: If an optional package is not installed.

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
    run = find_probe(probe)
    for setting, value in (("seeds", seeds), ("epochs", epochs)):
        if value < 1:
            raise ConfigError(f"{setting} is {value}: it must be at least 1")
    if not clips:
        raise ConfigError(f"probe '{probe}' was given no clips")
    task = ProbeTask(entry=name, probe=probe, seed=seed, seeds=seeds, epochs=epochs, tracker=tracker)
    first = clips[0][1]
    if views is None:
        views = default_views(first.spec.num_codebooks, voice=first.voice is not None)
    return run(task, [make_input(view, tokenizer, clips) for view in views])


def encode_clips(tokenizer: Tokenizer, utterances: Sequence[Utterance]) -> tuple[list[Clip], list[str]]:
    """Encode utterances, at least one; also return the reason for each one that cannot be encoded."""
    clips: list[Clip] = []
    failed: list[str] = []
    for utterance in utterances:
        try:
            clips.append((utterance, tokenizer.encode(Audio.read(utterance.audio_path), utterance.text)))
        except AudioError as error:  # without the path: a result names no folder of this machine
            failed.append(str(error).removeprefix(f"{utterance.audio_path}: "))
    if not clips:
        raise ConfigError(f"no clip can be encoded; the first: {failed[0]}" if failed else "there are no clips")
    return clips, failed
