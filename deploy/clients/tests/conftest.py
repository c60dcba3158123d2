"""One gateway for all tests, and a process that cannot reach beyond loopback."""

from __future__ import annotations

from segue_clients import loopback

loopback.stay()  # before any client is imported

import os  # noqa: E402
from collections.abc import Iterator, Mapping  # noqa: E402
from pathlib import Path  # noqa: E402

import pytest  # noqa: E402
import tritonclient.http as triton  # noqa: E402

from segue_clients import catalogue  # noqa: E402
from segue_clients.catalogue import WINE, Catalogue  # noqa: E402
from segue_clients.gateway import Gateway  # noqa: E402
from segue_clients.oracle import Oracle  # noqa: E402
from segue_clients.tensor import Array, Tensor  # noqa: E402
from segue_clients.wire import Wire  # noqa: E402


@pytest.fixture(scope="session")
def program() -> Path:
    """The gateway under test; without it the tests fail."""
    path = Path(os.environ.get("SEGUE_BINARY", "../../bin/segue")).resolve()
    assert os.access(path, os.X_OK), (
        f"{path} is no program: run make build, or name one with SEGUE_BINARY"
    )
    return path


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    """Every model that the gateway serves."""
    return catalogue.build(tmp_path_factory.mktemp("served") / "config")


@pytest.fixture(scope="session")
def gateway(program: Path, served: Catalogue) -> Iterator[Gateway]:
    """The gateway that serves them."""
    with Gateway(program, served.folder, served.folder.parent / "state") as running:
        yield running


@pytest.fixture(autouse=True)
def _alive(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test may end the gateway: the one that did is named."""
    yield
    if "gateway" in request.fixturenames:
        running: Gateway = request.getfixturevalue("gateway")
        assert running.running(), f"the gateway is gone\n{running.log()}"


@pytest.fixture(scope="session")
def wire(gateway: Gateway) -> Wire:
    """Plain HTTP to the data listener."""
    return Wire(gateway.data)


@pytest.fixture(scope="session")
def client(gateway: Gateway) -> Iterator[triton.InferenceServerClient]:
    """Triton's own client."""
    with triton.InferenceServerClient(gateway.data) as connected:
        yield connected


@pytest.fixture(scope="session")
def oracles(served: Catalogue) -> Mapping[tuple[str, str], Oracle]:
    """ONNX Runtime on the same files, by model and version."""
    return _Oracles(served)


@pytest.fixture
def want(oracles: Mapping[tuple[str, str], Oracle]) -> Mapping[str, Array]:
    """What the wine model answers to WINE; all of its traffic goes to version 1."""
    return oracles["wine", "1"].run([Tensor("features", WINE)])


class _Oracles(dict[tuple[str, str], Oracle]):
    """Opened when first asked for."""

    def __init__(self, served: Catalogue) -> None:
        super().__init__()
        self._served = served

    def __missing__(self, key: tuple[str, str]) -> Oracle:
        model, version = key
        self[key] = Oracle(self._served.graphs[model][version])
        return self[key]
