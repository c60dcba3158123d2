"""KServe's own REST client, unmodified, against the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import httpx
import numpy as np
import pytest
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

from segue_clients.catalogue import WINE
from segue_clients.gateway import Gateway
from segue_clients.tensor import Array, assert_same

Answered = TypeVar("Answered")
Call = Callable[[Callable[[InferenceRESTClient, str], Awaitable[Answered]]], Answered]


@pytest.fixture(params=["v1", "v2"])
def protocol(request: pytest.FixtureRequest) -> str:
    """Both of KServe's protocols, where a test takes both."""
    return str(request.param)


@pytest.fixture
def call(gateway: Gateway, protocol: str) -> Call[Answered]:
    """Runs one conversation with a client of that protocol."""

    def run(conversation: Callable[[InferenceRESTClient, str], Awaitable[Answered]]) -> Answered:
        async def session() -> Answered:
            async with InferenceRESTClient(RESTConfig(protocol=protocol)) as client:
                return await conversation(client, f"http://{gateway.data}")

        return asyncio.run(session())

    return run


@pytest.mark.parametrize("protocol", ["v2"], indirect=True)
def test_server_is_live_and_ready(call: Call[bool]) -> None:
    """Both answer true."""
    assert call(lambda client, url: client.is_server_live(url)) is True
    assert call(lambda client, url: client.is_server_ready(url)) is True


def test_model_is_ready(call: Call[bool], protocol: str) -> None:
    """Both protocols say so of a model, and of one that is not there that it is not."""
    assert call(lambda client, url: client.is_model_ready(url, "mozart")) is True
    if protocol == "v2":
        assert call(lambda client, url: client.is_model_ready(url, "nobody")) is False
    else:
        with pytest.raises(httpx.HTTPStatusError, match="unknown model"):
            call(lambda client, url: client.is_model_ready(url, "nobody"))


@pytest.mark.parametrize("protocol", ["v2"], indirect=True)
@pytest.mark.parametrize("binary", [True, False])
def test_infer(call: Call[object], want: Mapping[str, Array], binary: bool) -> None:
    """Open inference protocol in both forms, bit for bit."""
    tensor = InferInput("features", [2, 13], "FP32")
    tensor.set_data_from_numpy(WINE, binary_data=binary)
    parameters = {"binary_data_output": binary}
    request = InferRequest("wine", [tensor], request_id="k 622", parameters=parameters)
    answer = call(lambda client, url: client.infer(url, request, model_name="wine"))
    assert (answer.id, answer.model_name) == ("k 622", "wine")  # type: ignore[attr-defined]
    outputs = {output.name: output.as_numpy() for output in answer.outputs}  # type: ignore[attr-defined]
    assert list(outputs) == list(want)
    for name, array in want.items():
        assert_same(outputs[name], array, name)


@pytest.mark.parametrize("protocol", ["v2"], indirect=True)
def test_infer_with_a_plain_document(call: Call[object], want: Mapping[str, Array]) -> None:
    """A dictionary with nested lists, as its users write it."""
    document = {
        "inputs": [
            {"name": "features", "shape": [2, 13], "datatype": "FP32", "data": WINE.tolist()}
        ]
    }
    headers: dict[str, str] = {}
    answer = call(
        lambda client, url: client.infer(url, document, model_name="wine", response_headers=headers)
    )
    outputs = {output.name: output.as_numpy() for output in answer.outputs}  # type: ignore[attr-defined]
    assert_same(outputs["probabilities"], want["probabilities"], "probabilities")
    assert headers["segue-model-version"] == "1"
    assert headers["segue-prediction-id"]


@pytest.mark.parametrize("protocol", ["v1"], indirect=True)
def test_predict(call: Call[Mapping[str, list[object]]], want: Mapping[str, Array]) -> None:
    """V1: rows in, rows out."""
    document = {"instances": WINE.tolist()}
    answer = call(lambda client, url: client.infer(url, document, model_name="wine"))
    rows: list[Mapping[str, object]] = answer["predictions"]  # type: ignore[assignment]
    assert_same(
        np.array([row["probabilities"] for row in rows], np.float32), want["probabilities"], "rows"
    )
    assert [row["label"] for row in rows] == want["label"].tolist()


@pytest.mark.parametrize("protocol", ["v1"], indirect=True)
def test_explain_is_not_there(call: Call[object]) -> None:
    """An explanation is nothing that the gateway offers: 404 or 501, with a reason."""
    with pytest.raises(httpx.HTTPStatusError) as refused:
        call(lambda client, url: client.explain(url, "wine", {"instances": WINE.tolist()}))
    assert refused.value.response.status_code in (404, 501)
    assert refused.value.response.json()["error"]


def test_errors_say_what_was_wrong(call: Call[object], protocol: str) -> None:
    """The gateway's message reaches the one who wrote the request."""
    if protocol == "v1":
        document: Mapping[str, object] = {"instances": [[1, 2, 3]]}
    else:
        document = {
            "inputs": [{"name": "features", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}]
        }
    with pytest.raises(httpx.HTTPStatusError, match=r'"features".*\[1,\s?3\].*13') as refused:
        call(lambda client, url: client.infer(url, document, model_name="wine"))
    assert refused.value.response.status_code == 400
