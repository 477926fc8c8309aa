"""Out into the world and back: other runtimes give the same outputs, and what comes in computes what it did outside."""

from __future__ import annotations

import numpy as np
import pytest
from refusals import refusal
from requires import requires
from sklearn import datasets, neural_network
from sklearn.preprocessing import StandardScaler

import backlit as bl
from backlit.export import torch_code

X = np.random.default_rng(0).normal(size=(40, 5))
NETWORKS = [
    bl.Network([5, 4, 3], "sigmoid", "softmax", "cross_entropy"),
    bl.Network([5, 6, 4, 2], ["tanh", "relu"], "linear"),
    bl.Network([5, 6, 4, 1], ["leaky_relu", "gelu"], "sigmoid", "binary_cross_entropy"),
    bl.Network([5, 4, 2], "softplus", "tanh"),
    bl.Network([5, 4, 2], "linear", "exp", "poisson"),
    bl.Network([5, 2]),
]
KNOWN = pytest.mark.parametrize("net", NETWORKS, ids=lambda n: "-".join([*n.activations, n.output]))


def runtime(path):
    try:
        import onnxruntime
    except ImportError:
        requires("onnx", False, "pip install onnx onnxruntime")
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def needs(name):
    try:
        return __import__(name)
    except ImportError:
        requires(name, False)


@KNOWN
def test_onnx_gives_the_same_outputs(net, tmp_path):
    onnx = needs("onnx")
    state = bl.initial_state(net, seed=1)
    bl.to_onnx(tmp_path / "m.onnx", net, state)
    written = onnx.load(tmp_path / "m.onnx")
    assert (written.ir_version, written.opset_import[0].version) == (8, 17)
    found = runtime(tmp_path / "m.onnx").run(["y"], {"x": X.astype("f4")})[0]
    np.testing.assert_allclose(found, bl.predict(net, state, X), rtol=1e-6, atol=1e-6)


def test_onnx_of_a_prepared_model_takes_raw_numbers(tmp_path):
    needs("onnx")
    x, y = datasets.load_diabetes(return_X_y=True, scaled=False)
    data = bl.Dataset(x, y, columns=[f"c{k}" for k in range(10)])
    preparation = bl.Preparation.learn(data, scale_target=True)
    net = bl.Network([10, 8, 1])
    state, _ = bl.fit(net, bl.Adam(0.01), preparation.apply_to(data), epochs=2, progress=False)
    ours = preparation.restore(bl.predict(net, state, preparation.apply(x)))
    for given in (preparation, preparation.to_record()):
        bl.to_onnx(tmp_path / "m.onnx", net, state, given)
        session = runtime(tmp_path / "m.onnx")
        np.testing.assert_allclose(session.run(["y"], {"x": x})[0], ours, rtol=1e-5)
    missing = x.copy()
    missing[3, 2] = np.nan
    wanted = preparation.restore(bl.predict(net, state, preparation.apply(missing)))
    np.testing.assert_allclose(session.run(["y"], {"x": missing})[0], wanted, rtol=1e-5)
    assert "categories" in refusal(
        bl.to_onnx, tmp_path / "m.onnx", net, state, bl.Preparation(10, categories=(("a",), *[None] * 9))
    )
    assert "can't be written" in refusal(bl.to_onnx, tmp_path / "no" / "m.onnx", net, state)


@KNOWN
def test_torch_gives_the_same_outputs_and_back(net, tmp_path):
    torch = needs("torch")
    from safetensors.torch import load_file

    state = bl.initial_state(net, seed=2)
    bl.to_torch(tmp_path / "m.safetensors", net, state)
    module = eval(torch_code(net), {"torch": torch})
    module.load_state_dict(load_file(tmp_path / "m.safetensors"))
    with torch.no_grad():
        found = module(torch.tensor(X, dtype=torch.float32)).numpy()
    if net.output == "exp":
        found = np.exp(found)
    np.testing.assert_allclose(found, bl.predict(net, state, X), rtol=1e-5, atol=1e-6)
    if net.output != "exp":
        back, its_state = bl.from_torch(module, loss=net.loss)
        assert back == net
        np.testing.assert_array_equal(its_state.parameters, state.parameters)


def test_what_torch_modules_can_be():
    torch = needs("torch")
    nn = torch.nn
    logits = nn.Sequential(nn.Linear(5, 4, bias=False), nn.Dropout(), nn.Sequential(nn.ReLU(), nn.Linear(4, 3)))
    net, state = bl.from_torch(logits.double(), output="softmax")
    assert (net.output, net.loss, state.dtype) == ("softmax", "cross_entropy", np.float64)
    with torch.no_grad():
        wanted = torch.softmax(logits.eval()(torch.tensor(X)), 1).numpy()
    np.testing.assert_allclose(bl.predict(net, state, X), wanted, atol=1e-12)
    assert bl.from_torch(nn.Linear(5, 2))[0].sizes == (5, 2)
    for module, words in (
        (nn.ReLU(), "Sequential is wanted"),
        (nn.Sequential(nn.ReLU()), "follow a Linear"),
        (nn.Sequential(nn.Linear(5, 2), nn.ELU()), "ELU"),
        (nn.Sequential(nn.Linear(5, 2), nn.LeakyReLU(0.2)), "LeakyReLU"),
        (nn.Sequential(nn.Dropout()), "at least one Linear"),
        (nn.Linear(5, 2).bfloat16(), "float32"),
        (nn.Sequential(nn.Conv2d(1, 1, 1)), "Conv2d"),
    ):
        assert words in refusal(bl.from_torch, module)
    assert "already" in refusal(bl.from_torch, nn.Sequential(nn.Linear(5, 2), nn.Tanh()), output="softmax")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("package", [neural_network, bl], ids=["theirs", "ours"])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_a_fitted_perceptron_comes_in(package, solver):
    x, y = datasets.load_iris(return_X_y=True)
    x = StandardScaler().fit_transform(x)
    for rows, labels in ((x, y), (x[:100], y[:100])):
        fitted = package.MLPClassifier((6,), "logistic", solver=solver, max_iter=9, random_state=0).fit(rows, labels)
        net, opt, state = bl.from_sklearn(fitted)
        probabilities = fitted.predict_proba(rows)
        np.testing.assert_allclose(bl.predict(net, state, rows), probabilities[:, -net.sizes[-1] :], atol=1e-12)
        assert opt.l2_over == "batch"
    numbers = package.MLPRegressor(hidden_layer_sizes=(6, 3), solver=solver, max_iter=9, random_state=0).fit(x, y)
    net, opt, state = bl.from_sklearn(numbers)
    np.testing.assert_allclose(bl.predict(net, state, x)[:, 0], numbers.predict(x), atol=1e-12)
    assert bl.step(net, opt, state, x[:3], y[:3, None]).loss == pytest.approx(
        0.5 * ((numbers.predict(x[:3]) - y[:3]) ** 2).mean()
    )
    assert "fitted" in refusal(bl.from_sklearn, package.MLPClassifier())
