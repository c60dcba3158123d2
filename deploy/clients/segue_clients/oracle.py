"""ONNX Runtime in this process: what the gateway's answers are held against."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from pathlib import Path

import ml_dtypes
import numpy as np
import onnxruntime
from onnx import TensorProto

from segue_clients.tensor import Array, Tensor, aligned, objects

_BF16 = "tensor(bfloat16)"


class Oracle:
    """One opened graph on one thread, as the gateway opens it by default."""

    def __init__(self, graph: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            graph, sess_options=options, providers=["CPUExecutionProvider"]
        )
        self._types = {out.name: out.type for out in self._session.get_outputs()}

    @property
    def outputs(self) -> Sequence[str]:
        """The names of the outputs, in the graph's order."""
        return list(self._types)

    def run(self, inputs: Sequence[Tensor]) -> Mapping[str, Array]:
        """Every output by name."""
        values = [(tensor.name, aligned(tensor.array)) for tensor in inputs]
        if (
            any(array.dtype == ml_dtypes.bfloat16 for _, array in values)
            or _BF16 in self._types.values()
        ):
            return self._run_bf16(dict(values))
        feeds = {name: _texts(array) for name, array in values}
        answers = self._session.run(self.outputs, feeds)
        return {n: _bytes(np.asarray(a)) for n, a in zip(self.outputs, answers, strict=True)}

    def _run_bf16(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """The same where numpy has no type of its own: over the memory of the values."""
        bits = {
            name: array.view(np.uint16) if array.dtype == ml_dtypes.bfloat16 else array
            for name, array in inputs.items()
        }
        make = onnxruntime.OrtValue
        feeds = {
            name: make.ortvalue_from_numpy_with_onnx_type(bits[name], TensorProto.BFLOAT16)
            if array.dtype == ml_dtypes.bfloat16
            else make.ortvalue_from_numpy(_texts(array))
            for name, array in inputs.items()
        }
        answers = self._session.run_with_ort_values(self.outputs, feeds)
        return dict(zip(self.outputs, map(_array, answers), strict=True))


def _array(value: onnxruntime.OrtValue) -> Array:
    if value.data_type() != _BF16:
        return _bytes(value.numpy())
    shape = tuple(value.shape())
    size = 2 * int(np.prod(shape))
    raw = ctypes.string_at(value.data_ptr(), size) if size else b""
    return np.frombuffer(raw, ml_dtypes.bfloat16).reshape(shape)


def _texts(array: Array) -> Array:
    """Strings as ONNX Runtime's Python binding takes them."""
    if array.dtype != np.object_:
        return array
    texts = np.empty(array.size, np.object_)
    texts[:] = [element.decode() for element in array.reshape(-1).tolist()]
    return texts.reshape(array.shape)


def _bytes(array: Array) -> Array:
    if array.dtype != np.object_:
        return array
    return objects([text.encode() for text in array.reshape(-1).tolist()]).reshape(array.shape)
