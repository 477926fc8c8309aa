"""What the documentation promises, as far as it can be held without building it: the build itself is ``make docs``."""

from __future__ import annotations

import ast
import doctest
import importlib.util
import json
import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import numpy as np
import pytest
from requires import requires

import backlit as bl

ROOT = Path(__file__).parents[1]
DOCS, EXAMPLES = ROOT / "docs", ROOT / "examples"
sys.path.insert(0, str(DOCS))

from making import blocks, bugs, commands, docstrings, links  # noqa: E402

REFERENCE = "\n".join(page.read_text("utf-8") for page in (DOCS / "reference").glob("*.md"))
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))


class TestReference:
    @pytest.mark.parametrize("name", [name for name in bl.__all__ if not name.startswith("__")])
    def test_every_public_name_has_its_entry(self, name):
        entries = re.findall(rf"^\.\. auto(class|function|exception):: backlit\.{name}$", REFERENCE, re.MULTILINE)
        assert len(entries) == 1

    @pytest.mark.parametrize("name", commands.COMMANDS)
    def test_every_command_is_there_with_every_option(self, name):
        text = commands.section(name)
        command = commands.backlit.get_command(click.Context(commands.backlit), name)
        shown = [p for p in command.params if isinstance(p, click.Option) and not p.hidden]
        options = [option for p in shown for option in p.opts]
        assert all(option in text for option in options)

    def test_a_docstring_becomes_a_list_of_terms(self):
        lines = ["Sums |a|*b_ up.", "", "a, b:  the parts,", "       with ``x_*`` kept.", "c: 1", "", "Then more."]
        assert docstrings.restructured(lines) == [
            r"Sums \|a\|\*b\_ up.", "", "", "``a, b``", "    the parts,", "    with ``x_*`` kept.", "", "``c``",
            "    1", "", "Then more.", "",
        ]  # fmt: skip

    def test_a_sentence_that_goes_on_in_the_next_line_stays_with_its_term(self):
        lines = ["Draws.", "", "x: a square by default, those with the largest", "weights first.", "Raises BadInput."]
        assert docstrings.restructured(lines) == [
            "Draws.", "", "", "``x``", "    a square by default, those with the largest", "    weights first.", "",
            "Raises BadInput.", "",
        ]  # fmt: skip

    def test_the_examples_in_docstrings_run(self):
        finder, runner = doctest.DocTestFinder(recurse=False), doctest.DocTestRunner(verbose=False)
        for name in bl.__all__:
            for test in finder.find(getattr(bl, name), name, globs={"bl": bl, "np": np}):
                runner.run(test)
        found = runner.summarize(verbose=False)
        assert found.attempted > 10
        assert not found.failed


class TestThePage:
    PAGE = (DOCS / "page.md").read_text("utf-8")
    SOURCE = (ROOT / "src" / "backlit" / "chain.py").read_text("utf-8")

    def test_every_function_and_table_of_chain_is_shown(self):
        shown = re.findall(r"^:pyobject: (\w+)$|^:start-at: \"(\w+) = \{\"$", self.PAGE, re.MULTILINE)
        names = []
        for node in ast.parse(self.SOURCE).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                names.append(node.name)
            elif isinstance(node, ast.Assign):
                names.append(node.targets[0].id)
        assert [function or table for function, table in shown] == names, "and in its order"


class TestGallery:
    def test_every_program_is_shown_once(self):
        shown = [name for _, group in bugs.GROUPS.values() for name in group]
        assert sorted(shown) == sorted(file.stem for file in bugs.GALLERY.glob("*.py"))

    def test_the_wrong_lines_are_marked(self):
        program = (bugs.GALLERY / "missing_derivative.py").read_text("utf-8")
        assert [program.splitlines()[n - 1].strip() for n in bugs.wrong_lines(program)] == [
            "delta = delta @ weights[k].T"
        ]
        assert "emphasize-lines" not in bugs.section("extra_output_derivative", ""), "right, for another loss"

    def test_the_right_program_is_right(self):
        backprop = runpy.run_path(str(EXAMPLES / "backprop.py"))["backprop"]
        net = bl.Network([4, 5, 3], hidden="sigmoid", output="sigmoid")
        x, y = np.random.default_rng(0).random((2, 6, 4))
        assert bl.diagnose(backprop, net, bl.initial_state(net), x, y[:, :3]).correct


