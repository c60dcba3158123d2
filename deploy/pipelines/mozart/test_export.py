"""The exported graph answers as jax does, for every released shape of network."""

import numpy as np
import pytest

from mozart import LABELS, PITCHES, STEPS, export, model, pack, rolls, synthetic
from mozart.conftest import untrained
from mozart.model import Architecture
from segue_pipelines.session import Session

WINDOWS = rolls.stack(
    [synthetic.scale(), synthetic.chords(), *(synthetic.noise(i) for i in range(5))]
)


@pytest.mark.parametrize("architecture", [model.WEAK, model.STRONG], ids=["weak", "strong"])
@pytest.mark.parametrize("spoilt", [False, True])
@pytest.mark.parametrize("batch", [0, 1, 7])
def test_onnx_equals_jax_within_1e4(architecture: Architecture, spoilt: bool, batch: int) -> None:
    network = untrained(architecture, seed=4)
    if spoilt:
        network = pack.spoil(network)
    session = Session(export.export(network))
    probabilities, label = session.run([pack.tensor(WINDOWS[:batch])])
    wanted = network.probabilities(WINDOWS[:batch])
    np.testing.assert_allclose(probabilities.array, wanted, atol=1e-4)
    np.testing.assert_array_equal(label.array, probabilities.array.argmax(axis=1))


def test_the_graph_declares_the_signature() -> None:
    session = Session(export.export(untrained(model.WEAK, 0)))
    assert session.inputs() == [export.ROLL]
    assert session.outputs() == [export.PROBABILITIES, export.LABEL]
    assert export.ROLL.shape == (-1, 1, PITCHES, STEPS)
    assert export.PROBABILITIES.shape == (-1, len(LABELS))


def test_spoiling_changes_answers_and_nothing_that_was_learnt() -> None:
    network = untrained(model.STRONG, 1)
    spoilt = pack.spoil(network)
    assert spoilt.params is network.params
    apart = np.abs(spoilt.probabilities(WINDOWS) - network.probabilities(WINDOWS))
    assert apart.max() > 0.05


def test_the_better_version_is_the_larger() -> None:
    weak, strong = (model.size(model.init(a, 0)) for a in (model.WEAK, model.STRONG))
    assert weak < 5_000 < 15_000 < strong < 50_000
