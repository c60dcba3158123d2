"""Implicit alternating least squares (Hu, Koren and Volinsky, 2008), dense, in numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Factors:
    """The score of an item for a user is the product of their rows."""

    users: Floats
    """[users, factors]."""
    items: Floats
    """[items, factors]."""

    def scores(self) -> Floats:
        """Every score, [users, items]."""
        every: Floats = self.users @ self.items.T
        return every


def fit(
    taken: npt.NDArray[np.bool_],
    factors: int,
    seed: int,
    rounds: int = 15,
    confidence: float = 5.0,
    penalty: float = 20.0,
) -> Factors:
    """Factors of a matrix [users, items] of what was taken.

    What was taken is wanted with weight 1 + confidence, everything else is unwanted with
    weight 1; `penalty` keeps the factors small.
    """
    generator = np.random.default_rng(seed)
    users = generator.normal(0, 0.1, (taken.shape[0], factors))
    items = generator.normal(0, 0.1, (taken.shape[1], factors))
    for _ in range(rounds):
        users = _solve(taken, items, confidence, penalty)
        items = _solve(taken.T, users, confidence, penalty)
    return Factors(users, items)


def _solve(
    taken: npt.NDArray[np.bool_], others: Floats, confidence: float, penalty: float
) -> Floats:
    """The best rows of one side while the other side's stand still."""
    common = others.T @ others + penalty * np.eye(others.shape[1])
    solved = np.zeros((taken.shape[0], others.shape[1]))
    for row, mask in enumerate(taken):
        own = others[mask]
        solved[row] = np.linalg.solve(
            common + confidence * own.T @ own, (1 + confidence) * own.sum(axis=0)
        )
    return solved
