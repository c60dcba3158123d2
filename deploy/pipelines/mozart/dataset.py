"""Windows of many pieces with their names, kept in the cache folder.

Reading the scores takes a minute or two, so the rolls are kept between runs. They
are derived from encodings that may not be passed on: the cache is never released.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mozart import LABELS, corpus, rolls
from segue_pipelines import cache
from segue_pipelines.progress import track

_WINDOWS_PER_PIECE = {"bach": 8, "monteverdi": 10, "palestrina": 6}
"""Where there are many pieces, a few windows of each: the classes come out of a size."""

_MOST_WINDOWS = 24
_FORMAT = "3"

Names = npt.NDArray[np.str_]


@dataclass(frozen=True)
class Dataset:
    """Windows with, for each, its composer, its work and its piece (all of length n)."""

    rolls: rolls.Roll
    composers: Names
    works: Names
    pieces: Names

    def __len__(self) -> int:
        return len(self.rolls)

    def take(self, rows: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> Dataset:
        """The chosen rows."""
        return Dataset(self.rolls[rows], self.composers[rows], self.works[rows], self.pieces[rows])

    def targets(self) -> npt.NDArray[np.int64]:
        """Each window's class as its place in LABELS."""
        place = {label: i for i, label in enumerate(LABELS)}
        return np.array([place[str(name)] for name in self.composers], dtype=np.int64)


def load(composers: Sequence[str] = LABELS) -> Dataset:
    """The windows of those composers, from the cache or from the scores."""
    return _join([_of_composer(name) for name in composers])


def build(found: Sequence[corpus.Piece]) -> Dataset:
    """The windows of those pieces, read from the scores in as many processes as cores."""
    workers = min(os.cpu_count() or 1, max(1, len(found) // 4))
    if workers == 1:
        cut = [_windows(piece) for piece in found]
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            label = f"reading {found[0].composer}"
            cut = list(track(pool.map(_windows, found, chunksize=2), label, len(found)))
    counts = [len(c) for c in cut]
    return Dataset(
        rolls=rolls.stack(w for c in cut for w in c),
        composers=np.repeat(np.array([p.composer for p in found], dtype=np.str_), counts),
        works=np.repeat(np.array([p.work for p in found], dtype=np.str_), counts),
        pieces=np.repeat(np.array([p.name for p in found], dtype=np.str_), counts),
    )


def _windows(piece: corpus.Piece) -> rolls.Roll:
    return rolls.windows(rolls.draw(corpus.read(piece)), _limit(piece.composer))


def _limit(composer: str) -> int:
    return _WINDOWS_PER_PIECE.get(composer, _MOST_WINDOWS)


def _of_composer(name: str) -> Dataset:
    found = corpus.pieces(name)
    path = _cached(found)
    if path.exists():
        with np.load(path, allow_pickle=False) as kept:
            return Dataset(kept["rolls"], kept["composers"], kept["works"], kept["pieces"])
    data = build(found)
    partial = path.with_suffix(".partial.npz")
    np.savez_compressed(
        partial, rolls=data.rolls, composers=data.composers, works=data.works, pieces=data.pieces
    )
    partial.replace(path)
    return data


def _cached(found: Sequence[corpus.Piece]) -> Path:
    """Named by all that decides the content: corpus, choice of pieces, cutting."""
    key = hashlib.sha256()
    for part in (_FORMAT, corpus.version(), str(_limit(found[0].composer))):
        key.update(part.encode() + b"\n")
    for piece in found:
        key.update(f"{piece.name} {piece.composer} {piece.work}\n".encode())
    return cache.folder("mozart") / f"{found[0].composer}-{key.hexdigest()[:16]}.npz"


def _join(parts: Sequence[Dataset]) -> Dataset:
    return Dataset(
        rolls=np.concatenate([p.rolls for p in parts]),
        composers=np.concatenate([p.composers for p in parts]),
        works=np.concatenate([p.works for p in parts]),
        pieces=np.concatenate([p.pieces for p in parts]),
    )
