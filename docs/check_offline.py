"""Fail where a built page would load something from another host.

    python docs/check_offline.py docs/_build/html

Links that a reader may follow are no fault; scripts, styles, fonts and pictures are.
"""

import pathlib
import re
import sys

LOADED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|object|embed)\b[^>]*?\b(?:src|srcset|data)\s*=\s*
        ["']?\s*(?:https?:)?//[^"'\s>]*
      | <link\b(?=[^>]*\brel=["'](?:stylesheet|preload|prefetch|icon|shortcut|preconnect|
        dns-prefetch|modulepreload|manifest))[^>]*\bhref=["'](?:https?:)?//[^"']*
      | @import\s+(?:url\()?["']?(?:https?:)?//[^"')]*
      | url\(\s*["']?(?:https?:)?//[^"')]*""",
    re.X | re.I,
)


def find_loaded(folder):
    """Yield each page or style sheet, and what it would load."""
    for path in sorted(pathlib.Path(folder).rglob("*")):
        if path.suffix in {".html", ".css"}:
            for found in LOADED.finditer(path.read_text(encoding="utf-8")):
                yield path, found.group()


def main():
    """Check the folder that is named."""
    loaded = list(find_loaded(sys.argv[1]))
    for path, what in loaded:
        print(f"{path}: {what[:200]}")
    pages = len(list(pathlib.Path(sys.argv[1]).rglob("*.html")))
    print(f"{pages} pages, {len(loaded)} references to other hosts")
    return bool(loaded) or not pages


if __name__ == "__main__":
    sys.exit(main())
