"""What every answer carries, and how numbers and names are written."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from segue_clients.tensor import DTYPES, Json, Tensor, assert_same
from segue_clients.wire import Wire, read_outputs

ROW = list(range(13))
WINE: Json = {"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 13], "data": ROW}]}


def test_headers_of_a_prediction(wire: Wire) -> None:
    """Version, variant, index, request and prediction; ids are never given twice."""
    seen = set()
    for path in (
        "/v2/models/wine/infer",
        "/v2/models/wine/versions/2/infer",
        "/v1/models/wine:predict",
    ):
        body = WINE if "infer" in path else {"instances": [ROW]}
        for _ in range(20):
            headers = wire.post(path, body).headers
            assert headers["segue-model-version"] == ("2" if "versions" in path else "1")
            assert headers["segue-variant"] == "v" + headers["segue-model-version"]
            assert int(headers["segue-config-index"]) >= 1
            assert headers["x-request-id"]
            assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", headers["segue-prediction-id"])
            seen.add(headers["segue-prediction-id"])
    assert len(seen) == 60


def test_the_split_answers_by_both_versions(wire: Wire) -> None:
    """Variants have the document's names, and a user stays with one."""
    body = {"instances": [{"user_id": 1, "candidate_ids": [2]}]}
    path = "/v1/models/recommender:predict"
    names = {"1": "control", "2": "more-factors"}
    versions = set()
    for user in range(40):
        answers = {
            wire.post(path, body, {"X-User-Id": f"user-{user}"}).headers["segue-model-version"]
            for _ in range(3)
        }
        assert len(answers) == 1
        versions |= answers
    assert versions == {"1", "2"}
    for _ in range(10):
        headers = wire.post(path, body).headers
        assert headers["segue-variant"] == names[headers["segue-model-version"]]


def test_a_request_id_comes_back(wire: Wire) -> None:
    """From answers and from refusals."""
    for path in ("/v2", "/v2/models/wine", "/nowhere"):
        assert (
            wire.get(path, {"X-Request-Id": "requiem-626"}).headers["x-request-id"] == "requiem-626"
        )
    assert (
        wire.post("/v2/models/wine/infer", b"{", {"X-Request-Id": "k-1"}).headers["x-request-id"]
        == "k-1"
    )


def test_head_answers_like_get_without_a_body(wire: Wire) -> None:
    """Same status, same length."""
    for path in (
        "/v2",
        "/v2/health/ready",
        "/v2/models/wine",
        "/v1/models",
        "/v1/models/wine",
        "/v2/models/nobody",
    ):
        got, head = wire.get(path), wire.send("HEAD", path, None)
        assert (head.status, head.body) == (got.status, b"")
        assert head.headers["content-length"] == got.headers["content-length"]


def test_the_id_and_odd_text_come_back(wire: Wire) -> None:
    """Escapes, quotes and all of Unicode."""
    odd = 'k "488"\\\n\u0001 Ö \U0001d11e'
    assert wire.post("/v2/models/wine/infer", {**WINE, "id": odd}).json()["id"] == odd
    assert "id" not in wire.post("/v2/models/wine/infer", WINE).json()


def test_members_in_any_order_nested_or_flat(wire: Wire) -> None:
    """Data before its shape, lists in lists, spaces anywhere."""
    want = read_outputs(wire.post("/v2/models/wine/infer", WINE))
    nested = b"""
      { "outputs" : [ ] , "inputs" : [ {
        "data" : [ [ 0, 1.0, 2e0, 0.3e1, 40e-1, 5, 6, 7, 8, 9, 10, 11, 12 ] ] ,
        "later" : {"is": ["not", null]}, "shape" : [ 1 , 13 ] ,
        "datatype" : "FP32" , "name" : "features" } ] ,
        "id" : "x" , "anything" : true }
    """
    got = read_outputs(wire.post("/v2/models/wine/infer", nested))
    for name, array in want.items():
        assert_same(got[name], array, name)


@pytest.mark.parametrize("kind", ["FP64", "FP32", "FP16"])
def test_decimal_digits_are_read_exactly(wire: Wire, kind: str) -> None:
    """The nearest value of the type for digits that are hard to round; halves to even."""
    texts = [
        "9007199254740993",
        "0.1e-400",
        "1" + "0" * 30 + "e-30",
        "2.2250738585072011e-308",
        "4.9406564584124654e-324",
        "1.7976931348623157e308",
        "8.5070591730234615865843651857942052864e37",
        "1.00000005960464477539062500000000000001",
        "1.000000059604644775390625",
        "5.9604644775390625e-8",
        "2.98023223876953125e-8",
        "65503.99",
        "-0",
        "-0.0e5",
        "123456789012345678901234567890",
    ]
    dtype: type[np.floating[Any]] = DTYPES[kind]
    with np.errstate(over="ignore"):
        texts = [text for text in texts if np.isfinite(nearest(text, dtype))]
    body = (
        f'{{"parameters":{{"binary_data_output":true}},"inputs":[{{"name":"x","datatype":"{kind}",'
        f'"shape":[1,{len(texts)}],"data":[{",".join(texts)}]}}]}}'
    )
    answer = wire.post(f"/v2/models/echo-{kind.lower()}/infer", body.encode())
    want = np.array([[nearest(text, dtype) for text in texts]], dtype)
    assert_same(read_outputs(answer)["y"], want, "y")


def nearest(text: str, dtype: type[np.floating[Any]]) -> np.floating[Any]:
    """The value of the type nearest to a decimal; ties go to the even one."""
    exact = Fraction(Decimal(text))
    first = dtype(float(text))
    if not np.isfinite(first):
        return first
    with np.errstate(over="ignore"):
        candidates = [
            np.nextafter(first, dtype(-np.inf)),
            first,
            np.nextafter(first, dtype(np.inf)),
        ]
    finite = [one for one in candidates if np.isfinite(one)]
    distance = {i: abs(Fraction(float(one)) - exact) for i, one in enumerate(finite)}
    least = min(distance.values())
    tied = [finite[i] for i, away in distance.items() if away == least]
    even = [one for one in tied if int.from_bytes(one.tobytes(), "little") % 2 == 0]
    chosen = tied[0] if len(tied) == 1 else even[0]
    return dtype(-0.0) if chosen == 0 and text.startswith("-") else chosen


def test_doubles_are_written_exactly(wire: Wire) -> None:
    """Every digit that tells a double from its neighbours, and none that does not."""
    rng = np.random.default_rng(11)
    values = np.frombuffer(rng.bytes(8 * 4000), np.float64)
    values = values[np.isfinite(values)].reshape(1, -1)
    answer = wire.post("/v2/models/echo-fp64/infer", {"inputs": [Tensor("x", values).to_json()]})
    assert_same(read_outputs(answer)["y"], values, "y")
    written = answer.body.split(b'"data":[')[1].split(b"]")[0].decode().split(",")
    shortest = [Decimal(repr(value)) for value in values.reshape(-1).tolist()]
    assert [Decimal(number) for number in written] == shortest
