"""The network, in jax: a few strided convolutions, pooling over the window, one layer.

The two channels it sees are made from the roll inside the network (sounding,
onset), each brought to zero mean and unit deviation with the training set's
figures. What is pooled is the mean over time of the highest answer over pitch,
so the same music a little higher or later gives nearly the same answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from mozart import LABELS
from mozart.rolls import Roll

Params: TypeAlias = dict[str, jax.Array]
"""Weights by name: `conv<i>.w` [out, in, pitch, time], `conv<i>.b`, `dense.w`, `dense.b`."""


@dataclass(frozen=True)
class Conv:
    """One convolution without padding, followed by ReLU."""

    filters: int
    kernel: tuple[int, int]
    stride: tuple[int, int]


@dataclass(frozen=True)
class Architecture:
    """What a version of the model looks like and how long it learns."""

    convs: tuple[Conv, ...]
    epochs: int


WEAK = Architecture((Conv(12, (12, 8), (4, 8)),), epochs=10)
"""Version 1: one layer of twelve filters."""

STRONG = Architecture(
    (
        Conv(16, (13, 8), (3, 4)),
        Conv(24, (5, 5), (2, 2)),
        Conv(40, (3, 3), (1, 1)),
    ),
    epochs=40,
)
"""Version 2: three layers."""


@dataclass(frozen=True)
class Scaling:
    """Mean and deviation of the two channels, [2] each."""

    mean: npt.NDArray[np.float32]
    deviation: npt.NDArray[np.float32]

    @classmethod
    def of(cls, rolls: Roll) -> Scaling:
        """The figures of these windows."""
        means = np.array([(rolls > 0).mean(), (rolls > 1).mean()])
        deviations = np.sqrt(means * (1 - means))  # the channels hold only 0 and 1
        return cls(means.astype(np.float32), np.maximum(deviations, 1e-6).astype(np.float32))

    def of_roll(self) -> tuple[float, float]:
        """Mean and deviation of the roll's 0, 1, 2 that the channels were made from."""
        sounding, onset = (float(m) for m in self.mean)
        mean = sounding + onset
        return mean, float(np.sqrt(sounding + 3 * onset - mean**2))


def init(architecture: Architecture, seed: int) -> Params:
    """Fresh weights (He), the same for the same seed."""
    key = jax.random.key(seed)
    params: Params = {}
    channels = 2
    for i, conv in enumerate(architecture.convs):
        key, use = jax.random.split(key)
        shape = (conv.filters, channels, *conv.kernel)
        scale = float(np.sqrt(2 / np.prod(shape[1:])))
        params[f"conv{i}.w"] = scale * jax.random.normal(use, shape)
        params[f"conv{i}.b"] = jnp.zeros(conv.filters)
        channels = conv.filters
    key, use = jax.random.split(key)
    pooled = 2 * channels
    params["dense.w"] = float(np.sqrt(1 / pooled)) * jax.random.normal(use, (pooled, len(LABELS)))
    params["dense.b"] = jnp.zeros(len(LABELS))
    return params


def size(params: Params) -> int:
    """How many weights there are."""
    return sum(int(p.size) for p in params.values())


def logits(
    architecture: Architecture,
    params: Params,
    x: jax.Array,
    drop: tuple[jax.Array, float] | None = None,
) -> jax.Array:
    """Scores [n, classes] of standardised channels [n, 2, 88, 128]; `drop` is key and
    rate while learning."""
    for i, conv in enumerate(architecture.convs):
        x = jax.lax.conv_general_dilated(
            x,
            params[f"conv{i}.w"],
            window_strides=conv.stride,
            padding="VALID",
            dimension_numbers=("NCHW", "OIHW", "NCHW"),
        )
        x = jax.nn.relu(x + params[f"conv{i}.b"][None, :, None, None])
    x = jnp.concatenate([x.max(axis=2).mean(axis=2), x.mean(axis=(2, 3))], axis=1)
    if drop is not None:
        key, rate = drop
        x = jnp.where(jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0.0)
    return x @ params["dense.w"] + params["dense.b"]


def channels(roll: jax.Array) -> jax.Array:
    """[n, 1, 88, 128] of 0, 1, 2 to the channels sounding and onset, [n, 2, 88, 128]."""
    return jnp.concatenate([jnp.clip(roll, 0, 1), jnp.clip(roll - 1, 0, 1)], axis=1)


def standardise(x: jax.Array, scaling: Scaling) -> jax.Array:
    """Each channel with the training set's mean taken off and divided by its deviation."""
    shape = (1, 2, 1, 1)
    return (x - scaling.mean.reshape(shape)) / scaling.deviation.reshape(shape)


@dataclass(frozen=True)
class Network:
    """A trained network with all that is needed to answer."""

    architecture: Architecture
    scaling: Scaling
    params: Params
    leftover: tuple[float, float] | None = None
    """Mean and deviation of a second normalisation, of the roll itself. Nothing was learnt
    with it: it is the mistake that makes the spoilt version."""

    def probabilities(self, rolls: Roll, batch: int = 128) -> npt.NDArray[np.float32]:
        """[n, classes] of windows [n, 88, 128]."""
        parts: list[npt.NDArray[np.float32]] = []
        for start in range(0, len(rolls), batch):
            roll = jnp.asarray(rolls[start : start + batch, None], dtype=jnp.float32)
            if self.leftover is not None:
                mean, deviation = self.leftover
                roll = (roll - mean) / deviation
            x = standardise(channels(roll), self.scaling)
            scores = logits(self.architecture, self.params, x)
            parts.append(np.asarray(jax.nn.softmax(scores), dtype=np.float32))
        return np.concatenate([np.zeros((0, len(LABELS)), np.float32), *parts])
