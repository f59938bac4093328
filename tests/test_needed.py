"""Nothing is skipped in CI."""

import pytest

from tests.needed import lacking


def test_what_is_lacking_skips_a_test_and_fails_it_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="a drum is not on this machine"):
        lacking("a drum")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="CI is set but a drum is missing"):
        lacking("a drum")
