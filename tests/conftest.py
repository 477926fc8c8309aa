"""Fixtures of several test files: a command as a person types it."""

from __future__ import annotations

import sys

import pytest

from backlit.cli import main


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Runs a command in an empty folder: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def go(*argv):
        monkeypatch.setattr(sys, "argv", ["backlit", *map(str, argv)])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return end.value.code, out, err

    return go
