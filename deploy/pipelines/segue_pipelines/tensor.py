"""Tensors as the Open Inference Protocol writes them in JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Json = Any
"""A value of JSON."""

_DTYPES: Mapping[str, Any] = {"FP32": np.float32, "INT64": np.int64}


@dataclass(frozen=True)
class Tensor:
    """A named array; its datatype follows from the array's."""

    name: str
    array: Array

    @property
    def datatype(self) -> str:
        """The protocol's name of the type."""
        for name, dtype in _DTYPES.items():
            if self.array.dtype == dtype:
                return name
        raise TypeError(f"{self.name}: {self.array.dtype} is not one of {', '.join(_DTYPES)}")

    def to_json(self) -> Json:
        """Name, datatype, shape and the values as one flat list."""
        return {
            "name": self.name,
            "datatype": self.datatype,
            "shape": list(self.array.shape),
            "data": _numbers(self.array),
        }

    @classmethod
    def from_json(cls, document: Json) -> Tensor:
        """The tensor of one entry of `inputs` or `outputs`; its data must be flat."""
        name, shape = document["name"], document["shape"]
        array = np.array(document["data"], dtype=_DTYPES[document["datatype"]])
        if array.ndim != 1 or array.size != int(np.prod(shape)):
            raise ValueError(f"{name}: {array.size} values for the shape {shape}")
        return cls(name, array.reshape(shape))


@dataclass(frozen=True)
class Spec:
    """One input or output of a signature; -1 is a dimension that the request decides."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    def to_json(self) -> Json:
        """The entry of a manifest's signature."""
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}

    def accepts(self, tensor: Tensor) -> bool:
        """Whether name, type and every fixed dimension agree."""
        got = tensor.array.shape
        return (
            (tensor.name, tensor.datatype) == (self.name, self.datatype)
            and len(got) == len(self.shape)
            and all(want in (-1, size) for want, size in zip(self.shape, got, strict=True))
        )


def request(inputs: Sequence[Tensor], identity: str = "") -> Json:
    """The body of POST /v2/models/{model}/infer."""
    body: dict[str, Json] = {"id": identity} if identity else {}
    body["inputs"] = [tensor.to_json() for tensor in inputs]
    return body


def _numbers(array: Array) -> list[int] | list[float]:
    """Whole numbers without a point; floats with the fewest digits that give them back."""
    flat = array.reshape(-1)
    if array.dtype == np.int64:
        return [int(v) for v in flat]
    return [int(v) if v == np.rint(v) else float(str(v)) for v in flat]
