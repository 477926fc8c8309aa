"""``python -m backlit`` is the command ``backlit``."""

import sys
from typing import NoReturn


def main() -> NoReturn:
    """The command, which may be interrupted while it is still being loaded, too."""
    try:
        from .cli import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
