"""The data and the two versions, as scikit-learn estimators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_wine
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

SEED = 7
SPLITS, REPEATS = 5, 4

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Wine:
    """178 wines: 13 measurements each and one of three cultivars."""

    features: Floats
    targets: npt.NDArray[np.int64]
    names: tuple[str, ...]
    """Names of the columns of `features`."""
    labels: tuple[str, ...]


def load() -> Wine:
    """The data set that scikit-learn carries."""
    bunch: Any = load_wine()
    return Wine(
        features=np.asarray(bunch.data, dtype=np.float64),
        targets=np.asarray(bunch.target, dtype=np.int64),
        names=tuple(str(n) for n in bunch.feature_names),
        labels=tuple(str(n) for n in bunch.target_names),
    )


def versions() -> Mapping[str, Pipeline]:
    """Unfitted estimators by version: a scaler and a classifier each."""
    return {
        "1": make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000)),
        "2": make_pipeline(
            StandardScaler(),
            MLPClassifier(hidden_layer_sizes=(16,), alpha=1.0, max_iter=2000, random_state=SEED),
        ),
    }


def cross_validate(data: Wine) -> dict[str, dict[str, float | int]]:
    """Accuracy and log loss of the majority class and both versions over repeated folds."""
    contenders = {"majority class": DummyClassifier(strategy="prior")}
    contenders |= {f"version {name}": estimator for name, estimator in versions().items()}
    folds = RepeatedStratifiedKFold(n_splits=SPLITS, n_repeats=REPEATS, random_state=SEED)
    found: dict[str, dict[str, float | int]] = {}
    for name, estimator in contenders.items():
        scores = {
            metric: cross_val_score(
                estimator, data.features, data.targets, cv=folds, scoring=metric
            )
            for metric in ("accuracy", "neg_log_loss")
        }
        found[name] = {
            "folds": SPLITS * REPEATS,
            "accuracy_mean": round(float(scores["accuracy"].mean()), 4),
            "accuracy_deviation": round(float(scores["accuracy"].std(ddof=1)), 4),
            "log_loss_mean": round(float(-scores["neg_log_loss"].mean()), 4),
        }
    return found


def fit(data: Wine) -> dict[str, Pipeline]:
    """Both versions, fitted to all of the data."""
    return {name: est.fit(data.features, data.targets) for name, est in versions().items()}
