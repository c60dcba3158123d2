"""The folder for what is downloaded or computed on the way and never released."""

from __future__ import annotations

import os
from pathlib import Path


def folder(name: str) -> Path:
    """A folder of that name in Segue's cache, made if it is not there.

    SEGUE_CACHE wins, then XDG_CACHE_HOME/segue, then ~/.cache/segue.
    """
    own = os.environ.get("SEGUE_CACHE")
    base = os.environ.get("XDG_CACHE_HOME")
    if own:
        cache = Path(own)
    elif base:
        cache = Path(base) / "segue"
    else:
        cache = Path.home() / ".cache" / "segue"
    path = cache / name
    path.mkdir(parents=True, exist_ok=True)
    return path
