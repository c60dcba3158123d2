"""The trained network as an ONNX graph, written node by node."""

from __future__ import annotations

import numpy as np

from mozart import LABELS, PITCHES, STEPS
from mozart.model import Network
from segue_pipelines.graph import Graph
from segue_pipelines.tensor import Spec

ROLL = Spec("roll", "FP32", (-1, 1, PITCHES, STEPS))
PROBABILITIES = Spec("probabilities", "FP32", (-1, len(LABELS)))
LABEL = Spec("label", "INT64", (-1,))


def export(network: Network) -> bytes:
    """The model file: rolls in, probabilities and the most probable class out."""
    graph = Graph("mozart")
    x = _channels(graph, _renormalised(graph, network.leftover))
    mean = graph.constant("mean", network.scaling.mean.reshape(1, 2, 1, 1))
    deviation = graph.constant("deviation", network.scaling.deviation.reshape(1, 2, 1, 1))
    x = graph.node("Sub", [x, mean], "centred")
    x = graph.node("Div", [x, deviation], "scaled")
    for i, conv in enumerate(network.architecture.convs):
        weights = graph.constant(f"conv{i}.w", _float32(network, f"conv{i}.w"))
        bias = graph.constant(f"conv{i}.b", _float32(network, f"conv{i}.b"))
        x = graph.node(
            "Conv",
            [x, weights, bias],
            f"conv{i}",
            kernel_shape=list(conv.kernel),
            strides=list(conv.stride),
        )
        x = graph.node("Relu", [x], f"relu{i}")
    highest = graph.node("ReduceMax", [x], "highest", axes=[2], keepdims=1)
    peaks = graph.node("ReduceMean", [highest], "peaks", axes=[2, 3], keepdims=0)
    means = graph.node("ReduceMean", [x], "means", axes=[2, 3], keepdims=0)
    pooled = graph.node("Concat", [peaks, means], "pooled", axis=1)
    weights = graph.constant("dense.w", _float32(network, "dense.w"))
    bias = graph.constant("dense.b", _float32(network, "dense.b"))
    scores = graph.node("Gemm", [pooled, weights, bias], "scores")
    graph.node("Softmax", [scores], PROBABILITIES.name, axis=1)
    graph.node("ArgMax", [PROBABILITIES.name], LABEL.name, axis=1, keepdims=0)
    return graph.finish([ROLL], [PROBABILITIES, LABEL], {"labels": ",".join(LABELS)})


def _renormalised(graph: Graph, leftover: tuple[float, float] | None) -> str:
    """The roll, standardised as a whole where that was left in."""
    if leftover is None:
        return ROLL.name
    mean = graph.constant("roll mean", np.array(leftover[0], dtype=np.float32))
    deviation = graph.constant("roll deviation", np.array(leftover[1], dtype=np.float32))
    centred = graph.node("Sub", [ROLL.name, mean], "roll centred")
    return graph.node("Div", [centred, deviation], "roll scaled")


def _channels(graph: Graph, roll: str) -> str:
    """Sounding and onset from the 0, 1, 2 of the roll."""
    zero = graph.constant("zero", np.array(0, dtype=np.float32))
    one = graph.constant("one", np.array(1, dtype=np.float32))
    sounding = graph.node("Clip", [roll, zero, one], "sounding")
    above = graph.node("Sub", [roll, one], "above")
    onset = graph.node("Clip", [above, zero, one], "onset")
    return graph.node("Concat", [sounding, onset], "channels", axis=1)


def _float32(network: Network, name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.asarray(network.params[name], dtype=np.float32)
