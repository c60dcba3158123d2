"""What is wrong with a request is said, and where; nothing is paid for it but its own bytes."""

from __future__ import annotations

import gzip
import json
import re
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from segue_clients.catalogue import Catalogue
from segue_clients.gateway import Gateway
from segue_clients.tensor import Json
from segue_clients.wire import HEADER_LENGTH, Answer, Wire

ROW = list(range(13))


@dataclass(frozen=True)
class Case:
    """One bad request: the answer's status and what its message must hold, each a pattern."""

    name: str
    body: bytes | Json
    says: tuple[str, ...]
    path: str = "/v2/models/wine/infer"
    status: int = 400
    headers: dict[str, str] = field(default_factory=dict)


def wine(**changes: Json) -> Json:
    """A request to the wine model with members of its only input changed; None leaves one out."""
    tensor = {"name": "features", "datatype": "FP32", "shape": [1, 13], "data": ROW, **changes}
    return {"inputs": [{name: value for name, value in tensor.items() if value is not None}]}


def element(value: str) -> bytes:
    """A request whose third number is that text."""
    return json.dumps(wine()).replace("[0, 1, 2,", f"[0, 1, {value},").encode()


def echo(kind: str, shape: list[int], text: str) -> bytes:
    """A request to the model that echoes a type."""
    return b'{"inputs":[{"name":"x","datatype":"%s","shape":%s,"data":%s}]}' % (
        kind.encode(),
        json.dumps(shape).encode(),
        text.encode(),
    )


MALFORMED = [
    Case("an object cut short", b'{"inputs": [}', (r"byte 12\b",)),
    Case("the end too early", b'{"inputs": [', (r"byte 12\b",)),
    Case("no JSON at all", b"features=1", (r"byte 0\b",)),
    Case("nothing", b"", ("empty|byte 0",)),
    Case("a list", b"[]", ("object",)),
    Case(
        "more behind",
        json.dumps(wine()).encode() + b" x",
        (rf"byte {len(json.dumps(wine())) + 1}\b",),
    ),
    Case("a comma too many", b'{"inputs":[],}', (r"byte 13\b",)),
    Case("a number with a zero in front", element("007"), (r"byte \d+",)),
    Case("a bare word", element("nan"), (r"byte \d+",)),
    Case("bytes that are no UTF-8", b'{"id":"\xff","inputs":[]}', ("byte 7|UTF-8",)),
    Case("half a surrogate pair", b'{"id":"\\ud834","inputs":[]}', (r"byte \d+",)),
    Case("a hundred thousand brackets", b'{"x":' + b"[" * 100_000, ("nest|deep|level",)),
    Case("an id that is a number", {**wine(), "id": 7}, ("id", "string")),
    Case("inputs that are an object", {"inputs": {"features": ROW}}, ("inputs", "list")),
    Case("inputs given twice", b'{"inputs":[],"inputs":[]}', ("inputs", "twice")),
    Case("no inputs", {}, ("features", "missing")),
    Case("inputs null", {"inputs": None}, ("features", "missing")),
]

