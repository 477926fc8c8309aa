"""Validation rows are read by the classes of the rows trained on, whatever classes they hold themselves."""

from __future__ import annotations

import numpy as np
import pytest

import backlit as bl

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 2))
CODES = np.clip(X[:, 0] // 0.7 + 1, 0, 2).astype(int)
ABC, SECOND = np.array(list("abc"))[CODES], (CODES > 0).astype(int)
THREE = bl.Network([2, 3], (), "softmax", "cross_entropy")
ONE = bl.Network([2, 1], (), "sigmoid", "binary_cross_entropy")
NUMBER = bl.Network([2, 1])


def score(net, y, rows, y_rows) -> tuple[float, float]:
    """(validation score of fit, the share of rows whose class the outputs name, counted here)."""
    data = (X, y)
    state, history = bl.fit(net, bl.SGD(0.5), data, epochs=5, validation=(X[rows], y_rows), progress=False)
    outputs = bl.predict(net, state, X[rows])
    named = outputs.argmax(axis=1) if net is THREE else (outputs[:, 0] > 0.5).astype(int)
    codes = CODES if net is THREE else SECOND
    return history.validation_score[-1], (named == codes[rows]).mean()


@pytest.mark.parametrize(
    ("net", "y", "y_rows"),
    [
        (THREE, ABC, ABC),
        (THREE, CODES, CODES.astype(float)),
        (THREE, CODES.astype(float), CODES),
        (THREE, CODES + 5, CODES + 5),
        (ONE, SECOND + 1, SECOND + 1),
        (ONE, SECOND + 1, SECOND + 1.0),
        (ONE, SECOND, SECOND > 0),
        (ONE, np.array(["no", "yes"])[SECOND], np.array(["no", "yes"])[SECOND]),
    ],
    ids=["texts", "float rows", "trained on floats", "whole numbers", "1 and 2", "1.0 and 2.0", "bools", "two texts"],
)
@pytest.mark.parametrize("kept", [(0, 1, 2), (1, 2), (0,)])
def test_rows_may_lack_classes(net, y, y_rows, kept):
    rows = np.isin(CODES, kept)
    found, counted = score(net, y, rows, y_rows[rows])
    assert found == pytest.approx(counted)


@pytest.mark.parametrize(
    ("net", "y", "y_rows", "told"),
    [
        (THREE, ABC, np.array(list("bcd"))[CODES], r"fit: validation: y\[\d+\] is 'd': .* classes \(a, b, c\)"),
        (THREE, CODES, CODES + 3, r"fit: validation: y\[\d+\] is \d: .* classes \(0, 1, 2\)"),
        (THREE, CODES, ABC, "fit: validation: y holds .* text or both numbers"),
        (ONE, SECOND, SECOND + 1, r"is 2: .* classes \(0, 1\)"),
        (ONE, SECOND * 1.0, SECOND + 1, r"is 2: .* classes \(0, 1\)"),
        (NUMBER, CODES, np.array(["no", "yes"])[SECOND], "fit: validation: y holds texts where"),
    ],
    ids=["texts", "numbers", "texts for numbers", "1 and 2 for 0 and 1", "for floats", "texts for amounts"],
)
def test_a_label_that_was_not_trained_on_is_refused(net, y, y_rows, told):
    with pytest.raises(bl.BadInput, match=told):
        bl.fit(net, bl.SGD(0.5), (X, y), epochs=1, validation=(X, y_rows), progress=False)


def test_numbers_that_were_not_trained_on_are_no_labels():
    _, history = bl.fit(NUMBER, bl.SGD(0.1), (X, CODES), epochs=1, validation=(X, CODES + 3), progress=False)
    assert len(history.validation_score) == 1


@pytest.mark.parametrize("validation", [0.1, "x", [X, ABC]])
def test_what_is_no_data_is_told_of_validation(validation):
    with pytest.raises(bl.BadInput, match=r"^fit: validation is a "):
        bl.fit(THREE, bl.SGD(0.5), (X, ABC), epochs=1, validation=validation, progress=False)
