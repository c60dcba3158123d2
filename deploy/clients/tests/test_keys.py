"""Where keys are configured every route is closed until opened, for the public clients too."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from tritonclient.utils import InferenceServerException

from segue_clients.catalogue import QUICKSTART
from segue_clients.gateway import Gateway
from segue_clients.wire import Wire

KEYS: Mapping[str, Mapping[str, object]] = {
    "app": {"permissions": ["predict"]},
    "wine-only": {"permissions": ["predict"], "models": ["wine"]},
    "viewer": {"permissions": ["metadata"]},
    "operator": {"permissions": ["predict", "metadata", "health", "feedback", "admin"]},
}
ROW: Mapping[str, object] = {
    "inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 13], "data": list(range(13))}]
}
MIB = 1 << 20


def bearer(name: str) -> dict[str, str]:
    """The header with that key."""
    return {"Authorization": f"Bearer key-of-{name}"}


@pytest.fixture(scope="module")
def closed(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with keys, open health, and a small limit for bodies."""
    folder = tmp_path_factory.mktemp("closed") / "config"
    shutil.copytree(QUICKSTART, folder)
    (folder / "_settings.yaml").unlink()
    keys = [
        {"name": name, "sha256": hashlib.sha256(f"key-of-{name}".encode()).hexdigest(), **rights}
        for name, rights in KEYS.items()
    ]
    settings = {"schema": 1, "keys": keys, "public": ["health"], "limits": {"max_body": "1MiB"}}
    (folder / "_settings.json").write_text(json.dumps(settings), encoding="utf-8")
    with Gateway(program, folder, folder.parent / "state", bearer("operator")) as gateway:
        yield gateway


ALL = ("app", "wine-only", "viewer", "operator")
ROUTES = [
    ("GET", "/v2", ("app", "wine-only", "viewer", "operator")),
    ("GET", "/v2/models/wine", ALL),
    ("GET", "/v2/models/wine/config", ALL),
    ("GET", "/v2/models/stats", ALL),
    ("GET", "/v1/models", ALL),
    ("GET", "/v1/models/wine", ALL),
    ("POST", "/v2/repository/index", ALL),
    ("POST", "/v2/models/wine/infer", ("app", "wine-only", "operator")),
    ("POST", "/v2/models/wine/versions/2/infer", ("app", "wine-only", "operator")),
    ("GET", "/v2/models/mozart", ("app", "viewer", "operator")),
]


@pytest.mark.parametrize(("method", "path", "allowed"), ROUTES)
def test_a_route_opens_to_its_keys_only(
    closed: Gateway, method: str, path: str, allowed: tuple[str, ...]
) -> None:
    """200 with a key that may, 403 with one that may not, 401 without or with a wrong one."""
    body = json.dumps(ROW).encode() if path.endswith("infer") else None
    wire = Wire(closed.data)
    for name in KEYS:
        answer = wire.send(method, path, body, {"Content-Type": "application/json", **bearer(name)})
        # A model that a key may not see can be unknown to it.
        refused = (403, 404) if "models" in KEYS[name] else (403,)
        assert answer.status in ((200,) if name in allowed else refused), (name, answer.body)
    for headers in (
        {},
        bearer("nobody"),
        {"Authorization": "Bearer "},
        {"Authorization": "Basic a2V5LW9mLWFwcA=="},
    ):
        answer = wire.send(method, path, body, headers)
        assert answer.status == 401, (headers, answer.body)
        assert "Bearer" in answer.headers["www-authenticate"]
        assert answer.error


def test_what_is_not_there_is_closed_as_well(closed: Gateway) -> None:
    """Who has no key learns no names: neither of routes nor of models."""
    wire = Wire(closed.data)
    for path in (
        "/",
        "/v3",
        "/v2/models/nobody",
        "/v2/models/wine/versions/9",
        "/status",
        "/metrics",
    ):
        assert wire.get(path).status == 401, path