def test_the_table_for_scikit_learns_users_has_every_parameter():
    rows = re.findall(r"^\| `(\w+)`", (DOCS / "scikit-learn.md").read_text("utf-8"), re.MULTILINE)
    assert len(rows) == len(set(rows))
    assert set(rows) == {*bl.MLPClassifier().get_params(), *bl.MLPRegressor().get_params()}


def test_the_start_page_names_every_extra():
    rows = re.findall(r"^\| `(\w+)` \|", (DOCS / "start.md").read_text("utf-8"), re.MULTILINE)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert sorted([*rows, "all", "test"]) == sorted(extras)


@pytest.fixture
def run_notebook(tmp_path, monkeypatch):
    """run_notebook(file): its code cells, run one after the other in an empty folder; the names they leave."""
    requires("matplotlib", importlib.util.find_spec("matplotlib") is not None, 'Do: pip install "backlit[plot]".')
    import matplotlib

    monkeypatch.chdir(tmp_path)

    def run(file: Path) -> dict[str, object]:
        names: dict[str, object] = {}
        with matplotlib.rc_context({"backend": "agg"}):
            for cell in json.loads(file.read_text("utf-8"))["cells"]:
                if cell["cell_type"] == "code":
                    source = "".join(cell["source"]).replace("from IPython.display import Math", "Math = len")
                    exec(compile(source, file.name, "exec"), names)
        return names

    return run


class TestNotebooks:
    def test_they_are_stored_without_outputs(self):
        cells = [cell for file in NOTEBOOKS for cell in json.loads(file.read_text("utf-8"))["cells"]]
        code = [cell for cell in cells if cell["cell_type"] == "code"]
        assert len(code) > 20
        assert not any(cell["outputs"] or cell["execution_count"] for cell in code)

    @pytest.mark.parametrize("name", ["first_network", "see_a_step"])
    def test_it_runs(self, run_notebook, name):
        run_notebook(EXAMPLES / f"{name}.ipynb")

    def test_fix_my_backprop_finds_what_it_says(self, run_notebook):
        names = run_notebook(EXAMPLES / "fix_my_backprop.ipynb")
        for function, wanted in (
            ("backprop", {"derivative_of_activation", "bias_not_summed", "sum_not_mean"}),
            ("second_try", {"bias_not_summed", "sum_not_mean"}),
            ("third_try", set()),
        ):
            found = bl.diagnose(names[function], names["net"], names["state"], *names["batch"])
            assert {suspect.name for suspect in found.suspects} == wanted


def test_the_audited_loop_gets_the_report_that_is_shown():
    requires("torch", importlib.util.find_spec("torch") is not None, 'Do: pip install "backlit[torch]".')
    done = subprocess.run([sys.executable, EXAMPLES / "audit_loop.py"], capture_output=True, text=True, check=True)
    assert done.stdout == (EXAMPLES / "audit_loop.txt").read_text("utf-8")


class TestBuilding:
    def test_commands_are_run_and_a_failing_one_stops_the_build(self, tmp_path):
        shown = blocks.session("$ echo one\nold output\n$ echo two", str(tmp_path))
        assert shown == "$ echo one\none\n$ echo two\ntwo\n"
        with pytest.raises(RuntimeError, match="false"):
            blocks.session("$ false", str(tmp_path))

    def test_outputs_that_a_page_shows_are_those_of_its_blocks(self):
        page = "```python\nx = 2\n```\n\n```python\nprint(x + 2)\n```\n```text\n5\n```\n"
        assert blocks.outputs(page, "page") == [("", ""), ("5\n", "4\n")]

    def test_formulas_need_no_script(self):
        requires("docs", importlib.util.find_spec("latex2mathml") is not None, 'Do: pip install ".[docs]".')
        from making import mathml

        assert "<mi>f</mi><mo>&#x02032;</mo>" in mathml.convert("f_l'(z)")

    def test_a_link_to_nowhere_is_found(self, tmp_path):
        (tmp_path / "a.html").write_text('<p id="here"><a href="a.html#here">x</a><a href="https://else.where/">x</a>')
        assert links.findings(tmp_path) == []
        (tmp_path / "b.html").write_text('<a href="a.html#there"></a><a href="c.html"></a><script src="//cdn/x.js">')
        (tmp_path / "b.css").write_text("@import 'https://fonts/x'; b { background: url(//x/y) }")
        assert len(links.findings(tmp_path)) == 5
