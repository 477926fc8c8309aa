"""Opening steps from the command line: step, explain, and what train writes of its watched steps."""

from __future__ import annotations

import json

import numpy as np
import pytest
from requires import requires

import backlit as bl


def test_step_shows_the_sum_and_the_weight_that_was_asked_for(run):
    code, out, _ = run("step", "iris", "--batch", "2", "--weight", "1:3:2", "--example", "1")
    assert code == 0
    names = ("setosa", "petal", "example 2 [1] adds", "∂L/∂w⁽¹⁾₄₃ for example 2 of 2")
    for told in (*names, "÷ 2, once", "before", "after"):
        assert told in out


def test_at_trains_up_to_that_step(run):
    def product(*argv):
        code, out, _ = run("explain", "iris", "--json", "--seed", "3", *argv)
        assert code == 0
        return {step["step"]: step["product"] for step in json.loads(out)["steps"]}

    both = product("--at", "2,40")
    assert both == {**product("--at", "2"), **product("--at", "40")}
    assert both[2] != both[40]
    assert product() == product("--at", "0")


def test_explain_as_text_latex_and_json(run):
    code, out, _ = run("explain", "iris", "--weight", "2:b:1", "--example", "0", "--open", "1")
    assert code == 0 and "the bias of output 2 “versicolor”" in out
    code, out, _ = run("explain", "iris", "--weight", "1:0:2", "--latex")
    assert code == 0 and out.startswith(r"\frac{\partial L}{\partial w^{(1)}_{13}}")
    code, out, _ = run("explain", "iris", "--json", "--example", "0")
    (step,) = json.loads(out)["steps"]
    product = 1.0
    for term in step["terms"]:
        product *= term["value"]
    assert step["product"] == pytest.approx(product) == pytest.approx(step["difference"], rel=1e-5)


def test_a_page_is_written(run, tmp_path):
    code, out, _ = run("explain", "iris", "--at", "0,7", "--html", "page.html")
    assert code == 0 and "page written to page.html" in out
    page = (tmp_path / "page.html").read_text("utf-8")
    assert page.startswith("<!doctype html>")
    assert "setosa" in page


def test_the_next_steps_of_a_saved_model(run):
    assert run("train", "iris", "--hidden", "4", "--epochs", "3", "--save", "m", "--quiet")[0] == 0
    _, _, state = bl.load("m")
    code, out, _ = run("explain", "m", "iris", "--json")
    assert code == 0
    assert [step["step"] for step in json.loads(out)["steps"]] == [state.step]
    bl.save("bare", *bl.load("m"), preparation=bl.load_preparation("m"))
    code, _, err = run("step", "bare", "iris", "--at", "0")
    assert code == 1 and f"after {state.step} updates" in err
    code, _, err = run("step", "bare")
    assert code == 1 and "name the data" in err


def test_train_watches_reports_and_plots(run, tmp_path):
    requires("matplotlib", _has_matplotlib(), 'pip install "backlit[plot]"')
    options = ["--epochs", "3", "--watch", "0,5,11", "--report", "run.html", "--plot", "curves.png"]
    code, out, _ = run("train", "iris", *options)
    assert code == 0
    lines = out.splitlines()
    assert [line.split(":")[0] for line in lines[:3]] == ["step 0", "step 5", "step 11"]
    assert all(float(line.split()[-1]) < 1e-5 for line in lines[:3]), "the replay agrees with the engine"
    assert "plain formulas" in (tmp_path / "run.html").read_text("utf-8")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    plain = run("train", "iris", "--epochs", "3", "--quiet")[1]
    assert plain.splitlines()[-1] == lines[-1], "watching changes nothing"
    code, out, _ = run("train", "iris", "--epochs", "1", "--quiet", "--json", "--report", "two.html")
    assert code == 0 and json.loads(out)["updates"] == 4


def _has_matplotlib() -> bool:
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return False
    return True


@pytest.mark.parametrize(
    ("argv", "code", "told"),
    [
        (["explain", "iris", "--weight", "1:9:0"], 1, "--weight 1:9:0: source must be a whole number from 0 to 3"),
        (["explain", "iris", "--example", "9"], 1, "example must be"),
        (["step", "iris", "--example", "1"], 2, "--weight"),
        (["explain", "iris", "--weight", "1-0-0"], 2, "1:0:2"),
        (["explain", "iris", "--html", "p.html", "--weight", "1:0:0"], 2, "--weight changes nothing on the page"),
        (["explain", "iris", "--html", "p.html", "--example", "0"], 2, "--example changes nothing on the page"),
        (["explain", "iris", "--html", "p.html", "--open", "1"], 2, "--open changes nothing on the page"),
        (["explain", "iris", "--html", "p.html", "--latex"], 2, "--latex changes nothing on the page"),
        (["explain", "iris", "--html", "p.html", "--json"], 2, "--json changes nothing on the page of --html"),
        (["explain", "iris", "--json", "--latex"], 2, "--json and --latex: one or the other is wanted"),
        (["step", "iris", "--at", "x"], 2, "0,1,4711"),
        (["step", "nothing.csv"], 1, "nothing.csv"),
        (["explain", "iris", "--html", "no/such/page.html"], 1, "can be written to"),
        (["train", "iris", "--epochs", "2", "--watch", "99999"], 1, "the steps 0 to 7"),
        (["train", "iris", "--report", "no/such/page.html"], 1, "--report"),
        (["train", "iris", "--plot", "curves.exe"], 1, ".png"),
    ],
)
def test_mistakes_are_told_in_one_line(run, argv, code, told):
    found, _, err = run(*argv)
    assert found == code
    assert told in " ".join(err.split())


def test_a_step_that_the_run_has_not_made_is_told(run):
    """A run of 10 epochs of 4 updates that was stopped early: the model is its best state, and no file says when."""
    stopped = ("--early-stopping", "1", "--rate", "0.3", "--epochs", "10")
    assert run("train", "iris", "--quiet", "--hidden", "3", *stopped, "--save", "m")[0] == 0
    best = bl.load("m")[2].step
    assert best < 39
    _, out, err = run("explain", "m", "--at", f"{best - 1},39")
    assert f"what was kept of it ends at update {best}, and this is how it goes on from there" in err
    assert "update 40 (step 39)" in out
    assert "goes on" not in run("explain", "m", "--at", best - 1)[2]


def test_prepared_inputs_are_said_to_be_so(run, tmp_path):
    """Steps show what the network gets; a reader who knows the file must not take that for its numbers."""
    (tmp_path / "h.csv").write_text("size,town,price\n" + "".join(f"{k},{'BC'[k % 2]},{k * 10.5}\n" for k in range(40)))
    assert run("train", "h.csv", "--epochs", "1", "--save", "m", "--quiet")[0] == 0
    told = "x is what the network gets: numbers scaled to mean 0 and deviation 1, an input of 0 or 1 for each category"
    for words in (["step", "m"], ["step", "h.csv"], ["step", "m", "h.csv"], ["explain", "m"]):
        code, _, err = run(*words)
        assert code == 0 and f"{told}; y is scaled likewise\n" in err
    np.savez("unit.npz", x=np.random.default_rng(0).random((20, 2)), y=np.arange(20) % 2)
    assert run("step", "unit.npz")[2] == ""  # between 0 and 1 as they come, and left so
