"""Random calls of the public interface with hostile arguments: nothing but a result or an error of vocable comes back.

The interface is discovered: every name of ``vocable.__all__``, and every public method of what these return. A class
that is not known here is an error, so that what is new is called, too.
"""

import inspect
import random
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import chdir
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

import vocable
from vocable.arguments import show
from vocable.errors import VocableError
from vocable.systems.base import BaseTokenizer
from vocable.testing import speechlike

MODELS = ("guided-small", "ctap-small", "supervised-small", "taste-small", "vqalattent-fsdd")
LAWS = {"check_tokenizer"}  # raises an AssertionError where a law is broken
SLOW = {"generate", "sample", "check_tokenizer"}  # mostly called with arguments that are wrong
HOSTILE: list[Callable[[], Any]] = [
    lambda: None, lambda: True, lambda: 0, lambda: -1, lambda: 3, lambda: 10**30, lambda: 1.5, lambda: float("nan"),
    lambda: float("inf"), lambda: -0.0, lambda: 1j, lambda: "", lambda: "hello", lambda: "x.tokens", lambda: "\ud800",
    lambda: "a\x00b", lambda: "ab" * 3_000, lambda: "…", lambda: b"", lambda: b"bytes", lambda: [], lambda: (),
    lambda: {}, lambda: set(),
    lambda: [[]], lambda: [[1, [2, [3]]]], lambda: [None], lambda: ["a", 1],
    lambda: {"a": 1},
    lambda: [{"digit": 99}], lambda: object(), lambda: object, lambda: print, lambda: (x for x in "abc"),
    lambda: range(3), lambda: slice(None, None, 0), lambda: np.zeros(0), lambda: np.zeros((2, 3)),
    lambda: np.array(["a"]), lambda: np.array([np.nan], dtype=np.float32), lambda: np.int64(-3), lambda: np.bool_(True),
    lambda: np.float32("inf"), lambda: torch.zeros(0), lambda: torch.zeros(2, 3, dtype=torch.int64),
    lambda: torch.tensor(7),
    lambda: torch.full((1, 5), float("nan")), lambda: torch.zeros(3, device="meta"), lambda: Path("missing"),
    lambda: Path(), lambda: Path("a\x00b"), lambda: (np.zeros(8, np.float32), 0), lambda: (16_000, np.zeros(8)),
    lambda: (np.zeros(8, np.float32), "16000"), lambda: (None, None), lambda: ValueError("x"),
    lambda: [speechlike(640)],
]  # fmt: skip


Target = tuple[str, Callable[..., Any], dict[str, Any]]


@dataclass
class Fuzz:
    """Calls so far: how each ended, which functions were called, and the faults with their calls."""

    seed: int
    calls: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    called: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def run(self, calls: int) -> None:
        """Make a number of random calls in an empty folder."""
        draw = random.Random(self.seed)
        targets = list(discover())
        with tempfile.TemporaryDirectory() as folder, chdir(folder):
            for _ in range(calls):
                name, function, good = draw.choice(targets)
                self._call(name, function, *arguments(draw, name, function, good))

    def _call(self, name: str, function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> None:
        self.calls += 1
        self.called[name] += 1
        try:
            made = function(*args, **kwargs)
            if inspect.isgenerator(made):
                next(made, None)
            self.ended["returned"] += 1
        except VocableError as error:
            self.ended[type(error).__name__] += 1
            if "\n" in str(error):
                self.faults.append(f"{name}: an error of many lines: {str(error)[:200]!r}")
        except AssertionError as error:
            if name.split(".")[-1] not in LAWS:
                self._fail(name, args, kwargs, error)
        except Exception as error:
            self._fail(name, args, kwargs, error)

    def _fail(self, name: str, args: list[Any], kwargs: dict[str, Any], error: Exception) -> None:
        place = traceback.extract_tb(error.__traceback__)[-1]
        shown = f"{show(args)} {show(kwargs)}: {type(error).__name__}: {show(str(error))}"
        self.faults.append(f"{name} {shown} ({Path(place.filename).name}:{place.lineno})")


def arguments(
    draw: random.Random, name: str, function: Callable[..., Any], good: dict[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Return arguments of a call: each is good or hostile, and at least one is hostile."""
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    parameters = [
        parameter for parameter in inspect.signature(function).parameters.values()
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]  # fmt: skip
    if not parameters:
        return args, kwargs
    wrong = draw.choice(parameters).name
    for parameter in parameters:
        is_wrong = parameter.name == wrong or draw.random() < 0.1
        if not is_wrong and parameter.name not in good and parameter.default is not parameter.empty:
            continue
        value = draw.choice(HOSTILE)() if is_wrong or parameter.name not in good else good[parameter.name]
        is_positional = parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        if is_positional and not kwargs and len(args) == parameters.index(parameter):
            args.append(value)
        else:
            kwargs[parameter.name] = value
    return args, kwargs


def discover() -> Iterator[Target]:
    """Yield every public function and method with its name and good arguments by name."""
    clip = speechlike(12_000)
    tokenizers = {name: vocable.load(name) for name in MODELS}
    codec = tokenizers["guided-small"]
    tokens = codec.encode_batch([clip, speechlike(640)])
    common = {"audio": clip, "clip": clip, "voice": clip, "source": clip, "donor": clip, "device": "cpu",
              "texts": ["a"],
              "text": "hello", "clips": [clip], "index": 0, "count": 1, "seed": 0, "n": 1, "sample_rate": 8_000,
              "name": "guided-small", "tokenizer": codec, "model": tokenizers["ctap-small"], "path": "out.wav",
              "label": 7, "words": (1, 1), "speed": 1.1}  # fmt: skip
    instances: dict[type, tuple[Any, dict[str, Any]]] = {
        vocable.Audio: (clip, common | {"samples": clip.samples}),
        vocable.TokenSpec: (tokens.spec, {"sample_rate": 16_000, "hop": 320, "codebook_size": 4, "num_codebooks": 1}),
        vocable.Tokens: (tokens, common | {"path": "out.tokens"} | {
            name: getattr(tokens, name) for name in tokens.__dataclass_fields__
        }),
    }  # fmt: skip
    for name in vocable.__all__:
        value = getattr(vocable, name)
        if not isinstance(value, type):
            if callable(value):
                yield name, value, common
            continue
        if issubclass(value, BaseException):
            continue
        instance, good = instances[value]  # a KeyError: say here what an instance of a new class is
        yield name, value, good
        yield from methods(name, instance, good)
    for name, tokenizer in tokenizers.items():
        own = golden(name)
        good = common | {"tokens": own, "donor": own, "first": 1, "last": 1, "phonemes": ["HH", "AY"],
                         "folder": "model",
                         "conditions": [{"digit": 7}], "levels": [1], "blocks": [clip.samples]}  # fmt: skip
        yield from methods(type(tokenizer).__name__, tokenizer, good)


def golden(name: str) -> vocable.Tokens:
    """Return tokens of a bundled model, without the models that encoding may need."""
    return vocable.Tokens.read(Path(__file__).parent / "golden" / f"{name}-0.tokens")


def methods(owner: str, instance: Any, good: dict[str, Any]) -> Iterator[Target]:
    """Yield the public methods of an object; those of a tokenizer that its class or base defines."""
    kind = type(instance)
    for name, member in inspect.getmembers(kind):
        is_own = inspect.isfunction(member) or inspect.ismethod(member)
        if is_own and (not name.startswith("_") or name in ("__getitem__", "__eq__")):
            if isinstance(instance, BaseTokenizer) and name == "size_rows":
                continue  # takes networks
            yield f"{owner}.{name}", getattr(instance, name), good
