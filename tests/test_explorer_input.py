"""explorer: what is no step is refused in one line."""

from __future__ import annotations

import pytest

import backlit as bl


@pytest.mark.parametrize("given", [None, 3, "ab", []])
def test_what_is_no_step_is_refused(given):
    with pytest.raises(bl.BadInput, match="explorer: "):
        bl.explorer(given)
