"""Answers of ONNX Runtime on the CPU, as the gateway's are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnxruntime

from segue_pipelines.tensor import Spec, Tensor

_TYPES = {"tensor(float)": "FP32", "tensor(int64)": "INT64"}


class Session:
    """One opened graph; inputs and outputs by name."""

    def __init__(self, graph: bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            graph, sess_options=options, providers=["CPUExecutionProvider"]
        )

    def inputs(self) -> list[Spec]:
        """The inputs that the graph declares."""
        return [_spec(value) for value in self._session.get_inputs()]

    def outputs(self) -> list[Spec]:
        """The outputs that the graph declares."""
        return [_spec(value) for value in self._session.get_outputs()]

    def run(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Every output, in the graph's order."""
        names = [spec.name for spec in self.outputs()]
        answers = self._session.run(names, {t.name: t.array for t in inputs})
        return [Tensor(n, np.asarray(a)) for n, a in zip(names, answers, strict=True)]


def _spec(value: onnxruntime.NodeArg) -> Spec:
    """A dimension with a name, or none at all, is one that the request decides."""
    shape = tuple(size if isinstance(size, int) else -1 for size in value.shape)
    return Spec(value.name, _TYPES[value.type], shape)
