"""Both sizes as artifacts; the ids of the goldens are arbitrary."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from recommender import MODEL, export, interactions
from recommender.als import Factors
from segue_pipelines import release
from segue_pipelines.artifact import Artifact, Golden, Provenance
from segue_pipelines.tensor import Tensor, request


def inputs(users: list[int], candidates: list[list[int]]) -> tuple[Tensor, Tensor]:
    """Ids as the model's inputs."""
    return (
        Tensor(export.USER.name, np.array(users, dtype=np.int64)),
        Tensor(export.CANDIDATES.name, np.array(candidates, dtype=np.int64)),
    )


def artifact(factors: Factors, seed: int) -> Artifact:
    """One version, not yet written."""
    ids = np.random.default_rng(3).integers(0, len(factors.items), (4, 25))
    return Artifact(
        model=MODEL,
        onnx=export.export(factors),
        goldens=[
            Golden("one user, five candidates", inputs([0], [[0, 1, 2, 3, 4]])),
            Golden(
                "four users, 25 candidates, seed 3",
                inputs([1, 10, 100, len(factors.users) - 1], ids.tolist()),
            ),
        ],
        provenance=Provenance(
            commit=release.commit(),
            data=f"synthetic interactions, seed {interactions.SEED}",
            run=f"seed {seed}, {factors.users.shape[1]} factors",
            command=release.COMMAND,
        ),
        absolute=1e-5,
        relative=1e-4,
    )


def write(versions: Mapping[str, Factors], folder: Path, seed: int) -> dict[str, str]:
    """Releases the versions below the folder; their digests by version."""
    made = {
        version: release.release(artifact(factors, seed), version, folder)
        for version, factors in versions.items()
    }
    body = request(inputs([42], [[7, 99, 123, 250, 333, 480]]), "recommendation")
    release.write_request(folder, MODEL, body)
    return made
