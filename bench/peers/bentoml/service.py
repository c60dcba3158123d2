"""A service of BentoML that runs ONNX Runtime."""

import json
import os

import bentoml
import numpy
import onnxruntime

TYPES = {"tensor(float)": numpy.float32, "tensor(int64)": numpy.int64}
MODELS = json.loads(os.environ["PEER_MODELS"])


class Onnx:
    """One model."""

    def __init__(self, name: str, path: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.name, self.session = name, onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.types = {i.name: TYPES[i.type] for i in self.session.get_inputs()}
        self.outputs = [o.name for o in self.session.get_outputs()]

    def infer(self, inputs: list[dict]) -> dict:
        feeds = {i["name"]: numpy.array(i["data"], dtype=self.types[i["name"]]).reshape(i["shape"]) for i in inputs}
        return {
            "model_name": self.name,
            "outputs": [
                {"name": n, "shape": list(v.shape), "datatype": "FP32" if v.dtype == numpy.float32 else "INT64", "data": v.ravel().tolist()}
                for n, v in zip(self.outputs, self.session.run(self.outputs, feeds))
            ],
        }


def endpoint(name: str):  # noqa: ANN201: BentoML's own type
    """Make the method that answers for one model."""

    def infer(self, inputs: list[dict]) -> dict:  # noqa: ANN001
        return self.models[name].infer(inputs)

    infer.__name__ = f"infer_{name}"  # under which BentoML looks for it
    return bentoml.api(route=f"/v2/models/{name}/infer")(infer)


def load(self) -> None:  # noqa: ANN001
    self.models = {name: Onnx(name, path) for name, path in MODELS.items()}


Service = bentoml.service(workers=int(os.environ["PEER_WORKERS"]), logging={"access": {"enabled": False}})(
    type("Service", (), {"__init__": load} | {f"infer_{name}": endpoint(name) for name in MODELS})
)
