"""Folds by work: no work has windows on two sides, and every class is in every fold.

Pieces that sound alike under two names (the same music encoded twice) are treated
as one work, so they cannot leak either.
"""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mozart.dataset import Dataset

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Fold:
    """One division of a data set: what is learnt from and what is asked (row masks)."""

    number: int
    train: Mask
    test: Mask


def folds(data: Dataset, count: int, seed: int) -> list[Fold]:
    """`count` folds; each work is in the test part of exactly one of them.

    Works of a class go, largest first, to the fold that has least of that class;
    the seed decides among equals and so gives other folds.
    """
    group = _merge_twins(data)
    place = _place(data, group, count, seed)
    where = np.array([place[g] for g in group])
    return [Fold(k, where != k, where == k) for k in range(count)]


def _place(data: Dataset, group: Sequence[str], count: int, seed: int) -> dict[str, int]:
    sizes: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for name, composer in zip(group, data.composers, strict=True):
        sizes[str(composer)][name] += 1
    place: dict[str, int] = {}
    for composer in sorted(sizes):
        generator = random.Random(f"{seed} {composer}")
        works = sorted(sizes[composer])
        if len(works) < count:
            raise ValueError(f"{composer}: {len(works)} works do not fill {count} folds")
        generator.shuffle(works)
        works.sort(key=lambda w: -sizes[composer][w])
        filled = [0] * count
        order = list(range(count))
        generator.shuffle(order)
        for work in works:
            if work in place:  # a twin under another composer's name: stays together
                filled[place[work]] += sizes[composer][work]
                continue
            fold = min(order, key=lambda k: filled[k])
            place[work] = fold
            filled[fold] += sizes[composer][work]
    return place


def _merge_twins(data: Dataset) -> list[str]:
    """The group of each window: its work, or the first of the works it shares music with."""
    leader: dict[str, str] = {str(work): str(work) for work in np.unique(data.works)}

    def find(work: str) -> str:
        while leader[work] != work:
            work = leader[work]
        return work

    heard: dict[bytes, str] = {}
    for roll, name in zip(data.rolls, data.works, strict=True):
        sound = hashlib.sha256(roll.tobytes()).digest()
        first = find(heard.setdefault(sound, str(name)))
        second = find(str(name))
        leader[max(first, second)] = min(first, second)
    return [find(str(name)) for name in data.works]
