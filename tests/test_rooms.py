"""The rooms keep to themselves: imports run one way, optional packages have one home, and so have chance and clock."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import backlit

SOURCE = Path(backlit.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))

# Each room imports only from lines above its own, and from itself.
LEVELS = [
    {"errors", "network", "optimizers", "whole_file"},
    {"state", "data", "batches"},
    {"trace", "model_file"},
    {"chain", "example_norms"},
    {"engines", "progress"},
    {"training", "evaluation", "checks", "explanations"},
    {"observers", "advice"},
    {"estimators", "nielsen", "export", "cli", "__main__"},
]
LEVEL = {room: number for number, rooms in enumerate(LEVELS) for room in rooms}
INSIDE = {
    "optimizers": {"errors"},
    "network": {"errors"},
    "__main__": {"cli"},
    "cli": {"export"},
    "batches": set(),
    "evaluation": set(),
}
# A Trace computes and shows what it is asked for by way of the rooms that know how.
EXCEPTIONS = {("trace", "chain"), ("trace", "example_norms"), ("trace", "explanations")}


def room_of(file: Path) -> str:
    return file.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(file: Path) -> list[str]:
    """Every module that a file imports, absolute: ``backlit.chain``, ``numpy.random``."""
    package = ["backlit", *file.relative_to(SOURCE).parent.parts]
    found = []
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = [*base, *(node.module or "").split(".")] if node.module else base
            found += [".".join([*module, alias.name]) for alias in node.names]
    return found


def rooms_imported(file: Path) -> set[str]:
    inside = [name.split(".") for name in imports(file) if name.startswith("backlit.")]
    return {parts[1] for parts in inside if parts[1] in LEVEL} - {room_of(file)}


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(SOURCE)))
def test_imports_run_one_way(file):
    room = room_of(file)
    if room == "__init__":
        assert not rooms_imported(file), "the front door loads rooms only when they are asked for"
        return
    for other in rooms_imported(file):
        allowed = LEVEL[other] < LEVEL[room] or other in INSIDE.get(room, set()) or (room, other) in EXCEPTIONS
        assert allowed, f"{room} may not import {other}"


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(SOURCE)))
def test_a_file_says_what_lives_there_and_keeps_its_size(file):
    text = file.read_text("utf-8")
    assert ast.get_docstring(ast.parse(text)), "the first lines say what lives here"
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            assert not body or body[-1].end_lineno - body[0].lineno < 60, f"{node.name} doesn't fit on a screen"


# What is asked for -> the rooms (or files) that may.
HOMES = {
    "numpy.random": {"state", "batches", "data/dataset.py", "nielsen/network", "estimators"},
    "random": {"nielsen"},
    "time": {"training", "observers", "data", "checks", "estimators", "cli", "engines/jax_hosts.py", "advice"},
    "sklearn": {"estimators", "data", "export"},
    "torch": {"checks", "export"},
    "jax": {"engines/jax"},
    "onnx": {"export"},
    "pyarrow": {"data", "cli"},
    "matplotlib": {"explanations"},
    "tensorboard": {"observers"},
    "pickle": set(),
}


def words(file: Path) -> set[str]:
    """Imported modules, and ``numpy.random`` where np.random is used."""
    found = {name.split(".")[0] for name in imports(file) if not name.startswith("backlit")}
    draws = "np.random." in file.read_text("utf-8").replace("np.random.Generator", "")
    return found | ({"numpy.random"} if draws else set())


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(SOURCE)))
def test_chance_clock_and_optional_packages_have_their_homes(file):
    place = str(file.relative_to(SOURCE))
    for word in words(file) & HOMES.keys():
        assert any(place.startswith(home) for home in HOMES[word]), f"{place} may not use {word}"


def test_no_room_bears_the_name_of_a_door():
    rooms = {room_of(file) for file in FILES}
    assert not rooms & set(backlit.__all__)


def test_every_door_opens():
    for name in backlit.__all__:
        assert getattr(backlit, name) is not None
    assert set(backlit.__all__) <= set(dir(backlit))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        backlit.nonsense  # noqa: B018


def test_import_is_light():
    """Neither scikit-learn nor a framework is loaded by import, nor by a training run from arrays or on the digits."""
    code = (
        "import sys, backlit as bl\n"
        "assert 'numpy' not in sys.modules, 'numpy at import'\n"
        "bl.fit(bl.Network([1, 1]), bl.SGD(0.1), ([[1.0]], [[1.0]]), epochs=1, progress=False)\n"
        "bl.load_dataset('digits')\n"
        "heavy = {'sklearn', 'scipy', 'jax', 'torch', 'pandas', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
