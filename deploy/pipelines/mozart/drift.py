"""Inputs that differ from what the network learnt, in ways with a name.

Transposition and stretching change the held-out windows of the five composers; the
other kinds are music by somebody else. Everything made here is derived from scores
whose encodings may not be passed on: use it, do not publish it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from mozart import corpus, pack, rolls
from mozart.dataset import Dataset, load
from segue_pipelines.tensor import request


@dataclass(frozen=True)
class Kind:
    """One way to drift."""

    text: str
    make: Callable[[Dataset], Dataset]
    """From the held-out windows to the drifted ones."""


def _octave(held_out: Dataset) -> Dataset:
    return replace(held_out, rolls=rolls.transpose(held_out.rolls, 12))


def _stretch(held_out: Dataset) -> Dataset:
    return replace(held_out, rolls=rolls.stretch(held_out.rolls, 2))


def _other(composer: str) -> Callable[[Dataset], Dataset]:
    return lambda _held_out: load([composer])


KINDS: Mapping[str, Kind] = {
    "none": Kind("held-out windows as they are, for comparison", lambda held_out: held_out),
    "octave": Kind("held-out windows, 12 semitones higher", _octave),
    "stretch": Kind("held-out windows at half the tempo", _stretch),
    "haydn": Kind("string quartets by Haydn", _other("haydn")),
    "schumann": Kind("music by Robert and Clara Schumann", _other("schumann")),
    "folk": Kind("fiddle tunes, one voice", _other(corpus.FOLK)),
}


SEEN = "seen"
"""In the place of a kind: the windows that the released versions learnt from."""


def requests(data: Dataset, limit: int, seed: int, per_piece: int = 0) -> Iterator[str]:
    """Up to `limit` prediction requests, one JSON document each, in seeded order; of one piece
    at most `per_piece`, unless that is 0: windows of one piece are alike.

    The id names composer, piece and place, so that the truth is known.
    """
    taken: Counter[str] = Counter()
    for row in np.random.default_rng(seed).permutation(len(data)):
        piece = f"{data.composers[row]}:{data.pieces[row]}"
        if taken.total() == limit:
            return
        if per_piece and taken[piece] == per_piece:
            continue
        taken[piece] += 1
        body = request([pack.tensor(data.rolls[row : row + 1])], f"{piece}#{row}")
        yield json.dumps(body, separators=(",", ":"))
