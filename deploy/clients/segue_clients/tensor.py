"""Tensors and their two forms on the wire: JSON and the binary tensor data extension."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Json = Any
"""A value of JSON."""

DTYPES: Mapping[str, Any] = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
    "BF16": ml_dtypes.bfloat16,
    "BYTES": np.object_,
}
"""Every data type of the protocol. Elements of BYTES are `bytes`."""


@dataclass(frozen=True)
class Tensor:
    """A named array."""

    name: str
    array: Array

    @property
    def datatype(self) -> str:
        """The protocol's name of the array's type."""
        for name, dtype in DTYPES.items():
            if self.array.dtype == dtype:
                return name
        raise TypeError(f"{self.name}: {self.array.dtype} has no data type")

    def header(self) -> dict[str, Json]:
        """Name, datatype and shape, as both forms have them."""
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.array.shape)}

    def to_json(self) -> dict[str, Json]:
        """The tensor with its elements as one flat list."""
        return {**self.header(), "data": to_numbers(self.array)}


def aligned(array: Array) -> Array:
    """A copy whose memory begins at a multiple of 64 bytes, as the gateway's tensors do.

    ONNX Runtime's reductions add in another order where memory is not aligned, and
    answer other last bits then.
    """
    if array.dtype == np.object_:
        return array.copy()
    raw = np.empty(array.nbytes + 64, np.uint8)
    start = -raw.ctypes.data % 64
    copy = raw[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def to_binary(array: Array) -> bytes:
    """Little endian, row major; each element of BYTES behind its length in four bytes."""
    if array.dtype == np.object_:
        return b"".join(struct.pack("<I", len(e)) + e for e in array.reshape(-1).tolist())
    return array.tobytes()


def from_binary(raw: bytes, datatype: str, shape: list[int]) -> Array:
    """The opposite of to_binary."""
    if datatype != "BYTES":
        return np.frombuffer(raw, DTYPES[datatype]).reshape(shape)
    elements, at = [], 0
    while at < len(raw):
        (length,) = struct.unpack_from("<I", raw, at)
        elements.append(raw[at + 4 : at + 4 + length])
        at += 4 + length
    if at != len(raw):
        raise ValueError(
            f"the last of {len(elements)} elements ends {at - len(raw)} bytes too late"
        )
    return objects(elements).reshape(shape)


def to_numbers(array: Array) -> list[Json]:
    """What Python's own json module sends: shortest digits of the value as a double."""
    if array.dtype == np.object_:
        return [element.decode() for element in array.reshape(-1).tolist()]
    if array.dtype == ml_dtypes.bfloat16:
        return [float(v) for v in array.reshape(-1)]
    return list(array.reshape(-1).tolist())


def from_numbers(numbers: list[Json], datatype: str, shape: list[int]) -> Array:
    """The array of a JSON list; a number that its type cannot hold exactly is an error.

    Digits of a float name the nearest value of its type, so that a value printed
    shortest, or in full, comes back bit for bit.
    """
    if datatype == "BYTES":
        return objects([text.encode() for text in numbers]).reshape(shape)
    wanted: type | tuple[type, ...] = (int, float)
    if datatype == "BOOL":
        wanted = bool
    elif "INT" in datatype:
        wanted = int
    for number in numbers:
        if not isinstance(number, wanted) or (isinstance(number, bool) and datatype != "BOOL"):
            raise ValueError(f"{datatype}: element {number!r}")
    return np.array(numbers, DTYPES[datatype]).reshape(shape)


def objects(elements: list[bytes]) -> Array:
    """An array of BYTES of one dimension; numpy's own constructor would cut zeros off."""
    array = np.empty(len(elements), np.object_)
    array[:] = elements
    return array


def assert_same(got: Array, want: Array, what: str) -> None:
    """Type, shape and every bit are the same; NaNs are compared by their bits too."""
    assert got.dtype == want.dtype, f"{what}: type {got.dtype}, want {want.dtype}"
    assert got.shape == want.shape, f"{what}: shape {got.shape}, want {want.shape}"
    if to_binary(got) == to_binary(want):
        return
    places = [
        f"{index}: got {got[index]!r}, want {want[index]!r}"
        for index in np.ndindex(got.shape)
        if to_binary(np.asarray(got[index], got.dtype))
        != to_binary(np.asarray(want[index], want.dtype))
    ]
    raise AssertionError(f"{what}: {len(places)} elements differ\n" + "\n".join(places[:5]))
