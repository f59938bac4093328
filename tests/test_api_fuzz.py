"""The public interface under random hostile arguments; the long form is ``benchmarks/api_fuzz.py``."""

import pytest

import vocable
from tests.api_fuzz import Fuzz, discover


@pytest.mark.slow
@pytest.mark.usefixtures("untyped")
def test_hostile_arguments_give_a_result_or_a_named_error() -> None:
    fuzz = Fuzz(seed=0)
    fuzz.run(1_000)
    assert fuzz.faults == []
    assert fuzz.ended["ArgumentError"] > 100
    assert fuzz.ended["returned"] > 10


def test_every_public_name_is_called() -> None:
    names = {name.split(".")[0] for name, _, _ in discover()}
    assert set(vocable.__all__) - {"VocableError"} <= names
    assert {"Tokens.clip", "Tokens.read", "Audio.write", "CtapTokenizer.speak", "VqalattentTokenizer.sample"} <= {
        name for name, _, _ in discover()
    }
