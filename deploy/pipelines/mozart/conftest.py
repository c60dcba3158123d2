"""Small stand-ins for a corpus and for trained networks."""

import numpy as np
import pytest

from mozart import LABELS, model, rolls
from mozart.dataset import Dataset
from mozart.model import Architecture, Conv, Network, Scaling

TINY = Architecture((Conv(12, (12, 8), (12, 8)),), epochs=30)


def corpus_of_patterns(works: int, windows: int, seed: int = 0) -> Dataset:
    """Five classes that differ in how many voices there are and how long their notes; every
    window is unlike the others."""
    generator = np.random.default_rng(seed)
    made, names = [], []
    for k, label in enumerate(LABELS):
        for work in range(works):
            for _ in range(windows):
                roll = np.zeros((88, 128), dtype=np.uint8)
                for row in 20 + generator.permutation(50)[: 3 + 2 * k]:
                    length = 2 ** (k + 1)
                    roll[row, :] = rolls.HELD
                    roll[row, generator.integers(0, length) :: length] = rolls.ONSET
                made.append(roll)
                names.append((label, f"{label}/{work}"))
    composers = np.array([n[0] for n in names])
    of_work = np.array([n[1] for n in names])
    return Dataset(rolls.stack(made), composers, of_work, of_work.copy())


def untrained(architecture: Architecture, seed: int) -> Network:
    """A network with random weights, biases too."""
    params = model.init(architecture, seed)
    generator = np.random.default_rng(seed)
    for name in params:
        if name.endswith(".b"):
            params[name] = params[name] + generator.normal(0, 0.1, params[name].shape)
    scaling = Scaling(np.array([0.04, 0.01], np.float32), np.array([0.2, 0.1], np.float32))
    return Network(architecture, scaling, params)


@pytest.fixture(scope="session")
def patterns() -> Dataset:
    """Five classes of six works with four windows each."""
    return corpus_of_patterns(works=6, windows=4)
