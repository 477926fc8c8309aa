"""The engine for accelerators and many hosts: steps as one compiled loop on the device. How hosts meet: jax_hosts.py.

The rows of x and y lie on the devices, each device its share; every device adds up the example gradients of its rows
of a mini-batch, the sums are added over the devices, and all of them compute the same update, once per mini-batch.
The formulas are chain.py's in jax's words: activations and losses forward, their slopes by jax's own differentiation.
"""

from __future__ import annotations

import zlib
from contextlib import ExitStack
from dataclasses import replace
from functools import lru_cache, partial
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..data import Dataset
from ..errors import BadInput, EngineUnavailable
from ..network import Network
from ..optimizers import SGD, Adam, AdamW, Optimizer, next_rates, slots_of
from ..state import Layers, State
from .jax_hosts import lost, meeting
from .reference import checked_rates, checked_room, checked_rows

# Steps that one compiled loop has room for: few sizes, so that little is compiled; Ctrl-C is seen between two loops.
ROOM = (16, 256)
STEADY = 16  # steps of a call when there are several hosts: all must make the same calls


def availability() -> str:
    """ "ready", or what is missing and how to get it."""
    if find_spec("jax") is None or find_spec("jaxlib") is None:
        return 'jax is not installed: pip install "backlit[jax]"'
    return "ready"


