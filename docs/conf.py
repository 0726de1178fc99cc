"""How Sphinx builds the site: `python -m sphinx -W --keep-going docs docs/_build/html`.

Nothing is fetched, neither by the build nor by the built pages.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))  # skscale_site

import skscale

project = "skscale"
author = "the authors of skscale"
copyright = author
version = release = skscale.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
    "skscale_site",
]
exclude_patterns = ["_build", "images/README.md"]
templates_path = ["_templates"]
suppress_warnings = ["config.cache"]  # sphinx-gallery's settings hold functions

# Guide: Markdown, whose links work on a code host as well.
myst_heading_anchors = 3

# Reference.
default_role = "literal"  # docstrings name parameters in single backticks
autosummary_generate = True
autodoc_typehints = "none"
add_module_names = False
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False  # the template lists the methods
numpydoc_xref_param_type = False

# Gallery: examples are run, and one that fails fails the build.
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",  # those that draw nothing, too
    "within_subsection_order": "skscale_site.ReadingOrder",
    "abort_on_example_error": True,
    "backreferences_dir": "gallery/backreferences",
    "doc_module": ("skscale",),
    "capture_repr": (),
    "download_all_examples": False,
    "show_signature": False,
    "write_computation_times": False,
    "image_srcset": ["2x"],
    "reset_modules": ("matplotlib",),
}

html_theme = "pydata_sphinx_theme"
html_title = "skscale"
html_static_path = ["_static"]
html_css_files = ["skscale.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "navigation_with_keys": False,
    "show_prev_next": True,
    "show_toc_level": 2,
    "header_links_before_dropdown": 6,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "github-dark",
}
html_sidebars = {"index": [], "benchmarks": [], "changes": []}
