"""Steers schemathesis: without it nearly every generated request ends at "unknown model".

Loaded by schemathesis itself (SCHEMATHESIS_HOOKS). Four in five generated names of a model
become one that is served, half of the generated inputs get the names, types and a rank that
the model takes, and a third of them elements of its type as well, so that what else was
generated reaches the decoder, the run and the encoder. All of it follows from what was
generated: the seed decides everything.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import schemathesis

from segue_clients import loopback
from segue_clients.tensor import DTYPES, Json

loopback.stay()

# Models that answer finite numbers to finite ones: others would be right to answer 500.
MODELS = [f"echo-{kind.lower()}" for kind in DTYPES] + [
    "add-scalars",
    "join",
    "lookup",
    "no-inputs",
    "nonzero",
    "scalars-but-bf16",
    "split",
    "transpose",
    "types-but-bf16",
    "unique",
]
INPUTS: Mapping[str, list[tuple[str, str]]] = {
    **{f"echo-{kind.lower()}": [("x", kind)] for kind in DTYPES},
    "add-scalars": [("a", "FP64"), ("b", "FP64")],
    "join": [("left", "BYTES"), ("right", "BYTES")],
    "lookup": [("id", "INT64")],
    "nonzero": [("x", "FP32")],
    "split": [("text", "BYTES")],
    "transpose": [("x", "FP32")],
    "unique": [("x", "INT64")],
}
RANKS = {model: 2 if model.startswith("echo-") else 1 for model in INPUTS} | {
    "nonzero": 2,
    "transpose": 3,
}
ELEMENTS: Mapping[str, list[Json]] = {
    **{kind: [0, 1, 7] for kind in DTYPES},
    **{kind: [0.1, -1.5, 3] for kind in ("FP16", "FP32", "FP64")},
    "BOOL": [True, False],
    "BYTES": ["", "two words", "\u266a\u0000"],
}
LONG_US, LONG_MS = 20_000_000, "20000"


@schemathesis.hook  # type: ignore[untyped-decorator]
def map_case(_context: schemathesis.HookContext, case: schemathesis.Case) -> schemathesis.Case:
    """Names that exist, and no deadline that may truly pass, since 504 is the answer to that."""
    lot = zlib.crc32(repr((case.path_parameters, case.headers, case.body)).encode())
    if isinstance(case.path_parameters, dict) and "model" in case.path_parameters:
        if lot % 5:
            case.path_parameters["model"] = MODELS[lot // 5 % len(MODELS)]
        if "version" in case.path_parameters and lot % 7:
            case.path_parameters["version"] = "1"
        if isinstance(case.body, dict):
            _adapt(case.body, str(case.path_parameters["model"]), lot // 100)
    if case.headers:
        if str(case.headers.get("X-Request-Timeout-Ms", "")).isdecimal():
            case.headers["X-Request-Timeout-Ms"] = LONG_MS
        if lot % 4:  # what nearly always ends a request before it is looked at
            case.headers.pop("Inference-Header-Content-Length", None)
            case.headers.pop("Content-Encoding", None)
    return case


def _adapt(body: dict[str, Json], model: str, lot: int) -> None:
    """Inputs of that model in the place of the generated ones."""
    if isinstance(body.get("parameters"), dict) and "timeout" in body["parameters"]:
        body["parameters"]["timeout"] = LONG_US
    wanted = INPUTS.get(model)
    if wanted is None or not lot % 2:
        return
    if "instances" in body and not lot % 3:
        body["instances"] = [{name: _nested(kind, model) for name, kind in wanted}] * (lot % 5)
    elif isinstance(body.get("inputs"), list):
        generated = [tensor for tensor in body["inputs"] if isinstance(tensor, dict)]
        generated += [{} for _ in wanted[len(generated) :]]
        body["inputs"] = generated[: len(wanted)]
        for tensor, (name, kind) in zip(body["inputs"], wanted, strict=True):
            tensor.update(name=name, datatype=kind)
            if not lot % 3:
                tensor.update(_flat(kind, model, lot // 6 % 5))
                tensor.pop("parameters", None)


def _flat(kind: str, model: str, count: int) -> dict[str, Json]:
    """So many elements in the model's rank, an array of them or nothing."""
    if model == "add-scalars":
        return {"shape": [], "data": [ELEMENTS[kind][count % len(ELEMENTS[kind])]]}
    return {"shape": [1] * (RANKS[model] - 1) + [count], "data": (ELEMENTS[kind] * 5)[:count]}


def _nested(kind: str, model: str) -> Json:
    """One row: all dimensions but the first."""
    value: Json = ELEMENTS[kind][0]
    for _ in range(RANKS[model] - 1):
        value = [value, value]
    return value
