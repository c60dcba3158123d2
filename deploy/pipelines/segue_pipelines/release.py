"""Puts artifacts where the gateway's quickstart finds them and writes their digests
into the documents that name them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from segue_pipelines import layout
from segue_pipelines.artifact import Artifact
from segue_pipelines.progress import say
from segue_pipelines.tensor import Json

COMMAND = "make -C deploy/pipelines train"
"""What retrains and releases every model."""


def quickstart() -> Path:
    """The folder of documents and artifacts that `make run` serves."""
    return Path(__file__).resolve().parents[3] / "configs" / "examples" / "quickstart"


def release(artifact: Artifact, version: str, folder: Path) -> str:
    """Writes models/<model>/<version> below the folder, updates the model's document
    and returns the version's digest."""
    target = folder / "models" / artifact.model / version
    found = artifact.write(target)
    write_digest(folder, artifact.model, version, found)
    size = sum(f.stat().st_size for f in target.iterdir())
    say(f"released {artifact.model} version {version}: {size / 1024:.0f} KiB, {found}")
    return found


def write_digest(folder: Path, model: str, version: str, digest: str) -> None:
    """Writes a version's digest into the model's document."""
    document = folder / f"{model}.yaml"
    text = document.read_text(encoding="utf-8")
    uri = f"file:models/{model}/{version}"
    document.write_text(with_digest(text, uri, digest), encoding="utf-8")


def with_digest(text: str, uri: str, digest: str) -> str:
    """The document's text with the digest beside that uri replaced; the rest, comments
    too, stays as it is."""
    pattern = re.compile(rf'(uri:\s*"{re.escape(uri)}",\s*digest:\s*")[^"]*(")')
    changed, count = pattern.subn(rf"\g<1>{digest}\g<2>", text)
    if count != 1:
        raise ValueError(
            f'{count} places like {{uri: "{uri}", digest: "…"}} in the document, not 1'
        )
    return changed


def write_request(folder: Path, model: str, body: Json) -> None:
    """Writes the example request of a model, requests/<model>.json."""
    path = folder / "requests" / f"{model}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(layout.dumps(body), encoding="utf-8")


def commit(source: Path | None = None) -> str:
    """The Git commit of the pipelines' code; empty if it was changed since, or is in none."""
    where = source or Path(__file__).resolve().parents[1]
    code = [":(glob)**/*.py", "requirements.txt"]
    try:
        dirty = _git(where, "status", "--porcelain", "--", *code)
        return "" if dirty else _git(where, "rev-parse", "--verify", "HEAD")
    except (OSError, subprocess.CalledProcessError):
        return ""


def _git(where: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(where), *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
