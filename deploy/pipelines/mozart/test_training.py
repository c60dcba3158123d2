"""A network learns what can be learnt, the same way every time."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from mozart import model, training
from mozart.conftest import TINY
from mozart.dataset import Dataset
from mozart.model import Scaling


def test_a_small_network_learns_patterns(patterns: Dataset) -> None:
    losses: list[float] = []
    architecture = replace(TINY, epochs=150)
    network = training.train(
        architecture,
        patterns.rolls,
        patterns.targets(),
        3,
        lambda _epoch, loss: losses.append(loss),
    )
    answers = network.probabilities(patterns.rolls).argmax(axis=1)
    assert len(losses) == architecture.epochs
    assert losses[-1] < losses[0] / 2
    assert (answers == patterns.targets()).mean() > 0.6, "three times what guessing gets"
    again = training.train(architecture, patterns.rolls, patterns.targets(), 3)
    for name, weights in network.params.items():
        np.testing.assert_array_equal(weights, again.params[name])


def test_probabilities_do_not_depend_on_the_batch(patterns: Dataset) -> None:
    network = model.Network(TINY, Scaling.of(patterns.rolls), model.init(TINY, 0))
    whole = network.probabilities(patterns.rolls)
    parts = network.probabilities(patterns.rolls, batch=7)
    np.testing.assert_allclose(parts, whole, atol=1e-6)
    np.testing.assert_allclose(whole.sum(axis=1), 1, atol=1e-5)
    assert network.probabilities(patterns.rolls[:0]).shape == (0, 5)


def test_scaling_makes_both_channels_standard(patterns: Dataset) -> None:
    scaling = Scaling.of(patterns.rolls)
    roll = jnp.asarray(patterns.rolls[:, None], dtype=jnp.float32)
    x = np.asarray(model.standardise(model.channels(roll), scaling))
    np.testing.assert_allclose(x.mean(axis=(0, 2, 3)), 0, atol=1e-3)
    np.testing.assert_allclose(x.std(axis=(0, 2, 3)), 1, atol=1e-3)
    mean, deviation = scaling.of_roll()
    assert mean == pytest.approx(patterns.rolls.mean(), rel=1e-4)
    assert deviation == pytest.approx(patterns.rolls.std(), rel=1e-4)


def test_every_class_weighs_the_same() -> None:
    targets = np.repeat(np.arange(5), [10, 20, 30, 40, 50])
    weights = training.class_weights(targets)
    np.testing.assert_allclose(weights * np.bincount(targets), 30, rtol=1e-6)


def test_a_class_without_windows_is_refused() -> None:
    with pytest.raises(ValueError, match="no windows to learn from for mozart"):
        training.class_weights(np.array([0, 1, 2, 4]))


def test_augmentation_moves_each_window_by_at_most_six_semitones(patterns: Dataset) -> None:
    moved = training.augment(patterns.rolls, np.random.default_rng(0))
    shifts = set()
    for before, after in zip(patterns.rolls, moved, strict=True):
        rows, others = (np.flatnonzero(r.any(axis=1)) for r in (before, after))
        shift = int(others[0] - rows[0])
        np.testing.assert_array_equal(others - rows, shift)
        shifts.add(shift)
    assert shifts == set(range(-6, 7))
