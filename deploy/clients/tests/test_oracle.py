"""A request that runs alone is answered with the very bits of ONNX Runtime in process."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import ml_dtypes
import numpy as np
import pytest
import tritonclient.http as triton

from segue_clients.catalogue import goldens, quickstart_versions
from segue_clients.effort import SOAK
from segue_clients.oracle import Oracle
from segue_clients.tensor import DTYPES, Array, Tensor, assert_same, objects
from segue_clients.wire import Wire

Oracles = Mapping[tuple[str, str], Oracle]
ROUNDS = 40 if SOAK else 4
TEXTS = [
    b"",
    b"a",
    "Köchel 626 \U0001d11e 音".encode(),
    b"nul \x00 inside\x00",
    b'quote " back \\ \n\t/',
    b"x" * 5000,
]


class Check:
    """Asks the gateway in four ways and holds each answer against the oracle."""

    def __init__(self, wire: Wire, client: triton.InferenceServerClient, oracles: Oracles) -> None:
        self._wire, self._client, self._oracles = wire, client, oracles

    def all_forms(
        self, model: str, inputs: list[Tensor], version: str = "1", json: bool = True
    ) -> Mapping[str, Array]:
        """Plain HTTP and tritonclient, each in binary and, where it has that form, JSON."""
        want = self._oracles[model, version].run(inputs)
        path = f"/v2/models/{model}/versions/{version}/infer"
        self._same(self._wire.infer(path, inputs, binary=True), want, "binary")
        self._same(
            self._triton(model, version, inputs, want, binary=True), want, "tritonclient, binary"
        )
        kinds = {one.datatype for one in [*inputs, *map(Tensor, want.keys(), want.values())]}
        if json and "BF16" not in kinds:
            self._same(self._wire.infer(path, inputs, binary=False), want, "JSON")
            self._same(
                self._triton(model, version, inputs, want, binary=False), want, "tritonclient, JSON"
            )
        return want

    def _triton(
        self,
        model: str,
        version: str,
        inputs: list[Tensor],
        want: Mapping[str, Array],
        binary: bool,
    ) -> Mapping[str, Array]:
        tensors = []
        for one in inputs:
            tensor = triton.InferInput(one.name, list(one.array.shape), one.datatype)
            tensor.set_data_from_numpy(one.array, binary_data=binary)
            tensors.append(tensor)
        asked = [triton.InferRequestedOutput(name, binary_data=binary) for name in want]
        result = self._client.infer(model, tensors, model_version=version, outputs=asked)
        answers = {name: result.as_numpy(name) for name in want}
        for name, array in answers.items():
            if array.dtype == np.object_:  # str in JSON, bytes in binary
                texts = [
                    one.encode() if isinstance(one, str) else one
                    for one in array.reshape(-1).tolist()
                ]
                answers[name] = objects(texts).reshape(array.shape)
        return answers

    def _same(self, got: Mapping[str, Array], want: Mapping[str, Array], form: str) -> None:
        assert list(got) == list(want), form
        for name, array in want.items():
            assert_same(got[name], array, f"{form}: output {name}")


@pytest.fixture
def check(wire: Wire, client: triton.InferenceServerClient, oracles: Oracles) -> Check:
    """The four ways."""
    return Check(wire, client, oracles)


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """The same numbers for a test in every run."""
    return np.random.default_rng(zlib.crc32(request.node.name.encode()))


def bits(rng: np.random.Generator, kind: str, shape: tuple[int, ...]) -> Array:
    """Random elements; floats from random bits, so that every exponent occurs, but finite."""
    dtype = np.dtype(DTYPES[kind])
    if kind == "BYTES":
        picked = [TEXTS[i] for i in rng.integers(len(TEXTS), size=int(np.prod(shape)))]
        return objects(picked).reshape(shape)
    if kind == "BOOL":
        return rng.integers(2, size=shape).astype(np.bool_)
    array = (
        np.frombuffer(rng.bytes(int(np.prod(shape)) * dtype.itemsize), dtype).reshape(shape).copy()
    )
    if "INT" not in kind:
        with np.errstate(invalid="ignore"):  # NaNs that signal
            array[~np.isfinite(array.astype(np.float64))] = dtype.type(-0.0)
    return array


def edges(kind: str) -> Array:
    """The smallest, the largest and the odd ones of a type."""
    dtype = np.dtype(DTYPES[kind])
    if kind == "BYTES":
        return objects(TEXTS)
    if kind == "BOOL":
        return np.array([False, True])
    if "INT" in kind:
        return np.array([np.iinfo(dtype).min, np.iinfo(dtype).max, 0, 1], dtype)
    info = ml_dtypes.finfo(dtype)
    small = [info.smallest_subnormal, info.tiny, info.eps]
    return np.array([0.0, -0.0, info.min, info.max, 0.1, 1 / 3, *small, *np.negative(small)], dtype)


@pytest.mark.parametrize(("model", "version"), quickstart_versions())
def test_goldens_of_every_example(check: Check, model: str, version: str) -> None:
    """Each golden request, and its recorded answer within the artifact's tolerance."""
    recorded = goldens(model, version)
    assert recorded
    for golden in recorded:
        answers = check.all_forms(model, golden.inputs, version)
        for want in golden.outputs:
            np.testing.assert_allclose(
                answers[want.name],
                want.array,
                golden.relative,
                golden.absolute,
                err_msg=golden.name,
            )


