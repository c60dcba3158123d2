"""KServe's model server with ONNX Runtime.

    serve.py --port 8000 --workers 1 --dir EMPTY tiny=tiny.onnx cnn=cnn.onnx
"""

import argparse

import kserve
import numpy
import onnxruntime
from kserve.utils.utils import generate_uuid


class OnnxModel(kserve.Model):
    """Answers requests of the Open Inference Protocol."""

    def __init__(self, name: str, path: str) -> None:
        super().__init__(name)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.outputs = [o.name for o in self.session.get_outputs()]
        self.ready = True

    def predict(self, payload: kserve.InferRequest, headers=None, response_headers=None) -> kserve.InferResponse:  # noqa: ANN001
        feeds: dict[str, numpy.ndarray] = {i.name: i.as_numpy() for i in payload.inputs}
        outputs = []
        for name, value in zip(self.outputs, self.session.run(self.outputs, feeds)):
            output = kserve.InferOutput(name=name, shape=list(value.shape), datatype="FP32" if value.dtype == numpy.float32 else "INT64")
            output.set_data_from_numpy(value, binary_data=False)
            outputs.append(output)
        return kserve.InferResponse(response_id=generate_uuid(), model_name=self.name, infer_outputs=outputs)


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--workers", type=int, required=True)
    arguments.add_argument("--dir")
    arguments.add_argument("models", nargs="+")
    parsed = arguments.parse_args()
    models = [OnnxModel(*m.split("=", 1)) for m in parsed.models]
    server = kserve.ModelServer(http_port=parsed.port, workers=parsed.workers, enable_grpc=False, enable_docs_url=False, access_log_format=None)
    server.start(models)


if __name__ == "__main__":
    main()
