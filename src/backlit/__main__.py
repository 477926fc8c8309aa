"""``python -m backlit`` is the command ``backlit``."""

from .cli import main

main()
