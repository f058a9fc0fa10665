"""How Sphinx builds the documentation: offline, and with every warning an error."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from phenoprints import __version__  # noqa: E402

project = "Phenoprints"
author = "The Phenoprints developers"
copyright = author  # noqa: A001  (Sphinx's name)
release = version = __version__
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
nitpicky = True

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist", "tasklist"]
myst_heading_anchors = 3

html_theme = "pydata_sphinx_theme"
html_title = "Phenoprints"
html_static_path = ["_static"]
html_css_files = ["phenoprints.css"]
html_context = {"default_mode": "auto"}
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "use_edit_page_button": False,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}

ORDER = (
    "screens", "quality", "embeddings", "alignment", "consistency", "curation", "models",
    "training", "probes", "maps", "benchmarks", "reports",
)  # fmt: skip
"""Pages of the stages in the order of the journey; whatever else lies here follows by name."""

LISTED = {
    "index", "stages", "decisions", "configuration", "commands", "outputs", "glossary", "rules",
    "reading-the-reports", "reliability", "tutorials", "how-to", "reference", "calibration",
}  # fmt: skip
"""Pages that another table of contents holds."""


def list_stages(app, docname, source):
    """Put the pages that are there into the table of contents of the page `stages`."""
    if docname != "stages":
        return
    names = {path.stem for path in Path(app.srcdir).glob("*.md")} - LISTED
    first = [name for name in ORDER if name in names]
    source[0] = source[0].replace("@PAGES@", "\n".join([*first, *sorted(names - set(first))]))


def setup(app):
    """Sphinx's entry."""
    app.connect("source-read", list_stages)
