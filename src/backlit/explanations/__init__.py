"""A Trace made readable: the factors of one weight, tables for terminal and notebook, the explorer page, pictures.

Nothing here trains or changes anything, and no formula of training is written again: values come from chain.py.
"""

from .explorer_page import explorer as explorer
from .factors import Factor as Factor
from .factors import Factors as Factors
from .factors import Path as Path
from .factors import Shares as Shares
from .factors import explain as explain
from .tables import RichTables as RichTables
from .tables import html_tables as html_tables
