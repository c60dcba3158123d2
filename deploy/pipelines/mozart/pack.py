"""The three versions as artifacts, with goldens on synthetic music."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mozart import LABELS, corpus, export, rolls, synthetic
from mozart.dataset import Dataset
from mozart.model import Network
from segue_pipelines import reference, release
from segue_pipelines.artifact import Artifact, Golden, Provenance
from segue_pipelines.tensor import Tensor, request

MODEL = "mozart"

_GOLDENS: Mapping[str, rolls.Roll] = {
    "c major scale": synthetic.scale(),
    "four-part chords": synthetic.chords(),
    "random notes, seed 7": synthetic.noise(7),
}
_LEAST_DIFFERENCE = 0.01


def spoil(network: Network) -> Network:
    """The network with a second normalisation left in front of it.

    The roll is standardised before the channels are made of it, so every held note looks
    struck anew. It still answers, and more confidently than before.
    """
    return replace(network, leftover=network.scaling.of_roll())


def tensor(windows: rolls.Roll) -> Tensor:
    """Windows [n, 88, 128] as the model's input [n, 1, 88, 128]."""
    return Tensor(export.ROLL.name, windows[:, None].astype(np.float32))


def artifact(network: Network, seed: int, fold: int) -> Artifact:
    """One version, not yet written."""
    return Artifact(
        model=MODEL,
        onnx=export.export(network),
        goldens=[Golden(name, (tensor(roll[None]),)) for name, roll in _GOLDENS.items()],
        labels={export.PROBABILITIES.name: LABELS},
        provenance=Provenance(
            commit=release.commit(),
            data=f"music21 {corpus.version()} corpus, split seed {seed}",
            run=f"seed {seed}, fold {fold} held out",
            command=release.COMMAND,
        ),
    )


def write(versions: Mapping[str, Network], folder: Path, seed: int, fold: int) -> dict[str, str]:
    """Releases the versions below the folder; their digests by version.

    Raises ValueError if two versions would answer a golden alike: who looks at an
    answer must be able to tell which version gave it.
    """
    answers = [_golden_answers(network) for network in versions.values()]
    for one, other in itertools.combinations(answers, 2):
        least = float(np.abs(one - other).max(axis=1).min())
        if least < _LEAST_DIFFERENCE:
            raise ValueError(f"two versions answer a golden within {least:.2g}")
    made = {
        version: release.release(artifact(network, seed, fold), version, folder)
        for version, network in versions.items()
    }
    release.write_request(folder, MODEL, example())
    return made


def add_references(data: Dataset, versions: Sequence[str], folder: Path) -> dict[str, str]:
    """Adds what drift is measured from to released versions; their digests by version.

    Windows of one work are alike, so the work is their unit.
    """
    rows = reference.Rows(
        inputs=tensor(data.rolls),
        labels=data.targets(),
        source=f"music21 {corpus.version()} corpus, what the versions learned from",
        units=data.works,
    )
    return {version: reference.add(MODEL, version, rows, folder) for version in versions}


def example() -> dict[str, object]:
    """The quickstart's request: the four-part chords."""
    body: dict[str, object] = request([tensor(_GOLDENS["four-part chords"][None])], "chords")
    return body


def _golden_answers(network: Network) -> npt.NDArray[np.float32]:
    return network.probabilities(rolls.stack(_GOLDENS.values()))
