"""Re-checks released artifacts as a loader would: files, signature, goldens, documents."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from segue_pipelines import artifact
from segue_pipelines.session import Session
from segue_pipelines.tensor import Json, Tensor

LARGEST_MANIFEST = 300 * 1024
LARGEST_ARTIFACT = 1024 * 1024


def folders(root: Path) -> list[Path]:
    """Every version's folder below root/models."""
    return sorted(path.parent for path in root.glob(f"models/*/*/{artifact.MANIFEST_FILE}"))


def problems(folder: Path) -> Iterator[str]:
    """What is wrong with one version's folder; nothing if it is sound."""
    text = (folder / artifact.MANIFEST_FILE).read_bytes()
    manifest = json.loads(text)
    if len(text) > LARGEST_MANIFEST:
        yield f"manifest of {len(text)} bytes"
    if manifest["model"] != folder.parent.name:
        yield f"manifest is of model {manifest['model']!r}"
    yield from _files(folder, manifest)
    graph = folder / artifact.MODEL_FILE
    if graph.exists():
        yield from _answers(Session(graph.read_bytes()), manifest)


def document_problems(root: Path, model: str) -> Iterator[str]:
    """Versions of a document whose digest is not that of the folder it names."""
    text = (root / f"{model}.yaml").read_text(encoding="utf-8")
    named = dict(re.findall(r'uri:\s*"file:([^"]+)",\s*digest:\s*"([^"]+)"', text))
    for path in folders(root):
        if path.parent.name != model:
            continue
        relative = path.relative_to(root).as_posix()
        stated, found = named.pop(relative, None), artifact.digest(path)
        if stated is None:
            yield f"{relative} is in no version"
        elif stated != found:
            yield f"{relative}: document says {stated}, artifact is {found}"
    yield from (f"{relative} does not exist" for relative in named)


def _files(folder: Path, manifest: Json) -> Iterator[str]:
    listed = {entry["path"]: entry for entry in manifest["files"]}
    present = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    present -= {artifact.MANIFEST_FILE}
    yield from (f"{path} is not listed" for path in sorted(present - set(listed)))
    total = 0
    for path, entry in listed.items():
        if path not in present:
            yield f"{path} is missing"
            continue
        content = (folder / path).read_bytes()
        total += len(content)
        if (len(content), artifact.sha256(content)) != (entry["size"], entry["sha256"]):
            yield f"{path}: size or SHA-256 is not the manifest's"
    if total > LARGEST_ARTIFACT:
        yield f"{total} bytes of files"


def _answers(session: Session, manifest: Json) -> Iterator[str]:
    for side, specs in (("inputs", session.inputs()), ("outputs", session.outputs())):
        if [spec.to_json() for spec in specs] != manifest["signature"][side]:
            yield f"signature: {side} differ from the graph's"
    if not manifest["goldens"]:
        yield "no goldens"
    absolute, relative = (manifest["tolerance"][k] for k in ("absolute", "relative"))
    for golden in manifest["goldens"]:
        inputs = [Tensor.from_json(t) for t in golden["inputs"]]
        wanted = [Tensor.from_json(t) for t in golden["outputs"]]
        if not all(s.accepts(t) for s, t in zip(session.inputs(), inputs, strict=True)):
            yield f"golden {golden['name']!r}: inputs do not match the signature"
            continue
        for got, want in zip(session.run(inputs), wanted, strict=True):
            same = got.name == want.name and got.array.shape == want.array.shape
            if not same or not np.allclose(got.array, want.array, rtol=relative, atol=absolute):
                yield f"golden {golden['name']!r}: output {want.name} differs"
