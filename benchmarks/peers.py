"""One library timed on one row, as a worker process: `python peers.py LIBRARY ROW THREADS`.

Each function below prepares a library as its own users would at their best (data in memory and in the right dtype, rows
of a batch side by side, everything compiled before the clock starts) and returns (steps, run): run() trains that many
steps. The worker answers every line on standard input with the seconds per step of one more round: runs for a while, as
a training goes on for a while, and not the first moments of a processor that has just been asleep.
"""

from __future__ import annotations

import json
import sys
import time
import warnings

import numpy as np
from rows import RATE, ROWS, Row

EXAMPLES = 4000
ROUND = 0.05  # seconds that a round takes at least


def examples(row: Row) -> tuple[np.ndarray, np.ndarray]:
    """x (EXAMPLES, n_in) and targets (EXAMPLES, n_out), float32: one-hot, or 0/1 for one output."""
    random = np.random.default_rng(0)
    x = random.random((EXAMPLES, row.sizes[0]), dtype=np.float32)
    labels = random.integers(0, max(row.sizes[-1], 2), EXAMPLES)
    y = np.eye(row.sizes[-1])[labels] if row.sizes[-1] > 1 else labels[:, None]
    return x, y.astype(np.float32)


def batches(row: Row) -> int:
    return min(EXAMPLES // row.batch, 400)


def backlit(row: Row, threads: int):
    import backlit as bl
    from backlit.engines.native import Engine

    x, y = examples(row)
    loss = "cross_entropy" if row.output == "softmax" else "quadratic"
    net = bl.Network(row.sizes, hidden=row.hidden, output=row.output, loss=loss)
    opt = getattr(bl, row.optimizer)(RATE[row.optimizer])
    engine = Engine(net, opt, bl.initial_state(net, opt), bl.Dataset(x, y), threads=1 if threads == 1 else None)
    # Rows in random order, as in training; the peers read theirs in the order of memory.
    steps = max(batches(row), 20_000_000 // (row.operations + 10_000))
    rows = np.random.default_rng(1).integers(0, EXAMPLES, (steps, row.batch))
    rates = np.full(steps, RATE[row.optimizer])
    return steps, lambda: engine.advance(rows, rates)


def scikit_learn(row: Row, threads: int):
    import sklearn
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    warnings.simplefilter("ignore", ConvergenceWarning)
    sklearn.set_config(assume_finite=True)
    x, y = examples(row)
    epochs = max(1, batches(row) // (EXAMPLES // row.batch), 2 if row.batch > 100 else 1)
    kind, target = (MLPClassifier, y.argmax(1)) if row.output == "softmax" else (MLPRegressor, y.squeeze())
    model = kind(
        hidden_layer_sizes=row.sizes[1:-1],
        activation={"sigmoid": "logistic"}.get(row.hidden, row.hidden),
        solver=row.optimizer.lower(),
        alpha=0.0,
        batch_size=row.batch,
        learning_rate_init=RATE[row.optimizer] * 0.01,
        momentum=0.0,
        nesterovs_momentum=False,
        shuffle=False,
        max_iter=epochs,
        n_iter_no_change=epochs + 1,
    )
    return epochs * (EXAMPLES // row.batch), lambda: model.fit(x, target)


def pytorch(row: Row, threads: int):
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    x, y = map(torch.from_numpy, examples(row))
    activation = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU}
    layers: list[nn.Module] = []
    for fan_in, fan_out in zip(row.sizes, row.sizes[1:], strict=False):
        layers += [nn.Linear(fan_in, fan_out), activation[row.hidden]()]
    layers.pop()
    if row.output == "sigmoid":
        layers.append(nn.Sigmoid())
    model = nn.Sequential(*layers)
    target = y.argmax(1) if row.output == "softmax" else y
    loss_of = nn.CrossEntropyLoss() if row.output == "softmax" else nn.MSELoss()
    opt = getattr(torch.optim, row.optimizer)(model.parameters(), lr=RATE[row.optimizer])
    steps = batches(row)

    def run():
        for start in range(0, steps * row.batch, row.batch):
            opt.zero_grad(set_to_none=True)
            loss_of(model(x[start : start + row.batch]), target[start : start + row.batch]).backward()
            opt.step()

    return steps, run


def jax(row: Row, threads: int):
    import jax
    import jax.numpy as jnp

    steps, batch, rate = batches(row), row.batch, RATE[row.optimizer]
    x, y = (a[: steps * batch].reshape(steps, batch, -1) for a in examples(row))
    x, y = jax.device_put(x), jax.device_put(y)
    hidden = {"sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh, "relu": jax.nn.relu}[row.hidden]
    keys = jax.random.split(jax.random.key(0), len(row.sizes))
    shapes = list(zip(row.sizes, row.sizes[1:], strict=False))
    params = [(jax.random.normal(k, s) / s[0] ** 0.5, jnp.zeros(s[1])) for k, s in zip(keys, shapes, strict=False)]

    def loss(params, x, y):
        for w, b in params[:-1]:
            x = hidden(x @ w + b)
        z = x @ params[-1][0] + params[-1][1]
        if row.output == "softmax":
            return -(y * jax.nn.log_softmax(z)).sum() / batch
        a = jax.nn.sigmoid(z) if row.output == "sigmoid" else z
        return 0.5 * ((a - y) ** 2).sum() / batch

    def sgd(carry, xy):
        value, g = jax.value_and_grad(loss)(carry, *xy)
        return jax.tree.map(lambda p, g: p - rate * g, carry, g), value

    def adam(carry, xy):
        p, m, v, t = carry
        value, g = jax.value_and_grad(loss)(p, *xy)
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
        scale, root = rate / (1 - 0.9**t), 1 / (1 - 0.999**t)
        p = jax.tree.map(lambda p, m, v: p - scale * m / (jnp.sqrt(v * root) + 1e-8), p, m, v)
        return (p, m, v, t + 1), value

    m, v = (jax.tree.map(jnp.zeros_like, params) for _ in range(2))
    carry = params if row.optimizer == "SGD" else (params, m, v, jnp.float32(1))
    step = sgd if row.optimizer == "SGD" else adam
    epoch = jax.jit(lambda carry, x, y: jax.lax.scan(step, carry, (x, y)), donate_argnums=0)
    kept = [carry]

    def run():
        kept[0], losses = epoch(kept[0], x, y)
        jax.block_until_ready((kept[0], losses))

    return steps, run


def numpy(row: Row, threads: int):
    x, y = examples(row)
    random = np.random.default_rng(0)
    shapes = list(zip(row.sizes, row.sizes[1:], strict=False))
    weights = [(random.standard_normal(s) / s[0] ** 0.5).astype(np.float32) for s in shapes]
    biases = [np.zeros(s[1], np.float32) for s in shapes]
    params = [*weights, *biases]
    m, v = [[np.zeros_like(p) for p in params] for _ in range(2)]
    rate, count, steps = RATE[row.optimizer], [0], batches(row)

    def activate(z, name):
        if name == "sigmoid":
            return 1 / (1 + np.exp(-z))
        if name == "softmax":
            e = np.exp(z - z.max(1, keepdims=True))
            return e / e.sum(1, keepdims=True)
        return np.tanh(z) if name == "tanh" else np.maximum(z, 0) if name == "relu" else z

    def slope(a, name):
        return a * (1 - a) if name == "sigmoid" else 1 - a * a if name == "tanh" else a > 0

    def gradient(xb, yb):
        a = [xb]
        for l, (w, b) in enumerate(zip(weights, biases, strict=True)):  # noqa: E741
            a.append(activate(a[-1] @ w + b, row.output if l == len(weights) - 1 else row.hidden))
        delta = (a[-1] - yb) / row.batch
        if row.output == "sigmoid":
            delta *= slope(a[-1], "sigmoid")
        gw, gb = [], []
        for l in range(len(weights) - 1, -1, -1):  # noqa: E741
            gw.insert(0, a[l].T @ delta)
            gb.insert(0, delta.sum(0))
            if l:
                delta = (delta @ weights[l].T) * slope(a[l], row.hidden)
        return [*gw, *gb]

    def move(g):
        count[0] += 1
        scale, root = rate / (1 - 0.9 ** count[0]), 1 / (1 - 0.999 ** count[0])
        for i, p in enumerate(params):
            if row.optimizer == "SGD":
                p -= rate * g[i]
                continue
            m[i] += 0.1 * (g[i] - m[i])
            v[i] += 0.001 * (g[i] * g[i] - v[i])
            p -= scale * m[i] / (np.sqrt(v[i] * root) + 1e-8)

    def run():
        for start in range(0, steps * row.batch, row.batch):
            move(gradient(x[start : start + row.batch], y[start : start + row.batch]))

    return steps, run


LIBRARIES = {"backlit": backlit, "scikit-learn": scikit_learn, "PyTorch": pytorch, "JAX": jax, "NumPy": numpy}


def main(library: str, row: str, threads: str) -> None:
    steps, run = LIBRARIES[library](ROWS[int(row)], int(threads))
    run()  # compiles, touches the memory, wakes the processor
    print("ready", flush=True)
    for _ in sys.stdin:
        start, done = time.perf_counter(), 0
        while (spent := time.perf_counter() - start) < ROUND:
            run()
            done += steps
        print(json.dumps(spent / done), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
