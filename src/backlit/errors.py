"""The exceptions of backlit. Every message says where, what was wanted, what came, what to do.

Only exceptions live here; this file imports nothing of backlit.
"""

from typing import Any


class BadInput(ValueError):
    """An argument, a file or an array that doesn't fit. Nothing was changed. The message is one line."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))  # quoted arrays bring line breaks


class EngineUnavailable(RuntimeError):
    """An engine that cannot run here. The message names what is missing and how to get it."""


class Diverged(ArithmeticError):
    """Training left the finite numbers.

    ``state`` is the last finite State: the one before the step that the message names. A note under the traceback
    says so; the message doesn't, because the command line, which prints it too, has no exceptions to look into.
    """

    def __init__(self, message: str, state: Any = None) -> None:
        super().__init__(message)
        self.state = state
        if state is not None:
            self.add_note("The .state of this exception is the last finite one.")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.state)
