"""The README's Python runs as it is written."""

import pathlib
import re

README = pathlib.Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)


def test_the_readme_has_python_in_it():
    assert BLOCKS


def test_the_blocks_run_one_after_the_other(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    for number, code in enumerate(BLOCKS):
        exec(compile(code, f"README.md, Python block {number}", "exec"), names)
    assert "n_parameters" in capsys.readouterr().out
    assert names["search"].best_score_ > 0.9
    assert names["network"].complexity_.n_parameters > 0
