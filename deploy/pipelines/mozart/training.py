"""Teaches a network: weighted classes, transposed copies, a fixed number of epochs.

Nothing is chosen by looking at the test part: there is no early stopping.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import optax

from mozart import LABELS, model, rolls
from mozart.model import Architecture, Network, Params, Scaling

_BATCH = 64
_RATE = 2e-3
_DECAY = 1e-2
_DROP = 0.2
_SMOOTHING = 0.05
_TRANSPOSE = 6


def train(
    architecture: Architecture,
    windows: rolls.Roll,
    targets: npt.NDArray[np.int64],
    seed: int,
    epoch_done: Callable[[int, float], None] = lambda _epoch, _loss: None,
) -> Network:
    """A network that learnt these windows; `epoch_done` hears the mean loss of each epoch."""
    scaling = Scaling.of(windows)
    params = model.init(architecture, seed)
    per_epoch = max(1, len(windows) // _BATCH)
    schedule = optax.cosine_decay_schedule(_RATE, per_epoch * architecture.epochs)
    optimiser = optax.adamw(schedule, weight_decay=_DECAY)
    state = optimiser.init(params)
    weights = jnp.asarray(class_weights(targets))

    @jax.jit
    def step(
        params: Params, state: optax.OptState, roll: jax.Array, want: jax.Array, key: jax.Array
    ) -> tuple[Params, optax.OptState, jax.Array]:
        loss, slope = jax.value_and_grad(
            partial(_loss, architecture, scaling, weights=weights, key=key)
        )(params, roll, want)
        change, state = optimiser.update(slope, state, params)
        return optax.apply_updates(params, change), state, loss

    generator = np.random.default_rng(seed)
    key = jax.random.key(seed + 1)
    for epoch in range(architecture.epochs):
        order = generator.permutation(len(windows))
        total = 0.0
        for batch in range(per_epoch):
            rows = order[batch * _BATCH : (batch + 1) * _BATCH]
            key, use = jax.random.split(key)
            roll = jnp.asarray(augment(windows[rows], generator)[:, None], dtype=jnp.float32)
            params, state, loss = step(params, state, roll, jnp.asarray(targets[rows]), use)
            total += float(loss)
        epoch_done(epoch + 1, total / per_epoch)
    return Network(architecture, scaling, params)


def augment(windows: rolls.Roll, generator: np.random.Generator) -> rolls.Roll:
    """Each window moved by up to six semitones either way."""
    moves = generator.integers(-_TRANSPOSE, _TRANSPOSE + 1, len(windows))
    return rolls.stack(rolls.transpose(w, int(m)) for w, m in zip(windows, moves, strict=True))


def class_weights(targets: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Weights [classes] that make every class count the same, mean 1 over the windows."""
    counts = np.bincount(targets, minlength=len(LABELS))
    if not counts.all():
        missing = ", ".join(label for label, n in zip(LABELS, counts, strict=True) if n == 0)
        raise ValueError(f"no windows to learn from for {missing}")
    return (len(targets) / (len(LABELS) * counts)).astype(np.float32)


def _loss(
    architecture: Architecture,
    scaling: Scaling,
    params: Params,
    roll: jax.Array,
    want: jax.Array,
    *,
    weights: jax.Array,
    key: jax.Array,
) -> jax.Array:
    x = model.standardise(model.channels(roll), scaling)
    scores = model.logits(architecture, params, x, (key, _DROP))
    aims = optax.smooth_labels(jax.nn.one_hot(want, len(LABELS)), _SMOOTHING)
    return jnp.mean(optax.softmax_cross_entropy(scores, aims) * weights[want])
