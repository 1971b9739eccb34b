"""The matrix of ``noxfile.py`` is what the package says it supports."""

import ast
import tomllib
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).parent.parent
TREE = ast.parse((ROOT / "noxfile.py").read_text())
MATRIX = {
    ast.unparse(node.targets[0]): ast.literal_eval(node.value)
    for node in TREE.body
    if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("PYTHONS", "SLOW")
}


def classified(prefix):
    """The versions, such as 3.12, behind a classifier."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    ends = [line.removeprefix(prefix) for line in project["classifiers"] if prefix in line]
    return {end for end in ends if "." in end}


def test_the_matrix_has_each_python_that_is_classified():
    assert set(MATRIX["PYTHONS"]) == classified("Programming Language :: Python :: ")


def test_the_matrix_has_each_django_that_is_classified():
    assert set(chain.from_iterable(MATRIX["PYTHONS"].values())) == classified(
        "Framework :: Django :: "
    )


def test_what_the_quick_run_leaves_out_is_there():
    assert [name for name in MATRIX["SLOW"] if not (ROOT / "tests" / name).exists()] == []
