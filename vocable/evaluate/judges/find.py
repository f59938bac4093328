"""Judges by name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, overload

from vocable.errors import ConfigError
from vocable.evaluate.judges.base import OpinionPredictor, PitchTracker, Recogniser, SpeakerEncoder
from vocable.evaluate.judges.opinion import DnsmosPredictor
from vocable.evaluate.judges.pitch import SwiftF0Tracker
from vocable.evaluate.judges.recogniser import PocketsphinxRecogniser, WhisperRecogniser
from vocable.evaluate.judges.speaker import EcapaEncoder, ResemblyzerEncoder, TransformersSpeakerEncoder

Kind = Literal["pitch", "speaker", "recogniser", "opinion"]

_JUDGES: dict[str, dict[str, Callable[[], Any]]] = {  # the first of a kind is the one taken by default
    "pitch": {"swift-f0": SwiftF0Tracker},
    "speaker": {"resemblyzer": ResemblyzerEncoder, "ecapa": EcapaEncoder},
    "recogniser": {"pocketsphinx": PocketsphinxRecogniser},
    "opinion": {"dnsmos-p808": lambda: DnsmosPredictor(("p808",)), "dnsmos": DnsmosPredictor},
}


@overload
def find_judge(kind: Literal["pitch"], name: str | None = None) -> PitchTracker: ...
@overload
def find_judge(kind: Literal["speaker"], name: str | None = None) -> SpeakerEncoder: ...
@overload
def find_judge(kind: Literal["recogniser"], name: str | None = None) -> Recogniser: ...
@overload
def find_judge(kind: Literal["opinion"], name: str | None = None) -> OpinionPredictor: ...


def find_judge(kind: Kind, name: str | None = None) -> PitchTracker | SpeakerEncoder | Recogniser | OpinionPredictor:
    """A judge by name, ready to judge.

    Args:
        kind: What it hears: ``pitch``, ``speaker``, ``recogniser`` or ``opinion``.
        name: One of :func:`judge_names`; for speakers and recognisers also a model on the hub
            (``microsoft/wavlm-base-plus-sv``, ``speechbrain/spkrec-ecapa-voxceleb``, ``openai/whisper-small``) or a
            folder of one. By default the first of :func:`judge_names`, which works offline.

    Raises:
        ConfigError: There is no such judge; the message lists those that exist.
        MissingDependencyError: Its package is not installed.
        CheckpointError: Its model is not at hand.

    Example:
        >>> find_judge("pitch").name.startswith("swift-f0-")
        True
    """
    judges = _JUDGES[kind]
    if name is None:
        name = next(iter(judges))
    if name in judges:
        return judges[name]()
    if kind in ("speaker", "recogniser") and ("/" in name or Path(name).is_dir()):
        if kind == "recogniser":
            return WhisperRecogniser(name)
        if (Path(name) / "hyperparams.yaml").is_file() or name.startswith("speechbrain/"):
            return EcapaEncoder(name)
        return TransformersSpeakerEncoder(name)
    more = ", a model's name on the hub (owner/model) or its folder" if kind in ("speaker", "recogniser") else ""
    raise ConfigError(f"'{name}' is no {kind} judge; there are {', '.join(judges)}{more}")


def judge_names(kind: Kind) -> list[str]:
    """Names of the judges of a kind, the one taken by default first.

    Example:
        >>> judge_names("recogniser")
        ['pocketsphinx']
    """
    return list(_JUDGES[kind])
