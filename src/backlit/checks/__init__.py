"""Checks: prove a gradient, name the bug in somebody else's, audit a PyTorch loop. What other rooms may import."""

from .diagnosis import Diagnosis as Diagnosis
from .diagnosis import diagnose as diagnose
from .gradients import GradientReport as GradientReport
from .gradients import check_function as check_function
from .gradients import check_gradients as check_gradients
from .torch_audit import audit as audit
