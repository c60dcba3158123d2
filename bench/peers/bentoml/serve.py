"""BentoML with ONNX Runtime.

    serve.py --port 8000 --workers 2 --dir EMPTY tiny=tiny.onnx cnn=cnn.onnx
"""

import argparse
import json
import os
import pathlib
import sys


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--port", required=True)
    arguments.add_argument("--workers", required=True)
    arguments.add_argument("--dir", required=True)
    arguments.add_argument("models", nargs="+")
    parsed = arguments.parse_args()
    environment = os.environ | {
        "PEER_MODELS": json.dumps(dict(m.split("=", 1) for m in parsed.models)), "PEER_WORKERS": parsed.workers,
        "BENTOML_HOME": parsed.dir, "BENTOML_DO_NOT_TRACK": "True",
    }
    folder = str(pathlib.Path(__file__).resolve().parent)
    os.execve(
        sys.executable,
        [sys.executable, "-m", "bentoml", "serve", "service:Service", "--working-dir", folder, "--host", "127.0.0.1", "--port", parsed.port],
        environment,
    )


if __name__ == "__main__":
    main()
