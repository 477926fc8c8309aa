"""What an interpreter shows of a record when only its name is typed: one short line; print shows all of it."""

from __future__ import annotations

import html

import numpy as np
import pytest

import backlit as bl
from backlit.checks.audit_report import AuditReport, Finding

RNG = np.random.default_rng(0)
NET = bl.Network([4, 5, 3], hidden="tanh", output="softmax", loss="cross_entropy")
DATA = bl.Dataset(RNG.normal(size=(60, 4)), RNG.integers(0, 3, 60))
X, Y = np.asarray(DATA.x)[:4], DATA.targets(NET)[:4]
STATE = bl.initial_state(NET)
TRACE = bl.step(NET, bl.SGD(0.1), STATE, X, Y)


def history(**options):
    return bl.fit(NET, bl.SGD(0.1), DATA, epochs=30, progress=False, **options)[1]


def wrong(weights, biases, x, y):
    return [w + 1 for w in weights], biases


RECORDS = {
    "explain": (lambda: bl.explain(TRACE, layer=1, source=0, unit=2, example=1), "∂L/∂w⁽¹⁾₁₃ ="),
    "a factor": (lambda: bl.explain(TRACE, layer=1, source=0, unit=2, example=1).terms[0], "∂L/∂a⁽¹⁾₃ ="),
    "explorer": (lambda: bl.explorer(TRACE), "characters of HTML"),
    "shares": (lambda: bl.explain(TRACE, layer=1, source=0, unit=2), "4 examples"),
    "check_gradients": (lambda: bl.check_gradients(NET, STATE, X, Y), "passed"),
    "diagnose": (lambda: bl.diagnose(wrong, NET, STATE, X, Y), "wrong: "),
    "range_test": (lambda: bl.range_test(NET, bl.SGD(0.1), DATA), "suggestion"),
    "advise_batch_size": (lambda: bl.advise_batch_size(NET, DATA, rate=0.1, epochs=5), "noise scale"),
    "example_report": (lambda: bl.example_report(NET, STATE, DATA), "60 rows, the longest gradients in rows"),
    "history": (history, "30 epochs, loss"),
    "history with validation": (lambda: history(validation=DATA), "validation_score"),
    "an empty history": (bl.History, "0 epochs"),
    "audit": (lambda: AuditReport({"a": "b"}, (Finding("no_zero_grad", "text"),), ()), "no_zero_grad"),
}


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_shows_itself_in_one_short_line(name):
    make, told = RECORDS[name]
    record = make()
    line = repr(record)
    assert line.startswith(f"{type(record).__name__}(") and line.endswith(")") and told in line
    assert "\n" not in line and len(line) <= 120


def test_a_notebook_shows_the_explorer_as_a_page():
    page = bl.explorer(TRACE)
    shown = page._repr_html_()
    assert shown.startswith("<iframe srcdoc=") and html.unescape(shown.split('"')[1]) == page
