"""State: all that training carries from step to step and all that is saved; and how it begins.

One flat vector of parameters, seen as layers. No formula of training may live here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .errors import BadInput
from .network import Network
from .optimizers import Optimizer, check_optimizer, slots_of

Floats = NDArray[np.floating[Any]]


class Layer(NamedTuple):
    """Numbers of one layer with weights. W (…, fan_in, fan_out), b (…, fan_out); leading axes: examples."""

    W: Floats
    b: Floats


class Layers(Sequence[Layer]):
    """One flat vector (…, P) seen as layers: of each layer W, row by row, then b. Layer 0 is the first with weights."""

    def __init__(self, sizes: Sequence[int], flat: Floats) -> None:
        self.sizes = tuple(sizes)
        self.flat = flat
        self._layers = tuple(_views(self.sizes, flat))

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        return self._layers[index]

    def __len__(self) -> int:
        return len(self._layers)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Floats:
        return np.array(self.flat, dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        return f"Layers(sizes={list(self.sizes)}, {self.flat.dtype})"


def _views(sizes: tuple[int, ...], flat: Floats) -> Iterator[Layer]:
    start = 0
    for fan_in, fan_out in pairwise(sizes):
        end = start + fan_in * fan_out
        W = flat[..., start:end].reshape(*flat.shape[:-1], fan_in, fan_out)
        yield Layer(W, flat[..., end : end + fan_out])
        start = end + fan_out


@dataclass(frozen=True, eq=False)
class State:
    """What training carries: frozen, its arrays read-only.

    sizes:         of the Network it belongs to.
    parameters:    (P,) float32 or float64; this dtype decides the arithmetic. See ``layers``.
    slots:         the optimizer's vectors by name, each (P,): velocity, or first_moment and second_moment.
    step:          updates so far.
    started:       the step at which the slots were zero: Adam's t is step − started + 1 for the next update.
    epoch_losses:  the mean loss of every finished epoch (schedules may depend on them).
    epoch_sum:     Σ rows·loss over the finished steps of the epoch now running.
    """

    sizes: tuple[int, ...]
    parameters: Floats
    slots: Mapping[str, Floats] = field(default_factory=dict)
    step: int = 0
    started: int = 0
    epoch_losses: tuple[float, ...] = ()
    epoch_sum: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", tuple(self.sizes))
        object.__setattr__(self, "parameters", _read_only(self.parameters))
        slots = {name: _read_only(slot) for name, slot in self.slots.items()}
        object.__setattr__(self, "slots", MappingProxyType(slots))

    @property
    def layers(self) -> Layers:
        """The parameters: ``layers[l].W`` (fan_in, fan_out) and ``layers[l].b`` (fan_out,)."""
        return Layers(self.sizes, self.parameters)

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        return self.parameters.dtype

    def astype(self, dtype: DTypeLike) -> State:
        """The same State in another precision."""
        slots = {name: slot.astype(dtype) for name, slot in self.slots.items()}
        return replace(self, parameters=self.parameters.astype(dtype), slots=slots)

    def for_optimizer(self, optimizer: Optimizer) -> State:
        """This State if it carries the slots of ``optimizer``, otherwise with slots of zeros that start here."""
        names = slots_of(optimizer)
        if set(names) == set(self.slots):
            return self
        zeros = {name: np.zeros_like(self.parameters) for name in names}
        return replace(self, slots=zeros, started=self.step)

    def anew(self) -> State:
        """The same parameters with nothing behind them: step 0, no slots, no epochs."""
        return State(self.sizes, self.parameters)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles are made by the constructor, so that their arrays are read-only too."""
        record = (self.step, self.started, self.epoch_losses, self.epoch_sum)
        return State, (self.sizes, np.asarray(self.parameters), dict(self.slots), *record)

    def __repr__(self) -> str:
        slots = f", slots: {', '.join(self.slots)}" if self.slots else ""
        return f"State(sizes={list(self.sizes)}, {self.dtype}, step {self.step}{slots})"


def _read_only(vector: Floats) -> Floats:
    if not vector.flags.writeable:
        return vector
    view = vector.view()
    view.flags.writeable = False
    return view


def check_network(where: str, network: object) -> None:
    """BadInput for anything that is no Network."""
    if not isinstance(network, Network):
        raise BadInput(f"{where}: net must be a bl.Network; got {network!r:.60}.")


