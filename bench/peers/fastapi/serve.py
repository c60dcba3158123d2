"""FastAPI with ONNX Runtime, orjson both ways, no pydantic model on the path,
uvloop and httptools below. The model runs in FastAPI's pool of threads, as its
documentation has it for what blocks, or, --inline, in the event loop, which
costs less and stops everything else for as long.

    serve.py --port 8000 --workers 2 --dir EMPTY tiny=tiny.onnx cnn=cnn.onnx
"""

import argparse
import json
import os

import numpy
import onnxruntime
import orjson
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool

# What the workers, which import this file, shall serve, and how.
MODELS, INLINE = "PEER_MODELS", "PEER_INLINE"
TYPES = {"tensor(float)": numpy.float32, "tensor(int64)": numpy.int64}


def route(app: FastAPI, name: str, path: str) -> None:
    """Add the model's own route."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    types = {i.name: TYPES[i.type] for i in session.get_inputs()}
    outputs = [o.name for o in session.get_outputs()]
    inline = os.environ[INLINE] == "yes"
    headers = {"Bench-Worker": str(os.getpid())}

    async def infer(request: Request) -> Response:
        body = orjson.loads(await request.body())
        feeds = {i["name"]: numpy.array(i["data"], dtype=types[i["name"]]).reshape(i["shape"]) for i in body["inputs"]}
        answers = session.run(outputs, feeds) if inline else await run_in_threadpool(session.run, outputs, feeds)
        answer = {
            "model_name": name,
            "outputs": [
                {"name": n, "shape": v.shape, "datatype": "FP32" if v.dtype == numpy.float32 else "INT64", "data": v.ravel()}
                for n, v in zip(outputs, answers)
            ],
        }
        return Response(orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json", headers=headers)

    app.add_api_route(f"/v2/models/{name}/infer", infer, methods=["POST"], response_model=None)


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--workers", type=int, required=True)
    arguments.add_argument("--dir")
    arguments.add_argument("--inline", action="store_true")
    arguments.add_argument("models", nargs="+")
    parsed = arguments.parse_args()
    os.environ[MODELS] = json.dumps(dict(m.split("=", 1) for m in parsed.models))
    os.environ[INLINE] = "yes" if parsed.inline else "no"
    uvicorn.run(
        "serve:app", app_dir=os.path.dirname(os.path.abspath(__file__)), host="127.0.0.1", port=parsed.port,
        workers=parsed.workers, loop="uvloop", http="httptools", access_log=False, log_level="warning",
    )


if __name__ == "__main__":
    main()
else:
    app = FastAPI(openapi_url=None)
    for model, file in json.loads(os.environ[MODELS]).items():
        route(app, model, file)
