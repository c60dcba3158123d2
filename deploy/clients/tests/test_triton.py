"""tritonclient.http, unmodified, against the gateway."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from segue_clients.catalogue import WINE
from segue_clients.gateway import Gateway
from segue_clients.oracle import Oracle
from segue_clients.tensor import Array, Tensor, assert_same


def wine(binary: bool = True, array: Array = WINE) -> list[triton.InferInput]:
    """A request to the wine model."""
    tensor = triton.InferInput("features", list(array.shape), "FP32")
    return [tensor.set_data_from_numpy(array, binary_data=binary)]


def test_health(client: triton.InferenceServerClient) -> None:
    """Live, ready, and the readiness of models and versions."""
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("mozart")
    for version in "123":
        assert client.is_model_ready("mozart", version)
    assert not client.is_model_ready("mozart", "4")
    assert not client.is_model_ready("nobody")


def test_server_metadata(client: triton.InferenceServerClient) -> None:
    """Name, version, and the extensions that are offered."""
    metadata = client.get_server_metadata()
    assert metadata["name"] == "segue"
    assert metadata["version"]
    assert {"binary_tensor_data", "model_configuration", "statistics"} <= set(
        metadata["extensions"]
    )


def test_model_metadata(client: triton.InferenceServerClient) -> None:
    """Versions, inputs and outputs; scalars and dynamic sizes included."""
    mozart = client.get_model_metadata("mozart")
    assert mozart == {
        "name": "mozart",
        "versions": ["1", "2", "3"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "roll", "datatype": "FP32", "shape": [-1, 1, 88, 128]}],
        "outputs": [
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 5]},
            {"name": "label", "datatype": "INT64", "shape": [-1]},
        ],
    }
    assert client.get_model_metadata("mozart", "2")["inputs"] == mozart["inputs"]
    scalars = client.get_model_metadata("add-scalars")
    assert [one["shape"] for one in scalars["inputs"]] == [[], []]
    with pytest.raises(InferenceServerException) as refused:
        client.get_model_metadata("mozart", "4")
    assert refused.value.status() == "404"


def test_model_config(client: triton.InferenceServerClient) -> None:
    """Triton's configuration, its batch dimension left out of the sizes."""
    config = client.get_model_config("wine")
    assert config["name"] == "wine"
    assert config["backend"] == "onnxruntime"
    assert config["max_batch_size"] == 32
    assert config["input"] == [{"name": "features", "data_type": "TYPE_FP32", "dims": [13]}]
    assert config["version_policy"] == {"specific": {"versions": [1, 2]}}
    texts = client.get_model_config("echo-bytes", "1")
    assert texts["input"][0]["data_type"] == "TYPE_STRING"
    assert texts["max_batch_size"] == 0
    assert texts["input"][0]["dims"] == [-1, -1]


def test_statistics_count_rows_and_runs(client: triton.InferenceServerClient) -> None:
    """Two more rows in one more run, with times, for that version alone."""

    def counts(version: str) -> Mapping[str, int]:
        (stats,) = client.get_inference_statistics("wine", version)["model_stats"]
        assert (stats["name"], stats["version"]) == ("wine", version)
        inference = stats["inference_stats"]
        return {
            "rows": stats["inference_count"],
            "runs": stats["execution_count"],
            "success": inference["success"]["count"],
            "fail": inference["fail"]["count"],
            "ns": inference["success"]["ns"],
            "last": stats["last_inference"],
        }

    before, other = counts("1"), counts("2")
    client.infer("wine", wine(), model_version="1")
    with pytest.raises(InferenceServerException):
        client.infer("wine", wine(array=WINE[:, :12]), model_version="1")
    after = counts("1")
    assert {name: after[name] - before[name] for name in ("rows", "runs", "success", "fail")} == {
        "rows": 2,
        "runs": 1,
        "success": 1,
        "fail": 1,
    }
    assert after["ns"] > before["ns"]
    assert after["last"] > 1_700_000_000_000
    assert counts("2") == other
    everything = client.get_inference_statistics()["model_stats"]
    assert {("mozart", "3"), ("wine", "2"), ("no-inputs", "1")} <= {
        (s["name"], s["version"]) for s in everything
    }


