"""What a network has to beat: the most frequent class, and five features by hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mozart import LABELS
from mozart.rolls import ONSET, Roll

Floats = npt.NDArray[np.float64]
Classes = npt.NDArray[np.int64]

FEATURES = ("density", "onset rate", "register", "register spread", "polyphony")
"""Names of the columns of `features`."""


def features(rolls: Roll) -> Floats:
    """Five numbers a window, [n, 5]: how full, how busy, how high, how wide, how thick."""
    sounding = rolls > 0
    cells = sounding.sum(axis=(1, 2)).astype(np.float64)
    keys = np.arange(rolls.shape[1], dtype=np.float64)
    weights = sounding.sum(axis=2) / np.maximum(cells, 1)[:, None]
    centre = weights @ keys
    spread = np.sqrt(np.maximum(weights @ keys**2 - centre**2, 0))
    filled = sounding.any(axis=1).sum(axis=1)
    return np.stack(
        [
            sounding.mean(axis=(1, 2)),
            (rolls == ONSET).sum(axis=(1, 2)) / rolls.shape[2],
            centre,
            spread,
            cells / np.maximum(filled, 1),
        ],
        axis=1,
    )


@dataclass(frozen=True)
class Majority:
    """Always the class that was most frequent."""

    label: int

    @classmethod
    def fit(cls, targets: Classes) -> Majority:
        """The most frequent class of the targets."""
        return cls(int(np.bincount(targets, minlength=len(LABELS)).argmax()))

    def predict(self, rolls: Roll) -> Classes:
        """The class of each window, [n]."""
        return np.full(len(rolls), self.label, dtype=np.int64)


@dataclass(frozen=True)
class NearestCentroid:
    """The class whose mean is nearest in the five standardised features."""

    mean: Floats
    deviation: Floats
    centroids: Floats

    @classmethod
    def fit(cls, rolls: Roll, targets: Classes) -> NearestCentroid:
        """Means and deviations of these windows only."""
        raw = features(rolls)
        mean, deviation = raw.mean(axis=0), np.maximum(raw.std(axis=0), 1e-9)
        scaled = (raw - mean) / deviation
        centroids = np.stack([scaled[targets == k].mean(axis=0) for k in range(len(LABELS))])
        return cls(mean, deviation, centroids)

    def predict(self, rolls: Roll) -> Classes:
        """The class of each window, [n]."""
        scaled = (features(rolls) - self.mean) / self.deviation
        distance = ((scaled[:, None, :] - self.centroids[None]) ** 2).sum(axis=2)
        nearest: Classes = distance.argmin(axis=1).astype(np.int64)
        return nearest
