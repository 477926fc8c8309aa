"""Ctrl-C, put off while it would leave half of something: observers of different steps, a file that isn't written.

Nothing here knows what is being done meanwhile.
"""

from __future__ import annotations

import signal
import threading
from time import monotonic
from typing import Any

PATIENCE = 5.0  # seconds after which a Ctrl-C that is pressed again is heard at once: what is done may never end


class Interrupts:
    """A context in which Ctrl-C can be put off: from ``hold()`` to ``release()``, and once one has been heard.

    Elsewhere than in the main thread, to which Python gives no signals, it does nothing.
    """

    def __init__(self) -> None:
        self.held = False
        self.waiting = False  # whether one has come that was put off
        self.since = 0.0
        self.heard_by: Any = None

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread() and callable(signal.getsignal(signal.SIGINT)):
            self.heard_by = signal.signal(signal.SIGINT, self._came)
        return self

    def __exit__(self, *_: object) -> None:
        if self.heard_by is not None:
            signal.signal(signal.SIGINT, self.heard_by)

    def hold(self) -> None:
        """From here on Ctrl-C waits."""
        self.held = True

    def release(self) -> None:
        """Raises the KeyboardInterrupt that was put off, if there is one."""
        self.held = False
        if self.waiting:
            self.waiting = False
            self._hear(None)

    def _came(self, number: int, frame: Any) -> None:
        if not self.held or (self.waiting and monotonic() - self.since > PATIENCE):
            self._hear(frame)
        elif not self.waiting:
            self.waiting, self.since = True, monotonic()

    def _hear(self, frame: Any) -> None:
        self.held = True  # who has been heard and presses again is only impatient
        self.heard_by(signal.SIGINT, frame)