SIGNATURE = [
    Case(
        "a size that differs",
        wine(shape=[1, 12], data=ROW[:12]),
        ('"features"', r"\[1,\s?12\]", "13"),
    ),
    Case("a dimension too many", wine(shape=[1, 1, 13]), ('"features"', r"\[1,\s?1,\s?13\]")),
    Case("no dimension", wine(shape=[]), ('"features"', r"\[\]")),
    Case("a negative size", wine(shape=[-1, 13]), ('"features"', "negative")),
    Case("a size that is no number", wine(shape=["1", 13]), ("shape", "integer")),
    Case("a size with a fraction", wine(shape=[1.5, 13]), ("shape", "integer")),
    Case("no shape", wine(shape=None), ('"features"', "shape")),
    Case("another data type", wine(datatype="FP64"), ('"features"', "FP64", "FP32")),
    Case("no data type of the protocol", wine(datatype="FP33"), ('"features"', "FP33")),
    Case("no data type", wine(datatype=None), ('"features"', "datatype")),
    Case("no name", wine(name=None), ("name",)),
    Case("no data", wine(data=None), ('"features"', "data")),
    Case("too few elements", wine(data=ROW[:12]), ('"features"', "12", "13")),
    Case("too many elements", wine(data=[*ROW, 13]), ('"features"', "13")),
    Case(
        "nested otherwise than the shape",
        wine(shape=[2, 13], data=[[1] * 14, [1] * 12]),
        ('"features"',),
    ),
    Case("a string for a number", element('"3"'), ('"features"', r"byte \d+|\b2\b")),
    Case("a boolean for a number", element("true"), ('"features"',)),
    Case("null for a number", element("null"), ('"features"',)),
    Case("an object for a number", element("{}"), ('"features"',)),
    Case(
        "an unknown input",
        {"inputs": [*wine()["inputs"], {**wine()["inputs"][0], "name": "age"}]},
        ('"age"', '"features"'),
    ),
    Case("an input twice", {"inputs": wine()["inputs"] * 2}, ('"features"', "twice")),
    Case(
        "an unknown output", {**wine(), "outputs": [{"name": "age"}]}, ('"age"', '"probabilities"')
    ),
    Case("an output twice", {**wine(), "outputs": [{"name": "label"}] * 2}, ('"label"', "twice")),
    Case("an output without a name", {**wine(), "outputs": [{}]}, ("outputs", "name")),
    Case(
        "more rows than a batch takes",
        wine(shape=[33, 13], data=ROW * 33),
        ('"features"', "33", "32"),
    ),
    Case(
        "an input missing",
        {"inputs": [{"name": "user_id", "datatype": "INT64", "shape": [1], "data": [1]}]},
        ('"candidate_ids"', "missing"),
        "/v2/models/recommender/infer",
    ),
    Case(
        "a dimension over the document's limit",
        {
            "inputs": [
                {"name": "user_id", "datatype": "INT64", "shape": [1], "data": [1]},
                {
                    "name": "candidate_ids",
                    "datatype": "INT64",
                    "shape": [1, 1001],
                    "data": [1] * 1001,
                },
            ]
        },
        ('"candidate_ids"', "1001", "1000"),
        "/v2/models/recommender/infer",
    ),
]

OVERFLOW = [
    Case(
        f"{kind} of {shape}",
        echo(kind, shape, "[]"),
        ('"x"',),
        f"/v2/models/echo-{kind.lower()}/infer",
    )
    for kind in ("BOOL", "FP32", "FP64", "BYTES")
    for shape in ([4096, 2**52], [4096, 2**63 - 1], [4096, 2**60])
] + [
    Case("a size over 64 bits", wine(shape=[2**64 + 1, 13]), ("64-bit",)),
    Case(
        "an empty one with a huge other size",
        echo("FP32", [0, 2**63 - 1], "[1]"),
        ('"x"',),
        "/v2/models/echo-fp32/infer",
    ),
]

GREEDY = [
    Case(
        f"{kind} of {shape} in a few bytes",
        echo(kind, shape, "[1]"),
        ('"x"',),
        f"/v2/models/echo-{kind.lower()}/infer",
        status,
    )
    for kind, shape, status in [
        ("UINT8", [4096, 10**5], 400),
        ("FP64", [4096, 10**4], 400),
        ("BYTES", [4096, 10**9], 400),
        ("FP64", [4096, 10**6], 413),
        ("BOOL", [4095, 2**40], 413),
    ]
]

RANGES = [
    Case(
        f"{value} as {kind}",
        echo(kind, [1, 1], f"[{value}]"),
        ('"x"', kind),
        f"/v2/models/echo-{kind.lower()}/infer",
    )
    for kind, value in [
        ("UINT8", "256"),
        ("UINT8", "-1"),
        ("INT8", "-129"),
        ("UINT16", "65536"),
        ("INT16", "32768"),
        ("UINT32", "4294967296"),
        ("INT32", "-2147483649"),
        ("UINT64", "18446744073709551616"),
        ("INT64", "9223372036854775808"),
        ("INT64", "1.5"),
        ("INT64", "1e30"),
        ("BOOL", "2"),
        ("BF16", "1"),
    ]
] + [
    Case(
        "a number as BYTES",
        echo("BYTES", [1, 1], "[1]"),
        ('"x"', "string"),
        "/v2/models/echo-bytes/infer",
    ),
    Case(
        "a text as BOOL", echo("BOOL", [1, 1], '["true"]'), ('"x"',), "/v2/models/echo-bool/infer"
    ),
]


