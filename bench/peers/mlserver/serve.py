"""MLServer with a model class of ONNX Runtime.

    serve.py --port 8000 --workers 1 --dir EMPTY tiny=tiny.onnx cnn=cnn.onnx

The workers are its own inference processes beside the one that speaks HTTP; 0
runs the models in that one.
"""

import argparse
import json
import os
import pathlib
import socket
import sys


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--workers", type=int, required=True)
    arguments.add_argument("--dir", type=pathlib.Path, required=True)
    arguments.add_argument("models", nargs="+")
    parsed = arguments.parse_args()
    settings = {
        "host": "127.0.0.1", "http_port": parsed.port, "grpc_port": free_port(), "metrics_port": free_port(),
        "parallel_workers": parsed.workers, "debug": False, "metrics_endpoint": None,
    }
    (parsed.dir / "settings.json").write_text(json.dumps(settings))
    for model in parsed.models:
        name, path = model.split("=", 1)
        (parsed.dir / name).mkdir()
        model_settings = {"name": name, "implementation": "onnx_model.OnnxModel", "parameters": {"uri": path}}
        (parsed.dir / name / "model-settings.json").write_text(json.dumps(model_settings))
    environment = os.environ | {"PYTHONPATH": str(pathlib.Path(__file__).resolve().parent)}
    os.execve(sys.executable, [sys.executable, "-c", "from mlserver.cli import main; main()", "start", str(parsed.dir)], environment)


if __name__ == "__main__":
    main()
