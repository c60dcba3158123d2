"""Cross-validation: two baselines and two networks, every work asked about once."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mozart import LABELS, corpus, model, scores, split, training
from mozart.baselines import Majority, NearestCentroid
from mozart.dataset import Dataset
from mozart.model import Architecture, Network
from mozart.scores import Classes, Scores
from mozart.split import Fold
from segue_pipelines.progress import say

FOLDS = 5
SEED = 7
HELD_OUT = 0
"""The fold whose works the released versions have not seen."""

ARCHITECTURES: Mapping[str, Architecture] = {"1": model.WEAK, "2": model.STRONG}


@dataclass(frozen=True)
class FoldResult:
    """What every competitor got in one fold."""

    fold: int
    train_windows: int
    test_windows: int
    held_out_mozart: list[str]
    by_model: dict[str, Scores]


def run(data: Dataset, count: int, seed: int) -> list[FoldResult]:
    """All folds, one after the other."""
    return [_fold(data, fold, seed) for fold in split.folds(data, count, seed)]


def fit(data: Dataset, architecture: Architecture, seed: int, name: str) -> Network:
    """One network, with a line of progress every tenth epoch."""

    def tell(epoch: int, loss: float) -> None:
        if epoch % 10 == 0 or epoch == architecture.epochs:
            say(f"{name}: epoch {epoch}/{architecture.epochs}, loss {loss:.3f}")

    return training.train(architecture, data.rolls, data.targets(), seed, tell)


def _fold(data: Dataset, fold: Fold, seed: int) -> FoldResult:
    seen, asked = data.take(fold.train), data.take(fold.test)
    targets = seen.targets()
    answers: dict[str, Classes] = {
        "majority class": Majority.fit(targets).predict(asked.rolls),
        "nearest centroid": NearestCentroid.fit(seen.rolls, targets).predict(asked.rolls),
    }
    for version, architecture in ARCHITECTURES.items():
        name = f"CNN, version {version}"
        network = fit(seen, architecture, seed, f"fold {fold.number}, version {version}")
        answers[name] = network.probabilities(asked.rolls).argmax(axis=1).astype(np.int64)
    scored = {
        name: scores.score(asked.targets(), answer, asked.pieces)
        for name, answer in answers.items()
    }
    for name, value in scored.items():
        say(f"fold {fold.number}, {name}: {value.accuracy:.3f}")
    mozart = np.unique(asked.works[asked.composers == "mozart"])
    return FoldResult(fold.number, len(seen), len(asked), [str(w) for w in mozart], scored)


def document(data: Dataset, results: Sequence[FoldResult], seed: int) -> dict[str, object]:
    """The results as JSON: the data, each fold, mean and deviation over the folds."""
    names = list(results[0].by_model)
    return {
        "corpus": f"music21 {corpus.version()}",
        "seed": seed,
        "classes": {
            label: {
                "works": len(np.unique(data.works[data.composers == label])),
                "pieces": len(np.unique(data.pieces[data.composers == label])),
                "windows": int((data.composers == label).sum()),
            }
            for label in LABELS
        },
        "folds": [
            {
                "fold": r.fold,
                "train_windows": r.train_windows,
                "test_windows": r.test_windows,
                "held_out_mozart": r.held_out_mozart,
                "models": {name: value.to_json() for name, value in r.by_model.items()},
            }
            for r in results
        ],
        "summary": {name: _summary([r.by_model[name] for r in results]) for name in names},
    }


def _summary(over_folds: Sequence[Scores]) -> dict[str, object]:
    confusion = np.sum([s.confusion for s in over_folds], axis=0)
    recall = confusion.diagonal() / confusion.sum(axis=1)
    accuracies = [s.accuracy for s in over_folds]
    return {
        "accuracy_mean": round(statistics.mean(accuracies), 4),
        "accuracy_deviation": round(statistics.stdev(accuracies), 4),
        "balanced_accuracy_mean": round(statistics.mean(s.balanced for s in over_folds), 4),
        "piece_vote_accuracy_mean": round(statistics.mean(s.by_piece for s in over_folds), 4),
        "pooled_recall": {n: round(float(r), 4) for n, r in zip(LABELS, recall, strict=True)},
        "pooled_confusion": confusion.tolist(),
    }
