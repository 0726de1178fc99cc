"""The site's own part of Sphinx: files of the repository as pages, and what reads well.

README.md, benchmarks/README.md and CHANGELOG.md are pages of the site, each written once, where
a code host shows it. Their links and those of the guide are relative paths of the repository;
here they become links between pages, and a link that leads nowhere is a warning. Names of what
is public become links to the reference.
"""

import pathlib
import posixpath
import re

from docutils import nodes
from sphinx import addnodes
from sphinx.util import logging

import skscale

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGES = {"index": "README.md", "benchmarks": "benchmarks/README.md", "changes": "CHANGELOG.md"}
# The gallery, in the order of the guide.
EXAMPLES = (
    "plot_quickstart.py",
    "plot_trade.py",
    "plot_optuna.py",
    "plot_gradual.py",
    "plot_compound.py",
    "plot_images.py",
    "plot_sequences.py",
    "plot_mixed_columns.py",
    "plot_text.py",
    "plot_dates_and_text.py",
    "plot_stream_from_disk.py",
    "plot_compress.py",
)
LINK = re.compile(r"(!?\[[^\]]*\])\(([^)\s#:]+)(#[^)\s]*)?\)")

logger = logging.getLogger(__name__)


class ReadingOrder:
    """Sort examples in the order of `EXAMPLES`, new ones last."""

    def __init__(self, src_dir):
        pass

    def __call__(self, filename):
        known = filename in EXAMPLES
        return (0, EXAMPLES.index(filename)) if known else (1, filename)


def find_page(path):
    """Return where the site has a file of the repository, or None.

    Parameters
    ----------
    path : str
        Relative to the root of the repository.

    Returns
    -------
    str or None
        Relative to `docs/`.
    """
    for page, source in PAGES.items():
        if path == source:
            return f"{page}.md"
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if re.fullmatch(r"examples/\w+\.py", path):
        return f"gallery/{pathlib.Path(path).stem}.rst"
    if re.search(r"\.(png|svg)$", path):
        return f"../{path}"
    return None


def point_into_the_site(text, source, page):
    """Rewrite the relative links of Markdown.

    Parameters
    ----------
    text : str
    source : str
        The file that the text is from, relative to the root of the repository.
    page : str
        The page that it becomes, relative to `docs/`.
    """

    def rewrite(found):
        label, target, anchor = found.groups()
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        if not (ROOT / path).exists():
            logger.warning("%s links to %s, which is not there", source, path)
            return label
        place = find_page(path)
        if place is None:  # such as LICENSE: on a code host only
            return label[1:-1]
        place = posixpath.relpath(place, posixpath.dirname(page) or ".")
        return f"{label}({place}{anchor or ''})"

    # Code is left alone.
    parts = re.split(r"(^```.*?^```$)", text, flags=re.M | re.S)
    return "".join(
        part if part.startswith("```") else LINK.sub(rewrite, part) for part in parts
    )


def _read(app, page, source):
    path = app.env.doc2path(page, base=False)
    if not str(path).endswith(".md"):
        return
    origin = PAGES.get(page)
    if origin is not None:
        app.env.note_dependency(str(ROOT / origin))
        written = (ROOT / origin).read_text()
        source[0] = point_into_the_site(written, origin, f"{page}.md") + "\n" + source[0]
    else:
        source[0] = point_into_the_site(source[0], f"docs/{path}", str(path))


def _link_public_names(app, doctree):
    """Code that is the name of something public becomes a link to its page."""
    page = app.env.current_document.docname
    for node in list(doctree.findall(nodes.literal)):
        name = node.astext().removeprefix("skscale.")
        if name not in skscale.__all__ or isinstance(node.parent, nodes.reference):
            continue
        if isinstance(node.parent, (addnodes.pending_xref, nodes.title)):
            continue
        if page == f"api/generated/skscale.{name}":
            continue
        link = addnodes.pending_xref(
            "",
            refdomain="py",
            reftype="obj",
            reftarget=f"skscale.{name}",
            refexplicit=True,
            refdoc=page,
            refwarn=True,
        )
        node.replace_self(link)
        link += node


def _make_plain(app, what, name, obj, options, lines):
    """Docstrings of scikit-learn refer to its own site, and shapes look like references."""
    for number, line in enumerate(lines):
        line = re.sub(r":(?:ref|term|class|func|meth):`~?([^`<]+?)\s*<[^`]*>`", r"\1", line)
        line = re.sub(r":(?:ref|term):`([^`]+)`", lambda m: m[1].replace("_", r"\_"), line)
        line = re.sub(r":math:`([^`]+)`", r"``\1``", line)  # MathJax would come from a host
        line = re.sub(r"shape \([^)]*\)", lambda m: re.sub(r"_(?=[,)])", r"\_", m[0]), line)
        lines[number] = line


def setup(app):
    app.connect("source-read", _read, priority=100)
    app.connect("doctree-read", _link_public_names)
    app.connect("autodoc-process-docstring", _make_plain, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
