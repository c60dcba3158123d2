"""Plain HTTP, for what the clients cannot send: bytes exactly as given, answers exactly as read."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from segue_clients.tensor import Array, Json, Tensor, from_binary, from_numbers, to_binary

HEADER_LENGTH = "Inference-Header-Content-Length"


@dataclass(frozen=True)
class Answer:
    """One answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Json:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The message of the error document, which must be all that the body holds."""
        document = self.json()
        assert list(document) == ["error"], document
        assert self.headers["content-type"] == "application/json"
        return str(document["error"])


class Wire:
    """Requests to one listener, each on a connection of its own."""

    def __init__(self, address: str, headers: Mapping[str, str] | None = None) -> None:
        self._address = address
        self._headers = dict(headers or {})

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """GET."""
        return self.send("GET", path, None, headers)

    def post(
        self, path: str, body: bytes | Json, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """POST; what is not bytes is sent as JSON."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.send("POST", path, raw, {"Content-Type": "application/json", **(headers or {})})

    def send(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Any request."""
        connection = http.client.HTTPConnection(self._address, timeout=30)
        try:
            connection.request(method, path, body, {**self._headers, **(headers or {})})
            response = connection.getresponse()
            fields = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, fields, response.read())
        finally:
            connection.close()

    def raw(self, request: bytes, half_close: bool = False, timeout: float = 30) -> Answer:
        """Bytes as they are; half_close says that no more will come."""
        host, port = self._address.split(":")
        with (
            socket.create_connection((host, int(port)), timeout=timeout) as connection,
            contextlib.closing(http.client.HTTPResponse(connection)) as response,
        ):
            connection.sendall(request)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            response.begin()
            fields = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, fields, response.read())

    def infer(
        self, path: str, inputs: Sequence[Tensor], *, binary: bool, outputs: Sequence[str] = ()
    ) -> Mapping[str, Array]:
        """The outputs of a model that must answer 200, both ways in one of the two forms."""
        request: dict[str, Json] = {"inputs": []}
        if outputs:
            request["outputs"] = [
                {"name": name, "parameters": {"binary_data": binary}} for name in outputs
            ]
        else:
            request["parameters"] = {"binary_data_output": binary}
        tail = b""
        for tensor in inputs:
            if not binary:
                request["inputs"].append(tensor.to_json())
                continue
            raw = to_binary(tensor.array)
            request["inputs"].append(
                {**tensor.header(), "parameters": {"binary_data_size": len(raw)}}
            )
            tail += raw
        head = json.dumps(request).encode()
        headers = {}
        if binary and inputs:
            headers = {HEADER_LENGTH: str(len(head)), "Content-Type": "application/octet-stream"}
        return read_outputs(self.post(path, head + tail, headers))


def read_outputs(answer: Answer) -> Mapping[str, Array]:
    """The tensors of an answer, in either form."""
    assert answer.status == 200, (answer.status, answer.body[:500])
    length = int(answer.headers.get(HEADER_LENGTH.lower(), len(answer.body)))
    document, tail = json.loads(answer.body[:length]), answer.body[length:]
    outputs = {}
    for entry in document["outputs"]:
        size = entry.get("parameters", {}).get("binary_data_size")
        if size is None:
            array = from_numbers(entry["data"], entry["datatype"], entry["shape"])
        else:
            array = from_binary(tail[:size], entry["datatype"], entry["shape"])
            tail = tail[size:]
        outputs[entry["name"]] = array
    assert not tail, f"{len(tail)} bytes behind the last output"
    return outputs
