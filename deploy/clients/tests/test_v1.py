"""V1 predict and status over plain HTTP, as TensorFlow Serving and KServe define them."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import numpy as np
import pytest

from segue_clients.catalogue import goldens
from segue_clients.oracle import Oracle
from segue_clients.tensor import Array, Json, Tensor, assert_same
from segue_clients.wire import Wire

WINE = (np.arange(39, dtype=np.float32) / 7).reshape(3, 13)
Oracles = Mapping[tuple[str, str], Oracle]


@pytest.fixture
def want(oracles: Oracles) -> Mapping[str, Array]:
    """What version 1 of the wine model answers."""
    return oracles["wine", "1"].run([Tensor("features", WINE)])


def predict(wire: Wire, path: str, body: Json) -> Json:
    """A prediction that must be answered."""
    answer = wire.post(path, body)
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


def test_models_are_listed(wire: Wire) -> None:
    """By name."""
    models = wire.get("/v1/models").json()["models"]
    assert {"mozart", "wine", "recommender", "magika"} <= set(models)


def test_status_answers_both_forms_at_once(wire: Wire) -> None:
    """KServe's `ready` and TensorFlow Serving's list of versions."""
    status = wire.get("/v1/models/mozart").json()
    assert (status["name"], status["ready"]) == ("mozart", True)
    available = {"state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    assert status["model_version_status"] == [
        {"version": version, **available} for version in "123"
    ]
    (one,) = wire.get("/v1/models/mozart/versions/2").json()["model_version_status"]
    assert one == {"version": "2", **available}


@pytest.mark.parametrize("path", ["/v1/models/wine:predict", "/v1/models/wine/versions/1:predict"])
@pytest.mark.parametrize("named", [True, False])
def test_rows(wire: Wire, want: Mapping[str, Array], path: str, named: bool) -> None:
    """A row is a bare value where the model has one input, or an object that names it."""
    rows = [{"features": row} if named else row for row in WINE.tolist()]
    answer = predict(wire, path, {"signature_name": "serving_default", "instances": rows})
    assert list(answer) == ["predictions"] or set(answer) == {"predictions", "model_version"}
    got = np.array([row["probabilities"] for row in answer["predictions"]], np.float32)
    assert_same(got, want["probabilities"], "probabilities")
    assert [row["label"] for row in answer["predictions"]] == want["label"].tolist()


@pytest.mark.parametrize("named", [True, False])
def test_columns(wire: Wire, want: Mapping[str, Array], named: bool) -> None:
    """Whole tensors in, whole tensors out."""
    inputs: Json = {"features": WINE.tolist()} if named else WINE.tolist()
    outputs = predict(wire, "/v1/models/wine/versions/1:predict", {"inputs": inputs})["outputs"]
    assert_same(
        np.array(outputs["probabilities"], np.float32), want["probabilities"], "probabilities"
    )
    assert outputs["label"] == want["label"].tolist()


def test_one_output_is_not_named(wire: Wire, oracles: Oracles) -> None:
    """Where a model has one output, its values stand alone."""
    rows = oracles["lookup", "1"].run([Tensor("id", np.array([3, 9, 0]))])["row"]
    for body, member in (
        ({"instances": [3, 9, 0]}, "predictions"),
        ({"inputs": [3, 9, 0]}, "outputs"),
    ):
        answer = predict(wire, "/v1/models/lookup:predict", body)
        assert_same(np.array(answer[member], np.float32), rows, member)


def test_rows_of_several_inputs(wire: Wire, oracles: Oracles) -> None:
    """Every golden of the recommender as rows and as columns."""
    for golden in goldens("recommender", "2"):
        by_name = {tensor.name: tensor.array.tolist() for tensor in golden.inputs}
        rows = [
            dict(zip(by_name, values, strict=True))
            for values in zip(*by_name.values(), strict=True)
        ]
        scores = oracles["recommender", "2"].run(golden.inputs)["scores"]
        path = "/v1/models/recommender/versions/2:predict"
        assert_same(
            np.array(predict(wire, path, {"instances": rows})["predictions"], np.float32),
            scores,
            golden.name,
        )
        assert_same(
            np.array(predict(wire, path, {"inputs": by_name})["outputs"], np.float32),
            scores,
            golden.name,
        )


def test_texts_and_base64(wire: Wire) -> None:
    """Strings as they are, and `{"b64": …}` for bytes."""
    encoded = {"b64": base64.b64encode("Köchel".encode()).decode()}
    instances = [{"left": encoded, "right": " 488"}, {"left": "", "right": {"b64": ""}}]
    answer = predict(wire, "/v1/models/join:predict", {"instances": instances})
    assert answer["predictions"] == ["Köchel 488", ""]
    columns = {"left": ["a\u0000b", "\U0001d11e"], "right": ["", "x"]}
    assert predict(wire, "/v1/models/join:predict", {"inputs": columns})["outputs"] == [
        "a\u0000b",
        "\U0001d11ex",
    ]


def test_scalars_and_no_inputs_in_columns(wire: Wire) -> None:
    """What has no rows is asked for as columns."""
    outputs = predict(wire, "/v1/models/add-scalars:predict", {"inputs": {"a": 0.1, "b": 0.2}})[
        "outputs"
    ]
    assert outputs == {"sum": 0.1 + 0.2, "difference": 0.1 - 0.2}
    outputs = predict(wire, "/v1/models/no-inputs:predict", {"inputs": {}})["outputs"]
    assert outputs["one"] == 2**63 - 1
    assert np.array(outputs["table"], np.float32).shape == (2, 3)


@pytest.mark.parametrize(
    ("model", "body", "says"),
    [
        ("wine", b'{"instances": [', "byte 15"),
        ("wine", {}, "instances"),
        ("wine", {"instances": [WINE[0].tolist()], "inputs": []}, "both"),
        ("wine", {"instances": []}, "empty"),
        ("wine", {"instances": {"features": []}}, "instances"),
        ("wine", {"instances": [[1, 2]]}, '"features"'),
        ("wine", {"instances": [WINE[0].tolist(), [1]]}, '"features"'),
        ("wine", {"instances": [["a"] * 13]}, '"features"'),
        ("wine", {"instances": [{"age": [1]}]}, '"age"'),
        ("wine", {"instances": [WINE[0].tolist()] * 33}, "33"),
        ("recommender", {"instances": [{"user_id": 1}]}, '"candidate_ids"'),
        (
            "recommender",
            {
                "instances": [
                    {"user_id": 1, "candidate_ids": [1]},
                    {"user_id": 1, "candidate_ids": [1, 2]},
                ]
            },
            '"candidate_ids"',
        ),
        ("join", {"instances": [{"left": {"b64": "%"}, "right": ""}]}, '"left"'),
        ("join", {"instances": [{"left": {"b65": ""}, "right": ""}]}, '"left"'),
    ],
)
def test_a_bad_request_is_explained(wire: Wire, model: str, body: Json, says: str) -> None:
    """400 and where it was wrong."""
    answer = wire.post(f"/v1/models/{model}:predict", body)
    assert answer.status == 400, answer.body
    assert says in answer.error


def test_outputs_without_rows_are_refused_as_rows(wire: Wire) -> None:
    """Not a failure of the model: 400 that names the output and says what to send instead."""
    scalar = wire.post("/v1/models/add-scalars:predict", {"instances": [{"a": 1, "b": 2}]})
    shapes = wire.post("/v1/models/echo-fp32:predict", {"instances": [[1, 2], [3, 4], [5, 6]]})
    for answer, output in ((scalar, '"'), (shapes, '"shape"')):
        assert answer.status == 400, answer.body
        assert output in answer.error
        assert "inputs" in answer.error
