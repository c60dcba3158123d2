"""Progress for people, on standard error, so that standard output stays data."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

T = TypeVar("T")


def say(text: str) -> None:
    """One line for people."""
    print(text, file=sys.stderr, flush=True)


def track(items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
    """The items, with a counter: a moving line on a terminal, one line at the end elsewhere."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    moving = sys.stderr.isatty()
    begun = time.monotonic()
    count = 0
    for item in items:
        yield item
        count += 1
        if moving:
            print(f"\r{label}: {count}/{total or '?'}", end="", file=sys.stderr, flush=True)
    if moving:
        print("\r\033[K", end="", file=sys.stderr)
    say(f"{label}: {count} in {time.monotonic() - begun:.1f} s")
