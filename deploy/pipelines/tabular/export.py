"""A scaler and a linear or small network classifier as an ONNX graph."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from segue_pipelines.graph import Graph
from segue_pipelines.tensor import Spec
from tabular.estimators import Wine

FEATURES = "features"
PROBABILITIES = "probabilities"
LABEL = "label"


def export(fitted: Pipeline, data: Wine) -> bytes:
    """The model file of a fitted pipeline: measurements in, probabilities and class out."""
    scaler, classifier = (step for _, step in fitted.steps)
    if not isinstance(scaler, StandardScaler):
        raise TypeError(f"no graph for a {type(scaler).__name__}")
    graph = Graph("wine")
    mean = graph.constant("mean", np.asarray(scaler.mean_, dtype=np.float32))
    scale = graph.constant("scale", np.asarray(scaler.scale_, dtype=np.float32))
    centred = graph.node("Sub", [FEATURES, mean], "centred")
    x = graph.node("Div", [centred, scale], "scaled")
    layers = _layers(classifier)
    for i, (weights, bias) in enumerate(layers):
        names = [graph.constant(f"layer{i}.w", weights), graph.constant(f"layer{i}.b", bias)]
        x = graph.node("Gemm", [x, *names], f"layer{i}")
        if i + 1 < len(layers):
            x = graph.node("Relu", [x], f"relu{i}")
    graph.node("Softmax", [x], PROBABILITIES, axis=1)
    graph.node("ArgMax", [PROBABILITIES], LABEL, axis=1, keepdims=0)
    return graph.finish(
        [Spec(FEATURES, "FP32", (-1, len(data.names)))],
        [Spec(PROBABILITIES, "FP32", (-1, len(data.labels))), Spec(LABEL, "INT64", (-1,))],
        {"features": ",".join(data.names), "labels": ",".join(data.labels)},
    )


def _layers(classifier: Any) -> list[tuple[Any, Any]]:
    """Weights [in, out] and biases [out] in float32, first layer first."""
    if isinstance(classifier, LogisticRegression):
        pairs = [(classifier.coef_.T, classifier.intercept_)]
    elif isinstance(classifier, MLPClassifier) and classifier.activation == "relu":
        pairs = list(zip(classifier.coefs_, classifier.intercepts_, strict=True))
    else:
        raise TypeError(f"no graph for a {type(classifier).__name__}")
    return [(np.asarray(w, dtype=np.float32), np.asarray(b, dtype=np.float32)) for w, b in pairs]
