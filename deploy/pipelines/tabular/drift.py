"""Wines that differ from those of a reference, in ways with a name.

Every other wine is for the reference, the rest are asked: as they are, or drifted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segue_pipelines.tensor import Tensor, request
from tabular import export
from tabular.estimators import Floats, Wine

SEED = 11


@dataclass(frozen=True)
class Kind:
    """One way to drift."""

    text: str
    asked: bool
    """Whether it is made of the wines that are asked."""
    make: Callable[[Wine, npt.NDArray[np.intp]], tuple[npt.NDArray[np.intp], Floats]]
    """From rows of the data to those that remain and their measurements."""


def _as_they_are(data: Wine, rows: npt.NDArray[np.intp]) -> tuple[npt.NDArray[np.intp], Floats]:
    return rows, data.features[rows]


def _stronger(data: Wine, rows: npt.NDArray[np.intp]) -> tuple[npt.NDArray[np.intp], Floats]:
    features = data.features[rows].copy()
    features[:, data.names.index("alcohol")] += 1.5
    return rows, features


def _milligrams(data: Wine, rows: npt.NDArray[np.intp]) -> tuple[npt.NDArray[np.intp], Floats]:
    features = data.features[rows].copy()
    features[:, data.names.index("proline")] /= 1000
    return rows, features


KINDS: Mapping[str, Kind] = {
    "seen": Kind("the wines of the reference", False, _as_they_are),
    "none": Kind("the other wines as they are, for comparison", True, _as_they_are),
    "alcohol": Kind("the other wines, 1.5 percent stronger", True, _stronger),
    "proline": Kind("the other wines, proline in grams instead of milligrams", True, _milligrams),
}


def requests(data: Wine, kind: str) -> Iterator[str]:
    """One prediction request for each wine, as JSON; the id names it by its row."""
    order = np.random.default_rng(SEED).permutation(len(data.targets))
    chosen = KINDS[kind]
    rows, features = chosen.make(data, order[1::2] if chosen.asked else order[::2])
    for row, measured in zip(rows, features, strict=True):
        tensor = Tensor(export.FEATURES, measured[None].astype(np.float32))
        yield json.dumps(request([tensor], f"wine#{row}"), separators=(",", ":"))