def example_inputs(rng: np.random.Generator, model: str) -> list[Tensor]:
    """Random requests of another size each time."""
    rows = int(rng.integers(1, 9))
    if model == "mozart":
        return [Tensor("roll", rng.integers(0, 3, (rows, 1, 88, 128)).astype(np.float32))]
    if model == "wine":
        return [Tensor("features", (rng.standard_normal((rows, 13)) * 100).astype(np.float32))]
    assert model == "recommender"
    candidates = rng.integers(0, 500, (rows, int(rng.integers(1, 200))))
    return [Tensor("user_id", rng.integers(0, 1000, rows)), Tensor("candidate_ids", candidates)]


@pytest.mark.parametrize(("model", "version"), quickstart_versions())
def test_random_inputs_of_every_example(
    check: Check, rng: np.random.Generator, model: str, version: str
) -> None:
    """What no golden holds: fractions, negatives, batches."""
    for _ in range(ROUNDS):
        check.all_forms(model, example_inputs(rng, model), version)


def test_basic_pitch_hears_a_chord(check: Check, rng: np.random.Generator) -> None:
    """Two seconds of audio; the model must find the three notes and nothing loud elsewhere."""
    time = np.arange(43844) / 22050
    notes = [np.sin(2 * np.pi * hertz * time) for hertz in (261.63, 329.63, 392.0)]
    audio = (np.sum(notes, axis=0) / 4).astype(np.float32).reshape(1, 43844, 1)
    answers = check.all_forms("basic-pitch", [Tensor("serving_default_input_2:0", audio)])
    heard = answers["StatefulPartitionedCall:1"][0].mean(axis=0)
    assert set(np.argsort(heard)[-3:] + 21) == {60, 64, 67}
    noise = rng.standard_normal((2, 43844, 1)).astype(np.float32)
    check.all_forms("basic-pitch", [Tensor("serving_default_input_2:0", noise)])


