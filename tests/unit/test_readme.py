"""The README's Python runs as printed, and its table of benchmarks is the one that was measured."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def test_python_examples_run():
    for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        names: dict = {}
        exec(block, names)
        minimum = names["slice_"].minima[0]
        assert minimum.is_global
        assert minimum.location == pytest.approx((-2,))


def test_model_file_example_is_read():
    import ident_theory as it

    (block,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    assert it.loads(block) == it.load(ROOT / "experiments/demo/model.toml")


def test_table_is_the_measured_one():
    table = README.split("<!-- benchmark table -->\n")[1].split("<!-- end of the table -->")[0]
    assert table == (ROOT / "experiments/benchmarks/results.md").read_text()
