"""schemathesis on the published description: no 5xx on any input, answers as described."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from segue_clients.effort import SOAK
from segue_clients.gateway import Gateway
from segue_clients.wire import Wire

EXAMPLES = 300 if SOAK else 25
SEED = int(os.environ.get("SEED", "1"))
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
]


def test_no_input_is_answered_with_a_server_error(gateway: Gateway, tmp_path: Path) -> None:
    """Valid and invalid requests to every operation, from a fixed seed; SOAK=1 sends more."""
    report = tmp_path / "report.ndjson"
    ran = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            "run",
            f"http://{gateway.admin}/openapi.json",
            f"--url=http://{gateway.data}",
            f"--seed={SEED}",
            f"--max-examples={EXAMPLES}",
            "--phases=examples,coverage,fuzzing",
            f"--checks={','.join(CHECKS)}",
            "--continue-on-failure",
            "--request-timeout=30",
            f"--report-ndjson-path={report}",
        ],
        cwd=tmp_path,
        env={
            **os.environ,
            "SCHEMATHESIS_HOOKS": "segue_clients.api_hooks",
            "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
            "NO_COLOR": "1",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert ran.returncode == 0, f"seed {SEED}\n{ran.stdout[-8000:]}\n{ran.stderr[-2000:]}"
    # It did not pass because nothing was sent, or because nothing came as far as a model.
    (generated,) = re.findall(r"^\s*(\d+) generated", ran.stdout, re.MULTILINE)
    assert int(generated) > 500, ran.stdout[-3000:]
    answered = re.findall(
        r'"status_code":200,"headers":\{[^}]*"segue-prediction-id"', report.read_text()
    )
    assert len(answered) >= 20, f"seed {SEED}: {len(answered)} of {generated} were predictions"


def test_every_operation_is_described(gateway: Gateway) -> None:
    """The document is on the admin listener and names what the clients use."""
    answer = Wire(gateway.admin).get("/openapi.json")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    paths = json.loads(answer.body)["paths"]
    assert {
        "/v2",
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/{model}",
        "/v2/models/{model}/infer",
        "/v2/models/{model}/versions/{version}/infer",
        "/v2/models/{model}/config",
        "/v2/models/{model}/stats",
        "/v2/repository/index",
        "/v1/models",
        "/v1/models/{model}",
        "/v1/models/{model}:predict",
        "/v1/models/{model}/versions/{version}:predict",
    } <= set(paths)
