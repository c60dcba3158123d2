"""LitServe with ONNX Runtime.

    serve.py --port 8000 --workers 2 --dir EMPTY tiny=tiny.onnx cnn=cnn.onnx

The workers are the inference processes of each model.
"""

import argparse

import litserve
import numpy
import onnxruntime

TYPES = {"tensor(float)": numpy.float32, "tensor(int64)": numpy.int64}


class OnnxAPI(litserve.LitAPI):
    """Reads and writes the JSON of the Open Inference Protocol."""

    def __init__(self, name: str, path: str) -> None:
        super().__init__(api_path=f"/v2/models/{name}/infer")
        self.name, self.path = name, path

    def setup(self, device: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(self.path, options, providers=["CPUExecutionProvider"])
        self.types = {i.name: TYPES[i.type] for i in self.session.get_inputs()}
        self.outputs = [o.name for o in self.session.get_outputs()]

    def decode_request(self, request: dict) -> dict:
        return {i["name"]: numpy.array(i["data"], dtype=self.types[i["name"]]).reshape(i["shape"]) for i in request["inputs"]}

    def predict(self, x: dict) -> list:
        return self.session.run(self.outputs, x)

    def encode_response(self, output: list) -> dict:
        return {
            "model_name": self.name,
            "outputs": [
                {"name": n, "shape": v.shape, "datatype": "FP32" if v.dtype == numpy.float32 else "INT64", "data": v.ravel().tolist()}
                for n, v in zip(self.outputs, output)
            ],
        }


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--workers", type=int, required=True)
    arguments.add_argument("--dir")
    arguments.add_argument("models", nargs="+")
    parsed = arguments.parse_args()
    apis = [OnnxAPI(*m.split("=", 1)) for m in parsed.models]
    server = litserve.LitServer(apis, accelerator="cpu", workers_per_device=parsed.workers)
    server.run(host="127.0.0.1", port=parsed.port, generate_client_file=False, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
