"""A model of ONNX Runtime for Triton's Python backend."""

import json

import numpy
import onnxruntime
import triton_python_backend_utils as backend


class TritonPythonModel:
    """One instance is one process of the backend."""

    def initialize(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        path = config["parameters"]["path"]["string_value"]
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.inputs = [i.name for i in self.session.get_inputs()]
        self.outputs = [o.name for o in self.session.get_outputs()]

    def execute(self, requests: list) -> list:
        return [self.answer(r) for r in requests]

    def answer(self, request):  # noqa: ANN001, ANN201: the types are the backend's own
        feeds: dict[str, numpy.ndarray] = {n: backend.get_input_tensor_by_name(request, n).as_numpy() for n in self.inputs}
        answers = self.session.run(self.outputs, feeds)
        return backend.InferenceResponse([backend.Tensor(n, v) for n, v in zip(self.outputs, answers)])