def framed(
    head: Json, tail: bytes, length: int | str | None = None
) -> tuple[bytes, dict[str, str]]:
    """JSON with binary data behind it, and the header that says where it begins."""
    raw = json.dumps(head).encode()
    value = len(raw) if length is None else length
    return raw + tail, {HEADER_LENGTH: str(value), "Content-Type": "application/octet-stream"}


def binary_case(
    name: str,
    says: tuple[str, ...],
    tail: bytes = bytes(52),
    size: Json = 52,
    length: int | str | None = None,
    **changes: Json,
) -> Case:
    """A request to the wine model in the binary form."""
    members: dict[str, Json] = {"data": None, "parameters": {"binary_data_size": size}, **changes}
    body, headers = framed(wine(**members), tail, length)
    return Case(name, body, says, headers=headers)


BINARY = [
    binary_case("fewer bytes than announced", ('"features"', "51|52"), tail=bytes(51)),
    binary_case("no bytes at all", ('"features"', "52"), tail=b""),
    binary_case(
        "fewer bytes than the shape takes", ('"features"', "48", "52"), tail=bytes(48), size=48
    ),
    binary_case(
        "more bytes than the shape takes", ('"features"', "56", "52"), tail=bytes(56), size=56
    ),
    binary_case("bytes left over", ("4 bytes",), tail=bytes(56)),
    binary_case("a negative size", ("binary_data_size",), size=-1),
    binary_case("a size over 64 bits", ("binary_data_size",), size=2**64),
    binary_case("a size that is a string", ("binary_data_size",), size="52"),
    binary_case("both forms at once", ('"features"', "data"), data=ROW),
    binary_case("a header length over the body's", (HEADER_LENGTH, "100000"), length=100_000),
    binary_case("a header length of 0", (HEADER_LENGTH, "0"), length=0),
    binary_case("a negative header length", (HEADER_LENGTH,), length=-1),
    binary_case("a header length that is no number", (HEADER_LENGTH,), length="ten"),
    Case(
        "a header length that is empty",
        {"inputs": []},
        (HEADER_LENGTH,),
        "/v2/models/no-inputs/infer",
        headers={HEADER_LENGTH: ""},
    ),
    binary_case("a header length beyond 64 bits", (HEADER_LENGTH,), length="1" + "0" * 30),
    binary_case("a header length in hexadecimal", (HEADER_LENGTH,), length="0x10"),
    binary_case("a header length that cuts the JSON", (r"byte \d+",), length=20),
    binary_case("a header length into the binary data", (r"14 bytes|byte \d+",), length=150),
    Case(
        "binary data without the header",
        wine(data=None, parameters={"binary_data_size": 52}),
        ('"features"', HEADER_LENGTH),
    ),
]


def texts_case(name: str, tail: bytes, shape: tuple[int, int]) -> Case:
    """Elements of BYTES whose lengths are wrong."""
    head = {
        "inputs": [
            {
                "name": "x",
                "datatype": "BYTES",
                "shape": shape,
                "parameters": {"binary_data_size": len(tail)},
            }
        ]
    }
    body, headers = framed(head, tail)
    return Case(name, body, ('"x"',), "/v2/models/echo-bytes/infer", headers=headers)


TEXTS = [
    texts_case("half a length", b"\x01\x00", (1, 1)),
    texts_case("a length over what is there", struct.pack("<I", 2**32 - 1) + b"a", (1, 1)),
    texts_case("fewer elements", struct.pack("<I", 1) + b"a", (1, 2)),
    texts_case("more elements", (struct.pack("<I", 1) + b"a") * 2, (1, 1)),
    texts_case("many elements and few bytes", struct.pack("<I", 1) + b"a", (4096, 10**9)),
]

