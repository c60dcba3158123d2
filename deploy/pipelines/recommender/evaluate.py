"""Hit rate at ten: is the last thing a user took among the ten best of all that is new?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recommender import als
from recommender.als import Floats
from recommender.interactions import Ids, Interactions

TOP = 10
SEED = 7
FACTORS: Mapping[str, int] = {"1": 8, "2": 32}
"""Size of each released version."""


@dataclass(frozen=True)
class LeaveOneOut:
    """What is learnt from, and for each user asked about the one item held out."""

    taken: npt.NDArray[np.bool_]
    users: Ids
    items: Ids


def leave_one_out(data: Interactions) -> LeaveOneOut:
    """Holds out the last item of every user who has at least two."""
    taken = data.matrix()
    last = dict(zip(data.users.tolist(), data.items.tolist(), strict=True))
    asked = [(user, item) for user, item in sorted(last.items()) if taken[user].sum() > 1]
    users = np.array([user for user, _ in asked], dtype=np.int64)
    items = np.array([item for _, item in asked], dtype=np.int64)
    taken[users, items] = False
    return LeaveOneOut(taken, users, items)


def hit_rate(split: LeaveOneOut, scores: Floats) -> float:
    """Share of users whose held-out item is among the TOP best scored that they had not taken.

    An item counts as ahead if its score is at least as high, so equal scores help nobody.
    """
    open_scores = np.where(split.taken, -np.inf, scores)
    own = open_scores[split.users, split.items]
    ahead = (open_scores[split.users] >= own[:, None]).sum(axis=1) - 1
    return float((ahead < TOP).mean())


def popularity(split: LeaveOneOut) -> Floats:
    """The same scores for everybody: how many took the item, [users, items]."""
    counts = split.taken.sum(axis=0).astype(np.float64)
    return np.broadcast_to(counts, split.taken.shape)


def run(data: Interactions, seed: int = SEED) -> dict[str, object]:
    """JSON: the hit rates of popularity and of every size."""
    split = leave_one_out(data)
    rates = {"popularity": hit_rate(split, popularity(split))}
    for factors in FACTORS.values():
        found = als.fit(split.taken, factors, seed)
        rates[f"{factors} factors"] = hit_rate(split, found.scores())
    return {
        "users": data.user_count,
        "items": data.item_count,
        "interactions": len(data),
        "asked": len(split.users),
        f"hit_rate_at_{TOP}": {name: round(rate, 4) for name, rate in rates.items()},
    }