def test_magika_tells_files(check: Check, rng: np.random.Generator) -> None:
    """A file's first and last 1024 bytes, padded with 256, and random ones."""

    def features(content: bytes) -> Array:
        first = np.full(1024, 256, np.int32)
        last = np.full(1024, 256, np.int32)
        head, tail = (
            np.frombuffer(content[:1024], np.uint8),
            np.frombuffer(content[-1024:], np.uint8),
        )
        first[: len(head)] = head
        last[1024 - len(tail) :] = tail
        return np.concatenate([first, last])

    python = b"import os\n\n\ndef main():\n    print(os.getcwd())\n" * 9
    png = b"\x89PNG\r\n\x1a\n" + rng.bytes(3000)
    answers = check.all_forms(
        "magika", [Tensor("bytes", np.stack([features(python), features(png)]))]
    )
    best = answers["target_label"].argmax(axis=1)
    assert best[0] != best[1]
    for _ in range(ROUNDS):
        content = rng.integers(0, 257, (3, 2048)).astype(np.int32)
        check.all_forms("magika", [Tensor("bytes", content)])


@pytest.mark.parametrize("kind", DTYPES)
def test_every_data_type(check: Check, rng: np.random.Generator, kind: str) -> None:
    """Extremes and random bits come back as they went."""
    extremes = edges(kind)
    for array in [
        extremes.reshape(1, -1),
        extremes.reshape(-1, 1),
        bits(rng, kind, (7, 30)),
        bits(rng, kind, (64, 65)),
    ]:
        answers = check.all_forms(f"echo-{kind.lower()}", [Tensor("x", array)])
        assert_same(answers["y"], array, "the oracle itself")


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
@pytest.mark.parametrize("kind", DTYPES)
def test_empty_tensors(check: Check, kind: str, shape: tuple[int, int]) -> None:
    """No elements, but a shape."""
    array = np.empty(shape, DTYPES[kind])
    answers = check.all_forms(f"echo-{kind.lower()}", [Tensor("x", array)])
    assert answers["shape"].tolist() == list(shape)


def every_type(rng: np.random.Generator, shape: tuple[int, ...], left_out: str) -> list[Tensor]:
    """One tensor of each type but one."""
    return [Tensor(f"in-{kind}", bits(rng, kind, shape)) for kind in DTYPES if kind != left_out]


@pytest.mark.parametrize("left_out", ["BF16", "BYTES"])
def test_scalars_of_every_type(check: Check, rng: np.random.Generator, left_out: str) -> None:
    """Thirteen inputs and outputs whose shape is []."""
    for _ in range(ROUNDS):
        answers = check.all_forms(f"scalars-but-{left_out.lower()}", every_type(rng, (), left_out))
        assert {array.shape for array in answers.values()} == {()}


def test_scalars_in_json(check: Check, rng: np.random.Generator) -> None:
    """The same as numbers, with every double exact to its last bit."""
    for _ in range(25 * ROUNDS):
        a, b = bits(rng, "FP64", ()), bits(rng, "FP64", ())
        with np.errstate(over="ignore"):
            finite = np.isfinite(a + b) and np.isfinite(a - b)
        check.all_forms("add-scalars", [Tensor("a", a), Tensor("b", b)], json=bool(finite))


def test_a_scalar_may_come_as_one_element(wire: Wire) -> None:
    """[1] is taken for [], and answered as []."""
    inputs = [Tensor("a", np.array([0.1])), Tensor("b", np.array([0.2]))]
    for binary in (True, False):
        answers = wire.infer("/v2/models/add-scalars/infer", inputs, binary=binary)
        assert_same(answers["sum"], np.array(0.1 + 0.2), "sum")


@pytest.mark.parametrize("left_out", ["BF16", "BYTES"])
def test_many_inputs_in_any_order(check: Check, rng: np.random.Generator, left_out: str) -> None:
    """Each binary tensor is found by its place in the request, not in the signature."""
    for size in (1, 3, 64):
        inputs = every_type(rng, (size,), left_out)
        model = f"types-but-{left_out.lower()}"
        check.all_forms(model, inputs[::-1])
        check.all_forms(model, [inputs[i] for i in rng.permutation(len(inputs))])


def test_a_model_without_inputs(check: Check) -> None:
    """An empty list of inputs is a request."""
    answers = check.all_forms("no-inputs", [])
    assert answers["one"] == 2**63 - 1


