"""Listening tests: a page that plays clips in random order and collects ratings.

:func:`build` writes one HTML file with all sounds, and beside it the key that maps codes to systems; raters must not
see the key. Each rater opens the page, enters an id, rates, and sends back the ratings file that the page saves.
:mod:`vocable_lab.listening.analysis` reads these files with the key.

* ``mushra`` (ITU-R BS.1534-3): one screen shows all systems of one clip beside the reference, rated from 0 to 100.
  Among them are the hidden reference and, on the quality scale, anchors of 3.5 and 7 kHz. Speech sampled at 16 kHz
  loses little at 7 kHz; below that rate there is no such anchor.
* ``mos`` (ITU-T P.800, absolute category rating): one screen shows one clip, rated from 1 to 5; the reference is
  rated like a system. Quality is rated without the reference, prosody and speaker against it.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

import numpy as np

from vocable.audio import Audio, find_audio
from vocable.errors import ConfigError, InputError, MissingDependencyError, OutputError
from vocable.evaluate.plan import parse_named
from vocable.files import exists, folder_exists, write_json, write_whole
from vocable_lab.listening.key import REFERENCE, Key, Kind, Scale, Stimulus, read_key
from vocable_lab.listening.page import render_test

ANCHORS = {"anchor 3.5 kHz": 3_500, "anchor 7 kHz": 7_000}  # Hz
_TRANSITION_HZ = 500  # Hz from pass band to stop band; BS.1534 asks for 25 dB at 4 kHz and 50 dB at 4.5 kHz
_STOP_BAND_DB = 60.0
_MAX_LENGTH_DIFFERENCE = 0.1  # s
_MAX_LEVEL_DIFFERENCE = 3.0  # dB


@dataclass(frozen=True, kw_only=True)
class ListeningTest:
    """Files of a listening test.

    Attributes:
        page: HTML page for the raters.
        key: Key for the analysis.
        test: Id of the test, a digest of sounds, names and settings.
        clips: Names of the clips.
        screens: Number of screens of each rater.
        warnings: One line for each file whose length or loudness gives it away beside the reference.
    """

    page: Path
    key: Path
    test: str
    clips: tuple[str, ...]
    screens: int
    warnings: tuple[str, ...]


def build(
    reference: Path,
    systems: Mapping[str, Path],
    out: Path,
    *,
    kind: Kind = "mushra",
    scales: Sequence[Scale] = ("quality", "prosody", "speaker"),
    seed: int = 0,
) -> ListeningTest:
    """Write the page of a listening test, and its key beside it (``NAME.key.json``).

    The order of screens and stimuli is random for every rater, seeded by the test and the rater's id. The page names
    no system and the codes follow no order. A rater who reads its source can still compare the sounds.

    Args:
        reference: Folder of the recordings.
        systems: Folder of each system by name; its files have the stems of the recordings.
        out: Path of the page.
        kind: ``mushra`` or ``mos``.
        scales: Scales in the order of the screens; each has its own screens.
        seed: Seed of the codes.

    Raises:
        ConfigError: If there is no system, a name is reserved, or a kind or scale is unknown or repeated.
        InputError: If a folder has no audio, or two files of one stem, or stems other than the reference's.
        OutputError: If a file cannot be written, or the key of another test would be overwritten.
        MissingDependencyError: If scipy is not installed, which filters the anchors.

    Source:
        ITU-R BS.1534-3 (2015); ITU-T P.800 (1996), annex B.
    """
    _check(systems, kind, scales)
    recordings = _files_by_stem(reference)
    folders = {name: _files_by_stem(Path(folder)) for name, folder in systems.items()}
    for name, files in folders.items():
        _check_stems(name, files, recordings, reference)
    sounds: dict[tuple[str, str], Audio] = {}
    for clip, path in recordings.items():
        sounds[clip, REFERENCE] = Audio.read(path)
        sounds |= {(clip, name): Audio.read(files[clip]) for name, files in folders.items()}
        if kind == "mushra" and "quality" in scales:
            sounds |= {(clip, name): anchor for name, anchor in _make_anchors(sounds[clip, REFERENCE])}
    test = _hash_test(sounds, kind, scales, seed)
    key = _draw_codes(sounds, test, kind, tuple(scales), seed)
    page, key_file = Path(out), Path(out).with_suffix(".key.json")
    if exists(key_file) and read_key(key_file).test != test:
        raise OutputError(f"{key_file}: is the key of another test, whose ratings need it; name another page")
    html = render_test(key, sounds)
    write_json(key_file, key.to_json())
    write_whole(page, lambda temporary: temporary.write_text(html, encoding="utf-8"))
    return ListeningTest(
        page=page,
        key=key_file,
        test=test,
        clips=tuple(recordings),
        screens=len({stimulus.trial for stimulus in key.stimuli.values()}),
        warnings=tuple(_warn_about_outliers(sounds, list(systems))),
    )


def build_from_arguments(
    reference: Path,
    systems: Sequence[str],
    out: Path,
    kind: str = "mushra",
    scales: Sequence[str] = ("quality", "prosody", "speaker"),
    seed: int = 0,
) -> ListeningTest:
    """Build a listening test from the arguments of a command line; see :func:`build`.

    Args:
        reference: Folder of the recordings.
        systems: Systems as ``NAME=FOLDER``, or ``FOLDER`` to name the system after it.
        out: Path of the page.
        kind: ``mushra`` or ``mos``.
        scales: Scales in the order of the screens.
        seed: Seed of the codes.

    Raises:
        ConfigError: As for :func:`build`, or if a system is named twice.
    """
    folders = {name: Path(folder) for name, folder in parse_named(systems, "listen").items()}
    _check(folders, kind, scales)
    return build(reference, folders, out, kind=cast(Kind, kind), scales=cast(Sequence[Scale], scales), seed=seed)


def _check(systems: Mapping[str, Path], kind: str, scales: Sequence[str]) -> None:
    if kind not in get_args(Kind):
        raise ConfigError(f"kind is '{kind}'; there are {', '.join(get_args(Kind))}")
    if not scales or len(set(scales)) < len(scales) or not set(scales) <= set(get_args(Scale)):
        raise ConfigError(f"scales are {', '.join(scales) or 'none'}; take {', '.join(get_args(Scale))}, each once")
    if not systems:
        raise ConfigError("a listening test needs at least one system beside the reference; name its folder")
    reserved = [name for name in systems if not name.strip() or name == REFERENCE or name in ANCHORS]
    if reserved:
        raise ConfigError(f"a system cannot be named '{reserved[0]}'; take another name")


def _files_by_stem(folder: Path) -> dict[str, Path]:
    if not folder_exists(folder):
        raise InputError(f"{folder}: no such folder; name the folder of the clips")
    files: dict[str, Path] = {}
    for path in find_audio([folder]):
        if path.stem in files:
            raise InputError(f"{path}: {files[path.stem]} has the same stem; keep one of the two")
        files[path.stem] = path
    return files


def _check_stems(name: str, files: Mapping[str, Path], recordings: Mapping[str, Path], reference: Path) -> None:
    missing, extra = sorted(recordings.keys() - files.keys()), sorted(files.keys() - recordings.keys())
    for stems, where in ((missing, f"system '{name}' lacks"), (extra, f"{reference}: no recording for '{name}' of")):
        if stems:
            more = f" and {len(stems) - 5} more" if len(stems) > 5 else ""
            raise InputError(f"{where} {', '.join(stems[:5])}{more}; give each clip to every system, by the same stem")


def _make_anchors(recording: Audio) -> Iterator[tuple[str, Audio]]:
    """Yield low-pass versions of the recording, with linear phase and without delay."""
    try:
        from scipy.signal import firwin, kaiserord, oaconvolve
    except ImportError as error:
        raise MissingDependencyError("the anchors need scipy; run pip install 'vocable[metrics]'") from error
    nyquist = recording.sample_rate / 2
    for name, edge in ANCHORS.items():
        if edge + _TRANSITION_HZ > nyquist:
            continue
        taps, beta = kaiserord(_STOP_BAND_DB, _TRANSITION_HZ / nyquist)
        taps |= 1  # an odd number delays by whole samples
        low_pass = firwin(taps, edge + _TRANSITION_HZ / 2, window=("kaiser", beta), fs=recording.sample_rate)
        yield name, Audio(oaconvolve(recording.samples, low_pass, mode="same"), recording.sample_rate)


def _hash_test(sounds: Mapping[tuple[str, str], Audio], kind: str, scales: Sequence[str], seed: int) -> str:
    content = hashlib.sha256(repr((kind, tuple(scales), seed)).encode())
    for (clip, system), sound in sounds.items():
        content.update(repr((clip, system, sound.sample_rate)).encode("utf-8", "surrogateescape"))
        content.update(sound.samples.tobytes())
    return content.hexdigest()[:12]


def _draw_codes(
    sounds: Mapping[tuple[str, str], Audio], test: str, kind: Kind, scales: tuple[Scale, ...], seed: int
) -> Key:
    """Give every stimulus, a sound on a scale, a random code."""
    stimulus_keys = [
        (scale, clip, system)
        for scale in scales
        for clip, system in sounds
        if system not in ANCHORS or scale == "quality"
    ]  # fmt: skip
    random = np.random.default_rng(seed)
    numbers = 1 + random.permutation(len(stimulus_keys))  # the codes reveal nothing of the order of systems
    screens = sorted({(scale, clip) for scale, clip, _ in stimulus_keys})
    screen_numbers = dict(zip(screens, 1 + random.permutation(len(screens)), strict=True))
    stimuli = {}
    for (scale, clip, system), number in zip(stimulus_keys, numbers, strict=True):
        screen = screen_numbers[scale, clip] if kind == "mushra" else number
        stimuli[f"s{number:04}"] = Stimulus(trial=f"t{screen:04}", scale=scale, clip=clip, system=system)
    return Key(test=test, kind=kind, scales=scales, seed=seed, stimuli=dict(sorted(stimuli.items())))


def _warn_about_outliers(sounds: Mapping[tuple[str, str], Audio], systems: Sequence[str]) -> Iterator[str]:
    for (clip, system), sound in sounds.items():
        if system not in systems:
            continue
        recording = sounds[clip, REFERENCE]
        longer = sound.duration - recording.duration
        if abs(longer) > _MAX_LENGTH_DIFFERENCE:
            yield f"{system}, {clip}: {abs(longer):.2f} s {'longer' if longer > 0 else 'shorter'} than the reference"
        louder = _level_db(sound) - _level_db(recording)
        if abs(louder) > _MAX_LEVEL_DIFFERENCE:
            yield f"{system}, {clip}: {abs(louder):.1f} dB {'louder' if louder > 0 else 'quieter'} than the reference"


def _level_db(sound: Audio) -> float:
    """Return the level in dB relative to full scale; silence has −100 dB."""
    return float(10 * np.log10(max(float(np.square(sound.samples, dtype=np.float64).mean()), 1e-10)))