def test_repository_index(client: triton.InferenceServerClient) -> None:
    """Every version of every model, ready."""
    index = client.get_model_repository_index()
    versions = {(one["name"], one["version"]): one["state"] for one in index}
    assert set(versions.values()) == {"READY"}
    assert {("mozart", "1"), ("mozart", "2"), ("mozart", "3"), ("magika", "1")} <= set(versions)


def test_load_and_unload_are_refused(client: triton.InferenceServerClient) -> None:
    """403, and the answer says where configuration lives."""
    for action in (client.load_model, client.unload_model):
        with pytest.raises(InferenceServerException) as refused:
            action("wine")
        assert refused.value.status() == "403"
        assert "configuration" in refused.value.message()
    with pytest.raises(InferenceServerException) as refused:
        client.load_model("wine", config="{}", files={"file:1/model.onnx": b"onnx"})
    assert refused.value.status() == "403"
    assert client.is_model_ready("wine")


@pytest.mark.parametrize(
    ("binary_in", "binary_out"), list(itertools.product([True, False], repeat=2))
)
def test_infer_in_both_forms(
    client: triton.InferenceServerClient,
    want: Mapping[str, Array],
    binary_in: bool,
    binary_out: bool,
) -> None:
    """Each mixture of forms, with the outputs that were asked for, in the order asked."""
    outputs = [
        triton.InferRequestedOutput(name, binary_data=binary_out)
        for name in ("label", "probabilities")
    ]
    result = client.infer(
        "wine", wine(binary_in), model_version="1", outputs=outputs, request_id="k 488"
    )
    response = result.get_response()
    assert response["id"] == "k 488"
    assert (response["model_name"], response["model_version"]) == ("wine", "1")
    assert [output["name"] for output in response["outputs"]] == ["label", "probabilities"]
    for name, array in want.items():
        assert_same(result.as_numpy(name), array, name)
        assert ("data" in result.get_output(name)) == (not binary_out)


def test_infer_one_output_of_two(
    client: triton.InferenceServerClient, want: Mapping[str, Array]
) -> None:
    """The other is not in the answer; without a choice both are, in binary."""
    asked = [triton.InferRequestedOutput("label", binary_data=False)]
    result = client.infer("wine", wine(), model_version="1", outputs=asked)
    assert [output["name"] for output in result.get_response()["outputs"]] == ["label"]
    assert result.as_numpy("probabilities") is None
    everything = client.infer("wine", wine(), model_version="1")
    for name, array in want.items():
        assert_same(everything.as_numpy(name), array, name)
        assert "binary_data_size" in everything.get_output(name)["parameters"]
    with pytest.raises(InferenceServerException, match="unknown output") as refused:
        client.infer("wine", wine(), outputs=[triton.InferRequestedOutput("bouquet")])
    assert refused.value.status() == "400"


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("response", [None, "gzip", "deflate"])
@pytest.mark.parametrize("request_", [None, "gzip", "deflate"])
def test_compression_both_ways(
    client: triton.InferenceServerClient,
    oracles: Mapping[tuple[str, str], Oracle],
    request_: str | None,
    response: str | None,
    binary: bool,
) -> None:
    """The same bits through every pair of codings; large enough that a server compresses."""
    roll = np.zeros((8, 1, 88, 128), np.float32)
    roll[:, :, 40:52, ::16] = 2
    tensor = triton.InferInput("roll", list(roll.shape), "FP32")
    tensor.set_data_from_numpy(roll, binary_data=binary)
    result = client.infer(
        "mozart",
        [tensor],
        model_version="2",
        outputs=[
            triton.InferRequestedOutput(name, binary_data=binary)
            for name in ("probabilities", "label")
        ],
        request_compression_algorithm=request_,
        response_compression_algorithm=response,
    )
    for name, array in oracles["mozart", "2"].run([Tensor("roll", roll)]).items():
        assert_same(result.as_numpy(name), array, name)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_large_answer_is_compressed(client: triton.InferenceServerClient, coding: str) -> None:
    """What compresses well comes in the coding asked for."""
    tensor = triton.InferInput("x", [64, 1000], "FP32").set_data_from_numpy(
        np.zeros((64, 1000), np.float32)
    )
    headers = {"Accept-Encoding": coding}
    body, length = triton.InferenceServerClient.generate_request_body([tensor])
    headers["Inference-Header-Content-Length"] = str(length)
    answer = client._post("v2/models/echo-fp32/infer", body, headers, None)
    assert answer.status_code == 200
    assert answer.get("Content-Encoding") == coding
    raw = answer.read()
    assert len(raw) < 10_000
    result = triton.InferenceServerClient.parse_response_body(
        raw,
        header_length=int(answer.get("Inference-Header-Content-Length")),
        content_encoding=coding,
    )
    assert_same(result.as_numpy("y"), np.zeros((64, 1000), np.float32), "y")