ALL = [*MALFORMED, *SIGNATURE, *OVERFLOW, *GREEDY, *RANGES, *BINARY, *TEXTS]


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_a_bad_request_is_explained(wire: Wire, served: Catalogue, case: Case) -> None:
    """4xx, the error document alone, what was wrong, and no path of this machine."""
    refused(wire.post(case.path, case.body, case.headers), case, served.folder)


def refused(answer: Answer, case: Case, folder: Path) -> None:
    """Holds the answer against the case."""
    assert answer.status == case.status, answer.body[:300]
    for pattern in case.says:
        assert re.search(pattern, answer.error), f"want {pattern!r} in {answer.error!r}"
    assert str(folder) not in answer.error
    assert len(answer.error) < 1000
    assert answer.headers["x-request-id"]


def gather(user: int, candidate: int) -> Json:
    """A request to the recommender."""
    return {
        "inputs": [
            {"name": "user_id", "datatype": "INT64", "shape": [1], "data": [user]},
            {"name": "candidate_ids", "datatype": "INT64", "shape": [1, 1], "data": [candidate]},
        ]
    }


@pytest.mark.parametrize(
    ("path", "bad", "good"),
    [
        ("/v2/models/recommender/versions/1/infer", gather(1_000_000, 0), gather(1, 2)),
        ("/v2/models/recommender/versions/2/infer", gather(0, -501), gather(1, 2)),
        (
            "/v1/models/recommender:predict",
            {"instances": [{"user_id": 0, "candidate_ids": [2**62]}]},
            {"instances": [{"user_id": 0, "candidate_ids": [2]}]},
        ),
        ("/v1/models/lookup:predict", {"inputs": [10]}, {"inputs": [9]}),
    ],
)
def test_an_id_that_is_not_there_is_the_clients_error(
    wire: Wire, path: str, bad: Json, good: Json
) -> None:
    """400 as often as it is asked, and the model goes on answering others."""
    for _ in range(30):
        answer = wire.post(path, bad)
        assert answer.status == 400, answer.body
        assert answer.error
    assert wire.post(path, good).status == 200


NOWHERE = [
    ("POST", "/v2/models/nobody/infer", 404, "nobody"),
    ("POST", "/v2/models/wine/versions/9/infer", 404, "9"),
    ("POST", "/v1/models/nobody:predict", 404, "nobody"),
    ("POST", "/v1/models/wine/versions/9:predict", 404, "9"),
    ("GET", "/v2/models/nobody", 404, "nobody"),
    ("GET", "/v2/models/nobody/ready", 404, "nobody"),
    ("GET", "/v2/models/wine/versions/9/ready", 404, "9"),
    ("GET", "/v2/models/nobody/config", 404, "nobody"),
    ("GET", "/v2/models/nobody/stats", 404, "nobody"),
    ("GET", "/v1/models/nobody", 404, "nobody"),
    ("GET", "/", 404, ""),
    ("GET", "/v3", 404, ""),
    ("GET", "/v2/", 404, ""),
    ("GET", "/v2/models/wine/explain", 404, ""),
    ("GET", "/status", 404, ""),
    ("GET", "/openapi.json", 404, ""),
    ("GET", "/debug/pprof/", 404, ""),
    ("PUT", "/log-level", 404, ""),
    ("GET", "/metrics", 404, ""),
    ("GET", "/v2/models/wine/infer", 405, "POST"),
    ("DELETE", "/v2/models/wine", 405, "GET"),
    ("POST", "/v2/health/ready", 405, "GET"),
    ("PUT", "/v1/models/wine:predict", 405, "POST"),
]


@pytest.mark.parametrize(("method", "path", "status", "says"), NOWHERE)
def test_what_is_not_there(wire: Wire, method: str, path: str, status: int, says: str) -> None:
    """404 names what was asked for, 405 says what is allowed; nothing of admin is here."""
    body = json.dumps(wine()).encode() if method == "POST" else None
    answer = wire.send(method, path, body, {"Content-Type": "application/json"})
    assert answer.status == status, answer.body
    if status == 405:
        assert says in answer.headers["allow"].split(", ")
    assert says in answer.error


