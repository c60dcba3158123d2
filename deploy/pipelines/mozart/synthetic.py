"""Rolls that nobody composed: scales, chords and seeded noise, for goldens and examples."""

from __future__ import annotations

import numpy as np

from mozart import PITCHES, STEPS, rolls
from mozart.corpus import Note
from mozart.rolls import HELD, ONSET, Roll

_MAJOR = (0, 2, 4, 5, 7, 9, 11)
_MIDDLE_C = 60


def scale() -> Roll:
    """C major in eighth notes, up and down over two octaves, for eight bars."""
    degrees = [*range(15), *range(13, 0, -1)]
    notes = [Note(i / 2, 0.5, _degree(degrees[i % len(degrees)]), True) for i in range(64)]
    return rolls.window(rolls.draw(notes), 0)


def chords() -> Roll:
    """I IV V I in C major, four voices in quarter notes, for eight bars."""
    progression = ((0, 4, 7, 12), (-7, 5, 9, 12), (-5, 2, 7, 11), (-12, 4, 7, 12))
    notes = [
        Note(float(beat), 1.0, _MIDDLE_C + pitch, True)
        for beat in range(32)
        for pitch in progression[beat // 2 % len(progression)]
    ]
    return rolls.window(rolls.draw(notes), 0)


def noise(seed: int, notes: int = 120) -> Roll:
    """Notes at random places of the middle five octaves, one to eight steps long."""
    generator = np.random.default_rng(seed)
    roll = np.zeros((PITCHES, STEPS), dtype=np.uint8)
    for _ in range(notes):
        row, start = int(generator.integers(15, 75)), int(generator.integers(0, STEPS))
        length = int(generator.integers(1, 9))
        roll[row, start : start + length] = HELD
        roll[row, start] = ONSET
    return roll


def _degree(degree: int) -> int:
    octave, step = divmod(degree, len(_MAJOR))
    return _MIDDLE_C + 12 * octave + _MAJOR[step]
