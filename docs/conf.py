"""How Sphinx builds the documentation: offline, and with every warning an error."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

import phenoprints  # noqa: E402

project = "Phenoprints"
author = "The Phenoprints developers"
copyright = author  # noqa: A001  (Sphinx's name)
release = version = phenoprints.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "numpydoc"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build"]
nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]  # types of other libraries in signatures are not linked
default_role = "code"  # single backticks, as in Markdown
numpydoc_show_class_members = False
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_default_options = {
    # Written by scikit-learn, with references to its own pages.
    "exclude-members": "set_fit_request, set_transform_request, set_output",
}
suppress_warnings = ["ref.python"]  # two packages export a Screen: in memory, and stored

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
    "training", "probes", "maps", "matches", "benchmarks", "reports", "sharing", "planning",
    "studies",
)  # fmt: skip
"""Pages of the stages in the order of the journey; whatever else lies here follows by name."""

LISTED = {
    "index", "stages", "decisions", "configuration", "commands", "outputs", "glossary", "rules",
    "headline-figures", "reading-the-reports", "reliability", "tour",
    "tutorials", "how-to", "reference", "calibration",
}  # fmt: skip
"""Pages that another table of contents holds."""


def list_stages(app, docname, source):
    """Put the pages that are there into the table of contents of the page `stages`."""
    if docname != "stages":
        return
    names = {path.stem for path in Path(app.srcdir).glob("*.md")} - LISTED
    first = [name for name in ORDER if name in names]
    source[0] = source[0].replace("@PAGES@", "\n".join([*first, *sorted(names - set(first))]))


NOT_DOCUMENTED = {"runs"}
"""Modules of the library whose public names are documented under another one."""


def write_api_pages(app):
    """Write a page per package with everything in its `__all__`, and their table of contents."""
    folder = Path(app.srcdir) / "api"
    folder.mkdir(exist_ok=True)
    names = sorted(set(phenoprints._PACKAGES) - NOT_DOCUMENTED)
    pages = {"phenoprints": ["phenoprints.open_run", "phenoprints.runs.Run"]}
    for name in names:
        module = importlib.import_module(f"phenoprints.{name}")
        members = getattr(module, "__all__", ())
        pages[name] = [f"phenoprints.{name}.{member}" for member in members]
    pages = {name: members for name, members in pages.items() if members}
    for name, members in pages.items():
        module = "phenoprints" if name == "phenoprints" else f"phenoprints.{name}"
        title = f"{module}\n{'=' * len(module)}\n\n"
        doc = (importlib.import_module(module).__doc__ or "").strip()
        _write(folder / f"{name}.rst", title + doc + "\n\n" + "".join(map(_directive, members)))
    _write(
        folder / "index.rst",
        "Library\n=======\n\n.. toctree::\n   :maxdepth: 1\n\n"
        + "".join(f"   {name}\n" for name in pages),
    )


def _directive(path: str) -> str:
    """Return the autodoc directive of one public name."""
    module, name = path.rsplit(".", 1)
    value = getattr(importlib.import_module(module), name)
    if isinstance(value, type):
        return f".. autoclass:: {path}\n   :members:\n\n"
    return f".. {'autofunction' if callable(value) else 'autodata'}:: {path}\n\n"


def _write(path: Path, text: str) -> None:
    """Write a page unless it is current, so that Sphinx does not build it again."""
    if not path.exists() or path.read_text("utf-8") != text:
        path.write_text(text, "utf-8")


def setup(app):
    """Sphinx's entry."""
    app.connect("builder-inited", write_api_pages)
    app.connect("source-read", list_stages)
