"""Tensors keep every bit on their way through JSON."""

import json

import numpy as np
import pytest

from segue_pipelines import layout
from segue_pipelines.tensor import Spec, Tensor, request


def test_float32_values_come_back_bit_for_bit() -> None:
    bits = np.random.default_rng(1).integers(0, 0x7F800000, 20_000, dtype=np.uint32)
    sent = Tensor("x", bits.view(np.float32).reshape(200, 100))
    back = Tensor.from_json(json.loads(layout.dumps(sent.to_json())))
    np.testing.assert_array_equal(back.array.view(np.uint32), sent.array.view(np.uint32))
    assert (back.name, back.datatype) == ("x", "FP32")


def test_int64_values_beyond_doubles_come_back() -> None:
    sent = Tensor("id", np.array([2**53 + 1, -(2**63), 2**63 - 1]))
    back = Tensor.from_json(json.loads(json.dumps(sent.to_json())))
    np.testing.assert_array_equal(back.array, sent.array)


def test_whole_floats_are_written_without_a_point() -> None:
    text = json.dumps(Tensor("roll", np.array([0, 1, 2], np.float32)).to_json()["data"])
    assert text == "[0, 1, 2]"


def test_a_type_without_a_name_is_refused() -> None:
    with pytest.raises(TypeError, match="x: float64"):
        _ = Tensor("x", np.zeros(1)).datatype


def test_data_that_does_not_fill_the_shape_is_refused() -> None:
    document = {"name": "x", "datatype": "FP32", "shape": [2, 2], "data": [1, 2, 3]}
    with pytest.raises(ValueError, match="x: 3 values"):
        Tensor.from_json(document)


@pytest.mark.parametrize(
    ("shape", "accepted"),
    [((3, 4), True), ((1, 4), True), ((0, 4), True), ((3, 5), False), ((4,), False)],
)
def test_a_signature_accepts_any_size_where_it_says_minus_one(
    shape: tuple[int, ...], accepted: bool
) -> None:
    spec = Spec("x", "FP32", (-1, 4))
    assert spec.accepts(Tensor("x", np.zeros(shape, np.float32))) is accepted
    assert not spec.accepts(Tensor("y", np.zeros(shape, np.float32)))
    assert not spec.accepts(Tensor("x", np.zeros(shape, np.int64)))


def test_a_request_has_an_id_only_if_it_was_given_one() -> None:
    tensor = Tensor("x", np.zeros(1, np.float32))
    assert list(request([tensor])) == ["inputs"]
    assert request([tensor], "a")["id"] == "a"


def test_the_layout_puts_one_field_a_line_and_lists_of_numbers_on_one() -> None:
    document = {"a": {"b": list(range(30)), "c": []}, "d": [{"e": 1}, {"e": None}], "f": "ü"}
    text = layout.dumps(document)
    assert json.loads(text) == document
    assert '    "b": [0,1,2,' in text
    assert '  "f": "ü"\n}\n' in text
