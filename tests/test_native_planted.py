"""Planted errors: the compiled core with one wrong line each, built for the occasion, must not pass the ladder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nanobind
import pytest
from requires import requires

ROOT = Path(__file__).parent.parent
TOOLS = ("g++", "cmake")
requires("compiler", all(map(shutil.which, TOOLS)), f"It takes {' and '.join(TOOLS)} to build a wrong core.")
pytestmark = pytest.mark.slow

# file, right line, wrong line
PLANTS = {
    "a slope wrong by a twentieth of a percent": (
        "activations.hpp",
        "return a * (T(1) - a);",
        "return T(1.0005) * a * (T(1) - a);",
    ),
    "a loss wrong by a twentieth of a percent": (
        "losses.hpp",
        "sum += soft_plus<T>(z) - y * z;",
        "sum += T(1.0005) * soft_plus<T>(z) - y * z;",
    ),
    "left-over columns without their bias": (
        "products.hpp",
        "sum_lanes<T>(sum[c]) + bias[c]",
        "sum_lanes<T>(sum[c])",
    ),
    "a moment wrong by a thousandth": (
        "update.hpp",
        "rule.keep2 * load(at.slot2)",
        "T(0.999) * rule.keep2 * load(at.slot2)",
    ),
    "L2 on the biases": (
        "update.hpp",
        "apply<T, KIND>(sum[j], at + n + j * LANES<T>, rule, T(0))",
        "apply_to_weights<T, KIND, 1>(&sum[j], at + n + j * LANES<T>, rule)",
    ),
    "the last row of the batch forgotten": (
        "update.hpp",
        "for (long b = begin; b < end; ++b) {",
        "for (long b = begin; b + 1 < end; ++b) {",
    ),
    "W moved before the delta below was taken": (
        "step.hpp",
        "    if (l) {\n      delta_below",
        "    update(plan, l, thread, threads);\n    if (l) {\n      delta_below",
    ),
    "a narrow layer without its slope": (
        "step.hpp",
        "next = product * slope",
        "next = product + T(0) * slope",
    ),
    "one row of a batch with many zeros forgotten": (
        "sparse.hpp",
        "rows; rows &= rows - 1) {",
        "rows & (rows - 1); rows &= rows - 1) {",
    ),
    "a weight taken from beside a number that is not zero": (
        "sparse.hpp",
        "const T number = x[k];",
        "const T number = x[k ? k - 1 : k];",
    ),
}

LADDER = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("backlit.engines._core", sys.argv[1])
sys.modules["backlit.engines._core"] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
import pytest
wanted = "native and (one_step or every_optimizer or every_width or narrow) and not instruction_set"
sys.exit(pytest.main(["-q", "-x", "--tb=no", "-k", wanted, *sys.argv[2:]]))
"""


def run(*command: object, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, **options)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources in a folder of their own, configured to build for the plainest instruction set only."""
    folder = tmp_path_factory.mktemp("planted")
    shutil.copytree(ROOT / "native", folder / "native")
    text = (ROOT / "CMakeLists.txt").read_text()
    plain = text.replace('MATCHES "^(x86_64|AMD64|amd64)$"', 'STREQUAL "none"').replace("-O3", "-O1")
    assert plain != text
    (folder / "CMakeLists.txt").write_text(plain)
    headers = f"-Dnanobind_DIR={nanobind.cmake_dir()}"
    python = f"-DPython_EXECUTABLE={sys.executable}"
    made = run("cmake", "-S", folder, "-B", folder / "build", python, headers)
    assert made.returncode == 0, made.stderr
    return folder


def ladder(source: Path) -> subprocess.CompletedProcess[str]:
    """Builds the core in ``source`` and runs the ladder over it."""
    built = run("cmake", "--build", source / "build", "--parallel", os.cpu_count())
    assert built.returncode == 0, built.stdout[-3000:]
    (core,) = (source / "build").glob("_core*.so")
    tests = ROOT / "tests"
    environment = {**os.environ, "BACKLIT_REQUIRE": "native"}
    environment.pop("BACKLIT_ISA", None)
    files = [tests / name for name in ("test_engines.py", "test_native.py", "test_native_zeros.py")]
    return run(sys.executable, "-c", LADDER, core, *files, env=environment, cwd=ROOT)


def test_the_right_core_passes(source):
    result = ladder(source)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_error_is_caught(source, name):
    file, right, wrong = PLANTS[name]
    path = source / "native" / "kernels" / file
    text = path.read_text()
    assert text.count(right) == 1, f"{file} has changed: plant this error anew"
    path.write_text(text.replace(right, wrong))
    try:
        result = ladder(source)
    finally:
        path.write_text(text)
    assert result.returncode == 1, f"not caught: {result.stdout[-2000:]}{result.stderr[-2000:]}"
    assert "failed" in result.stdout.lower() or "FAILED" in result.stdout
