"""A version as a folder: model.onnx and manifest.json."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from segue_pipelines import layout
from segue_pipelines.session import Session
from segue_pipelines.tensor import Json, Tensor

MODEL_FILE = "model.onnx"
MANIFEST_FILE = "manifest.json"
SCHEMA = 1


@dataclass(frozen=True)
class Golden:
    """One request whose answer every loader of the artifact must get back."""

    name: str
    inputs: tuple[Tensor, ...]


@dataclass(frozen=True)
class Provenance:
    """Where an artifact came from; what is empty is not known and left out."""

    commit: str
    """Git commit of the code, empty where the code was not committed."""
    data: str
    run: str
    command: str


@dataclass(frozen=True)
class Artifact:
    """All that a version's folder is made of; the answers are computed on writing."""

    model: str
    onnx: bytes
    goldens: Sequence[Golden]
    provenance: Provenance
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Names of the classes, by output."""
    absolute: float = 1e-4
    relative: float = 1e-3

    def manifest(self) -> Json:
        """The manifest, its golden answers computed by ONNX Runtime."""
        session = Session(self.onnx)
        return {
            "schema": SCHEMA,
            "model": self.model,
            "files": [
                {"path": MODEL_FILE, "size": len(self.onnx), "sha256": sha256(self.onnx)},
            ],
            "signature": {
                "inputs": [spec.to_json() for spec in session.inputs()],
                "outputs": [spec.to_json() for spec in session.outputs()],
            },
            "labels": {name: list(names) for name, names in self.labels.items()},
            "tolerance": {"absolute": self.absolute, "relative": self.relative},
            "goldens": [_answered(session, golden) for golden in self.goldens],
            "provenance": {name: text for name, text in asdict(self.provenance).items() if text},
        }

    def write(self, folder: Path) -> str:
        """Writes the folder anew and returns the version's digest.

        It is written beside and renamed, so nobody ever sees half of it.
        """
        fresh = folder.with_name(folder.name + ".partial")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        (fresh / MODEL_FILE).write_bytes(self.onnx)
        (fresh / MANIFEST_FILE).write_text(layout.dumps(self.manifest()), encoding="utf-8")
        found = digest(fresh)
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
        return found


def digest(folder: Path) -> str:
    """The digest of a version: that of its manifest's bytes."""
    return "sha256:" + sha256((folder / MANIFEST_FILE).read_bytes())


def sha256(content: bytes) -> str:
    """The SHA-256 in lower-case hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _answered(session: Session, golden: Golden) -> Json:
    answers = session.run(golden.inputs)
    for tensor in answers:
        if tensor.array.dtype.kind == "f" and not np.isfinite(tensor.array).all():
            raise ValueError(f"golden {golden.name!r}: output {tensor.name} is not finite")
    return {
        "name": golden.name,
        "inputs": [tensor.to_json() for tensor in golden.inputs],
        "outputs": [tensor.to_json() for tensor in answers],
    }
