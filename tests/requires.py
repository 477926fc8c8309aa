"""Skips a test for want of an optional part, unless BACKLIT_REQUIRE names the part: then the want is a failure."""

from __future__ import annotations

import os

import pytest


def requires(part: str, present: bool, how: str = "") -> None:
    """Skips the calling test (or module) unless ``present``; fails it if BACKLIT_REQUIRE names ``part``."""
    if present:
        return
    reason = f"{part} is not here. {how}".strip()
    if part in os.environ.get("BACKLIT_REQUIRE", "").split(","):
        pytest.fail(f"{reason} BACKLIT_REQUIRE demands it.", pytrace=False)
    pytest.skip(reason, allow_module_level=True)
