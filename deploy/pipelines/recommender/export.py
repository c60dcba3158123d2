"""Factors as an ONNX graph: two look-ups and a product."""

from __future__ import annotations

import numpy as np

from recommender.als import Factors
from segue_pipelines.graph import Graph
from segue_pipelines.tensor import Spec

USER = Spec("user_id", "INT64", (-1,))
CANDIDATES = Spec("candidate_ids", "INT64", (-1, -1))
SCORES = Spec("scores", "FP32", (-1, -1))


def export(factors: Factors) -> bytes:
    """The model file: for each user of a batch, the scores of that user's candidates.

    An id that is too large is refused by the look-up. A negative one counts from the end.
    """
    graph = Graph("recommender")
    users = graph.constant("users", factors.users.astype(np.float32))
    items = graph.constant("items", factors.items.astype(np.float32))
    last = graph.constant("last", np.array([2], dtype=np.int64))
    user = graph.node("Gather", [users, USER.name], "user", axis=0)
    column = graph.node("Unsqueeze", [user, last], "column")
    candidates = graph.node("Gather", [items, CANDIDATES.name], "candidates", axis=0)
    products = graph.node("MatMul", [candidates, column], "products")
    graph.node("Squeeze", [products, last], SCORES.name)
    return graph.finish(
        [USER, CANDIDATES],
        [SCORES],
        {"users": str(len(factors.users)), "items": str(len(factors.items))},
        {(CANDIDATES.name, 1): "candidates_per_user", (SCORES.name, 1): "candidates_per_user"},
    )
