"""How the released versions answer on works that they have not seen, and under drift."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mozart import LABELS, drift, scores
from mozart.dataset import Dataset
from mozart.model import Network


def measure(versions: Mapping[str, Network], held_out: Dataset) -> dict[str, object]:
    """JSON: for each version and kind of drift, accuracy, mean confidence, answers."""
    drifted = {name: kind.make(held_out) for name, kind in drift.KINDS.items()}
    return {
        "held_out_windows": len(held_out),
        "versions": {
            version: {name: _figures(network, data) for name, data in drifted.items()}
            for version, network in versions.items()
        },
    }


def _figures(network: Network, data: Dataset) -> dict[str, object]:
    probabilities = network.probabilities(data.rolls)
    figures: dict[str, object] = {
        "windows": len(data),
        "mean_confidence": round(float(probabilities.max(axis=1).mean()), 4),
        "answers": scores.shares(probabilities),
    }
    if set(np.unique(data.composers)) <= set(LABELS):
        answers = probabilities.argmax(axis=1).astype(np.int64)
        scored = scores.score(data.targets(), answers, data.pieces)
        figures["accuracy"] = round(scored.accuracy, 4)
        figures["balanced_accuracy"] = round(scored.balanced, 4)
        figures["recall"] = {name: round(value, 4) for name, value in scored.recall.items()}
    return figures
