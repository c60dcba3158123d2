"""The folder of documents that the gateway under test serves, and where its graphs lie."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segue_clients.graphs import generated
from segue_clients.tensor import DTYPES, Json, Tensor, objects

QUICKSTART = Path(__file__).resolve().parents[3] / "configs" / "examples" / "quickstart"
PACKAGES: Mapping[str, str] = {
    "basic-pitch": "basic_pitch/saved_models/icassp_2022/nmp.onnx",
    "magika": "magika/models/standard_v3_3/model.onnx",
}
"""Models inside published packages, by the name they are served under."""
WINE = np.arange(26, dtype=np.float32).reshape(2, 13)
"""Two rows that the wine model takes as `features`."""


@dataclass(frozen=True)
class Catalogue:
    """Graphs by model and version."""

    folder: Path
    graphs: Mapping[str, Mapping[str, Path]]


def build(folder: Path) -> Catalogue:
    """The quickstart as it is released, the models of packages, and every generated model."""
    shutil.copytree(QUICKSTART, folder)
    graphs: dict[str, Mapping[str, Path]] = {}
    for model in sorted(path.name for path in (folder / "models").iterdir()):
        versions = sorted(path.name for path in (folder / "models" / model).iterdir())
        graphs[model] = {
            version: folder / "models" / model / version / "model.onnx" for version in versions
        }
    for model, inside in PACKAGES.items():
        graph = Path(os.environ["SEGUE_CLIENT_MODELS"]) / inside
        graphs[model] = {"1": graph}
        write_document(folder, model, f"file:{graph}")
    for model, written in generated().items():
        path = folder / "generated" / model / "model.onnx"
        written.write(path)
        graphs[model] = {"1": path}
        extra: dict[str, Json] = {"runtime": {"max_batch_size": 4096}}
        if model.startswith("log-") and not model.endswith("error"):
            extra["nonfinite"] = model.removeprefix("log-")
        write_document(folder, model, f"file:generated/{model}", **extra)
    return Catalogue(folder, graphs)


def write_document(folder: Path, model: str, uri: str, **members: Json) -> None:
    """A document with one version."""
    document = {"model": model, "versions": {"1": {"uri": uri}}, **members}
    (folder / f"{model}.json").write_text(json.dumps(document), encoding="utf-8")


@dataclass(frozen=True)
class Golden:
    """One golden request of a manifest and its answer, within the manifest's tolerance."""

    name: str
    inputs: list[Tensor]
    outputs: list[Tensor]
    absolute: float
    relative: float


def goldens(model: str, version: str) -> list[Golden]:
    """The goldens of a quickstart artifact."""
    text = (QUICKSTART / "models" / model / version / "manifest.json").read_text(encoding="utf-8")
    manifest = json.loads(text)
    tolerance = manifest["tolerance"]
    return [
        Golden(
            entry["name"],
            [_tensor(one) for one in entry["inputs"]],
            [_tensor(one) for one in entry["outputs"]],
            tolerance["absolute"],
            tolerance["relative"],
        )
        for entry in manifest["goldens"]
    ]


def quickstart_versions() -> list[tuple[str, str]]:
    """Every version of every quickstart model."""
    return sorted(
        (path.parent.parent.name, path.parent.name)
        for path in QUICKSTART.glob("models/*/*/manifest.json")
    )


def _tensor(entry: Json) -> Tensor:
    if entry["datatype"] == "BYTES":
        array = objects([text.encode() for text in entry["data"]])
    else:
        array = np.array(entry["data"], DTYPES[entry["datatype"]])
    return Tensor(entry["name"], array.reshape(entry["shape"]))
