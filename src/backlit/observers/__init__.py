"""Consumers of Progress, none of which can change the run: history, progress display, validation; and ``fit``.

An observer is called with every Progress; returning True asks the loop to stop.
"""

from .fitting import fit as fit
from .history import History as History
from .validation import EarlyStopping as EarlyStopping
