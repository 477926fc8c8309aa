"""Advice from short runs and measurements: how large a batch, which rate, which examples matter.

Each file answers one question with a record that shows itself as a table, a picture or a page. Nothing here changes a
State: whatever is tried is tried on copies.
"""

from .batch_size import BatchAdvice as BatchAdvice
from .batch_size import advise_batch_size as advise_batch_size
from .examples import ExampleReport as ExampleReport
from .examples import example_report as example_report
from .rate import RangeTest as RangeTest
from .rate import range_test as range_test
