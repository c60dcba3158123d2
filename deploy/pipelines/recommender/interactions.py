"""Who took what: made up by a seeded generator, or MovieLens read at build time."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]

USERS, ITEMS, TASTES = 1000, 500, 40
SEED = 11

_LIKED = 4.0


@dataclass(frozen=True)
class Interactions:
    """One row per taking, in order of time: row i says that users[i] took items[i]."""

    users: Ids
    items: Ids
    user_count: int
    item_count: int

    def __len__(self) -> int:
        return len(self.users)

    def matrix(self) -> npt.NDArray[np.bool_]:
        """[users, items], true where there is at least one row."""
        taken = np.zeros((self.user_count, self.item_count), dtype=np.bool_)
        taken[self.users, self.items] = True
        return taken


def synthetic(seed: int = SEED) -> Interactions:
    """Invented interactions of 1000 users and 500 items, the same for the same seed.

    There are forty tastes. A user has mostly one or two of them and an item serves mostly
    one (Dirichlet, 0.03 and 0.02). The chance of taking an item grows with the match, and
    with the item's popularity, which falls off as 1/rank^0.6. Each user takes 5 to 19
    different items.
    """
    generator = np.random.default_rng(seed)
    liking = generator.dirichlet(np.full(TASTES, 0.03), USERS)
    serving = generator.dirichlet(np.full(TASTES, 0.02), ITEMS)
    popularity = generator.permutation(1 / np.arange(1, ITEMS + 1) ** 0.6)
    appeal = (0.001 + liking @ serving.T) * popularity
    users: list[int] = []
    items: list[int] = []
    for user in range(USERS):
        count = int(generator.integers(5, 20))
        chance = appeal[user] / appeal[user].sum()
        taken = generator.choice(ITEMS, size=count, replace=False, p=chance)
        users += [user] * count
        items += [int(item) for item in taken]
    # Within one user the order of time must not be the order of the draw, in which
    # the popular items come first.
    order = generator.permutation(len(users))
    return _dense(np.array(users)[order], np.array(items)[order], USERS, ITEMS)


def movielens(wheel: Path) -> Interactions:
    """Ratings of at least four stars of MovieLens 100k, read from a recbole wheel.

    Nothing of the wheel is installed. The licence forbids passing the data on, row by row
    or as factors: the caller may publish figures only.
    """
    with zipfile.ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if n.endswith("ml-100k/ml-100k.inter"))
        text = archive.read(name).decode("utf-8")
    return parse_movielens(io.StringIO(text))


def parse_movielens(lines: Iterable[str]) -> Interactions:
    """The liked rows of a tab-separated file with recbole's typed header, in order of time."""
    liked = []
    for row in csv.DictReader(lines, delimiter="\t"):
        if float(row["rating:float"]) >= _LIKED:
            liked.append(
                (float(row["timestamp:float"]), row["user_id:token"], row["item_id:token"])
            )
    liked.sort()
    users = {name: i for i, name in enumerate(sorted({row[1] for row in liked}))}
    items = {name: i for i, name in enumerate(sorted({row[2] for row in liked}))}
    return _dense(
        np.array([users[row[1]] for row in liked]),
        np.array([items[row[2]] for row in liked]),
        len(users),
        len(items),
    )


def _dense(users: Ids, items: Ids, user_count: int, item_count: int) -> Interactions:
    return Interactions(users.astype(np.int64), items.astype(np.int64), user_count, item_count)