def numbers(text: str) -> bytes:
    """A request to a model of one FP32 input of one dimension."""
    return b'{"inputs":[{"name":"x","datatype":"FP32","shape":[%d],"data":[%s]}]}' % (
        text.count(",") + 1,
        text.encode(),
    )


def test_nonfinite_inputs_are_taken(wire: Wire) -> None:
    """NaN, Infinity and -Infinity, as Python's json module writes them."""
    body = echo("FP64", [1, 4], "[NaN, Infinity, -Infinity, 0.1]").replace(
        b'{"inputs"', b'{"parameters":{"binary_data_output":true},"inputs"'
    )
    answer = wire.post("/v2/models/echo-fp64/infer", body)
    assert answer.status == 200, answer.body
    tail = answer.body[int(answer.headers[HEADER_LENGTH.lower()]) :]
    values = np.frombuffer(tail[:32], np.float64)
    assert np.isnan(values[0])
    assert values[1:].tolist() == [np.inf, -np.inf, 0.1]


def test_nonfinite_outputs_are_an_error_by_default(wire: Wire) -> None:
    """500 that names output and index and says how to get them all the same."""
    answer = wire.post("/v2/models/log-error/infer", numbers("1, 2, 0, -1"))
    assert answer.status == 500
    assert re.search(r'"y"', answer.error)
    assert re.search(r"\b2\b", answer.error)
    assert "binary_data" in answer.error
    assert wire.post("/v2/models/log-error/infer", numbers("1, 2, 3")).status == 200
    predicted = wire.post("/v1/models/log-error:predict", {"inputs": [1, 0]})
    assert predicted.status == 500
    assert '"y"' in predicted.error


@pytest.mark.parametrize(
    ("policy", "data"),
    [("null", "[0.0,null,null,null]"), ("literal", "[0.0,-Infinity,NaN,Infinity]")],
)
def test_nonfinite_outputs_as_the_document_says(wire: Wire, policy: str, data: str) -> None:
    """`null` and `literal`, in both protocols."""
    want = re.sub(r"\b0\.0\b", "0", data)
    for path, body in [
        (f"/v2/models/log-{policy}/infer", numbers("1, 0, -1, Infinity")),
        (f"/v1/models/log-{policy}:predict", b'{"inputs":[1, 0, -1, Infinity]}'),
        (f"/v1/models/log-{policy}:predict", b'{"instances":[1, 0, -1, Infinity]}'),
    ]:
        answer = wire.post(path, body)
        assert answer.status == 200, answer.body
        assert want.encode() in answer.body.replace(b" ", b"").replace(b"0.0", b"0")


@pytest.mark.parametrize(
    ("headers", "body", "status", "says"),
    [
        ({"Content-Type": "text/plain"}, b"{}", 415, "text/plain"),
        ({"Content-Type": "application/xml"}, b"<x/>", 415, "application/xml"),
        ({"Content-Encoding": "br"}, b"{}", 415, "br"),
        ({"Content-Encoding": "gzip"}, b"{}", 400, "gzip"),
        (
            {"Content-Encoding": "gzip"},
            gzip.compress(json.dumps(wine()).encode())[:-9],
            400,
            "gzip",
        ),
        ({"Content-Encoding": "deflate"}, zlib.compress(b"{}")[:-2], 400, "deflate"),
        ({"Content-Encoding": "zstd"}, b"\x28\xb5\x2f\xfd", 400, "zstd"),
        ({"Content-Encoding": "gzip"}, gzip.compress(bytes(70 << 20), 1), 413, "limit"),
        (
            {"X-Request-Timeout-Ms": "soon"},
            json.dumps(wine()).encode(),
            400,
            "X-Request-Timeout-Ms",
        ),
        ({"X-Request-Timeout-Ms": "0"}, json.dumps(wine()).encode(), 400, "X-Request-Timeout-Ms"),
    ],
)
def test_headers_that_are_not_understood(
    wire: Wire, headers: dict[str, str], body: bytes, status: int, says: str
) -> None:
    """Type, coding and timeout; a body that unpacks to more than the limit is too large."""
    answer = wire.post("/v2/models/wine/infer", body, headers)
    assert answer.status == status, answer.body
    assert says in answer.error


