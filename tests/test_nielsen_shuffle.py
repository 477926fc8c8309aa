"""The shuffle of the book's programs is that of Python's random module: order, draws, and the generator afterwards."""

from __future__ import annotations

import operator
import random

import numpy as np
import pytest

from backlit.engines.native import addresses
from backlit.nielsen.shuffling import shuffle_both


@pytest.mark.parametrize("count", [1, 2, 3, 8, 9, 255, 256, 257, 5000])
def test_a_list_and_its_rows_are_shuffled_as_random_does(count):
    for seed in range(3):
        random.seed(seed)
        random.gauss(0, 1)  # the generator keeps half of what it made for this
        [random.random() for _ in range(seed * 1000)]
        begin = random.getstate()
        items = [object() for _ in range(count)]
        expected = items[:]
        random.shuffle(expected)
        end = random.getstate()
        random.setstate(begin)
        shuffled, rows = items[:], np.arange(count)
        shuffle_both(shuffled, rows)
        assert all(map(operator.is_, shuffled, expected)) and random.getstate() == end
        assert [items[row] for row in rows] == expected
        assert addresses(shuffled).tolist() == [id(item) for item in expected]


def test_a_shuffle_of_your_own_is_called(monkeypatch):
    monkeypatch.setattr(random, "shuffle", list.reverse)
    items, rows = list("abc"), np.arange(3)
    shuffle_both(items, rows)
    assert items == ["c", "b", "a"] and rows.tolist() == [2, 1, 0]
