"""How the documentation is built: `make docs`. What pages are made of then lives in docs/making."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path.insert(0, str(HERE))

from making import blocks, bugs, commands, docstrings, live, mathml  # noqa: E402

import backlit  # noqa: E402
from backlit.explanations import pictures  # noqa: E402

pictures.Figure = Figure  # there for type checkers only, and Sphinx reads types

project = "backlit"
author = "The backlit developers"
copyright = "The backlit developers, MIT licence"
version = release = backlit.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx_copybutton"]
exclude_patterns = ["_build", "making"]

# Names of other projects can't be linked, because the build needs no network; ours must be.
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!backlit\b).*"), ("py:.*", r"backlit\..*\.(Net|Replayed|Name|Log|Curves)")]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_show_tb = True  # a cell that fails is a warning, and warnings are errors
nb_execution_in_temp = True
nb_execution_timeout = 300
nb_merge_streams = True
nb_render_markdown_format = "myst"  # with tables
nb_mime_priority_overrides = [("html", "text/latex", 15)]

autodoc_member_order = "bysource"
autodoc_type_aliases = {name: name for name in ("Floats", "ArrayLike", "Rate", "Order", "Array")}
python_maximum_signature_line_length = 60
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

smartquotes = False  # two dashes are an option's name

html_theme = "furo"
html_title = "backlit"
html_math_renderer = "mathml"
html_static_path = ["making/static"]
html_css_files = ["backlit.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1a5fb4", "color-brand-content": "#1a5fb4"},
    "dark_css_variables": {"color-brand-primary": "#8fbcff", "color-brand-content": "#8fbcff"},
}

# What the executed pages read of the repository, and how wide their tables may be.
os.environ["BACKLIT_REPOSITORY"] = str(ROOT)
os.environ["COLUMNS"] = "80"

# Kernels that say only what matters, whatever IPython is told elsewhere on the machine.
os.environ["IPYTHONDIR"] = tempfile.mkdtemp()
profile = Path(os.environ["IPYTHONDIR"]) / "profile_default"
profile.mkdir()
(profile / "ipython_kernel_config.py").write_text("c = get_config()\nc.IPKernelApp.log_level = 40\n")
logging.getLogger("traitlets").setLevel(logging.WARNING)

# The notebooks live where learners look for them; Sphinx reads only below docs.
shutil.rmtree(HERE / "notebooks", ignore_errors=True)
(HERE / "notebooks").mkdir()
for notebook in sorted((ROOT / "examples").glob("*.ipynb")):
    shutil.copy(notebook, HERE / "notebooks")


def setup(app: Any) -> None:
    mathml.setup(app)
    docstrings.setup(app)
    app.connect("source-read", bugs.fill)
    app.connect("source-read", commands.fill)
    app.connect("source-read", blocks.execute)
    app.connect("build-finished", live.write)