def check_state(where: str, network: Network, state: State) -> None:
    """BadInput unless the State has the sizes of the Network."""
    check_network(where, network)
    if not isinstance(state, State):
        raise BadInput(f"{where}: state must be a bl.State, as bl.initial_state gives it; got {type(state).__name__}.")
    if network.sizes != state.sizes:
        raise BadInput(
            f"{where}: the network has sizes {list(network.sizes)}, the state {list(state.sizes)}. "
            "Make the state with bl.initial_state of this network."
        )


def check_batch(
    where: str, network: Network, state: State, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None
) -> tuple[Floats, Floats, Floats]:
    """x (B, n_in), y (B, n_out) and sample weights (B,) in the State's dtype; BadInput for every other shape."""
    n_in, n_out = network.sizes[0], network.sizes[-1]
    x, y = _numbers(where, "x", x, state.dtype), _numbers(where, "y", y, state.dtype)
    weights = np.ones(x.shape[:1]) if sample_weight is None else sample_weight
    s = _numbers(where, "sample_weight", weights, state.dtype)
    if x.ndim != 2 or x.shape[1] != n_in or not len(x):
        raise BadInput(f"{where}: x must have shape (B, {n_in}), one example per row; got {x.shape}.")
    if y.shape != (len(x), n_out):
        raise BadInput(
            f"{where}: y must have shape ({len(x)}, {n_out}), one target per row of x {x.shape}; got {y.shape}."
        )
    if s.shape != (len(x),):
        raise BadInput(f"{where}: sample_weight must have shape ({len(x)},), one per row of x; got {s.shape}.")
    if not ((s >= 0) & (s < np.inf)).all():
        raise BadInput(f"{where}: sample_weight must be finite numbers of at least 0; got {s!s:.80}.")
    return x, y, s


def check_finite(where: str, x: Floats, y: Floats) -> None:
    """BadInput for NaN and infinity in a batch: nothing can be said of a gradient there."""
    for name, array in (("x", x), ("y", y)):
        finite = np.isfinite(array)
        if not finite.all():
            i, j = np.argwhere(~finite)[0]
            raise BadInput(f"{where}: {name}[{i}, {j}] is {array[i, j]} in {array.dtype}; finite numbers are wanted.")


def plain_array(where: str, name: str, given: ArrayLike) -> NDArray[Any]:
    """``given`` as an array of whatever it holds; BadInput for what makes none, and for what masks would hide."""
    if isinstance(given, np.ma.MaskedArray):
        raise BadInput(f"{where}: {name} is a masked array; plain numbers are wanted: fill or drop what is masked.")
    try:
        return np.asarray(given)
    except Exception as error:  # rows of different lengths; objects with __array__ may raise anything
        reason = " ".join(str(error).split()).rstrip(".")
        raise BadInput(f"{where}: {name} must be an array of numbers: {reason}.") from None


def _numbers(where: str, name: str, given: ArrayLike, dtype: np.dtype[Any]) -> Floats:
    array = plain_array(where, name, given)
    if array.dtype.kind not in "biuf":
        labels = ""
        if name == "y":
            labels = " Labels become numbers by bl.Dataset(x, labels).targets(net)."
        raise BadInput(f"{where}: {name} must be an array of real numbers; got {array.dtype}: {given!r:.60}.{labels}")
    with np.errstate(over="ignore"):  # what is too large for float32 is told as inf
        return array.astype(dtype, copy=False)


# --- the beginning ------------------------------------------------------------------------------------------

INITS = ("auto", "he", "glorot", "nielsen", "normal")
RELU_LIKE = ("relu", "leaky_relu", "gelu", "softplus")


def initial_state(
    net: Network,
    opt: Optimizer | None = None,
    seed: int = 0,
    dtype: DTypeLike = "float32",
    init: str = "auto",
) -> State:
    """Parameters drawn at random, once, before the first epoch. The same seed gives the same numbers.

    opt:    its slots begin at 0; without it there are none yet, and the first step makes them.
    dtype:  float32 or float64: the arithmetic of all that is done with this State.
    init:   "he": normal with variance 2/fan_in (He et al., 2015). "glorot": uniform in ±√(6/(fan_in + fan_out))
            (Glorot and Bengio, 2010). "auto": he before relu-like activations, glorot before the others. In these the
            biases are 0. "nielsen": standard normal / √fan_in, biases standard normal. "normal": all standard normal.

    Raises BadInput for unknown names, and for a network that doesn't fit into memory.

    >>> bl.initial_state(bl.Network([2, 3, 1]))
    State(sizes=[2, 3, 1], float32, step 0)
    """
    check_network("initial_state", net)
    if opt is not None:
        check_optimizer("initial_state", opt)
    if init not in INITS:
        raise BadInput(f"initial_state: init must be one of {', '.join(INITS)}; got {init!r}.")
    kind = _float_dtype("initial_state", dtype)
    try:
        random = np.random.default_rng(seed)
    except (TypeError, ValueError):
        raise BadInput(f"initial_state: seed must be a whole number of at least 0; got {seed!r}.") from None
    try:
        parameters = np.zeros(net.n_parameters, kind)
    except (MemoryError, ValueError):
        raise BadInput(f"initial_state: {net.n_parameters:,} parameters don't fit into memory; use fewer.") from None
    for layer, activation in zip(Layers(net.sizes, parameters), net.activations, strict=True):
        _draw(layer, activation, init, random)
    state = State(net.sizes, parameters)
    return state if opt is None else state.for_optimizer(opt)


