"""MNIST to 98 % test accuracy on one core, each library from process start to the end of the last epoch.

`python benchmarks/mnist_98.py [FOLDER]`, the folder with the four IDX files ($BACKLIT_DATA/mnist by default). The same
network, batch, optimizer, epochs and schedule for all; scikit-learn's Adam has no schedule and runs at a constant rate.
Reading the images, imports and compilation count; looking at the test set does not. Writes Markdown and JSON to
benchmarks/results.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import json
import math
import os
import re
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
HIDDEN, BATCH, EPOCHS, PEAK = 128, 32, 4, 4e-3
CONSTANT_RATE = 1e-3
MODULES = {"backlit": "backlit", "scikit-learn": "sklearn", "PyTorch": "torch", "JAX": "jax"}


def rates(steps: int, peak: float) -> list[float]:
    """One cycle: from peak/25 up over 30 % of the steps, then down to nothing, along half cosines."""

    def cosine(start: float, end: float, share: float) -> float:
        return end + (start - end) * 0.5 * (1 + math.cos(math.pi * share))

    top = 0.3 * steps
    up = (cosine(peak / 25, peak, i / top) for i in range(math.ceil(top)))
    down = (cosine(peak, peak / 25e4, (i - top) / (steps - top)) for i in range(math.ceil(top), steps))
    return [*up, *down]


# --- one library, in a process of its own: train(folder) -> (accuracy of outputs for images) ------------------------


def images(folder: Path, part: str):
    """(x (N, 784) float32 from 0 to 1, labels (N,))"""
    import numpy as np

    x, y = (
        np.frombuffer(gzip.decompress((folder / f"{part}-{name}-ubyte.gz").read_bytes()), np.uint8, offset=offset)
        for name, offset in (("images-idx3", 16), ("labels-idx1", 8))
    )
    return x.reshape(-1, 784) / np.float32(255), y


def backlit(folder: Path):
    import backlit as bl

    data = bl.load_dataset(folder)
    steps = EPOCHS * math.ceil(len(data) / BATCH)
    net = bl.Network([784, HIDDEN, 10], output="softmax", loss="cross_entropy")
    opt = bl.Adam(bl.OneCycle(PEAK, steps=steps))
    state, _ = bl.fit(net, opt, data, batch_size=BATCH, epochs=EPOCHS, progress=False)
    return lambda x: bl.predict(net, state, x)


def smaller(x):
    """Images (N, 784) without a border of 2 pixels, which is empty, and with the mean of every 2 x 2: (N, 144)."""
    x = x.reshape(-1, 28, 28)[:, 2:26, 2:26]
    quarters = (x[:, row::2, column::2] for row in (0, 1) for column in (0, 1))
    return (sum(quarters) / 4).reshape(-1, 144)


def backlit_recipe(folder: Path):
    """Our own way to 98 %: see RECIPE below. Prints the seconds of training alone as well."""
    import backlit as bl

    images = bl.load_dataset(folder)
    data = bl.Dataset(smaller(images.x), images.y)
    steps = RECIPE["epochs"] * math.ceil(len(data) / RECIPE["batch"])
    net = bl.Network([144, RECIPE["hidden"], 10], hidden=RECIPE["activation"], output="softmax", loss="cross_entropy")
    cycle = bl.OneCycle(RECIPE["peak"], steps=steps, rise=RECIPE["rise"])
    opt = bl.Adam(cycle, beta1=RECIPE["beta1"], beta2=RECIPE["beta2"])
    start = time.perf_counter()
    state, _ = bl.fit(net, opt, data, batch_size=RECIPE["batch"], epochs=RECIPE["epochs"], progress=False)
    print(json.dumps({"training_seconds": time.perf_counter() - start}), flush=True)
    return lambda x: bl.predict(net, state, smaller(x))


# Chosen by the last 10,000 training images, from some 230 trials with the first 50,000.
RECIPE = {
    "hidden": 192,
    "activation": "gelu",
    "batch": 64,
    "epochs": 4,
    "peak": 8e-3,
    "rise": 0.1,
    "beta1": 0.9,
    "beta2": 0.99,
}


def scikit_learn(folder: Path):
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    warnings.simplefilter("ignore", ConvergenceWarning)
    model = MLPClassifier(
        (HIDDEN,), batch_size=BATCH, learning_rate_init=CONSTANT_RATE, alpha=0.0, max_iter=EPOCHS, random_state=0
    )
    model.fit(*images(folder, "train"))
    return model.predict_proba


def pytorch(folder: Path):
    import torch
    from torch import nn

    torch.set_num_threads(1)
    torch.manual_seed(0)
    x, y = images(folder, "train")
    x, y = torch.from_numpy(x), torch.from_numpy(y.astype("int64"))
    model = nn.Sequential(nn.Linear(784, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 10))
    opt, loss_of = torch.optim.Adam(model.parameters()), nn.CrossEntropyLoss()
    schedule = iter(rates(EPOCHS * math.ceil(len(x) / BATCH), PEAK))
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x)).split(BATCH):
            opt.param_groups[0]["lr"] = next(schedule)
            opt.zero_grad(set_to_none=True)
            loss_of(model(x[rows]), y[rows]).backward()
            opt.step()
    return lambda images: model(torch.from_numpy(images)).detach().numpy()


def jax(folder: Path):
    import jax
    import jax.numpy as jnp

    x, y = map(jax.device_put, images(folder, "train"))
    per_epoch = len(x) // BATCH
    key = jax.random.key(0)
    k1, k2, key = jax.random.split(key, 3)
    params = [
        (jax.random.normal(k1, (784, HIDDEN)) * (2 / 784) ** 0.5, jnp.zeros(HIDDEN)),
        (jax.random.normal(k2, (HIDDEN, 10)) * (2 / HIDDEN) ** 0.5, jnp.zeros(10)),
    ]

    def outputs(params, x):
        (w1, b1), (w2, b2) = params
        return jax.nn.relu(x @ w1 + b1) @ w2 + b2

    def loss(params, x, y):
        return -jnp.take_along_axis(jax.nn.log_softmax(outputs(params, x)), y[:, None], 1).mean()

    def step(carry, batch):
        p, m, v, t = carry
        rows, rate = batch
        g = jax.grad(loss)(p, x[rows], y[rows])
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
        scale, root = rate / (1 - 0.9**t), 1 / (1 - 0.999**t)
        p = jax.tree.map(lambda p, m, v: p - scale * m / (jnp.sqrt(v * root) + 1e-8), p, m, v)
        return (p, m, v, t + 1), None

    @jax.jit
    def epoch(carry, rows, rates):
        return jax.lax.scan(step, carry, (rows, rates))[0]

    zeros = jax.tree.map(jnp.zeros_like, params)
    carry = (params, zeros, zeros, jnp.float32(1))
    schedule = jnp.array(rates(EPOCHS * per_epoch, PEAK)).reshape(EPOCHS, per_epoch)
    for i in range(EPOCHS):
        rows = jax.random.permutation(jax.random.fold_in(key, i), len(x))[: per_epoch * BATCH]
        carry = epoch(carry, rows.reshape(per_epoch, BATCH), schedule[i])
    params = jax.block_until_ready(carry[0])
    return lambda x: outputs(params, x)


LIBRARIES = {
    "backlit": backlit,
    "backlit, own recipe": backlit_recipe,
    "scikit-learn": scikit_learn,
    "PyTorch": pytorch,
    "JAX": jax,
}


def worker(library: str, folder: Path) -> None:
    outputs_of = LIBRARIES[library](folder)
    print("trained", flush=True)
    print(json.dumps({"peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
    import numpy as np

    x, y = images(folder, "t10k")
    print(json.dumps({"accuracy": float((np.asarray(outputs_of(x)).argmax(1) == y).mean())}))


# --- all of them ----------------------------------------------------------------------------------------------------


def measure(library: str, folder: Path) -> dict[str, float]:
    start = time.perf_counter()
    command = [sys.executable, str(Path(__file__)), str(folder), "--worker", library]
    limits = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **limits})
    result: dict[str, float] = {}
    for line in process.stdout:
        if line == "trained\n":
            result["seconds"] = time.perf_counter() - start
        else:
            result |= json.loads(line)
    if process.wait() or "accuracy" not in result:
        raise SystemExit(f"mnist_98: {library} ended without a result")
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path(os.environ.get("BACKLIT_DATA", ".")) / "mnist")
    parser.add_argument("--worker", choices=LIBRARIES, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    arguments = parser.parse_args()
    if arguments.worker:
        return worker(arguments.worker, arguments.folder)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-1:])
    there = [name for name in LIBRARIES if importlib.util.find_spec(MODULES[name.split(",")[0]])]
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in there}
    for _ in range(arguments.rounds):
        for name in there:
            runs[name].append(measure(name, arguments.folder))
            print(name, json.dumps(runs[name][-1]), file=sys.stderr, flush=True)
    report(runs, arguments.out)


def report(runs: dict[str, list[dict[str, float]]], out: Path) -> None:
    from step_speed import processor

    medians = {
        name: {key: statistics.median(run[key] for run in rounds) for key in rounds[0]} for name, rounds in runs.items()
    }
    ours = medians["backlit"]["seconds"]
    lines = [
        f"# MNIST, 784-{HIDDEN}-10, relu, batch {BATCH}, Adam, one cycle, {EPOCHS} epochs\n",
        f"{processor()}, one core; process start to the end of the last epoch, medians of {len(runs['backlit'])}.\n",
        "| library | seconds | × backlit | test accuracy | training alone | peak memory |",
        "|---|---|---|---|---|---|",
    ]
    for name, m in medians.items():
        alone = f"{m['training_seconds']:.2f} s" if "training_seconds" in m else ""
        lines.append(
            f"| {name} | {m['seconds']:.2f} | {m['seconds'] / ours:.2f} | {m['accuracy']:.2%} | {alone} | "
            f"{m['peak_megabytes']:.0f} MB |"
        )
    out.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"\W+", "-", processor()).strip("-").lower()
    text = "\n".join(lines) + "\n"
    (out / f"mnist-98-{name}.md").write_text(text)
    (out / f"mnist-98-{name}.json").write_text(
        json.dumps({"processor": processor(), "recipe": RECIPE, "runs": runs}, indent=1) + "\n"
    )
    print(text)


if __name__ == "__main__":
    main()