def test_an_output_as_long_as_the_data_says(check: Check, rng: np.random.Generator) -> None:
    """Sizes that only the run knows, nothing found included."""
    for density in (0.0, 0.1, 1.0):
        x = (rng.random((5, 40)) < density).astype(np.float32)
        assert check.all_forms("nonzero", [Tensor("x", x)])["places"].shape == (2, int(x.sum()))
    for high in (1, 5, 10**12):
        check.all_forms("unique", [Tensor("x", rng.integers(-high, high, 50))])
    check.all_forms("unique", [Tensor("x", np.empty(0, np.int64))])


def test_shapes_follow_the_request(check: Check, rng: np.random.Generator) -> None:
    """Three dynamic sizes, which change places and may be 0."""
    for _ in range(2 * ROUNDS):
        shape = tuple(int(size) for size in rng.integers(0, 9, 3))
        x = rng.standard_normal(shape).astype(np.float32)
        check.all_forms("transpose", [Tensor("x", x)])


@pytest.mark.parametrize("width", [1, 2, 3, 7, 15, 16, 17, 33, 100, 1000, 4099])
def test_sums_add_in_the_same_order(check: Check, rng: np.random.Generator, width: int) -> None:
    """Reductions change their last bits with alignment, blocking and threads."""
    for rows in (1, 2, 5):
        x = rng.standard_normal((rows, width)).astype(np.float32)
        z = rng.standard_normal((rows, 37)).astype(np.float32)
        check.all_forms("reductions", [Tensor("x", x), Tensor("z", z)])


def test_half_precision_arithmetic(check: Check, rng: np.random.Generator) -> None:
    """FP16 and BF16 in, FP32 and BF16 out."""
    half, brain = bits(rng, "FP16", (500,)), bits(rng, "BF16", (500,))
    check.all_forms("halves", [Tensor("half", half), Tensor("brain", brain)])


def test_strings_are_computed_with(check: Check, rng: np.random.Generator) -> None:
    """Empty ones, zeros inside and all of Unicode, in and out."""
    left, right = bits(rng, "BYTES", (40,)), bits(rng, "BYTES", (40,))
    joined = check.all_forms("join", [Tensor("left", left), Tensor("right", right)])["joined"]
    assert joined.tolist() == [a + b for a, b in zip(left.tolist(), right.tolist(), strict=True)]
    text = objects([b"", b"one", "zwei Wörter".encode(), b"four of these words"])
    assert check.all_forms("split", [Tensor("text", text)])["words"].shape == (4, 4)


def test_bytes_need_not_be_text(wire: Wire) -> None:
    """The binary form carries what is not UTF-8; the oracle's Python binding cannot."""
    array = objects([b"\xff\xfe", b"\x80", bytes(range(256))]).reshape(1, 3)
    answers = wire.infer("/v2/models/echo-bytes/infer", [Tensor("x", array)], binary=True)
    assert_same(answers["y"], array, "y")


@pytest.mark.parametrize(
    ("kind", "mask", "exponent"),
    [
        ("FP16", np.uint16, 0x7C00),
        ("BF16", np.uint16, 0x7F80),
        ("FP32", np.uint32, 0x7F800000),
        ("FP64", np.uint64, 0x7FF0000000000000),
    ],
)
def test_nan_and_infinity_keep_their_bits(
    check: Check, rng: np.random.Generator, kind: str, mask: type[np.unsignedinteger], exponent: int
) -> None:
    """Payloads of NaN included, through the binary form."""
    random = np.frombuffer(rng.bytes(4000), mask).reshape(2, -1)
    array = (random | mask(exponent)).view(DTYPES[kind])
    with np.errstate(invalid="ignore"):  # NaNs that signal
        assert np.isnan(array).mean() > 0.9
    array[1, 0] = np.inf
    check.all_forms(f"echo-{kind.lower()}", [Tensor("x", array)], json=False)
