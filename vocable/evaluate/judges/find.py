"""Scorers by name."""

from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any, Literal, NoReturn, overload

from vocable.audio import Audio
from vocable.device import check_device
from vocable.errors import AudioError, CheckpointError, ConfigError, MissingDependencyError
from vocable.evaluate.judges.base import OpinionPredictor, PhoneRecognizer, PitchTracker, SpeakerEncoder
from vocable.evaluate.judges.moonshine import FILES, MoonshineRecognizer
from vocable.evaluate.judges.quality import DistillMosPredictor, DnsmosPredictor
from vocable.evaluate.judges.recognizer import PocketsphinxRecognizer, WhisperRecognizer
from vocable.evaluate.judges.voice import EcapaEncoder, ResemblyzerEncoder, SwiftF0Tracker, TransformersSpeakerEncoder
from vocable.features.hama import HamaRecognizer
from vocable.files import folder_exists, is_file
from vocable.interfaces import SpeechRecognizer
from vocable.systems import registry

Kind = Literal["pitch", "speaker", "recognizer", "phones", "opinion"]

_SCORERS: dict[str, dict[str, Callable[[], Any]]] = {  # the first one of a kind is the default
    "pitch": {"swift-f0": SwiftF0Tracker},
    "speaker": {"resemblyzer": ResemblyzerEncoder, "ecapa": EcapaEncoder},
    "recognizer": {"moonshine": MoonshineRecognizer, "pocketsphinx": PocketsphinxRecognizer},
    "phones": {"hama": HamaRecognizer},
    "opinion": {
        "dnsmos-p808": lambda: DnsmosPredictor(("p808",)),
        "dnsmos": DnsmosPredictor,
        "distillmos": DistillMosPredictor,
    },
}

_ON_DEVICES = (ResemblyzerEncoder, EcapaEncoder)  # scorers above whose networks are torch's


def default_scorer(kind: Kind) -> str:
    """Return the name of the scorer that is taken where none is named.

    Example:
        >>> default_scorer("recognizer")
        'moonshine'
    """
    return next(iter(_SCORERS[kind]))


class AbsentScorer:
    """Stand-in for a scorer that is not on this machine: it scores no clip and says why.

    Attributes:
        name: Name of the scorer, without a version.
        reason: What is missing, and what to install.
    """

    def __init__(self, name: str, reason: str) -> None:
        self.name, self.reason = name, reason

    def _refuse(self, clip: Audio) -> NoReturn:
        raise AudioError(self.reason)

    track = embed = transcribe = phones = rate = _refuse


def find_optional_scorer(kind: Kind, name: str | None, purpose: str) -> tuple[Any, list[str]]:
    """Return a scorer, or a stand-in where the default one is missing, and a line that says so.

    Args:
        kind: Kind of the scorer; see :func:`find_scorer`.
        name: Name of the scorer. One that is named must be there: its errors are raised.
        purpose: Figures that need it, for the line.

    Raises:
        ConfigError: If there is no such scorer.
        MissingDependencyError: If the package of a named scorer is not installed.
        CheckpointError: If the model of a named scorer is not available.

    Example:
        >>> find_optional_scorer("pitch", None, "F0 correlation")[1]
        []
    """
    if name is not None:
        return find_scorer(kind, name), []
    try:
        return find_scorer(kind), []
    except (MissingDependencyError, CheckpointError) as error:
        return AbsentScorer(default_scorer(kind), str(error)), [f"{purpose}: undefined: {error}"]


@overload
def find_scorer(kind: Literal["pitch"], name: str | None = None, device: str = ...) -> PitchTracker: ...
@overload
def find_scorer(kind: Literal["speaker"], name: str | None = None, device: str = ...) -> SpeakerEncoder: ...
@overload
def find_scorer(kind: Literal["recognizer"], name: str | None = None, device: str = ...) -> SpeechRecognizer: ...
@overload
def find_scorer(kind: Literal["phones"], name: str | None = None, device: str = ...) -> PhoneRecognizer: ...
@overload
def find_scorer(kind: Literal["opinion"], name: str | None = None, device: str = ...) -> OpinionPredictor: ...


