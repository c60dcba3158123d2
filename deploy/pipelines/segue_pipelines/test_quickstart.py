"""What is released in this repository is sound, small, and answers its example requests."""

import json
from pathlib import Path

import numpy as np
import pytest

from segue_pipelines import verify
from segue_pipelines.release import quickstart
from segue_pipelines.session import Session
from segue_pipelines.tensor import Tensor

FOLDERS = verify.folders(quickstart())
VERSIONS = {
    "mozart": {"1", "2", "3"},
    "recommender": {"1", "2"},
    "wine": {"1", "2"},
}


def test_every_version_is_there() -> None:
    found: dict[str, set[str]] = {}
    for folder in FOLDERS:
        found.setdefault(folder.parent.name, set()).add(folder.name)
    assert found == VERSIONS


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f"{f.parent.name}-{f.name}")
def test_files_signature_and_goldens_are_as_the_manifest_says(folder: Path) -> None:
    assert list(verify.problems(folder)) == []


@pytest.mark.parametrize("model", VERSIONS)
def test_documents_carry_the_digests(model: str) -> None:
    assert list(verify.document_problems(quickstart(), model)) == []


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f"{f.parent.name}-{f.name}")
def test_the_example_request_is_answered(folder: Path) -> None:
    path = quickstart() / "requests" / f"{folder.parent.name}.json"
    inputs = [Tensor.from_json(t) for t in json.loads(path.read_text())["inputs"]]
    session = Session((folder / "model.onnx").read_bytes())
    assert all(s.accepts(t) for s, t in zip(session.inputs(), inputs, strict=True))
    outputs = session.run(inputs)
    assert [t.array.shape[0] for t in outputs] == [1] * len(outputs)
    assert all(np.isfinite(t.array).all() for t in outputs)


@pytest.mark.parametrize("model", VERSIONS)
def test_an_answer_tells_which_version_gave_it(model: str) -> None:
    answers: dict[str, list[list[float]]] = {}
    for folder in FOLDERS:
        if folder.parent.name == model:
            goldens = json.loads((folder / "manifest.json").read_text())["goldens"]
            for golden in goldens:
                answers.setdefault(golden["name"], []).append(golden["outputs"][0]["data"])
    for name, found in answers.items():
        assert len(found) == len(VERSIONS[model]), name
        for i, one in enumerate(found):
            for other in found[:i]:
                assert np.abs(np.subtract(one, other)).max() > 0.005, name
