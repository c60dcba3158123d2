"""Windows show notes as silent, held and struck cells."""

import numpy as np
import pytest

from mozart import PITCHES, STEPS, rolls
from mozart.corpus import Note


def cells(*notes: Note) -> list[int]:
    """The row of middle C."""
    row: list[int] = rolls.draw(notes)[60 - rolls.LOWEST].tolist()
    return row


@pytest.mark.parametrize(
    ("notes", "row"),
    [
        ([Note(0, 1, 60, True)], [2, 1, 1, 1]),
        ([Note(0.5, 0.5, 60, True)], [0, 0, 2, 1]),
        ([Note(0, 0.5, 60, True), Note(0.5, 0.5, 60, False)], [2, 1, 1, 1]),
        ([Note(0, 0.5, 60, True), Note(0.5, 0.5, 60, True)], [2, 1, 2, 1]),
        ([Note(0, 0.01, 60, True)], [2]),
        ([Note(0, 1, 60, True), Note(0, 0.5, 60, False)], [2, 1, 1, 1]),
        ([Note(1 / 3, 1 / 3, 60, True)], [0, 2, 1]),
    ],
)
def test_notes_fill_their_sixteenths(notes: list[Note], row: list[int]) -> None:
    assert cells(*notes) == row


def test_pitches_off_the_keyboard_are_left_out() -> None:
    roll = rolls.draw([Note(0, 1, 20, True), Note(0, 1, 21, True), Note(0, 1, 108, True)])
    assert roll.shape == (PITCHES, 4)
    assert np.flatnonzero(roll[:, 0]).tolist() == [0, 87]


@pytest.mark.parametrize(
    ("steps", "limit", "starts"),
    [
        (0, 9, []),
        (40, 9, [0]),
        (128, 9, [0, 64]),
        (190, 9, [0, 64]),
        (192, 9, [0, 64, 128]),
        (640, 3, [0, 256, 576]),
    ],
)
def test_windows_overlap_by_half_and_are_spread_over_the_piece(
    steps: int, limit: int, starts: list[int]
) -> None:
    # Every column holds its own number in binary, so a window tells where it began.
    roll = np.zeros((PITCHES, steps), dtype=np.uint8)
    for step in range(steps):
        roll[:16, step] = [(step >> bit) & 1 for bit in range(16)]
        roll[20, step] = 1
    found = rolls.windows(roll, limit)
    assert found.shape == (len(starts), PITCHES, STEPS)
    assert [int((w[:16, 0] << np.arange(16)).sum()) for w in found] == starts


def test_silent_windows_are_dropped() -> None:
    roll = np.zeros((PITCHES, 512), dtype=np.uint8)
    roll[40, 300] = rolls.ONSET
    assert len(rolls.windows(roll, 9)) == 2


@pytest.mark.parametrize("semitones", [12, -12, 1, 0])
def test_transposition_moves_rows_and_loses_what_leaves(semitones: int) -> None:
    roll = np.random.default_rng(0).integers(0, 3, (2, PITCHES, STEPS)).astype(np.uint8)
    moved = rolls.transpose(roll, semitones)
    for row in range(PITCHES):
        source = row - semitones
        wanted = roll[:, source] if 0 <= source < PITCHES else np.zeros((2, STEPS))
        np.testing.assert_array_equal(moved[:, row], wanted)


def test_stretching_repeats_steps_but_not_onsets() -> None:
    roll = np.zeros((1, PITCHES, STEPS), dtype=np.uint8)
    roll[0, 5, :4] = [2, 1, 0, 2]
    slow = rolls.stretch(roll, 2)
    assert slow.shape == roll.shape
    assert slow[0, 5, :10].tolist() == [2, 1, 1, 1, 0, 0, 2, 1, 0, 0]