def find_scorer(
    kind: Kind, name: str | None = None, device: str = "cpu"
) -> PitchTracker | SpeakerEncoder | SpeechRecognizer | PhoneRecognizer | OpinionPredictor:
    """Return a loaded scorer.

    Args:
        kind: ``pitch``, ``speaker``, ``recognizer``, ``phones`` or ``opinion``.
        name: Name of a scorer: ``swift-f0``; ``resemblyzer`` or ``ecapa``; ``moonshine`` or ``pocketsphinx``; ``hama``;
            ``dnsmos-p808``, ``dnsmos`` or ``distillmos``. For speakers and recognizers, also the hub name of a model
            (``microsoft/wavlm-base-plus-sv``, ``openai/whisper-small``) or a folder with one. None takes the first of
            its kind, which works offline; another is never taken in its place.
        device: Torch device of the scorers whose networks are torch's: Resemblyzer, ECAPA-TDNN, x-vectors and Whisper.
            The others are on the CPU.

    Raises:
        ConfigError: If there is no such scorer; the message lists those that exist.
        MissingDependencyError: If its package is not installed.
        CheckpointError: If its model is not available.

    Example:
        >>> find_scorer("pitch").name.startswith("swift-f0-")
        True
    """
    scorers = _SCORERS[kind]
    if name is None:
        name = default_scorer(kind)
    if name in scorers:
        maker = scorers[name]
        return maker(device=device) if maker in _ON_DEVICES else maker()
    takes_models = kind in ("speaker", "recognizer")
    if takes_models and ("/" in name or folder_exists(Path(name))):
        if kind == "recognizer":
            is_moonshine = any(is_file(Path(name) / file) for file in FILES)
            return MoonshineRecognizer(Path(name)) if is_moonshine else WhisperRecognizer(name, device)
        if is_file(Path(name) / "hyperparams.yaml") or name.startswith("speechbrain/"):
            return EcapaEncoder(name, device)
        return TransformersSpeakerEncoder(name, device)
    more = ", a model's name on the hub (owner/model) or its folder" if takes_models else ""
    raise ConfigError(f"'{name}' is no {kind} scorer; there are {', '.join(scorers)}{more}")


def load_recognizer(name: str | PathLike[str] | None = None) -> SpeechRecognizer:
    """Load a speech recognizer.

    Args:
        name: ``moonshine`` (the default), ``pocketsphinx``, or the hub name or folder of a Whisper.

    Raises:
        ConfigError: If there is no such recognizer.
        MissingDependencyError: If its package is not installed.
        CheckpointError: If its model is not available.

    Example:
        >>> import numpy as np
        >>> load_recognizer("pocketsphinx").transcribe(Audio(np.zeros(16_000), 16_000))
        ''
    """
    if name is not None and not isinstance(name, str | PathLike):
        raise ConfigError(f"a recognizer is chosen by its name or folder, not by {type(name).__name__}; pass a text")
    return find_scorer("recognizer", None if name is None else str(name))


def load_transcriber(name: str | None, device: str = "cpu") -> tuple[object, str]:
    """Load a speech recognizer, or a tokenizer that recognizes phonemes; return it with its name and version.

    Args:
        name: Name of a recognizer (see :func:`load_recognizer`) or of a tokenizer, or the folder of either.
        device: Device of a tokenizer.

    Raises:
        ConfigError: If there is neither; the message lists those that exist.
        MissingDependencyError: If its package is not installed.
        CheckpointError: If its model is not available.
    """
    if name is None or name in _SCORERS["recognizer"] or _holds_recognizer(name):
        check_device(device)  # recognizers run on the CPU
        recognizer = load_recognizer(name)
        return recognizer, recognizer.name
    try:
        tokenizer = registry.load(name, device)
    except (CheckpointError, ConfigError) as error:
        known = ", ".join(_SCORERS["recognizer"])
        raise type(error)(f"{error}; or a recognizer: {known}, or the folder of a Whisper") from error
    return tokenizer, f"{Path(name).resolve().name}-{tokenizer.digest.removeprefix('sha256:')[:12]}"


def _holds_recognizer(name: str) -> bool:
    """Return True for the hub name of a model, and for a folder that holds one of another project."""
    if not folder_exists(Path(name)):
        return "/" in name
    return not any(is_file(Path(name) / file) for file in ("model.json", "run.json"))
