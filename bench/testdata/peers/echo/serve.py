"""A peer for the test of the benchmark: it answers golden requests as the
manifest beside the model says, from two names of a process in turn."""

import argparse
import itertools
import json
import pathlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

arguments = argparse.ArgumentParser()
arguments.add_argument("--port", type=int, required=True)
arguments.add_argument("--workers", type=int, required=True)
arguments.add_argument("--dir", required=True)
arguments.add_argument("--mark")
arguments.add_argument("models", nargs="+")
parsed = arguments.parse_args()
answers = {}
for model in parsed.models:
    name, path = model.split("=", 1)
    for golden in json.loads(pathlib.Path(path).with_name("manifest.json").read_text())["goldens"]:
        answers[name, str(golden["inputs"][0]["data"])] = golden["outputs"]
turns = itertools.count()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        outputs = answers[self.path.split("/")[3], str(request["inputs"][0]["data"])]
        body = json.dumps({"outputs": outputs}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        if parsed.mark:
            self.send_header("Bench-Worker", f"{parsed.mark}{next(turns) % parsed.workers}")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


ThreadingHTTPServer(("127.0.0.1", parsed.port), Handler).serve_forever()
