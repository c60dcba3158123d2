"""The fitted versions as artifacts, with goldens on measurements of no real wine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import sklearn
from sklearn.pipeline import Pipeline

from segue_pipelines import reference, release
from segue_pipelines.artifact import Artifact, Golden, Provenance
from segue_pipelines.tensor import Tensor, request
from tabular import MODEL, estimators, export
from tabular.estimators import Wine


def inputs(data: Wine, rows: int, seed: int) -> Tensor:
    """Made-up measurements: uniform within one deviation of the mean, three digits."""
    generator = np.random.default_rng(seed)
    mean, deviation = data.features.mean(axis=0), data.features.std(axis=0)
    made = mean + deviation * generator.uniform(-1, 1, (rows, len(data.names)))
    short = [[float(f"{value:.3g}") for value in row] for row in made]
    return Tensor(export.FEATURES, np.array(short, dtype=np.float32))


def artifact(fitted: Pipeline, data: Wine) -> Artifact:
    """One version, not yet written."""
    return Artifact(
        model=MODEL,
        onnx=export.export(fitted, data),
        goldens=[
            Golden("one wine, seed 1", (inputs(data, 1, 1),)),
            Golden("four wines, seed 2", (inputs(data, 4, 2),)),
        ],
        labels={export.PROBABILITIES: data.labels},
        provenance=Provenance(
            commit=release.commit(),
            data=f"scikit-learn {sklearn.__version__} load_wine, all 178 rows",
            run=f"seed {estimators.SEED}",
            command=release.COMMAND,
        ),
        absolute=1e-5,
        relative=1e-4,
    )


def add_references(data: Wine, versions: Sequence[str], folder: Path) -> dict[str, str]:
    """Adds what drift is measured from to released versions; their digests by version."""
    rows = reference.Rows(
        inputs=Tensor(export.FEATURES, data.features.astype(np.float32)),
        labels=data.targets,
        source=f"scikit-learn {sklearn.__version__} load_wine, all 178 rows",
    )
    return {version: reference.add(MODEL, version, rows, folder) for version in versions}


def write(fitted: Mapping[str, Pipeline], data: Wine, folder: Path) -> dict[str, str]:
    """Releases the versions below the folder; their digests by version."""
    made = {
        version: release.release(artifact(pipeline, data), version, folder)
        for version, pipeline in fitted.items()
    }
    release.write_request(folder, MODEL, request([inputs(data, 1, 1)], "wine"))
    return made
