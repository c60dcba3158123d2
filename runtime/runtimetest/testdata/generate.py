"""Writes the fixture models of package runtimetest and the answers that ONNX
Runtime's own Python package gives to them.

Run it in this folder with Python 3.11 or later and
    pip install onnx==1.23.2 onnxruntime==1.31.1 numpy ml_dtypes
    python generate.py
The output is the same bytes on every run. Every model stays under 2 KB: larger
weights are computed inside the graph from a formula, which ONNX Runtime folds
into constants when it opens the model.
"""

import base64
import json
import pathlib

import ml_dtypes
import numpy as np
import onnxruntime as ort
from onnx import TensorProto as T
from onnx import checker, external_data_helper, helper, numpy_helper

HERE = pathlib.Path(__file__).parent

TYPES = {
    "BOOL": (T.BOOL, np.bool_),
    "UINT8": (T.UINT8, np.uint8),
    "UINT16": (T.UINT16, np.uint16),
    "UINT32": (T.UINT32, np.uint32),
    "UINT64": (T.UINT64, np.uint64),
    "INT8": (T.INT8, np.int8),
    "INT16": (T.INT16, np.int16),
    "INT32": (T.INT32, np.int32),
    "INT64": (T.INT64, np.int64),
    "FP16": (T.FLOAT16, np.float16),
    "FP32": (T.FLOAT, np.float32),
    "FP64": (T.DOUBLE, np.float64),
    "BF16": (T.BFLOAT16, ml_dtypes.bfloat16),
    "BYTES": (T.STRING, np.object_),
}
PROTOCOL = {np.dtype(d): name for name, (_, d) in TYPES.items()}


def value(name, type_, shape):
    """A graph input or output; a shape of None leaves the rank open."""
    return helper.make_tensor_value_info(name, type_, shape)


def save(name, nodes, inputs, outputs, constants=(), check=True, opset=20):
    graph = helper.make_graph(nodes, name, inputs, outputs, initializer=list(constants))
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=9,
        producer_name="segue",
    )
    if check:
        checker.check_model(model)
    data = model.SerializeToString(deterministic=True)
    if len(data) >= 2048:
        raise SystemExit(f"{name}: {len(data)} bytes, want under 2 KB")
    (HERE / f"{name}.onnx").write_bytes(data)


def const(name, array):
    return numpy_helper.from_array(np.asarray(array), name)


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs, outputs, **attributes)


def formula(name, shape, step):
    """Nodes and constants that give a matrix of sin(step*i)/8."""
    n = int(np.prod(shape))
    return [
        node("Range", [f"{name}_0", f"{name}_n", f"{name}_1"], [f"{name}_i"]),
        node("Mul", [f"{name}_i", f"{name}_s"], [f"{name}_x"]),
        node("Sin", [f"{name}_x"], [f"{name}_y"]),
        node("Div", [f"{name}_y", f"{name}_8"], [f"{name}_z"]),
        node("Reshape", [f"{name}_z", f"{name}_d"], [name]),
    ], [
        const(f"{name}_0", np.float32(0)),
        const(f"{name}_n", np.float32(n)),
        const(f"{name}_1", np.float32(1)),
        const(f"{name}_s", np.float32(step)),
        const(f"{name}_8", np.float32(8)),
        const(f"{name}_d", np.asarray(shape, dtype=np.int64)),
    ]


