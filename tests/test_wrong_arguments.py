"""Arguments of a wrong kind at the doors where arrays and functions come in: one BadInput that says what came."""

from __future__ import annotations

import operator

import numpy as np
import pytest

import backlit as bl

NET = bl.Network([2, 3, 1], hidden="tanh")
STATE = bl.initial_state(NET)
X, Y = [[0.2, 0.9], [0.7, 0.1]], [[1.0], [0.0]]
MASKED = np.ma.masked_array([[0.2, 0.9], [1e9, 0.1]], mask=[[0, 0], [1, 0]])


class _NoArray:
    """As a tensor is that has a gradient."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.\nUse tensor.detach().numpy() instead.")


DOORS = {
    "step": lambda x: bl.step(NET, bl.SGD(0.1), STATE, x, Y),
    "predict": lambda x: bl.predict(NET, STATE, x),
    "check_gradients": lambda x: bl.check_gradients(NET, STATE, x, Y),
    "diagnose": lambda x: bl.diagnose(lambda *given: None, NET, STATE, x, Y),
}


@pytest.mark.parametrize("door", DOORS)
def test_what_a_mask_hides_is_never_used(door):
    with pytest.raises(bl.BadInput, match=f"^{door}: x is a masked array") as error:
        DOORS[door](MASKED)
    assert "\n" not in str(error.value)


def test_nor_in_given_weights():
    with pytest.raises(bl.BadInput, match=r"^state_from: weights\[0\] is a masked array"):
        bl.state_from(bl.Network([2, 2]), [MASKED])


@pytest.mark.parametrize("door", DOORS)
def test_what_makes_no_array_is_told_in_one_line(door):
    with pytest.raises(bl.BadInput, match=f"^{door}: x must be an array of numbers: Can't call numpy") as error:
        DOORS[door](_NoArray())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("door", ["check_gradients", "diagnose"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_gradient_is_checked_at_finite_numbers(door, value):
    """Otherwise a right gradient would be told to be wrong."""
    with pytest.raises(bl.BadInput, match=rf"^{door}: x\[1, 0\] is -?(nan|inf) in float64; finite numbers"):
        DOORS[door]([[0.2, 0.9], [value, 0.1]])
    with pytest.raises(bl.BadInput, match=r"^check_gradients: y\[0, 0\] is -?(nan|inf)"):
        bl.check_gradients(NET, STATE, X, [[value], [0.0]])


@pytest.mark.parametrize("i", [1.5, True, "1", None])
def test_a_running_sum_is_of_a_whole_number_of_examples(i):
    with pytest.raises(bl.BadInput, match="running_sum: i must be a whole number from 0 to 2"):
        bl.step(NET, bl.SGD(0.1), STATE, X, Y).running_sum(i)


@pytest.mark.parametrize("observers", [print, "abc", [3], 7])
def test_observers_can_be_called(observers):
    with pytest.raises(bl.BadInput, match=r"^fit: observers must be a list of functions"):
        bl.fit(NET, bl.SGD(0.1), (X, Y), epochs=1, progress=False, observers=observers)


def test_checkpoints_are_no_bare_folder():
    with pytest.raises(bl.BadInput, match=r"^fit: checkpoints must be a bl\.Checkpoints, .*; got 'runs'"):
        bl.fit(NET, bl.SGD(0.1), (X, Y), epochs=1, progress=False, checkpoints="runs")


def test_sizes_are_no_truth_values():
    with pytest.raises(bl.BadInput, match=r"got \[True, 3\]"):
        bl.Network([True, 3])


@pytest.mark.parametrize("door", [bl.diagnose, lambda f, *given: bl.check_gradients(*given, gradient=f)])
def test_a_function_of_other_arguments_is_told_so(door):
    with pytest.raises(bl.BadInput, match=r"your function can't be called with 4 arguments: .*takes 1 positional"):
        door(lambda weights: weights, NET, STATE, X, Y)


@pytest.mark.parametrize("door", [bl.diagnose, lambda f, *given: bl.check_gradients(*given, gradient=f)])
def test_a_compiled_function_that_raises_for_its_own_reason_is_told_so(door):
    """operator.call(f, …) takes four arguments; what it raises is that a list can't be called."""
    with pytest.raises(bl.BadInput, match=r"your function raised TypeError: 'list' object is not callable\.$"):
        door(operator.call, NET, STATE, X, Y)
