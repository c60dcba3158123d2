"""Figures that say how well classes were told apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mozart import LABELS
from mozart.dataset import Names

Classes = npt.NDArray[np.int64]
Probabilities = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Scores:
    """Accuracies between 0 and 1, over windows unless they say otherwise."""

    accuracy: float
    balanced: float
    """Mean of the recalls: what a guesser gets is 1/5 whatever the class sizes."""
    recall: dict[str, float]
    by_piece: float
    """Share of pieces whose most frequent answer is right."""
    confusion: list[list[int]]
    """Windows by true class (rows) and answered class (columns)."""

    def to_json(self) -> dict[str, object]:
        """Rounded to four places."""
        return {
            "accuracy": round(self.accuracy, 4),
            "balanced_accuracy": round(self.balanced, 4),
            "recall": {name: round(value, 4) for name, value in self.recall.items()},
            "piece_vote_accuracy": round(self.by_piece, 4),
            "confusion": self.confusion,
        }


def score(targets: Classes, answers: Classes, pieces: Names) -> Scores:
    """The figures of these windows; every class must be among the targets."""
    confusion = np.zeros((len(LABELS), len(LABELS)), dtype=np.int64)
    np.add.at(confusion, (targets, answers), 1)
    recall = confusion.diagonal() / confusion.sum(axis=1)
    return Scores(
        accuracy=float((targets == answers).mean()),
        balanced=float(recall.mean()),
        recall={label: float(r) for label, r in zip(LABELS, recall, strict=True)},
        by_piece=_vote(targets, answers, pieces),
        confusion=confusion.tolist(),
    )


def _vote(targets: Classes, answers: Classes, pieces: Names) -> float:
    right = []
    for piece in np.unique(pieces):
        rows = pieces == piece
        vote = np.bincount(answers[rows], minlength=len(LABELS)).argmax()
        right.append(vote == targets[rows][0])
    return float(np.mean(right))


def shares(probabilities: Probabilities) -> dict[str, float]:
    """How often each class was answered, rounded."""
    counts = np.bincount(probabilities.argmax(axis=1), minlength=len(LABELS))
    return {
        label: round(float(n), 4)
        for label, n in zip(LABELS, counts / len(probabilities), strict=True)
    }
