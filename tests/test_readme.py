"""The Python of the README and of the guide runs as it is written."""

import pathlib
import re
import sys
import types

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "guide").glob("*.md"))]
BLOCKS = {
    page.stem: re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S)
    for page in PAGES
}
WITHOUT_PYTHON = {"index", "speed"}


def run_blocks(page, monkeypatch):
    """Run the blocks of a page one after the other, and return their names."""
    main = types.ModuleType("__main__")  # in which pickles find the classes of the page
    monkeypatch.setitem(sys.modules, "__main__", main)
    names = vars(main)
    for number, code in enumerate(BLOCKS[page]):
        exec(compile(code, f"{page}.md, Python block {number}", "exec"), names)
    return names


def test_the_pages_have_python_in_them():
    assert {page for page, blocks in BLOCKS.items() if not blocks} == WITHOUT_PYTHON


# A page may choose the largest candidate of a small grid, and its reader sees the warning.
@pytest.mark.filterwarnings("ignore:SmallestWithin.* chose the:UserWarning")
@pytest.mark.parametrize("page", sorted(BLOCKS.keys() - WITHOUT_PYTHON - {"README"}))
def test_the_blocks_of_the_guide_run_one_after_the_other(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_blocks(page, monkeypatch)


def test_the_readme_finds_a_small_network(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = run_blocks("README", monkeypatch)
    assert "n_parameters" in capsys.readouterr().out
    assert names["search"].best_score_ > 0.9


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_relative_links_lead_to_files(page):
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", prose)
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing


def test_the_tests_that_guarantees_name_exist():
    page = (ROOT / "docs" / "guide" / "contract.md").read_text()
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", page)
    assert len(named) > 20
    missing = [
        f"{file}::{name}"
        for file, name in named
        if f"\ndef {name}(" not in (ROOT / "tests" / file).read_text()
    ]
    assert not missing