def _draw(layer: Layer, activation: str, init: str, random: np.random.Generator) -> None:
    fan_in, fan_out = layer.W.shape
    if init == "auto":
        init = "he" if activation in RELU_LIKE else "glorot"
    if init == "glorot":
        layer.W[...] = random.uniform(-1.0, 1.0, (fan_in, fan_out)) * np.sqrt(6.0 / (fan_in + fan_out))
        return
    scale = {"he": np.sqrt(2.0 / fan_in), "nielsen": np.sqrt(1.0 / fan_in), "normal": 1.0}[init]
    layer.W[...] = random.standard_normal((fan_in, fan_out)) * scale
    if init != "he":
        layer.b[...] = random.standard_normal(fan_out)


def state_from(
    net: Network,
    weights: Sequence[ArrayLike],
    biases: Sequence[ArrayLike] | None = None,
    optimizer: Optimizer | None = None,
) -> State:
    """A State with given numbers: weights (fan_in, fan_out) and biases (fan_out,) of each layer, in order.

    float32 and float64 are kept, everything else becomes float64. Without biases they are 0. Raises BadInput
    for every shape that doesn't fit, and for numbers that are not finite.

    >>> bl.state_from(bl.Network([2, 1]), weights=[[[0.5], [2.0]]], biases=[[1.0]]).parameters
    array([0.5, 2. , 1. ])
    """
    check_network("state_from", net)
    if optimizer is not None:
        check_optimizer("state_from", optimizer)
    pairs = list(pairwise(net.sizes))
    Ws = _arrays("weights", weights, pairs)
    bs = _arrays("biases", biases, [(o,) for _, o in pairs]) if biases is not None else None
    given = Ws + (bs or [])
    kind = np.float32 if all(array.dtype == np.float32 for array in given) else np.float64
    parameters: Floats = np.zeros(net.n_parameters, kind)
    for index, layer in enumerate(Layers(net.sizes, parameters)):
        layer.W[...] = Ws[index]
        if bs is not None:
            layer.b[...] = bs[index]
    state = State(net.sizes, parameters)
    return state if optimizer is None else state.for_optimizer(optimizer)


def _arrays(name: str, given: Sequence[ArrayLike], shapes: Sequence[tuple[int, ...]]) -> list[Floats]:
    if not isinstance(given, Sequence) or len(given) != len(shapes):
        raise BadInput(f"state_from: {name} must be a list of {len(shapes)} arrays, one per layer; got {given!r:.60}.")
    arrays = []
    for index, (entry, shape) in enumerate(zip(given, shapes, strict=True)):
        where = f"state_from: {name}[{index}]"
        array = plain_array("state_from", f"{name}[{index}]", entry)
        try:
            if array.dtype.kind not in "biufO":  # Python's huge integers are objects
                raise TypeError
            array = array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)
        except (TypeError, ValueError, OverflowError):
            raise BadInput(f"{where} must be numbers of shape {shape}; got {entry!r:.80}.") from None
        if array.shape != shape:
            turned = " It is transposed: give its .T." if array.shape == shape[::-1] and len(shape) == 2 else ""
            raise BadInput(f"{where} must have shape {shape}, (fan_in, fan_out); got {array.shape}.{turned}"
                           if len(shape) == 2 else f"{where} must have shape {shape}; got {array.shape}.")
        if not np.isfinite(array).all():
            raise BadInput(f"{where} holds NaN or infinity; finite numbers are wanted.")
        arrays.append(array)
    return arrays


def _float_dtype(where: str, dtype: DTypeLike) -> np.dtype[Any]:
    with suppress(TypeError):
        kind = np.dtype(dtype)
        if dtype is not None and kind in (np.float32, np.float64):
            return kind
    raise BadInput(f"{where}: dtype must be float32 or float64; got {dtype!r}.")
