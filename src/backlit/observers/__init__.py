"""Consumers of Progress, none of which can change the run.

Here also ``fit``, which drains the loop with them.
An observer is called with every Progress; returning True asks the loop to stop.
"""

from .checkpoints import Checkpoints as Checkpoints
from .checkpoints import kept_files as kept_files
from .checkpoints import kept_steps as kept_steps
from .checkpoints import marks_of as marks_of
from .checkpoints import newest_at as newest_at
from .checkpoints import plan_of as plan_of
from .fitting import fit as fit
from .history import History as History
from .interrupts import Interrupts as Interrupts
from .logs import CSVLog as CSVLog
from .logs import JSONLog as JSONLog
from .logs import TensorBoardLog as TensorBoardLog
from .logs import log_to as log_to
from .validation import EarlyStopping as EarlyStopping