def write_models():
    for name, (type_, _) in TYPES.items():
        low = name.lower()
        save(
            f"identity_{low}",
            [node("Identity", ["x"], ["y"])],
            [value("x", type_, ["n", "m"])],
            [value("y", type_, ["n", "m"])],
        )
        save(
            f"scalar_{low}",
            [node("Identity", ["x"], ["y"])],
            [value("x", type_, [])],
            [value("y", type_, [])],
        )
    save(
        "two_in_two_out",
        [
            node("Cast", ["k"], ["kf"], to=T.FLOAT),
            node("Unsqueeze", ["kf", "axis"], ["kc"]),
            node("Mul", ["x", "kc"], ["scaled"]),
            node("Add", ["k", "one"], ["next"]),
        ],
        [value("x", T.FLOAT, ["batch", 2]), value("k", T.INT64, ["batch"])],
        [value("scaled", T.FLOAT, ["batch", 2]), value("next", T.INT64, ["batch"])],
        [const("axis", np.asarray([1])), const("one", np.int64(1))],
    )
    save(
        "no_input",
        [node("Constant", [], ["y"], value=const("v", np.asarray([1.5, -2, 0.25], np.float32)))],
        [],
        [value("y", T.FLOAT, [3])],
    )
    save(
        "gather",
        [node("Gather", ["table", "ids"], ["rows"])],
        [value("ids", T.INT64, ["n"])],
        [value("rows", T.FLOAT, ["n", 3])],
        [const("table", np.arange(12, dtype=np.float32).reshape(4, 3) / 4)],
    )
    w1, c1 = formula("w1", (32, 64), 0.7)
    w2, c2 = formula("w2", (64, 3), 1.3)
    save(
        "mlp",
        w1
        + w2
        + [
            node("MatMul", ["x", "w1"], ["h"]),
            node("Relu", ["h"], ["r"]),
            node("MatMul", ["r", "w2"], ["y"]),
        ],
        [value("x", T.FLOAT, ["batch", 32])],
        [value("y", T.FLOAT, ["batch", 3])],
        c1 + c2,
    )
    # 8 MiB of weights once it is open, for tests of what a session leaves behind.
    w1, c1 = formula("w1", (1024, 1024), 0.7)
    w2, c2 = formula("w2", (1024, 1024), 1.3)
    save(
        "large",
        w1 + w2 + [node("MatMul", ["x", "w1"], ["h"]), node("MatMul", ["h", "w2"], ["y"])],
        [value("x", T.FLOAT, ["batch", 1024])],
        [value("y", T.FLOAT, ["batch", 1024])],
        c1 + c2,
    )
    # A small request whose run takes milliseconds, for tests of overload: 28
    # products of 256x256 matrices.
    w1, c1 = formula("w1", (16, 256), 0.7)
    w2, c2 = formula("w2", (256, 256), 1.3)
    products = [node("MatMul", [f"m{i}", "w2"], [f"m{i + 1}"]) for i in range(28)]
    save(
        "long",
        w1
        + w2
        + [node("MatMul", ["x", "w1"], ["h"]), node("Add", ["h", "w2"], ["m0"])]
        + products
        + [node("ReduceMean", ["m28"], ["y"], keepdims=1)],
        [value("x", T.FLOAT, [1, 16])],
        [value("y", T.FLOAT, [1, 1])],
        c1 + c2,
    )
    save(
        "reduce",
        [
            node("ReduceSum", ["x", "axis"], ["sums"], keepdims=0),
            node("ReduceMean", ["x"], ["mean"], keepdims=0),
        ],
        [value("x", T.FLOAT, ["n", "m"])],
        [value("sums", T.FLOAT, ["n"]), value("mean", T.FLOAT, [])],
        [const("axis", np.asarray([1]))],
    )
    save(
        "concat_strings",
        [node("StringConcat", ["a", "b"], ["c"])],
        [value("a", T.STRING, ["n"]), value("b", T.STRING, ["n"])],
        [value("c", T.STRING, ["n"])],
    )
    save(
        "log",
        [node("Log", ["x"], ["y"])],
        [value("x", T.FLOAT, ["n"])],
        [value("y", T.FLOAT, ["n"])],
    )
    save(
        "nonzero",
        [node("NonZero", ["x"], ["at"])],
        [value("x", T.FLOAT, ["n", "m"])],
        [value("at", T.INT64, [2, "count"])],
    )
    save(
        "fixed_first",
        [node("Neg", ["x"], ["y"])],
        [value("x", T.FLOAT, [1, 4])],
        [value("y", T.FLOAT, [1, 4])],
    )
    # An output that is an input, with no node between: an engine must not let
    # it share the caller's memory.
    save(
        "passthrough",
        [node("Neg", ["x"], ["y"])],
        [value("x", T.FLOAT, ["n"])],
        [value("y", T.FLOAT, ["n"]), value("x", T.FLOAT, ["n"])],
    )
    save(
        "add",
        [node("Add", ["a", "b"], ["sum"])],
        [value("a", T.FLOAT, ["n"]), value("b", T.FLOAT, ["m"])],
        [value("sum", T.FLOAT, ["k"])],
    )
    save(
        "refused_complex",
        [node("Identity", ["x"], ["y"])],
        [value("x", T.COMPLEX64, ["n"])],
        [value("y", T.COMPLEX64, ["n"])],
    )
    save(
        "refused_sequence",
        [node("SequenceConstruct", ["x"], ["items"])],
        [value("x", T.FLOAT, ["n"])],
        [helper.make_tensor_sequence_value_info("items", T.FLOAT, None)],
    )
    # Refused because its weights, three floats, lie in a file that is not there.
    outside = const("w", np.zeros(3, np.float32))
    external_data_helper.set_external_data(outside, "weights.bin", length=12)
    outside.ClearField("raw_data")
    save(
        "refused_external",
        [node("Add", ["x", "w"], ["y"])],
        [value("x", T.FLOAT, [3])],
        [value("y", T.FLOAT, [3])],
        [outside],
        check=False,  # the checker wants the file
    )
    save(
        "refused_rank",
        [node("Relu", ["x"], ["y"])],
        [value("x", T.FLOAT, None)],
        [value("y", T.FLOAT, None)],
        check=False,  # the checker wants a rank
    )


