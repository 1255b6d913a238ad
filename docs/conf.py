"""How Sphinx builds the pages: `scripts/docs`. Nothing is fetched when they are built or looked at."""

from __future__ import annotations

from volstrat import __version__

project = "volstrat"
author = "the authors of volstrat"
version = release = __version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "numpydoc"]
exclude_patterns = ["_build", "workflow-three-systems.yml"]
source_suffix = {".md": "myst-nb"}
nitpicky = False

html_theme = "furo"
html_title = f"volstrat {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_show_sphinx = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

nb_execution_mode = "force"
nb_execution_timeout = 120
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_merge_streams = True
nb_render_image_options = {"width": "100%"}

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_inherit_docstrings = False
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