class Engine:
    """See engines.Engine. All devices of all hosts that have joined are used; ``steady`` is None on a single host."""

    holds_data = True  # read once, at the beginning

    def __init__(self, net: Network, opt: Optimizer, state: State, data: Dataset) -> None:
        if data.x.shape[1] != net.sizes[0]:
            raise BadInput(f"the network has {net.sizes[0]} inputs, x {data.x.shape} has {data.x.shape[1]} columns.")
        import jax

        self._net, self._opt, self._start, self._step = net, opt, state, state.step
        self._dtype, self._n_rows = state.dtype, len(data)
        self._devices = jax.devices()
        self.steady = STEADY if jax.process_count() > 1 else None
        # Device d holds the rows from d·share on; the last one may hold fewer.
        self._share = -(-self._n_rows // len(self._devices))
        with self._precision():
            self._mesh = jax.sharding.Mesh(np.array(self._devices), ("rows",))
            vectors = (state.parameters, *(state.slots[name] for name in slots_of(opt)))
            self._carried = [jax.tree.map(self._everywhere, _layers(state, vector)) for vector in vectors]
            ones = np.ones(self._n_rows) if data.sample_weight is None else data.sample_weight
            self._data = tuple(self._sharded(array) for array in (data.x, data.targets(net), ones))
        if self.steady is not None:
            self._check_hosts_agree(state)

    def advance(
        self,
        rows: NDArray[np.int64],
        rates: ArrayLike | None = None,
        squared_weights: NDArray[np.float64] | None = None,
    ) -> NDArray[np.float64]:
        """k steps; see engines.Engine."""
        rows = checked_rows(rows, self._n_rows)
        if rates is None:
            rates = next_rates(self._opt.rate, self._step, len(rows), self._start.epoch_losses)
        rates, squared_weights = checked_rates(rates, len(rows)), checked_room(squared_weights, len(rows))
        losses = np.empty(len(rows))
        for first in range(0, len(rows), ROOM[-1]):
            some = slice(first, first + ROOM[-1])
            told = self._loop(rows[some], rates[some], squared_weights is not None)
            losses[some] = told[:, 0]
            if squared_weights is not None:
                squared_weights[some] = told[:, 1]
        return losses

    def state(self) -> State:
        """A copy of the State after the last finished loop."""
        vectors = []
        for layers in self._carried:
            parts = [np.asarray(part.addressable_data(0)).ravel() for layer in layers for part in layer]
            vectors.append(np.concatenate(parts))
        slots = dict(zip(slots_of(self._opt), vectors[1:], strict=True))
        return replace(self._start, parameters=vectors[0], slots=slots, step=self._step)

    def _loop(self, rows: NDArray[np.int64], rates: NDArray[np.float64], with_weights: bool) -> NDArray[np.float64]:
        """At most ROOM[-1] steps: of each its loss and, ``with_weights``, ‖W‖² before it, (k, 2).

        Nothing of self changes unless all of them are done.
        """
        import jax

        k, room = len(rows), next(size for size in ROOM if size >= len(rows))
        settings = np.zeros((room, 3))
        t = self._step - self._start.started + np.arange(1, k + 1)
        settings[:k, 0] = rates
        # Adam's corrections, 1 − βᵗ, in float64, where no digits are lost
        settings[:k, 1] = 1 - getattr(self._opt, "beta1", 0.0) ** t
        settings[:k, 2] = 1 - getattr(self._opt, "beta2", 0.0) ** t
        places, present = self._places(rows, room)
        with self._precision():
            run = _compiled(self._net, self._opt, self._mesh, with_weights)
            places, present = self._by_device(places), self._by_device(present.astype(self._dtype))
            try:
                with meeting():
                    carried, told = run(self._carried, *self._data, places, present, settings.astype(self._dtype), k)
                    done = np.asarray(told.addressable_data(0))[:k].astype(np.float64)
            except jax.errors.JaxRuntimeError as error:
                if self.steady is None:
                    raise
                raise EngineUnavailable(f"engine 'jax': {lost()}") from error
        self._carried, self._step = carried, self._step + k
        return done

    def _places(self, rows: NDArray[np.int64], room: int) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Each device's own rows of each step, as places in its share: (devices, room, width), and which are real."""
        k, batch, devices = *rows.shape, len(self._devices)
        width = batch
        owner = rows // self._share
        if devices > 1:
            # Room for a device's usual number of rows and four deviations more; all of the batch if that is too little.
            usual = batch / devices
            width = min(batch, -(-int(usual + 4 * usual**0.5) // 8) * 8)
            if max(int((owner == d).sum(axis=1).max(initial=0)) for d in range(devices)) > width:
                width = batch
        places = np.zeros((devices, room, width), np.int32)
        present = np.zeros((devices, room, width), bool)
        for d in range(devices):
            # a stable sort puts the device's own rows first, in their order
            mine = owner == d
            order = np.argsort(~mine, axis=1, kind="stable")[:, :width]
            present[d, :k] = np.take_along_axis(mine, order, axis=1)
            places[d, :k] = np.where(present[d, :k], np.take_along_axis(rows, order, axis=1) - d * self._share, 0)
        return places, present

    def _sharded(self, array: NDArray[Any]) -> Any:
        """(devices, share, ...): only the shares of this host's devices are read."""
        import jax

        shape = (len(self._devices), self._share, *array.shape[1:])

        def share(index: tuple[slice, ...]) -> NDArray[Any]:
            d = index[0].start or 0
            mine = np.asarray(array[d * self._share : (d + 1) * self._share], self._dtype)
            part = np.zeros(shape[1:], self._dtype)
            part[: len(mine)] = mine
            return part[None]

        return jax.make_array_from_callback(shape, self._by_rows(), share)

    def _by_device(self, array: NDArray[Any]) -> Any:
        import jax

        return jax.make_array_from_callback(array.shape, self._by_rows(), lambda index: array[index])

    def _everywhere(self, array: NDArray[Any]) -> Any:
        import jax

        alike = jax.sharding.NamedSharding(self._mesh, jax.sharding.PartitionSpec())
        return jax.make_array_from_callback(array.shape, alike, lambda index: array[index])

    def _by_rows(self) -> Any:
        import jax

        return jax.sharding.NamedSharding(self._mesh, jax.sharding.PartitionSpec("rows"))

    def _precision(self) -> Any:
        """float64 where the State has it, and products in full precision, for what runs inside and nothing else."""
        import jax

        stack = ExitStack()
        stack.enter_context(jax.enable_x64(self._dtype == np.float64))
        stack.enter_context(jax.default_matmul_precision("highest"))
        return stack

    def _check_hosts_agree(self, state: State) -> None:
        """BadInput unless every host begins with the same State, network, optimizer and number of rows."""
        import jax.numpy as jnp
        from jax.experimental import multihost_utils

        plan = f"{self._net} {self._opt} {self._n_rows} {state.step}".encode()
        mine = np.array([state.step, zlib.crc32(state.parameters.tobytes()), zlib.crc32(plan)], np.uint32)
        try:
            with meeting():
                every = np.asarray(multihost_utils.process_allgather(jnp.asarray(mine)))
        except Exception as error:
            raise EngineUnavailable(f"engine 'jax': {lost()}") from error
        if not (every == every[0]).all():
            raise BadInput(
                f"engine 'jax': the hosts don't begin alike: updates so far {every[:, 0].tolist()}. Give every host "
                "the same data and options, and a --checkpoint folder that all of them see."
            )


def _layers(state: State, vector: NDArray[Any]) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    return [(np.array(layer.W), np.array(layer.b)) for layer in Layers(state.sizes, vector)]


# --- the compiled loop ----------------------------------------------------------------------------------------------


@lru_cache(maxsize=32)
def _compiled(net: Network, opt: Optimizer, mesh: Any, with_weights: bool) -> Any:
    """The jitted loop of one network and optimizer over the devices of a mesh."""
    import jax
    from jax.sharding import PartitionSpec as P

    loop = jax.shard_map(
        partial(_steps, net, opt, with_weights),
        mesh=mesh,
        in_specs=(P(), P("rows"), P("rows"), P("rows"), P("rows"), P("rows"), P(), P()),
        out_specs=(P(), P()),
        check_vma=False,
    )
    return jax.jit(loop)


def _steps(
    net: Network, opt: Optimizer, with_weights: bool, carried: Any, x: Any, y: Any, s: Any, places: Any, present: Any,
    settings: Any, k: Any,
) -> Any:  # fmt: skip
    """k steps on one device: (the carried parameters and slots, of each its loss and ‖W‖² or 0 (room, 2)).

    The device's axis comes first.
    """
    import jax
    import jax.numpy as jnp

    x, y, s, places, present = (array[0] for array in (x, y, s, places, present))

    def one(i: Any, before: Any) -> Any:
        carried, told = before
        rows = places[i]
        weights = s[rows] * present[i]
        total = jax.lax.psum(weights.sum(), "rows")
        inverse = jnp.where(total > 0, 1 / total, 0)  # a batch in which nothing weighs changes nothing
        factor = inverse if net.reduction == "mean" else jnp.ones_like(total)
        value, gradient = jax.value_and_grad(partial(_weighted_loss, net))(carried[0], x[rows], y[rows], weights)
        value, gradient = jax.lax.psum((value, gradient), "rows")
        gradient = jax.tree.map(lambda g: g * factor, gradient)
        squared = sum((W * W).sum() for W, _ in carried[0]) if with_weights else 0
        told = told.at[i, 0].set(value * factor).at[i, 1].set(squared)
        return _updated(opt, carried, gradient, inverse, settings[i]), told

    return jax.lax.fori_loop(0, k, one, (carried, jnp.zeros((len(settings), 2), s.dtype)))


def _weighted_loss(net: Network, layers: Any, x: Any, y: Any, weights: Any) -> Any:
    """Σ sᵢLᵢ over the rows x (B, n_in)."""
    a = x
    for (W, b), name in zip(layers, net.activations, strict=True):
        z = a @ W + b
        a = _activation(name, z)
    return weights @ _example_losses(net.loss, z, a, y)


def _activation(name: str, z: Any) -> Any:
    import jax
    import jax.numpy as jnp

    functions = {
        "linear": lambda z: z,
        "sigmoid": jax.nn.sigmoid,
        "tanh": jnp.tanh,
        "relu": lambda z: jnp.where(z > 0, z, 0),
        "leaky_relu": lambda z: jnp.where(z > 0, z, 0.01 * z),
        "gelu": lambda z: z * jax.scipy.stats.norm.cdf(z),
        "softplus": jax.nn.softplus,
        "exp": jnp.exp,
        "softmax": lambda z: jax.nn.softmax(z, axis=1),
    }
    return functions[name](z)


def _example_losses(name: str, z: Any, a: Any, y: Any) -> Any:
    """(B,) from the output layer's z and a (B, n_out)."""
    import jax
    import jax.numpy as jnp

    d = a - y
    losses = {
        "quadratic": lambda: 0.5 * (d * d).sum(1),
        "squared_error": lambda: (d * d).sum(1),
        "mean_squared_error": lambda: (d * d).mean(1),
        "absolute_error": lambda: jnp.abs(d).sum(1),
        "huber": lambda: jnp.where(jnp.abs(d) <= 1, 0.5 * d * d, jnp.abs(d) - 0.5).sum(1),
        "binary_cross_entropy": lambda: (jax.nn.softplus(z) - z * y).sum(1),
        "cross_entropy": lambda: -(y * jax.nn.log_softmax(z, axis=1)).sum(1),
        "poisson": lambda: (a - y + y * (jnp.log(jnp.where(y > 0, y, 1)) - jnp.where(y > 0, z, 0))).sum(1),
    }
    return losses[name]()


def _updated(opt: Optimizer, carried: Any, gradient: Any, inverse: Any, settings: Any) -> Any:
    """Parameters and slots after one update; inverse: 1/Σ sᵢ. Sources: optimizers.py; the same as chain.update."""
    import jax
    import jax.numpy as jnp

    layers, (rate, correct1, correct2), each = carried[0], settings, jax.tree.map
    if not isinstance(opt, AdamW) and opt.l2:
        l2 = opt.l2 * inverse if opt.l2_over == "batch" else opt.l2
        gradient = [(gW + l2 * W, gb) for (gW, gb), (W, _) in zip(gradient, layers, strict=True)]
    if isinstance(opt, SGD) and not opt.momentum:
        return [each(lambda p, g: p - rate * g, layers, gradient)]
    if isinstance(opt, SGD):
        velocity = each(lambda v, g: opt.momentum * v - rate * g, carried[1], gradient)
        change = each(lambda v, g: opt.momentum * v - rate * g, velocity, gradient) if opt.nesterov else velocity
        return [each(jnp.add, layers, change), velocity]
    m = each(lambda m, g: opt.beta1 * m + (1 - opt.beta1) * g, carried[1], gradient)
    v = each(lambda v, g: opt.beta2 * v + (1 - opt.beta2) * g * g, carried[2], gradient)
    raw = isinstance(opt, Adam) and opt.epsilon_with == "raw"
    epsilon = opt.epsilon / jnp.sqrt(correct2) if raw else opt.epsilon
    change = each(lambda m, v: -rate * (m / correct1) / (jnp.sqrt(v / correct2) + epsilon), m, v)
    if isinstance(opt, AdamW):
        decay = rate * opt.weight_decay
        change = [(cW - decay * W, cb) for (cW, cb), (W, _) in zip(change, layers, strict=True)]
    return [each(jnp.add, layers, change), m, v]
