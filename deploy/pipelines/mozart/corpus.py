"""Scores as notes, from the music21 package that is installed.

A piece is one file of the corpus; a work is what must not be torn apart by a
split: a quartet with its movements, a mass with its sections, a cantata with its
chorales. Grace notes are dropped, a tied note is one onset that is held on,
repeats are not played out.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import music21

FOLK = "folk"
"""The group of traditional tunes, used only as drifted input."""

_SAMPLE_SEED = 20
_BACH_WORKS = 150
_PALESTRINA_WORKS = 80
_FOLK_TUNES = 60


@dataclass(frozen=True)
class Piece:
    """One file of the corpus and the names that a split needs."""

    name: str
    """Path below the corpus without its ending, unique."""
    composer: str
    work: str
    """Pieces with the same work are always on the same side of a split."""
    path: Path


@dataclass(frozen=True)
class Note:
    """One sounding pitch; times are in quarter notes from the start of the piece."""

    start: float
    length: float
    pitch: int
    """MIDI number."""
    struck: bool
    """False where the note only goes on sounding (the later notes of a tie)."""


def root() -> Path:
    """The corpus folder inside the installed music21 package."""
    return Path(music21.__file__).parent / "corpus"


def version() -> str:
    """The version of the corpus, which is music21's."""
    return str(music21.__version__)


def pieces(composer: str) -> list[Piece]:
    """Every piece used of one composer (or FOLK), in a fixed order."""
    if composer not in _SELECTIONS:
        known = ", ".join(sorted(_SELECTIONS))
        raise ValueError(f"no selection for {composer!r}; known: {known}")
    return list(_SELECTIONS[composer]())


def read(piece: Piece) -> list[Note]:
    """The notes of a piece, in order of start and pitch.

    The source file is parsed each time (music21's own pickles may hold times
    rounded by another version).
    """
    parsed: Any = music21.converter.parse(piece.path, forceSource=True)
    if isinstance(parsed, music21.stream.Opus):
        parsed = parsed.scores[0]
    parts = list(parsed.parts) or [parsed]
    notes = [note for part in parts for note in _notes(part)]
    return sorted(notes, key=lambda n: (n.start, n.pitch, n.length))


def _notes(part: Any) -> Iterator[Note]:
    for element in part.flatten().notes:
        if isinstance(element, music21.harmony.ChordSymbol) or element.duration.isGrace:
            continue
        start, length = float(element.offset), float(element.quarterLength)
        members = element.notes if element.isChord else [element]
        for member in members:
            pitch = getattr(member, "pitch", None)  # percussion has none
            if pitch is None:
                continue
            tie = member.tie or element.tie
            held = tie is not None and tie.type in ("stop", "continue")
            yield Note(start, length, int(pitch.midi), not held)


def _tree(composer: str, pattern: str, depth: int) -> list[Piece]:
    """Files of one composer; the first `depth` parts of the path name the work."""
    found = []
    for path in sorted((root() / composer).rglob(pattern)):
        relative = path.relative_to(root()).with_suffix("")
        work = "/".join(relative.parts[:depth])
        found.append(Piece(relative.as_posix(), composer, work, path))
    return found


def _bach() -> list[Piece]:
    """Chorales; the movements of one cantata or passion are one work."""
    found = []
    for piece in _tree("bach", "bwv*.mxl", 2):
        number = re.match(r"bach/bwv(\d+)", piece.name)
        if number is None:
            raise ValueError(f"{piece.name}: no BWV number in the name")
        found.append(Piece(piece.name, "bach", f"bach/bwv{number[1]}", piece.path))
    return _one_per_work(found, _BACH_WORKS)


def _palestrina() -> list[Piece]:
    """Sections of masses; the mass is named inside the file."""
    found = []
    for piece in _tree("palestrina", "*.krn", 2):
        text = piece.path.read_text(encoding="latin-1")
        title = re.search(r"^!!!OPR:\s*(.+?)\s*$", text, re.MULTILINE)
        if title is None:
            continue  # nothing says which mass it is of, so no split could be trusted
        work = re.sub(r"[^a-z0-9]+", "-", title[1].lower()).strip("-")
        found.append(Piece(piece.name, "palestrina", f"palestrina/{work}", piece.path))
    return _one_per_work(found, _PALESTRINA_WORKS)


def _monteverdi() -> list[Piece]:
    """Madrigals of books 3 to 5; the old encoding of one is left out."""
    found = _tree("monteverdi", "madrigal.*.mxl", 2)
    return [piece for piece in found if not piece.name.endswith("_old")]


def _folk() -> list[Piece]:
    found = _tree("ryansMammoth", "*.abc", 2)
    chosen = random.Random(_SAMPLE_SEED).sample(found, _FOLK_TUNES)
    return [Piece(p.name, FOLK, p.work, p.path) for p in sorted(chosen, key=lambda p: p.name)]


def _one_per_work(found: Sequence[Piece], limit: int) -> list[Piece]:
    """At most `limit` works, one piece of each, the same ones every time."""
    generator = random.Random(_SAMPLE_SEED)
    by_work: dict[str, list[Piece]] = {}
    for piece in found:
        by_work.setdefault(piece.work, []).append(piece)
    works = sorted(by_work)
    chosen = generator.sample(works, min(limit, len(works)))
    return [generator.choice(by_work[work]) for work in sorted(chosen)]


_SELECTIONS: dict[str, Callable[[], Iterable[Piece]]] = {
    "bach": _bach,
    "beethoven": lambda: _tree("beethoven", "*.mxl", 2),
    "monteverdi": _monteverdi,
    "mozart": lambda: _tree("mozart", "*.mxl", 2),
    "palestrina": _palestrina,
    "haydn": lambda: _tree("haydn", "*.mxl", 2),
    "schumann": lambda: [
        Piece(p.name, "schumann", p.work, p.path)
        for p in _tree("schumann_robert", "*.mxl", 2) + _tree("schumann_clara", "*.mxl", 2)
    ],
    FOLK: _folk,
}
