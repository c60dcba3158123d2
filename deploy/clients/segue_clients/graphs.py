"""Small models written with onnx.helper, each there for one thing that serving can get wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from segue_clients.tensor import Array

ONNX_TYPES: Mapping[str, int] = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BF16": TensorProto.BFLOAT16,
    "BYTES": TensorProto.STRING,
}

Value = tuple[str, str, Sequence[int | str]]
"""Name, data type and shape of an input or output; a size with a name is dynamic."""


class Graph:
    """A graph being written."""

    def __init__(self, inputs: Sequence[Value], outputs: Sequence[Value], opset: int = 17) -> None:
        self._inputs, self._outputs, self._opset = inputs, outputs, opset
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def node(
        self, op: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: object
    ) -> Graph:
        """Adds a node."""
        self._nodes.append(helper.make_node(op, list(inputs), list(outputs), **attributes))
        return self

    def constant(self, name: str, array: Array) -> Graph:
        """Adds a weight."""
        self._constants.append(numpy_helper.from_array(array, name))
        return self

    def write(self, path: Path) -> None:
        """Checks the graph and writes it."""
        graph = helper.make_graph(
            self._nodes, path.stem, _values(self._inputs), _values(self._outputs), self._constants
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self._opset)])
        model.ir_version = 10
        onnx.checker.check_model(model, full_check=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(model, path)


def _values(values: Sequence[Value]) -> list[onnx.ValueInfoProto]:
    return [
        helper.make_tensor_value_info(name, ONNX_TYPES[kind], shape) for name, kind, shape in values
    ]


def generated() -> Mapping[str, Graph]:
    """Every generated model by name."""
    rng = np.random.default_rng(5)
    models = {f"echo-{kind.lower()}": _echo(kind) for kind in ONNX_TYPES}
    for left_out in ("bf16", "bytes"):  # the oracle's Python binding cannot take both at once
        models[f"scalars-but-{left_out}"] = _all_types([], left_out.upper())
        models[f"types-but-{left_out}"] = _all_types(["n"], left_out.upper())
    models["add-scalars"] = (
        Graph(
            [("a", "FP64", []), ("b", "FP64", [])],
            [("sum", "FP64", []), ("difference", "FP64", [])],
        )
        .node("Add", ["a", "b"], ["sum"])
        .node("Sub", ["a", "b"], ["difference"])
    )
    models["no-inputs"] = (
        Graph([], [("table", "FP32", [2, 3]), ("one", "INT64", [])])
        .constant("weights", np.array([[0.1, -0.0, 3e38], [1e-45, 2, 3]], np.float32))
        .constant("number", np.array(2**63 - 1, np.int64))
        .node("Identity", ["weights"], ["table"])
        .node("Identity", ["number"], ["one"])
    )
    models["nonzero"] = Graph(
        [("x", "FP32", ["rows", "columns"])], [("places", "INT64", [2, "found"])]
    ).node("NonZero", ["x"], ["places"])
    models["unique"] = Graph(
        [("x", "INT64", ["n"])],
        [
            ("values", "INT64", ["found"]),
            ("first", "INT64", ["found"]),
            ("counts", "INT64", ["found"]),
        ],
    ).node("Unique", ["x"], ["values", "first", "", "counts"])
    models["transpose"] = Graph(
        [("x", "FP32", ["a", "b", "c"])], [("y", "FP32", ["c", "a", "b"])]
    ).node("Transpose", ["x"], ["y"], perm=[2, 0, 1])
    models["reductions"] = _reductions(rng)
    models["halves"] = (
        Graph(
            [("half", "FP16", ["n"]), ("brain", "BF16", ["n"])],
            [("wide", "FP32", ["n"]), ("wider", "FP32", ["n"]), ("narrow", "BF16", ["n"])],
        )
        .node("Cast", ["half"], ["wide"], to=TensorProto.FLOAT)
        .node("Cast", ["brain"], ["wider"], to=TensorProto.FLOAT)
        .node("Add", ["wide", "wider"], ["sum"])
        .node("Cast", ["sum"], ["narrow"], to=TensorProto.BFLOAT16)
    )
    models["join"] = Graph(
        [("left", "BYTES", ["n"]), ("right", "BYTES", ["n"])],
        [("joined", "BYTES", ["n"])],
        opset=20,
    ).node("StringConcat", ["left", "right"], ["joined"])
    models["split"] = Graph(
        [("text", "BYTES", ["n"])],
        [("words", "BYTES", ["n", "most"]), ("counts", "INT64", ["n"])],
        opset=20,
    ).node("StringSplit", ["text"], ["words", "counts"], delimiter=" ")
    models["lookup"] = (
        Graph([("id", "INT64", ["n"])], [("row", "FP32", ["n", 4])])
        .constant("table", rng.standard_normal((10, 4)).astype(np.float32))
        .node("Gather", ["table", "id"], ["row"], axis=0)
    )
    for policy in ("error", "null", "literal"):
        models[f"log-{policy}"] = Graph([("x", "FP32", ["n"])], [("y", "FP32", ["n"])]).node(
            "Log", ["x"], ["y"]
        )
    return models


def _echo(kind: str) -> Graph:
    shape = ["rows", "columns"]
    return (
        Graph([("x", kind, shape)], [("y", kind, shape), ("shape", "INT64", [2])])
        .node("Identity", ["x"], ["y"])
        .node("Shape", ["x"], ["shape"])
    )


def _all_types(shape: Sequence[int | str], left_out: str) -> Graph:
    """An input of each type but one, and an output of each in the opposite order."""
    kinds = [kind for kind in ONNX_TYPES if kind != left_out]
    graph = Graph(
        [(f"in-{kind}", kind, shape) for kind in kinds],
        [(f"out-{kind}", kind, shape) for kind in reversed(kinds)],
    )
    for kind in kinds:
        graph.node("Identity", [f"in-{kind}"], [f"out-{kind}"])
    return graph


def _reductions(rng: np.random.Generator) -> Graph:
    """Sums whose last bits depend on the order of the additions and on alignment."""
    return (
        Graph(
            [("x", "FP32", ["n", "width"]), ("z", "FP32", ["n", 37])],
            [
                ("sum", "FP32", ["n"]),
                ("mean", "FP32", ["n"]),
                ("softmax", "FP32", ["n", "width"]),
                ("lse", "FP32", ["n"]),
                ("product", "FP32", ["n", 11]),
                ("all", "FP32", []),
            ],
        )
        .constant("w", rng.standard_normal((37, 11)).astype(np.float32))
        .node("ReduceSum", ["x", "axis"], ["sum"], keepdims=0)
        .constant("axis", np.array([1], np.int64))
        .node("ReduceMean", ["x"], ["mean"], axes=[1], keepdims=0)
        .node("Softmax", ["x"], ["softmax"], axis=-1)
        .node("ReduceLogSumExp", ["x"], ["lse"], axes=[1], keepdims=0)
        .node("MatMul", ["z", "w"], ["product"])
        .node("ReduceSum", ["x"], ["all"], keepdims=0)
    )
