"""Notes as piano-roll windows: uint8 [88, 128], 0 silent, 1 held, 2 onset.

Rows are piano keys, lowest first; columns are sixteenth notes. Anything shorter
than a sixteenth still fills one column.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from mozart import PITCHES, STEPS
from mozart.corpus import Note

Roll = npt.NDArray[np.uint8]
"""[88, steps] for a piece, [88, 128] for a window, [n, 88, 128] for a set."""

LOWEST = 21
SILENT, HELD, ONSET = 0, 1, 2

_STEPS_PER_QUARTER = 4
_HOP = STEPS // 2
_MIN_FILLED = STEPS // 2


def draw(notes: Sequence[Note]) -> Roll:
    """The roll of a whole piece, [88, steps]; pitches off the keyboard are left out."""
    spans = [(_step(n.start), _step(n.start + n.length), n) for n in notes]
    length = max((max(end, begin + 1) for begin, end, _ in spans), default=0)
    roll = np.zeros((PITCHES, length), dtype=np.uint8)
    for begin, end, note in spans:
        row = note.pitch - LOWEST
        if not 0 <= row < PITCHES:
            continue
        cells = roll[row, begin : max(end, begin + 1)]
        np.maximum(cells, HELD, out=cells)
        if note.struck:
            roll[row, begin] = ONSET
    return roll


def windows(roll: Roll, limit: int) -> Roll:
    """At most `limit` windows of a piece, spread evenly, each half over the next.

    A last window that is filled less than half is dropped, and so are silent ones.
    """
    starts = range(0, max(1, roll.shape[1] - _MIN_FILLED + 1), _HOP)
    found = [window(roll, start) for start in starts]
    found = [w for w in found if w.any()]
    if len(found) > limit:
        picks = np.linspace(0, len(found) - 1, limit).round().astype(int)
        found = [found[i] for i in picks]
    return stack(found)


def window(roll: Roll, start: int) -> Roll:
    """The window that begins at column `start`, filled up with silence."""
    cut = roll[:, start : start + STEPS]
    padded = np.zeros((PITCHES, STEPS), dtype=np.uint8)
    padded[:, : cut.shape[1]] = cut
    return padded


def stack(found: Iterable[Roll]) -> Roll:
    """Windows as one array [n, 88, 128], also where there are none."""
    return np.array(list(found), dtype=np.uint8).reshape(-1, PITCHES, STEPS)


def transpose(rolls: Roll, semitones: int) -> Roll:
    """Windows moved up or down; what leaves the keyboard is lost."""
    moved = np.zeros_like(rolls)
    if semitones >= 0:
        moved[..., semitones:, :] = rolls[..., : PITCHES - semitones, :]
    else:
        moved[..., :semitones, :] = rolls[..., -semitones:, :]
    return moved


def stretch(rolls: Roll, factor: int) -> Roll:
    """Windows at 1/factor of their tempo: their first part, every step repeated.

    An onset stays one column wide; the columns after it are held.
    """
    part = rolls[..., : STEPS // factor]
    slow = np.repeat(part, factor, axis=-1)
    echo = np.arange(slow.shape[-1]) % factor != 0
    slow[..., echo] = np.minimum(slow[..., echo], HELD)
    return slow


def _step(quarters: float) -> int:
    return round(quarters * _STEPS_PER_QUARTER)