def test_async_infer(gateway: Gateway, oracles: Mapping[tuple[str, str], Oracle]) -> None:
    """Forty requests over four connections, each answered with its own."""
    rng = np.random.default_rng(1)
    rows = [rng.standard_normal((1 + i % 3, 13)).astype(np.float32) for i in range(40)]
    with triton.InferenceServerClient(gateway.data, concurrency=4) as several:
        pending = [
            several.async_infer("wine", wine(array=row), model_version="2", request_id=str(i))
            for i, row in enumerate(rows)
        ]
        for i, (row, one) in enumerate(zip(rows, pending, strict=True)):
            result = one.get_result()
            assert result.get_response()["id"] == str(i)
            answer = oracles["wine", "2"].run([Tensor("features", row)])
            np.testing.assert_allclose(
                result.as_numpy("probabilities"), answer["probabilities"], 1e-4, 1e-5
            )
            assert result.as_numpy("label").tolist() == answer["label"].tolist()
        failing = several.async_infer("wine", wine(array=WINE[:, :3]))
        with pytest.raises(InferenceServerException, match="shape"):
            failing.get_result()


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"sequence_id": 7, "sequence_start": True}, "sequence_"),
        ({"sequence_id": "seven", "sequence_end": True}, "sequence_"),
        ({"priority": 1}, "priority"),
    ],
)
def test_what_would_change_the_meaning_is_refused(
    client: triton.InferenceServerClient, parameters: Mapping[str, object], named: str
) -> None:
    """Not ignored: 400 that names the parameter."""
    with pytest.raises(InferenceServerException, match=named) as refused:
        client.infer("wine", wine(), **parameters)
    assert refused.value.status() == "400"


def test_shared_memory_is_refused(client: triton.InferenceServerClient) -> None:
    """As an input, as an output, and as a region to register."""
    tensor = triton.InferInput("features", [1, 13], "FP32")
    tensor.set_shared_memory("region", 52)
    with pytest.raises(InferenceServerException, match="shared_memory") as refused:
        client.infer("wine", [tensor])
    assert refused.value.status() == "400"
    output = triton.InferRequestedOutput("label")
    output.set_shared_memory("region", 8)
    with pytest.raises(InferenceServerException, match="shared_memory") as refused:
        client.infer("wine", wine(), outputs=[output])
    assert refused.value.status() == "400"
    with pytest.raises(InferenceServerException) as refused:
        client.register_system_shared_memory("region", "/region", 52)
    assert refused.value.status() in ("403", "404", "501")


def test_other_parameters_are_ignored(
    client: triton.InferenceServerClient, want: Mapping[str, Array]
) -> None:
    """The protocol lets a server pass over what it does not know."""
    result = client.infer(
        "wine",
        wine(),
        model_version="1",
        parameters={"mood": "allegro", "tempo": 120, "loud": True},
    )
    assert_same(result.as_numpy("probabilities"), want["probabilities"], "probabilities")


def test_timeout_in_microseconds(
    client: triton.InferenceServerClient, want: Mapping[str, Array]
) -> None:
    """A long one changes nothing, one that is over before the run is 504."""
    result = client.infer("wine", wine(), model_version="1", timeout=900_000)
    assert_same(result.as_numpy("probabilities"), want["probabilities"], "probabilities")
    with pytest.raises(InferenceServerException) as late:
        client.infer("mozart", large_roll(), timeout=1)
    assert late.value.status() == "504"


def large_roll() -> list[triton.InferInput]:
    """Enough that no machine answers within a microsecond."""
    roll = np.zeros((32, 1, 88, 128), np.float32)
    return [triton.InferInput("roll", list(roll.shape), "FP32").set_data_from_numpy(roll)]


def test_names_are_quoted(client: triton.InferenceServerClient) -> None:
    """A model's name that is no name is 404, not another path."""
    for name in ("a b", "../wine", "wine/feed", "Köchel", "%77ine"):
        with pytest.raises(InferenceServerException) as refused:
            client.infer(name, wine())
        assert refused.value.status() == "404", name
