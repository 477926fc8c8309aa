"""The program inside the process that runs somebody's file: loads it, calls it, writes arrays. See foreign.py.

Run as ``python -m backlit.checks.foreign_child FOLDER``; nothing else may import it.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from .network_objects import object_gradient, update_gradient

Call = tuple[str, str, Callable[[], tuple[Any, bool]]]  # (way, method, () -> (their pair, whether arguments moved))


def main(folder: Path) -> None:
    """Leaves report.json and an .npz per answer in the folder."""
    job = json.loads((folder / "job.json").read_text("utf-8"))
    with np.load(folder / "job.npz", allow_pickle=False) as arrays:
        count = len(job["sizes"]) - 1
        problem = [arrays[f"W{k}"] for k in range(count)], [arrays[f"b{k}"] for k in range(count)], *_xy(arrays)
    report: dict[str, Any] = {"error": "", "kind": "", "cost": "", "answers": []}
    path = Path(job["path"])
    try:
        calls = _calls(_loaded(path), path, job["sizes"], problem, report)
    except BaseException as error:  # SystemExit too: the file may end itself
        report["error"] = _line(error, path, "as it was loaded")
        calls = []
    errors = []
    for way, method, call in calls:
        try:
            (first, moved), (second, _) = call(), call()
            _save(folder / f"answer{len(report['answers'])}.npz", first, second)
            report["answers"].append({"way": way, "method": method, "moved": moved})
        except BaseException as error:
            errors.append(_line(error, path, f"when called with {way}"))
    if calls and not report["answers"]:
        report["error"] = errors[0]
    (folder / "report.json").write_text(json.dumps(report), "utf-8")


def _xy(arrays: Any) -> tuple[Any, Any]:
    return arrays["x"], arrays["y"]


def _loaded(path: Path) -> ModuleType:
    sys.path.insert(0, str(path.parent))
    sys.argv = [str(path)]
    spec = importlib.util.spec_from_loader("their_file", loader=None, origin=str(path))
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    module.__file__ = str(path)
    sys.modules["their_file"] = module
    exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)
    return module


def _calls(module: ModuleType, path: Path, sizes: list[int], problem: Any, report: dict[str, Any]) -> list[Call]:
    function = getattr(module, "backprop", None)
    if callable(function) and not inspect.isclass(function):
        report["kind"] = "function"
        return list(_function_calls(function, *problem))
    classes: list[Any] = [
        c for c in vars(module).values() if inspect.isclass(c) and callable(getattr(c, "backprop", None))
    ]
    if not classes:
        names = ", ".join(n for n, v in vars(module).items() if callable(v) and not n.startswith("_")) or "neither"
        report["error"] = (
            f" must have a function backprop(weights, biases, x, y) or a class with a method backprop(self, x, y); it "
            f"has {names}."
        )
        return []
    network = classes[-1](sizes)
    cost = getattr(network, "cost", None)
    report["kind"] = "class"
    report["cost"] = "" if cost is None else str(getattr(cost, "__name__", type(cost).__name__))
    return list(_object_calls(network, *problem))


def _function_calls(f: Callable[..., Any], weights: Any, biases: Any, x: Any, y: Any) -> Iterator[Call]:
    """The ways in which people write it, the documented one first."""
    turned, columns = [W.T for W in weights], [b[:, None] for b in biases]
    rows = [b[None] for b in biases]
    yield "weights (fan_in, fan_out), one example per row", "backprop", _once(f, weights, biases, x, y)
    yield (
        "weights (fan_in, fan_out), biases (1, fan_out), one example per row",
        "backprop",
        _once(f, weights, rows, x, y),
    )
    yield "weights (fan_out, fan_in), one example per column", "backprop", _once(f, turned, columns, x.T, y.T)
    yield "weights (fan_out, fan_in), one example per row", "backprop", _once(f, turned, biases, x, y)
    one = "one example at a time, as columns (their mean was taken)"
    yield f"weights (fan_out, fan_in), {one}", "backprop", _each(f, turned, columns, x[:, :, None], y[:, :, None])
    one = "one example at a time (their mean was taken)"
    yield f"weights (fan_in, fan_out), {one}", "backprop", _each(f, weights, biases, x, y)
    yield f"weights (fan_out, fan_in), {one}", "backprop", _each(f, turned, biases, x, y)


def _once(f: Callable[..., Any], *arguments: Any) -> Callable[[], tuple[Any, bool]]:
    def call() -> tuple[Any, bool]:
        given = [[np.array(a) for a in arguments[k]] for k in (0, 1)] + [np.array(arguments[2]), np.array(arguments[3])]
        answer = f(*given)
        parts = [([np.array(a) for a in part] if part is not None else []) for part in _two(answer)]
        moved = any(not np.array_equal(a, b) for k in (0, 1) for a, b in zip(given[k], arguments[k], strict=True))
        return parts, moved

    return call


def _each(f: Callable[..., Any], weights: Any, biases: Any, x: Any, y: Any) -> Callable[[], tuple[Any, bool]]:
    def call() -> tuple[Any, bool]:
        answers = [_once(f, weights, biases, row, target)() for row, target in zip(x, y, strict=True)]
        means = [
            [np.mean([a[0][side][k] for a in answers], axis=0) for k in range(len(answers[0][0][side]))]
            for side in (0, 1)
        ]
        return means, any(a[1] for a in answers)

    return call


def _two(answer: Any) -> Any:
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        raise TypeError(f"backprop must return a pair (weight gradients, bias gradients), it returned {_short(answer)}")
    return answer


def _short(answer: Any) -> str:
    return f"{type(answer).__name__} of length {len(answer)}" if hasattr(answer, "__len__") else repr(answer)[:60]


def _object_calls(network: Any, weights: Any, biases: Any, x: Any, y: Any) -> Iterator[Call]:
    way = "one example at a time, as columns (their mean was taken)"
    yield way, "backprop", lambda: (object_gradient(network)(weights, biases, x, y), False)
    if callable(getattr(network, "update_mini_batch", None)):
        way = "the whole batch and rate 1; the gradient is by how much the parameters went down"
        yield way, "update_mini_batch", lambda: (update_gradient(network)(weights, biases, x, y), False)


def _save(path: Path, first: Any, second: Any) -> None:
    arrays: dict[str, Any] = {
        f"{call}{side}_{k}": np.asarray(array)
        for call, pair in (("first", first), ("second", second))
        for side in (0, 1)
        for k, array in enumerate(pair[side])
    }
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf":
            raise TypeError(f"the gradients must be arrays of numbers; {name} is {array.dtype} of shape {array.shape}")
    np.savez(path, **arrays)


def _line(error: BaseException, path: Path, when: str) -> str:
    """The error in one line, with its last place in their file."""
    places = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    if isinstance(error, SyntaxError) and error.filename == str(path):
        places = [error.lineno]
    place = f", line {places[-1]}" if places else ""
    message = " ".join(str(error.msg if isinstance(error, SyntaxError) else error).split())[:300]
    return f"{place}: {type(error).__name__}{': ' + message if message else ''} ({when})."


if __name__ == "__main__":
    main(Path(sys.argv[1]))
