"""The faults of faults/cases.py, a few times each; faults/write_table.py tries them often."""

from __future__ import annotations

import pytest
from faults import cases
from requires import requires

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ["killed", "interrupted", "truncated", "two_writers"])
def test_at_random_moments(name, tmp_path):
    times = 50 if name == "two_writers" else 4
    outcome = getattr(cases, name)(tmp_path, times)
    assert outcome.survived == outcome.tried, outcome


@pytest.mark.parametrize("name", ["disk_full", "checkpoints_on_a_full_disk", "read_only"])
def test_disks(name, tmp_path):
    try:
        outcome = getattr(cases, name)(tmp_path)
    except cases.CannotTry as reason:
        requires("mount", False, str(reason))
    assert outcome.survived == outcome.tried, outcome
