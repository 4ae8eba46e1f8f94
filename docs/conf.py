"""Sphinx settings. ``tox -e docs`` builds the site; every warning is an error there."""

import contextlib
import importlib

project = "embow"
author = "the embow authors"
copyright = "2026, the embow authors"
html_title = "embow"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "generate.py"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

toc_object_entries_show_parents = "hide"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_google_docstring = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_copy_source = False
html_show_sphinx = False
pygments_style = "friendly"
pygments_dark_style = "monokai"

# Modules in the order in which a public name is looked for: what is made in a module with an
# underscore is shown under the first of these that offers it.
PUBLIC = (
    "embow",
    "embow.embeddings",
    "embow.plugins",
    "embow.pipeline",
    "embow.media",
    "embow.schema",
    "embow.engines.contract",
    "embow.engines.predicate",
    "embow.pydantic",
    "embow_testing.conformance",
    "embow_testing.engine_suite",
)


def setup(app):
    """Give each public object the module a reader imports it from."""
    for module in map(importlib.import_module, PUBLIC):
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            setattr(module, name, value)  # also where it is imported when first used
            if "._" in (getattr(value, "__module__", None) or ""):
                with contextlib.suppress(AttributeError):  # aliases of types
                    value.__module__ = module.__name__
