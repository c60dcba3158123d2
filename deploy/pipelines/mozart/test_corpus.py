"""Scores are read as they sound: ties held on, grace notes dropped, works kept together."""

from collections import Counter
from pathlib import Path

import pytest

from mozart import LABELS, corpus
from mozart.corpus import Note, Piece


def abc(tmp_path: Path, body: str) -> list[Note]:
    """The notes of a tune in ABC."""
    path = tmp_path / "tune.abc"
    path.write_text(f"X:1\nT:t\nM:4/4\nL:1/4\nK:C\n{body}\n")
    return corpus.read(Piece("tune", "nobody", "tune", path))


def test_a_real_score_is_read_as_written() -> None:
    (exposition,) = (p for p in corpus.pieces("mozart") if "k545" in p.name)
    notes = corpus.read(exposition)
    melody = [n for n in notes if n.start < 8 and n.pitch > 70]
    # K. 545 begins with C5 for two beats, E5, G5, then B4 for a dotted quarter.
    assert [(n.start, n.length, n.pitch) for n in melody[:4]] == [
        (0, 2, 72),
        (2, 1, 76),
        (3, 1, 79),
        (4, 1.5, 71),
    ]
    alberti = [n.pitch for n in notes if n.start < 2 and n.pitch <= 70]
    assert alberti == [60, 67, 64, 67]


def test_a_tied_note_is_struck_once(tmp_path: Path) -> None:
    notes = abc(tmp_path, "C2-C2 D4")
    assert [(n.pitch, n.struck) for n in notes] == [(60, True), (60, False), (62, True)]


def test_grace_notes_and_chord_symbols_do_not_sound(tmp_path: Path) -> None:
    notes = abc(tmp_path, '{g}C2 "G7"[EG]2')
    assert [(n.start, n.length, n.pitch) for n in notes] == [(0, 2, 60), (2, 2, 64), (2, 2, 67)]


@pytest.mark.parametrize("composer", [*LABELS, "haydn", "schumann", corpus.FOLK])
def test_every_selection_is_there_and_names_no_piece_twice(composer: str) -> None:
    found = corpus.pieces(composer)
    assert found == corpus.pieces(composer), "the choice is the same every time"
    assert all(p.path.is_file() and p.composer == composer for p in found)
    assert max(Counter(p.name for p in found).values()) == 1


def test_movements_belong_to_one_work() -> None:
    works = Counter(p.work for p in corpus.pieces("mozart"))
    assert works == {
        "mozart/k155": 3,
        "mozart/k156": 4,
        "mozart/k458": 4,
        "mozart/k545": 1,
        "mozart/k80": 4,
    }
    assert {p.work for p in corpus.pieces("beethoven") if "opus59no1" in p.name} == {
        "beethoven/opus59no1"
    }


def test_masses_and_cantatas_lend_one_piece_each() -> None:
    for composer in ("bach", "palestrina"):
        found = corpus.pieces(composer)
        assert len({p.work for p in found}) == len(found)
    assert all(p.work == "bach/bwv" + p.name[8:].split(".")[0] for p in corpus.pieces("bach"))


def test_an_unknown_composer_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'salieri'; known: bach, beethoven"):
        corpus.pieces("salieri")