def pack(name, array):
    array = np.asarray(array)
    out = {"name": name, "datatype": PROTOCOL[array.dtype], "shape": list(array.shape)}
    if array.dtype == np.object_:
        out["strings"] = [base64.b64encode(s.encode()).decode() for s in array.ravel()]
    else:
        out["data"] = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return out


def answers():
    """Every case's inputs and what ONNX Runtime answers, bit by bit."""
    random = np.random.default_rng(7)
    f32 = np.float32
    strings = np.asarray(["", "segue", "é", "𝄞"], dtype=np.object_)
    cases = [
        ("two_in_two_out", "two rows", {"x": f32([[1, 2], [3, 4]]), "k": np.int64([10, -3])}),
        ("two_in_two_out", "no rows", {"x": np.empty((0, 2), f32), "k": np.empty(0, np.int64)}),
        ("no_input", "always the same", {}),
        ("gather", "ids", {"ids": np.int64([3, 0, -1, 2])}),
        ("gather", "no ids", {"ids": np.empty(0, np.int64)}),
        ("reduce", "rows of 4095", {"x": random.standard_normal((2, 4095)).astype(f32)}),
        ("concat_strings", "pairs", {"a": strings, "b": strings[::-1]}),
        ("log", "nonfinite", {"x": f32([0, 1, -1, np.inf, np.nan, 2])}),
        ("nonzero", "three", {"x": f32([[0, 1, 0], [2, 0, 3]])}),
        ("nonzero", "none", {"x": np.zeros((2, 3), f32)}),
        ("nonzero", "all", {"x": np.ones((2, 3), f32)}),
        ("fixed_first", "one row", {"x": f32([[1, -2, 0, 3]])}),
        ("passthrough", "both", {"x": f32([1, -2])}),
        ("add", "broadcast", {"a": f32([1, 2, 3]), "b": f32([10])}),
    ]
    for rows in (1, 3, 32):
        cases.append(("mlp", f"{rows} rows", {"x": random.standard_normal((rows, 32)).astype(f32)}))

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    out = []
    for model, case, inputs in cases:
        session = ort.InferenceSession(
            HERE / f"{model}.onnx", options, providers=["CPUExecutionProvider"]
        )
        names = [o.name for o in session.get_outputs()]
        results = session.run(None, {k: aligned(v) for k, v in inputs.items()})
        out.append(
            {
                "model": model,
                "case": case,
                "inputs": [pack(i.name, inputs[i.name]) for i in session.get_inputs()],
                "outputs": [pack(n, r) for n, r in zip(names, results, strict=True)],
            }
        )
    return out


def aligned(array):
    """The same numbers at an address divisible by 64, as ONNX Runtime's own
    allocations are: its reductions give other last bits below 16."""
    if array.dtype == np.object_ or array.size == 0:
        return array
    room = np.empty(array.nbytes + 64, np.uint8)
    start = -room.ctypes.data % 64
    copy = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


if __name__ == "__main__":
    for old in HERE.glob("*.onnx"):
        old.unlink()
    write_models()
    text = json.dumps(answers(), indent=1, ensure_ascii=True)
    (HERE / "answers.json").write_text(text + "\n")
