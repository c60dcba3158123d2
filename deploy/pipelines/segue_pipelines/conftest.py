"""A small artifact to break in every way."""

from pathlib import Path

import numpy as np
import pytest

from segue_pipelines.artifact import Artifact, Golden, Provenance
from segue_pipelines.graph import Graph
from segue_pipelines.tensor import Spec, Tensor


@pytest.fixture
def double() -> Artifact:
    """A model that doubles its input."""
    graph = Graph("double")
    two = graph.constant("two", np.array(2, np.float32))
    graph.node("Mul", ["x", two], "y")
    x = Tensor("x", np.array([[0.1, 2, -3]], np.float32))
    return Artifact(
        model="double",
        onnx=graph.finish([Spec("x", "FP32", (-1, 3))], [Spec("y", "FP32", (-1, 3))], {"k": "v"}),
        goldens=[Golden("three numbers", (x,))],
        provenance=Provenance(commit="", data="none", run="", command="none"),
        labels={"y": ["a", "b", "c"]},
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the document of that model, its digest not yet filled in."""
    (tmp_path / "double.yaml").write_text(
        "# A comment that stays.\nmodel: double\nversions:\n"
        '  "1": {uri: "file:models/double/1", digest: ""} # first\n'
        '  "10": {uri: "file:models/double/10", digest: "sha256:old"}\n',
        encoding="utf-8",
    )
    return tmp_path
