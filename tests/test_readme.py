"""The README's Python runs as it is written."""

import pathlib
import re

import pytest

README = pathlib.Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)


def test_the_readme_has_python_in_it():
    assert BLOCKS


@pytest.mark.parametrize("block", range(len(BLOCKS)))
def test_each_block_runs_after_those_before_it(block, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    for code in BLOCKS[: block + 1]:
        exec(compile(code, "README.md", "exec"), names)
    assert "n_parameters" in capsys.readouterr().out
    assert names["search"].best_score_ > 0.9