def test_content_types_that_are_taken(wire: Wire) -> None:
    """JSON with parameters of the type, none at all, and what curl sends by itself."""
    for kind in (
        "application/json; charset=utf-8",
        "application/x-www-form-urlencoded",
        "application/octet-stream",
    ):
        answer = wire.post("/v2/models/wine/infer", wine(), {"Content-Type": kind})
        assert answer.status == 200, (kind, answer.body)


def head(*lines: str) -> bytes:
    """The head of a request for a prediction, with those header lines too."""
    first = ("POST /v2/models/wine/infer HTTP/1.1", "Host: x", "Content-Type: application/json")
    return "\r\n".join([*first, *lines, "", ""]).encode()


@pytest.mark.parametrize("lines", [(), ("Expect: 100-continue",)])
@pytest.mark.parametrize("length", [(64 << 20) + 1, 1 << 40])
def test_a_body_over_the_limit_is_not_awaited(
    wire: Wire, lines: tuple[str, ...], length: int
) -> None:
    """413 from the length alone, and no invitation to send it."""
    answer = wire.raw(head(f"Content-Length: {length}", *lines), timeout=4)
    assert answer.status == 413
    assert str(64 << 20) in answer.error


def test_a_body_in_chunks_over_the_limit(wire: Wire) -> None:
    """413 when it is reached, without a length."""
    chunk = b"%x\r\n%s\r\n" % (1 << 20, b" " * (1 << 20))
    answer = wire.raw(head("Transfer-Encoding: chunked") + chunk * 65, half_close=True)
    assert answer.status == 413


def test_a_body_in_chunks(wire: Wire) -> None:
    """A request without a length is read as well."""
    body = json.dumps(wine()).encode()
    chunks = b"".join(
        b"%x\r\n%s\r\n" % (len(body[i : i + 50]), body[i : i + 50]) for i in range(0, len(body), 50)
    )
    chunked = head("Transfer-Encoding: chunked")
    assert wire.raw(chunked + chunks + b"0\r\n\r\n").status == 200
    assert wire.raw(chunked + b"zz\r\n{}\r\n0\r\n\r\n").status == 400


def test_a_body_that_ends_early(wire: Wire) -> None:
    """400 that says how much came."""
    body = json.dumps(wine()).encode()
    answer = wire.raw(head(f"Content-Length: {len(body) + 10}") + body, half_close=True)
    assert answer.status == 400
    assert str(len(body)) in answer.error


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ([b"Content-Length: 2", b"Transfer-Encoding: chunked"], 400),
        ([b"Content-Length: 2", b"Content-Length: 3"], 400),
        ([b"Content-Length: -1"], 400),
        ([b"Content-Length: 2", b"Inference Header: 1"], 400),
        ([b"Content-Length: 2", b"X-Long: " + b"a" * 100_000], 431),
    ],
)
def test_headers_that_two_servers_could_read_differently(
    wire: Wire, lines: list[bytes], status: int
) -> None:
    """Refused before the body, whatever the body is."""
    request = b"\r\n".join([b"POST /v2/models/wine/infer HTTP/1.1", b"Host: x", *lines, b"", b"{}"])
    assert wire.raw(request).status == status


def test_refusals_cost_no_memory(gateway: Gateway, wire: Wire) -> None:
    """Shapes that promise gigabytes leave the process as it was."""
    greedy = [*GREEDY, *OVERFLOW, *TEXTS]
    for case in greedy:
        wire.post(case.path, case.body, case.headers)
    before = gateway.resident_bytes()
    for _ in range(20):
        for case in greedy:
            assert wire.post(case.path, case.body, case.headers).status == case.status
    assert gateway.resident_bytes() - before < 32 << 20
