"""vocable: speech to tokens and back.

The public names load when they are first used, so that ``vocable --help`` does not wait for torch.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vocable.apps.asr import transcribe
    from vocable.apps.edit import edit
    from vocable.apps.generate import generate
    from vocable.apps.score import score
    from vocable.apps.tts import synthesize
    from vocable.apps.vc import convert
    from vocable.audio import Audio
    from vocable.errors import VocableError
    from vocable.evaluate.judges.find import load_recognizer
    from vocable.systems.registry import load
    from vocable.testing import check_tokenizer
    from vocable.tokens import Tokens, TokenSpec

    __version__: str

__all__ = [
    "Audio",
    "TokenSpec",
    "Tokens",
    "VocableError",
    "check_tokenizer",
    "convert",
    "edit",
    "generate",
    "load",
    "load_recognizer",
    "score",
    "synthesize",
    "transcribe",
]

_HOMES = {
    "Audio": "vocable.audio",
    "TokenSpec": "vocable.tokens",
    "Tokens": "vocable.tokens",
    "VocableError": "vocable.errors",
    "check_tokenizer": "vocable.testing",
    "convert": "vocable.apps.vc",
    "edit": "vocable.apps.edit",
    "generate": "vocable.apps.generate",
    "load": "vocable.systems.registry",
    "load_recognizer": "vocable.evaluate.judges.find",
    "score": "vocable.apps.score",
    "synthesize": "vocable.apps.tts",
    "transcribe": "vocable.apps.asr",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return version("vocable")
    if name not in _HOMES:
        raise AttributeError(f"module 'vocable' has no attribute '{name}'; it has {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
