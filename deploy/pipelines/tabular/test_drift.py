"""Drifted wines are requests the model accepts, of wines that the reference has not."""

import json

import numpy as np
import pytest

from segue_pipelines.tensor import Spec, Tensor
from tabular import cli, drift, estimators, export


def read(kind: str) -> dict[str, Tensor]:
    """The inputs of a kind, by id."""
    bodies = [json.loads(line) for line in drift.requests(estimators.load(), kind)]
    return {body["id"]: Tensor.from_json(body["inputs"][0]) for body in bodies}


def test_the_reference_and_those_who_are_asked_have_no_wine_in_common() -> None:
    seen, asked = read("seen"), read("none")
    assert len(seen) == len(asked) == 89
    assert not set(seen) & set(asked)
    wanted = Spec(export.FEATURES, "FP32", (-1, 13))
    assert all(wanted.accepts(t) for t in asked.values())


@pytest.mark.parametrize(("kind", "column"), [("alcohol", 0), ("proline", 12)])
def test_one_measurement_moves_and_no_other(kind: str, column: int) -> None:
    before, after = read("none"), read(kind)
    assert set(before) == set(after)
    for name, tensor in after.items():
        same = np.isclose(tensor.array, before[name].array)
        assert not same[0, column]
        assert same.sum() == tensor.array.size - 1


def test_the_command_prints_requests(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["drift", "proline"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 89
