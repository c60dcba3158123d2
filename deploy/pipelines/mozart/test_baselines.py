"""Baselines and scores on data whose answers are known."""

import numpy as np
import pytest

from mozart import rolls, scores
from mozart.baselines import Majority, NearestCentroid, features
from mozart.dataset import Dataset


def test_majority_answers_the_most_frequent_class() -> None:
    fitted = Majority.fit(np.array([3, 1, 3, 0]))
    assert fitted.predict(rolls.stack([np.zeros((88, 128), np.uint8)] * 2)).tolist() == [3, 3]


def test_features_of_a_known_window() -> None:
    roll = np.zeros((88, 128), dtype=np.uint8)
    roll[10, :64] = rolls.HELD
    roll[30, :64] = rolls.HELD
    roll[30, ::16] = rolls.ONSET
    density, onsets, centre, spread, polyphony = features(roll[None])[0]
    assert density == pytest.approx((128 + 4) / (88 * 128))
    assert onsets == pytest.approx(8 / 128)
    assert centre == pytest.approx((64 * 10 + 68 * 30) / 132)
    assert spread == pytest.approx(10, abs=0.1)
    assert polyphony == pytest.approx(132 / 68)


def test_features_of_silence_are_finite() -> None:
    assert np.isfinite(features(rolls.stack([np.zeros((88, 128), np.uint8)]))).all()


def test_nearest_centroid_tells_patterns_apart(patterns: Dataset) -> None:
    fitted = NearestCentroid.fit(patterns.rolls, patterns.targets())
    assert (fitted.predict(patterns.rolls) == patterns.targets()).mean() > 0.9


def test_scores_of_known_answers() -> None:
    targets = np.array([0, 0, 0, 1, 2, 3, 4])
    answers = np.array([0, 0, 1, 1, 2, 4, 4])
    pieces = np.array(["a", "a", "a", "b", "c", "d", "e"])
    found = scores.score(targets, answers, pieces)
    assert found.accuracy == pytest.approx(5 / 7)
    assert found.recall["bach"] == pytest.approx(2 / 3)
    assert found.recall["mozart"] == 0
    assert found.balanced == pytest.approx((2 / 3 + 1 + 1 + 0 + 1) / 5)
    assert found.by_piece == pytest.approx(4 / 5), "a's vote is right"
    assert found.confusion[0] == [2, 1, 0, 0, 0]


def test_shares_of_answers() -> None:
    probabilities = np.eye(5)[[0, 0, 3, 4]]
    assert list(scores.shares(probabilities).values()) == [0.5, 0, 0, 0.25, 0.25]
