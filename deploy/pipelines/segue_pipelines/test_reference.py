"""A released version gets a drift profile that its manifest and document know of."""

import json
from pathlib import Path

import numpy as np
import pytest

from segue_pipelines import reference, release, verify
from segue_pipelines.artifact import Artifact
from segue_pipelines.tensor import Tensor


def rows(n: int, units: bool) -> reference.Rows:
    values = np.random.default_rng(1).normal(size=(n, 3)).astype(np.float32)
    names = np.array([f"unit {i % 10}" for i in range(n)])
    return reference.Rows(
        inputs=Tensor("x", values),
        labels=values.argmax(axis=1),
        source="made up",
        units=names if units else None,
    )


@pytest.mark.parametrize("units", [False, True])
def test_a_version_gets_its_profile(double: Artifact, folder: Path, units: bool) -> None:
    first = release.release(double, "1", folder)
    digest = reference.add("double", "1", rows(700, units), folder)
    assert digest != first
    target = folder / "models" / "double" / "1"
    assert list(verify.problems(target)) == []
    assert digest in (folder / "double.yaml").read_text()
    profile = json.loads((target / reference.PROFILE_FILE).read_text())
    assert profile["samples"] == 700
    assert profile["source"] == "made up"
    assert [f["name"] for f in profile["features"]][:3] == ["x[0]", "x[1]", "x[2]"]
    confidence = profile["features"][-1]["series"][0]
    assert sum(confidence["correct"]) == 700
    # Ten units with 70 rows each.
    assert profile.get("design_effect", 1) == pytest.approx(70 if units else 1, rel=0.05)
    # Once more gives the same bytes, and the profile is listed once.
    assert reference.add("double", "1", rows(700, units), folder) == digest
