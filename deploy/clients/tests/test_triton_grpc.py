"""tritonclient.grpc, unmodified, against the gateway."""

from __future__ import annotations

import queue
from collections.abc import Iterator, Mapping

import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from segue_clients.catalogue import WINE
from segue_clients.gateway import Gateway
from segue_clients.tensor import Array, assert_same


def wine(array: Array = WINE) -> list[triton.InferInput]:
    """A request to the wine model."""
    return [triton.InferInput("features", list(array.shape), "FP32").set_data_from_numpy(array)]


@pytest.fixture(scope="module")
def client(gateway: Gateway) -> Iterator[triton.InferenceServerClient]:
    """Triton's own client."""
    with triton.InferenceServerClient(gateway.grpc) as connected:
        yield connected


def test_health(client: triton.InferenceServerClient) -> None:
    """Live, ready, and the readiness of models and versions."""
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("mozart")
    for version in "123":
        assert client.is_model_ready("mozart", version)
    for name, version in (("mozart", "4"), ("nobody", "")):
        with pytest.raises(InferenceServerException) as refused:
            client.is_model_ready(name, version)
        assert refused.value.status() == "StatusCode.NOT_FOUND"


def test_metadata_and_configuration(client: triton.InferenceServerClient) -> None:
    """What the same calls say over HTTP."""
    assert client.get_server_metadata(as_json=True)["name"] == "segue"
    mozart = client.get_model_metadata("mozart")
    assert list(mozart.versions) == ["1", "2", "3"]
    assert [(one.name, one.datatype, list(one.shape)) for one in mozart.inputs] == [
        ("roll", "FP32", [-1, 1, 88, 128])
    ]
    config = client.get_model_config("wine").config
    assert (config.name, config.backend, config.max_batch_size) == ("wine", "onnxruntime", 32)
    assert [(one.name, list(one.dims)) for one in config.input] == [("features", [13])]
    assert list(config.version_policy.specific.versions) == [1, 2]


def test_statistics_and_index(client: triton.InferenceServerClient) -> None:
    """Two more rows in one more run; every version ready."""

    def rows() -> int:
        (stats,) = client.get_inference_statistics("wine", "1").model_stats
        return int(stats.inference_count)

    before = rows()
    client.infer("wine", wine(), model_version="1")
    assert rows() == before + 2
    index = client.get_model_repository_index().models
    assert {one.state for one in index} == {"READY"}
    assert {("mozart", "3"), ("wine", "2")} <= {(one.name, one.version) for one in index}


def test_load_and_unload_are_refused(client: triton.InferenceServerClient) -> None:
    """The answer says where configuration lives."""
    for action in (client.load_model, client.unload_model):
        with pytest.raises(InferenceServerException, match="configuration") as refused:
            action("wine")
        assert refused.value.status() == "StatusCode.PERMISSION_DENIED"


@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
def test_infer(
    client: triton.InferenceServerClient, want: Mapping[str, Array], compression: str | None
) -> None:
    """The outputs that were asked for, in the order asked, to the last bit."""
    outputs = [triton.InferRequestedOutput(name) for name in ("label", "probabilities")]
    result = client.infer(
        "wine",
        wine(),
        model_version="1",
        outputs=outputs,
        request_id="k 488",
        compression_algorithm=compression,
    )
    response = result.get_response()
    assert (response.id, response.model_name, response.model_version) == ("k 488", "wine", "1")
    assert [output.name for output in response.outputs] == ["label", "probabilities"]
    for name, array in want.items():
        assert_same(result.as_numpy(name), array, name)


def test_async_infer(client: triton.InferenceServerClient, want: Mapping[str, Array]) -> None:
    """Forty requests at once over one connection."""
    answers: queue.Queue[tuple[triton.InferResult | None, object]] = queue.Queue()
    for _ in range(40):
        client.async_infer(
            "wine", wine(), lambda result, error: answers.put((result, error)), model_version="1"
        )
    for _ in range(40):
        result, error = answers.get(timeout=30)
        assert error is None
        assert result is not None
        assert_same(result.as_numpy("label"), want["label"], "label")


@pytest.mark.parametrize(
    ("parameters", "named"),
    [({"sequence_id": 7, "sequence_start": True}, "sequence_"), ({"priority": 1}, "priority")],
)
def test_what_would_change_the_meaning_is_refused(
    client: triton.InferenceServerClient, parameters: Mapping[str, object], named: str
) -> None:
    """Not ignored: the parameter is named."""
    with pytest.raises(InferenceServerException, match=named) as refused:
        client.infer("wine", wine(), **parameters)
    assert refused.value.status() == "StatusCode.INVALID_ARGUMENT"


def test_errors_and_deadlines(client: triton.InferenceServerClient) -> None:
    """Shapes, names, and a timeout that nobody can keep."""
    with pytest.raises(InferenceServerException, match="shape") as refused:
        client.infer("wine", wine(WINE[:, :3]))
    assert refused.value.status() == "StatusCode.INVALID_ARGUMENT"
    with pytest.raises(InferenceServerException, match="unknown model") as refused:
        client.infer("a b", wine())
    assert refused.value.status() == "StatusCode.NOT_FOUND"
    roll = np.zeros((32, 1, 88, 128), np.float32)
    large = [triton.InferInput("roll", list(roll.shape), "FP32").set_data_from_numpy(roll)]
    for late in ({"timeout": 1}, {"client_timeout": 0.0005}):
        with pytest.raises(InferenceServerException) as refused:
            client.infer("mozart", large, **late)
        assert refused.value.status() == "StatusCode.DEADLINE_EXCEEDED"
    client.infer("wine", wine(), timeout=900_000, client_timeout=10)


def test_stream_of_predictions(
    client: triton.InferenceServerClient, want: Mapping[str, Array]
) -> None:
    """Answers in the order asked; what fails is told and the stream goes on."""
    answers: queue.Queue[tuple[triton.InferResult | None, InferenceServerException | None]] = (
        queue.Queue()
    )
    client.start_stream(lambda result, error: answers.put((result, error)))
    for i in range(40):
        model = "nobody" if i == 20 else "wine"
        version = "" if i == 20 else "1"
        client.async_stream_infer(model, wine(), model_version=version, request_id=str(i))
    for i in range(40):
        result, error = answers.get(timeout=30)
        if i == 20:
            assert result is None
            assert error is not None
            assert "unknown model" in error.message()
            continue
        assert error is None
        assert result is not None
        assert result.get_response().id == str(i)
        assert_same(result.as_numpy("label"), want["label"], "label")
    client.stop_stream()
