"""No work is on two sides of a fold, and every class is on both."""

from dataclasses import replace

import numpy as np
import pytest

from mozart import LABELS, corpus, dataset, split
from mozart.conftest import corpus_of_patterns
from mozart.dataset import Dataset


def check(data: Dataset, folds: list[split.Fold]) -> None:
    """What must be true of every set of folds."""
    asked = np.zeros(len(data), dtype=int)
    for fold in folds:
        seen, held = data.take(fold.train), data.take(fold.test)
        assert (fold.train ^ fold.test).all()
        assert not set(seen.works) & set(held.works)
        assert not set(seen.pieces) & set(held.pieces)
        sounds = {roll.tobytes() for roll in seen.rolls}
        assert not any(roll.tobytes() in sounds for roll in held.rolls), "the same music twice"
        assert set(seen.composers) == set(held.composers) == set(np.unique(data.composers))
        asked += fold.test
    assert (asked == 1).all(), "each window is asked about once"


@pytest.mark.parametrize("seed", range(5))
def test_works_do_not_leak(patterns: Dataset, seed: int) -> None:
    check(patterns, split.folds(patterns, 5, seed))


def test_works_of_real_scores_do_not_leak() -> None:
    quick = ("mozart/k155", "mozart/k80", "mozart/k156/movement1", "mozart/k545")
    mozart = [p for p in corpus.pieces("mozart") if p.name.startswith(quick)]
    bach = corpus.pieces("bach")[:6]
    monteverdi = corpus.pieces("monteverdi")[:4]
    palestrina = corpus.pieces("palestrina")[:4]
    data = dataset.build([*mozart, *bach, *monteverdi, *palestrina])
    assert len(data) > 100
    assert (data.rolls.reshape(len(data), -1).max(axis=1) == 2).all(), "every window has an onset"
    check(data, split.folds(data, 4, seed=7))


def test_the_seed_decides_the_folds(patterns: Dataset) -> None:
    one, same, other = (split.folds(patterns, 5, seed) for seed in (7, 7, 8))
    assert all((a.test == b.test).all() for a, b in zip(one, same, strict=True))
    assert any((a.test != b.test).any() for a, b in zip(one, other, strict=True))


def test_folds_are_of_a_size(patterns: Dataset) -> None:
    sizes = [int(f.test.sum()) for f in split.folds(patterns, 5, 1)]
    assert max(sizes) <= len(patterns) * 2 // 5


def test_the_same_music_under_two_names_stays_together(patterns: Dataset) -> None:
    twins = patterns.rolls.copy()
    # bach/0 and bach/1 share a window, and bach/1 and bach/2 another: all three are one.
    first, second, third = (np.flatnonzero(patterns.works == f"bach/{i}") for i in range(3))
    twins[second[0]] = twins[first[1]]
    twins[third[0]] = twins[second[2]]
    data = replace(patterns, rolls=twins)
    for seed in range(6):
        folds = split.folds(data, 3, seed)
        check(data, folds)
        together = [f.number for f in folds if f.test[first].any()]
        assert together == [f.number for f in folds if f.test[third].any()]


def test_too_few_works_for_the_folds_are_refused() -> None:
    data = corpus_of_patterns(works=4, windows=1)
    with pytest.raises(ValueError, match="bach: 4 works do not fill 5 folds"):
        split.folds(data, 5, 0)


def test_targets_are_places_in_the_labels(patterns: Dataset) -> None:
    assert [LABELS[k] for k in patterns.targets()] == list(patterns.composers)
