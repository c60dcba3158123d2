"""The cache folder is found as the rest of Segue finds it."""

from pathlib import Path

import pytest

from segue_pipelines import cache


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"SEGUE_CACHE": "own", "XDG_CACHE_HOME": "xdg", "HOME": "home"}, "own/rolls"),
        ({"XDG_CACHE_HOME": "xdg", "HOME": "home"}, "xdg/segue/rolls"),
        ({"HOME": "home"}, "home/.cache/segue/rolls"),
    ],
)
def test_the_first_variable_that_is_set_wins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, environment: dict[str, str], expected: str
) -> None:
    for name in ("SEGUE_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, str(tmp_path / value))
    found = cache.folder("rolls")
    assert found == tmp_path / expected
    assert found.is_dir()
