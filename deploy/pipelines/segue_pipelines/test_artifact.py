"""An artifact is what its manifest says, and verify notices every way in which it is not."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from segue_pipelines import artifact, verify
from segue_pipelines.artifact import Artifact, Golden
from segue_pipelines.graph import IR_VERSION, OPSET
from segue_pipelines.tensor import Json, Tensor


def test_the_manifest_describes_the_files_and_the_graph(double: Artifact, tmp_path: Path) -> None:
    digest = double.write(tmp_path / "double" / "1")
    raw = (tmp_path / "double" / "1" / "manifest.json").read_bytes()
    manifest = json.loads(raw)
    assert digest == "sha256:" + hashlib.sha256(raw).hexdigest()
    assert list(manifest) == [
        "schema",
        "model",
        "files",
        "signature",
        "labels",
        "tolerance",
        "goldens",
        "provenance",
    ]
    assert manifest["provenance"] == {"data": "none", "command": "none"}, "empty is left out"
    model = (tmp_path / "double" / "1" / "model.onnx").read_bytes()
    assert manifest["files"] == [
        {
            "path": "model.onnx",
            "size": len(model),
            "sha256": hashlib.sha256(model).hexdigest(),
        }
    ]
    assert manifest["signature"]["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}]
    assert manifest["goldens"][0]["outputs"] == [
        {"name": "y", "datatype": "FP32", "shape": [1, 3], "data": [0.2, 4, -6]}
    ]
    assert list(verify.problems(tmp_path / "double" / "1")) == []


def test_graphs_are_of_the_opset_and_ir_version_that_are_promised(double: Artifact) -> None:
    model = onnx.load_from_string(double.onnx)
    assert model.ir_version == IR_VERSION == 8
    assert [(o.domain, o.version) for o in model.opset_import] == [("", OPSET)] == [("", 17)]
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    assert {p.key: p.value for p in model.metadata_props} == {"k": "v"}


def test_writing_again_replaces_the_whole_folder(double: Artifact, tmp_path: Path) -> None:
    target = tmp_path / "double" / "1"
    first = double.write(target)
    (target / "left-over").write_text("x")
    assert double.write(target) == first
    assert sorted(p.name for p in target.iterdir()) == ["manifest.json", "model.onnx"]
    assert [p.name for p in target.parent.iterdir()] == ["1"]


def test_a_golden_answer_that_is_not_finite_is_refused(double: Artifact, tmp_path: Path) -> None:
    infinite = Golden("too large", (Tensor("x", np.full((1, 3), 3e38, np.float32)),))
    with pytest.raises(ValueError, match=r"'too large': output y is not finite"):
        replace(double, goldens=[infinite]).write(tmp_path / "double" / "1")
    assert list((tmp_path / "double").glob("1")) == []


def _golden_answer(manifest: Json) -> None:
    manifest["goldens"][0]["outputs"][0]["data"][1] = 4.1


def _golden_shape(manifest: Json) -> None:
    manifest["goldens"][0]["inputs"][0]["shape"] = [3, 1]


def _no_goldens(manifest: Json) -> None:
    manifest["goldens"] = []


def _signature(manifest: Json) -> None:
    manifest["signature"]["outputs"][0]["name"] = "z"


def _size(manifest: Json) -> None:
    manifest["files"][0]["size"] += 1


def _unlisted(manifest: Json) -> None:
    manifest["files"] = []


def _absent(manifest: Json) -> None:
    manifest["files"].append({"path": "weights.bin", "size": 1, "sha256": ""})


def _name(manifest: Json) -> None:
    manifest["model"] = "triple"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (_golden_answer, "golden 'three numbers': output y differs"),
        (_golden_shape, "golden 'three numbers': inputs do not match the signature"),
        (_no_goldens, "no goldens"),
        (_signature, "signature: outputs differ from the graph's"),
        (_size, "model.onnx: size or SHA-256 is not the manifest's"),
        (_unlisted, "model.onnx is not listed"),
        (_absent, "weights.bin is missing"),
        (_name, "manifest is of model 'triple'"),
    ],
)
def test_verify_names_what_is_wrong(
    double: Artifact, tmp_path: Path, change: Callable[[Json], None], complaint: str
) -> None:
    target = tmp_path / "double" / "1"
    double.write(target)
    manifest = json.loads((target / artifact.MANIFEST_FILE).read_text())
    change(manifest)
    (target / artifact.MANIFEST_FILE).write_text(json.dumps(manifest))
    assert list(verify.problems(target)) == [complaint]


def test_verify_notices_other_weights(double: Artifact, tmp_path: Path) -> None:
    target = tmp_path / "double" / "1"
    double.write(target)
    other = onnx.load_from_string(double.onnx)
    three = onnx.numpy_helper.from_array(np.array(3, np.float32), "two")
    other.graph.initializer[0].CopyFrom(three)
    (target / "model.onnx").write_bytes(other.SerializeToString())
    assert list(verify.problems(target)) == [
        "model.onnx: size or SHA-256 is not the manifest's",
        "golden 'three numbers': output y differs",
    ]
