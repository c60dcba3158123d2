"""The reference beside a released version that drift is measured from."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from segue_pipelines import artifact, layout, release
from segue_pipelines.progress import say
from segue_pipelines.session import Session
from segue_pipelines.tensor import Tensor

PROFILE_FILE = "drift-profile.json"
_BATCH = 256
_LABEL, _UNIT = "reference_label", "reference_unit"


@dataclass(frozen=True)
class Rows:
    """What a version learned from, as it would be asked."""

    inputs: Tensor
    labels: npt.NDArray[np.int64]
    source: str
    """What the rows are, in words."""
    units: npt.NDArray[np.str_] | None = None
    """What each row is a part of, where rows of one thing are alike."""


def seguectl() -> str:
    """The operator's tool, SEGUECTL or as `make build` left it."""
    built = Path(__file__).resolve().parents[3] / "bin" / "seguectl"
    return os.environ.get("SEGUECTL") or str(built)


def add(model: str, version: str, rows: Rows, folder: Path) -> str:
    """Makes the profile of a released version, lists it in the manifest and the new digest in
    the model's document, and returns that."""
    target = folder / "models" / model / version
    session = Session((target / artifact.MODEL_FILE).read_bytes())
    arrays: dict[str, Any] = {rows.inputs.name: rows.inputs.array, _LABEL: rows.labels}
    arrays |= _answers(session, rows.inputs)
    command = [seguectl(), "profile", "", "--artifact", str(target), "--source", rows.source]
    command += ["--label", _LABEL, "-o", str(target / PROFILE_FILE), "--json"]
    if rows.units is not None:
        arrays[_UNIT] = rows.units
        command += ["--unit", _UNIT]
    with tempfile.TemporaryDirectory() as temporary:
        command[2] = str(Path(temporary) / "rows.npz")
        np.savez(command[2], **arrays)
        made = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    found = list_in_manifest(target)
    release.write_digest(folder, model, version, found)
    say(f"{model} version {version}: a reference of {len(made['features'])} features, {found}")
    return found


def list_in_manifest(target: Path) -> str:
    """Writes the profile's size and hash into a version's manifest; the new digest."""
    path = target / artifact.MANIFEST_FILE
    manifest = json.loads(path.read_text(encoding="utf-8"))
    content = (target / PROFILE_FILE).read_bytes()
    files = [f for f in manifest["files"] if f["path"] != PROFILE_FILE]
    entry = {"path": PROFILE_FILE, "size": len(content), "sha256": artifact.sha256(content)}
    manifest["files"] = sorted([*files, entry], key=lambda f: str(f["path"]))
    path.write_text(layout.dumps(manifest), encoding="utf-8")
    return artifact.digest(target)


def _answers(session: Session, asked: Tensor) -> dict[str, npt.NDArray[np.generic]]:
    """Every output for every row."""
    parts = [
        session.run([Tensor(asked.name, asked.array[i : i + _BATCH])])
        for i in range(0, len(asked.array), _BATCH)
    ]
    return {
        first.name: np.concatenate([part[i].array for part in parts])
        for i, first in enumerate(parts[0])
    }
