"""Writes ONNX graphs node by node: opset 17, IR version 8, dynamic batch.

The graphs are small enough to be written out; a converter would bring many
packages and would decide names and shapes by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx
from onnx import TensorProto, helper, numpy_helper

from segue_pipelines.tensor import Array, Spec

OPSET = 17
IR_VERSION = 8

_ELEMENTS = {"FP32": TensorProto.FLOAT, "INT64": TensorProto.INT64}


class Graph:
    """A graph under construction; every method returns the name of the value it made."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(self, name: str, array: Array) -> str:
        """Weights or any other fixed array."""
        self._constants.append(numpy_helper.from_array(array, name))
        return name

    def node(self, operator: str, inputs: Sequence[str], name: str, **attributes: object) -> str:
        """One operator with one output, which carries the node's name."""
        node = helper.make_node(operator, inputs, [name], name=name)
        node.attribute.extend(helper.make_attribute(k, v) for k, v in sorted(attributes.items()))
        self._nodes.append(node)
        return name

    def finish(
        self,
        inputs: Sequence[Spec],
        outputs: Sequence[Spec],
        metadata: Mapping[str, str],
        dimensions: Mapping[tuple[str, int], str] | None = None,
    ) -> bytes:
        """The checked model file.

        A dimension of -1 is named "batch" where it comes first, otherwise as
        `dimensions` says for (tensor, axis).
        """
        names = dimensions or {}
        graph = helper.make_graph(
            self._nodes,
            self._name,
            [_declare(spec, names) for spec in inputs],
            [_declare(spec, names) for spec in outputs],
            initializer=self._constants,
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="segue pipelines",
        )
        helper.set_model_props(model, dict(metadata))
        onnx.checker.check_model(model, full_check=True)
        encoded: bytes = model.SerializeToString(deterministic=True)
        return encoded


def _declare(spec: Spec, names: Mapping[tuple[str, int], str]) -> onnx.ValueInfoProto:
    shape: list[int | str] = []
    for axis, size in enumerate(spec.shape):
        fallback = "batch" if axis == 0 else f"{spec.name}_{axis}"
        shape.append(names.get((spec.name, axis), fallback) if size == -1 else size)
    return helper.make_tensor_value_info(spec.name, _ELEMENTS[spec.datatype], shape)