def test_public_groups_are_open(closed: Gateway) -> None:
    """Health needs no key here."""
    with triton.InferenceServerClient(closed.data) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("wine")


def test_admin_needs_its_own_permission(closed: Gateway) -> None:
    """On loopback too."""
    for path in ("/status", "/openapi.json", "/debug/pprof/cmdline", "/log-level"):
        assert Wire(closed.admin).get(path).status == 401
        assert Wire(closed.admin).get(path, bearer("app")).status == 403
        assert Wire(closed.admin).get(path, bearer("operator")).status == 200


def test_triton_client_with_a_key(closed: Gateway) -> None:
    """Its headers argument is all that it takes."""
    tensor = triton.InferInput("features", [1, 13], "FP32").set_data_from_numpy(
        np.ones((1, 13), np.float32)
    )
    with triton.InferenceServerClient(closed.data) as client:
        assert client.infer("wine", [tensor], headers=bearer("app")).as_numpy(
            "probabilities"
        ).shape == (1, 3)
        for headers, status in (
            (None, "401"),
            (bearer("nobody"), "401"),
            (bearer("viewer"), "403"),
        ):
            with pytest.raises(InferenceServerException) as refused:
                client.infer("wine", [tensor], headers=headers)
            assert refused.value.status() == status
        listed = {
            one["name"] for one in client.get_model_repository_index(headers=bearer("wine-only"))
        }
        assert listed == {"wine"}
        stats = client.get_inference_statistics(headers=bearer("wine-only"))["model_stats"]
        assert {one["name"] for one in stats} == {"wine"}
        with pytest.raises(InferenceServerException) as refused:
            client.load_model("wine", headers=bearer("operator"))
        assert refused.value.status() == "403"


def test_kserve_client_with_a_key(closed: Gateway) -> None:
    """The same."""
    tensor = InferInput("features", [1, 13], "FP32")
    tensor.set_data_from_numpy(np.ones((1, 13), np.float32), binary_data=False)
    request = InferRequest("wine", [tensor])

    async def ask(headers: dict[str, str]) -> object:
        async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
            return await client.infer(
                f"http://{closed.data}", request, model_name="wine", headers=headers
            )

    assert asyncio.run(ask(bearer("app")))
    with pytest.raises(httpx.HTTPStatusError) as refused:
        asyncio.run(ask({}))
    assert refused.value.response.status_code == 401


def test_the_limit_for_bodies_is_the_documents(closed: Gateway) -> None:
    """A body of just the limit is read, one of a byte more is 413 with the limit in its message."""
    wire = Wire(closed.data, bearer("app"))
    body = json.dumps(ROW).encode()
    fits, over = body.ljust(MIB), body.ljust(MIB + 1)
    assert wire.post("/v2/models/wine/infer", fits).status == 200
    for path in ("/v2/models/wine/infer", "/v1/models/wine:predict", "/v2/repository/index"):
        answer = wire.post(path, over)
        assert answer.status == 413, (path, answer.body)
        assert str(MIB) in answer.error
    with triton.InferenceServerClient(closed.data) as client:
        roll = np.zeros((32, 1, 88, 128), np.float32)
        tensor = triton.InferInput("roll", list(roll.shape), "FP32").set_data_from_numpy(roll)
        with pytest.raises(InferenceServerException, match=str(MIB)) as refused:
            client.infer("mozart", [tensor], headers=bearer("app"))
        assert refused.value.status() == "413"
        with pytest.raises(InferenceServerException, match=str(MIB)) as refused:
            client.infer(
                "mozart", [tensor], headers=bearer("app"), request_compression_algorithm="gzip"
            )
        assert refused.value.status() == "413"
        one = triton.InferInput("roll", [1, 1, 88, 128], "FP32").set_data_from_numpy(roll[:1])
        assert client.infer("mozart", [one], headers=bearer("app")).as_numpy("label").shape == (1,)
