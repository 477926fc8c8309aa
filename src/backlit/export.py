"""Out into the world and in from it: ONNX, PyTorch state dicts, scikit-learn's perceptrons, torch.nn.Sequential.

The only room that imports onnx. Nothing is trained, and no formula of training stands here: an ONNX graph names its
operators, and a test holds them to chain.py.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .data import Preparation
from .errors import BadInput, EngineUnavailable
from .network import NEEDS_OUTPUT, Network
from .optimizers import SGD, Adam
from .state import State, check_state, state_from
from .whole_file import write_whole

OPSET, IR_VERSION = 17, 8  # said outright: newer defaults are refused by runtimes that people have

ONNX_OPERATORS: dict[str, tuple[str, dict[str, Any]]] = {
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "relu": ("Relu", {}),
    "leaky_relu": ("LeakyRelu", {"alpha": 0.01}),
    "softplus": ("Softplus", {}),
    "softmax": ("Softmax", {"axis": 1}),
    "exp": ("Exp", {}),
}

# activation -> how torch.nn spells it; exp has no module
TORCH_MODULES = {
    "linear": "Identity()",
    "sigmoid": "Sigmoid()",
    "tanh": "Tanh()",
    "relu": "ReLU()",
    "leaky_relu": "LeakyReLU(0.01)",
    "gelu": "GELU()",
    "softplus": "Softplus()",
    "softmax": "Softmax(dim=1)",
}


def to_onnx(path: str | os.PathLike[str], net: Network, state: State, preparation: Any = None) -> None:
    """Writes an ONNX file (opset 17, IR version 8) in float32: input ``x`` (N, n_in), output ``y`` (N, n_out).

    preparation: a Preparation or its record, of numbers only: then x is float64 and raw, a missing value NaN, and y
    float64 in the unit of the answers. Raises EngineUnavailable where onnx isn't installed.
    """
    check_state("to_onnx", net, state)
    onnx = _onnx()
    prepared = Preparation.from_record(preparation) if isinstance(preparation, Mapping) else preparation
    if prepared is not None and prepared.categories is not None and any(prepared.categories):
        raise BadInput(
            "to_onnx: a preparation with categories takes texts, which this graph can't: leave it out, and give the "
            "graph what Preparation.apply makes of them."
        )
    graph = _Graph(onnx)
    value = _raw_input(graph, prepared) if prepared is not None else graph.input("x", np.float32, net.sizes[0])
    for layer, name in zip(state.layers, net.activations, strict=True):
        weights = [graph.constant(array.astype(np.float32)) for array in layer]
        value = _activated(graph, graph.node("Gemm", value, *weights), name)
    double = prepared is not None
    if prepared is not None:
        value = _restored(graph, value, prepared)
    graph.node("Identity", value, output="y")
    model = graph.model(net.sizes[-1], np.float64 if double else np.float32)
    classes = None if prepared is None else prepared.classes
    columns = None if prepared is None else prepared.columns
    facts = {"classes": classes, "columns": columns}
    onnx.helper.set_model_props(model, {name: json.dumps(value) for name, value in facts.items() if value})
    onnx.checker.check_model(model, full_check=True)
    _write("to_onnx", path, model.SerializeToString())


class _Graph:
    """ONNX nodes being put together; values are known by their names."""

    def __init__(self, onnx: Any) -> None:
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.inputs: list[Any] = []

    def input(self, name: str, dtype: type, width: int) -> str:
        self.inputs.append(self.described(name, dtype, width))
        return name

    def described(self, name: str, dtype: type, width: int) -> Any:
        kind = self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self.onnx.helper.make_tensor_value_info(name, kind, ["N", width])

    def constant(self, value: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        output = output or f"v{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def cast(self, value: str, dtype: type) -> str:
        return self.node("Cast", value, to=self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def model(self, width: int, dtype: type) -> Any:
        helper = self.onnx.helper
        graph = helper.make_graph(
            self.nodes, "backlit", self.inputs, [self.described("y", dtype, width)], self.constants
        )
        return helper.make_model(
            graph, producer_name="backlit", opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
        )


def _raw_input(graph: _Graph, prepared: Preparation) -> str:
    """(x − mean)/scale in float64, 0 for NaN, then float32: what Preparation.apply does."""
    value = graph.input("x", np.float64, prepared.inputs)
    if prepared.mean is None or prepared.scale is None:
        return graph.cast(value, np.float32)
    apart = graph.node("Sub", value, graph.constant(np.array(prepared.mean)))
    scaled = graph.cast(graph.node("Div", apart, graph.constant(np.array(prepared.scale))), np.float32)
    return graph.node("Where", graph.node("IsNaN", value), graph.constant(np.float32(0)), scaled)


def _restored(graph: _Graph, value: str, prepared: Preparation) -> str:
    value = graph.cast(value, np.float64)
    if prepared.target_mean is None or prepared.target_scale is None:
        return value
    value = graph.node("Mul", value, graph.constant(np.array(prepared.target_scale)))
    return graph.node("Add", value, graph.constant(np.array(prepared.target_mean)))


def _activated(graph: _Graph, z: str, name: str) -> str:
    if name == "linear":
        return z
    if name == "gelu":  # z·Φ(z) = z·½·(1 + erf(z/√2)); its own operator came with opset 20
        half = graph.constant(np.float32(0.5))
        inner = graph.node("Erf", graph.node("Mul", z, graph.constant(np.float32(math.sqrt(0.5)))))
        return graph.node("Mul", z, graph.node("Add", half, graph.node("Mul", half, inner)))
    operator, attributes = ONNX_OPERATORS[name]
    return graph.node(operator, z, **attributes)


def torch_code(net: Network) -> str:
    """The torch.nn.Sequential that takes what ``to_torch`` writes."""
    modules = []
    for fan_in, fan_out, name in zip(net.sizes, net.sizes[1:], net.activations, strict=False):
        modules.append(f"torch.nn.Linear({fan_in}, {fan_out})")
        if name in TORCH_MODULES:
            modules.append(f"torch.nn.{TORCH_MODULES[name]}")
    return f"torch.nn.Sequential({', '.join(modules)})"


def to_torch(path: str | os.PathLike[str], net: Network, state: State) -> None:
    """Writes a PyTorch state dict as safetensors, for the torch.nn.Sequential of ``torch_code``; needs no PyTorch.

    Keys 0.weight (fan_out, fan_in), 0.bias, 2.weight, ...: activations stand between. An output "exp" has no module:
    take torch.exp of what comes out. Load with ``module.load_state_dict(safetensors.torch.load_file(path))``.
    """
    from safetensors.numpy import save

    check_state("to_torch", net, state)
    tensors = {}
    for index, layer in enumerate(state.layers):
        tensors[f"{2 * index}.weight"] = np.ascontiguousarray(layer.W.T)  # safetensors miswrites strided arrays
        tensors[f"{2 * index}.bias"] = np.ascontiguousarray(layer.b)
    _write("to_torch", path, save(tensors, metadata={"format": "pt", "module": torch_code(net)}))


def from_sklearn(estimator: Any) -> tuple[Network, SGD | Adam, State]:
    """(network, optimizer, state) of a fitted MLPClassifier or MLPRegressor, scikit-learn's or backlit's.

    The optimizer is its solver with fresh slots; for lbfgs plain gradient descent.
    """
    names = {"identity": "linear", "logistic": "sigmoid"}
    try:
        weights, biases = estimator.coefs_, estimator.intercepts_
        output = estimator.out_activation_
        given = estimator.activation
    except AttributeError as error:
        raise BadInput(
            f"from_sklearn: a fitted MLPClassifier or MLPRegressor is wanted, got {type(estimator).__name__}: {error}."
        ) from None
    losses = {"softmax": "cross_entropy", "logistic": "binary_cross_entropy", "exp": "poisson"}
    of_numbers = getattr(estimator, "loss", "squared_error")
    loss = losses.get(output) or ("quadratic" if of_numbers == "squared_error" else of_numbers)
    hidden = names.get(given, given) if isinstance(given, str) else [names.get(name, name) for name in given]
    net = Network([len(weights[0]), *(W.shape[1] for W in weights)], hidden, names.get(output, output), loss)
    l2, rate = float(estimator.alpha), float(estimator.learning_rate_init)
    opt: SGD | Adam = SGD(rate, l2=l2, l2_over="batch")
    if estimator.solver == "adam":
        opt = Adam(rate, estimator.beta_1, estimator.beta_2, estimator.epsilon, l2, "batch", "raw")
    elif estimator.solver == "sgd":
        opt = SGD(rate, estimator.momentum, estimator.nesterovs_momentum, l2, "batch")
    return net, opt, state_from(net, weights, biases, opt)


def from_torch(module: Any, *, output: str | None = None, loss: str | None = None) -> tuple[Network, State]:
    """(network, state) of a torch.nn.Sequential of Linear layers with activations between them.

    output: of the network, where the last Linear gives logits and the loss makes probabilities of them: "softmax" for
    CrossEntropyLoss, "sigmoid" for BCEWithLogitsLoss. loss: by default the one that goes with the output.
    """
    weights, biases, activations = [], [], []
    for place, layer in enumerate(_children(module)):
        kind = type(layer).__name__
        if kind == "Linear":
            weights.append(_numpy(layer.weight).T)
            biases.append(
                np.zeros(weights[-1].shape[1], weights[-1].dtype) if layer.bias is None else _numpy(layer.bias)
            )
            activations.append("linear")
        elif kind not in ("Dropout", "Identity"):
            if not activations or activations[-1] != "linear":
                raise BadInput(f"from_torch: module {place} ({kind}) must follow a Linear layer.")
            activations[-1] = _activation_of(place, kind, layer)
    if not weights:
        raise BadInput("from_torch: a torch.nn.Sequential with at least one Linear layer is wanted.")
    *hidden, last = activations
    if output is not None and last != "linear":
        raise BadInput(f"from_torch: the module ends with {last} already; leave output={output!r} out.")
    last = output or last
    usual = {needed: name for name, needed in NEEDS_OUTPUT.items()}
    net = Network([len(weights[0]), *(W.shape[1] for W in weights)], hidden, last, loss or usual.get(last, "quadratic"))
    return net, state_from(net, weights, biases)


def _children(module: Any) -> list[Any]:
    if type(module).__name__ == "Linear":
        return [module]
    if type(module).__name__ != "Sequential":
        raise BadInput(f"from_torch: a torch.nn.Sequential is wanted, got {type(module).__name__}.")
    return [
        inner for child in module for inner in (_children(child) if type(child).__name__ == "Sequential" else [child])
    ]


# torch.nn's name -> ours, and whether its settings are those that ours has
FROM_TORCH: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "Sigmoid": ("sigmoid", lambda m: True),
    "Tanh": ("tanh", lambda m: True),
    "ReLU": ("relu", lambda m: True),
    "LeakyReLU": ("leaky_relu", lambda m: abs(m.negative_slope - 0.01) < 1e-12),
    "GELU": ("gelu", lambda m: m.approximate == "none"),
    "Softplus": ("softplus", lambda m: m.beta == 1),
    "Softmax": ("softmax", lambda m: m.dim in (1, -1)),
}


def _activation_of(place: int, kind: str, layer: Any) -> str:
    name, fits = FROM_TORCH.get(kind, ("", lambda m: False))
    if not fits(layer):
        raise BadInput(
            f"from_torch: module {place} is {str(layer)!r:.80}: Linear, {', '.join(FROM_TORCH)} with their default "
            "settings are wanted."
        )
    return name


def _numpy(tensor: Any) -> Any:
    try:
        return np.array(tensor.detach().cpu().numpy())
    except (TypeError, RuntimeError) as error:
        raise BadInput(f"from_torch: weights of float32 or float64 are wanted: {error}.") from None


def _onnx() -> Any:
    try:
        import onnx  # type: ignore[import-untyped,import-not-found,unused-ignore]
        import onnx.checker
        import onnx.helper
        import onnx.numpy_helper
    except ImportError:
        raise EngineUnavailable('ONNX files need the package onnx: pip install onnx (or "backlit[onnx]")') from None
    return onnx


def _write(where: str, path: str | os.PathLike[str], content: bytes) -> None:
    """The file, whole, through a link; BadInput where it can't be written."""
    try:
        write_whole(Path(os.path.realpath(path)), content)
    except OSError as error:
        raise BadInput(f"{where}: {path} can't be written: {error.strerror or error}.") from None
