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
from warnings import catch_warnings

import numpy as np

from .foreign_forms import ORDER, arranged, made, pair_of
from .network_objects import object_gradient, update_gradient

# (way, method, () -> (their pair, which arguments it changed, how the pair came))
Call = tuple[str, str, Callable[[], tuple[Any, str, str]]]


def main(folder: Path) -> None:
    """Leaves report.json and an .npz per answer in the folder."""
    job = json.loads((folder / "job.json").read_text("utf-8"))
    with np.load(folder / "job.npz", allow_pickle=False) as arrays:
        count = len(job["sizes"]) - 1
        problem = [arrays[f"W{k}"] for k in range(count)], [arrays[f"b{k}"] for k in range(count)], *_xy(arrays)
    report: dict[str, Any] = {"error": "", "kind": "", "cost": "", "stopped": "", "answers": []}
    path = Path(job["path"])
    try:
        module, report["stopped"] = _loaded(path)
        calls = _calls(module, path, job["sizes"], problem, report)
    except BaseException as error:  # SystemExit too: the file may end itself
        report["error"] = _line(error, path, "as it was loaded")
        calls = []
    errors = []
    for way, method, call in calls:
        try:
            (first, moved, form), (second, _, _) = call(), call()
            _save(folder / f"answer{len(report['answers'])}.npz", first, second)
            told = f"{way}; it returned {form}" if form else way
            report["answers"].append({"way": told, "method": method, "moved": moved})
        except BaseException as error:
            errors.append(_line(error, path, f"when called with {way}, --sizes {','.join(map(str, job['sizes']))}"))
    if calls and not report["answers"]:
        report["error"] = errors[0]
    (folder / "report.json").write_text(json.dumps(report), "utf-8")


def _xy(arrays: Any) -> tuple[Any, Any]:
    return arrays["x"], arrays["y"]


def _loaded(path: Path) -> tuple[ModuleType, str]:
    """(their module, what ended it). What ends it after backprop has been defined is no obstacle."""
    sys.path.insert(0, str(path.parent))
    sys.argv = [str(path)]
    spec = importlib.util.spec_from_loader("their_file", loader=None, origin=str(path))
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    module.__file__ = str(path)
    sys.modules["their_file"] = module
    code, stopped = compile(path.read_bytes(), str(path), "exec"), ""
    try:
        exec(code, module.__dict__)
    except BaseException as error:
        if not callable(getattr(module, "backprop", None)) and not _classes(module):
            raise
        stopped = _line(error, path, "as it was loaded")
    return module, stopped


def _classes(module: ModuleType) -> list[Any]:
    return [c for c in vars(module).values() if inspect.isclass(c) and callable(getattr(c, "backprop", None))]


def _calls(module: ModuleType, path: Path, sizes: list[int], problem: Any, report: dict[str, Any]) -> list[Call]:
    function = getattr(module, "backprop", None)
    if callable(function) and not inspect.isclass(function):
        report["kind"] = "function"
        return list(_function_calls(arranged(function), len(sizes) - 1, *problem))
    classes = _classes(module)
    if not classes:
        names = ", ".join(map(_told, (v for n, v in vars(module).items() if callable(v) and not n.startswith("_"))))
        report["error"] = (
            f" must have a function backprop(weights, biases, x, y) or a class with a method backprop(self, x, y); it "
            f"has {names or 'neither'}."
        )
        return []
    network, held = made(classes[-1], sizes)
    cost = getattr(network, "cost", None)
    report["kind"] = "class"
    report["cost"] = "" if cost is None else str(getattr(cost, "__name__", type(cost).__name__))
    return list(_object_calls(network, held, *problem))


def _told(thing: Any) -> str:
    """The name of a function, or of a class with its methods."""
    name = str(getattr(thing, "__name__", thing))[:60]
    if not inspect.isclass(thing) or thing.__module__ != "their_file":
        return name
    return f"class {name} ({', '.join(n for n, v in vars(thing).items() if callable(v) and not n.startswith('_'))})"


def _function_calls(g: Callable[..., Any], count: int, weights: Any, biases: Any, x: Any, y: Any) -> Iterator[Call]:
    """The ways in which people write it, the documented one first."""
    f = g, count
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


def _once(f: tuple[Callable[..., Any], int], *arguments: Any) -> Callable[[], tuple[Any, str, str]]:
    def call() -> tuple[Any, str, str]:
        given = [[np.array(a) for a in arguments[k]] for k in (0, 1)] + [np.array(arguments[2]), np.array(arguments[3])]
        pair, form = pair_of(f[0](*given), f[1])
        moved = [name for k, name in enumerate(ORDER) if not _same(given[k], arguments[k])]
        with catch_warnings(action="ignore"):  # NumPy's own, about arrays of another library
            arrays = [[np.array(a) for a in part] for part in pair]
        return arrays, ", ".join(moved), form

    return call


def _same(given: Any, before: Any) -> bool:
    if isinstance(given, list):  # a program may also put other arrays into the list
        return len(given) == len(before) and all(map(np.array_equal, given, before))
    return np.array_equal(given, before)


def _each(
    f: tuple[Callable[..., Any], int], weights: Any, biases: Any, x: Any, y: Any
) -> Callable[[], tuple[Any, str, str]]:
    def call() -> tuple[Any, str, str]:
        answers = [_once(f, weights, biases, row, target)() for row, target in zip(x, y, strict=True)]
        means = [
            [np.mean([a[0][side][k] for a in answers], axis=0) for k in range(len(answers[0][0][side]))]
            for side in (0, 1)
        ]
        return means, answers[0][1], answers[0][2]

    return call


def _object_calls(network: Any, held: tuple[str, str], *problem: Any) -> Iterator[Call]:
    def backprop() -> tuple[Any, str, str]:
        notes: list[str] = []
        return object_gradient(network, held, notes)(*problem), "", "".join(notes[:1])

    way = "one example at a time, as columns (their mean was taken)"
    yield way, "backprop", backprop
    if callable(getattr(network, "update_mini_batch", None)):
        way = "the whole batch and rate 1; the gradient is by how much the parameters went down"
        yield way, "update_mini_batch", lambda: (update_gradient(network, held)(*problem), "", "")


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
    if isinstance(error, EOFError) and "reading a line" in str(error):
        error = EOFError("it asks for input(), and nobody is there to answer")
    message = " ".join(str(error.msg if isinstance(error, SyntaxError) else error).split())[:300]
    return f"{place}: {type(error).__name__}{': ' + message if message else ''} ({when})."


if __name__ == "__main__":
    main(Path(sys.argv[1]))
