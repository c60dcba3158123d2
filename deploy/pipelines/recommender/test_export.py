"""The exported graph is the product of factors, and says no to unknown ids."""

import numpy as np
import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

from recommender import als, export, pack
from segue_pipelines.session import Session

FACTORS = als.Factors(
    users=np.random.default_rng(1).normal(size=(7, 4)),
    items=np.random.default_rng(2).normal(size=(9, 4)),
)
SESSION = Session(export.export(FACTORS))


@pytest.mark.parametrize(("users", "candidates"), [(1, 1), (3, 5), (2, 0), (0, 4)])
def test_scores_are_the_products_of_the_factors(users: int, candidates: int) -> None:
    generator = np.random.default_rng(3)
    who = generator.integers(0, 7, users)
    what = generator.integers(0, 9, (users, candidates))
    user_id, candidate_ids = pack.inputs([], [[]])
    inputs = [type(user_id)(user_id.name, who), type(user_id)(candidate_ids.name, what)]
    (scores,) = SESSION.run(inputs)
    assert (scores.name, scores.datatype) == ("scores", "FP32")
    wanted = np.take_along_axis(FACTORS.scores()[who], what, axis=1)
    np.testing.assert_allclose(scores.array, wanted, atol=1e-5)


@pytest.mark.parametrize(("user", "item"), [(7, 0), (0, 9), (-8, 0)])
def test_an_id_out_of_range_is_an_invalid_argument(user: int, item: int) -> None:
    with pytest.raises(InvalidArgument, match="out of data bounds"):
        SESSION.run(pack.inputs([user], [[item]]))


def test_a_negative_id_counts_from_the_end() -> None:
    (last,) = SESSION.run(pack.inputs([6], [[8]]))
    (negative,) = SESSION.run(pack.inputs([-1], [[-1]]))
    np.testing.assert_array_equal(negative.array, last.array)
