"""The documentation site: `make docs` builds it into build/docs/html."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

from docutils import nodes
from pygments.lexers import JsonLexer
from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent))
import reference_pages

project = "deburr"
author = "the deburr contributors"
version = release = metadata.version("deburr")
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["__pycache__"]
nitpicky = True
# Types of the signatures and words of the docstrings that have no page here.
nitpick_ignore_regex = [("py:.*", ".*")]
highlight_language = "text"

# Quotes around values are to be typed as they stand.
smartquotes = False

html_theme = "furo"
html_title = f"deburr {release}"
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
myst_links_external_new_tab = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"

# The notebook is run anew; a cell that fails fails the build.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_execution_show_tb = True


def setup(app: Sphinx) -> None:
    """Write the pages that come from the code before any is read."""
    app.add_lexer("jsonl", JsonLexer)
    app.connect("builder-inited", lambda app: reference_pages.write(Path(app.srcdir) / "reference"))
    app.connect("doctree-read", _pictures_lead_to_themselves)


def _pictures_lead_to_themselves(_app: Sphinx, page: nodes.document) -> None:
    """Sphinx links pictures that are scaled to their files: on a phone, their words are read there."""
    for picture in page.findall(nodes.image):
        picture["width"] = "100%"
