"""TensorFlow graphs are made in one place, so that all are traced alike."""

from __future__ import annotations

import ast
from pathlib import Path

import deepcoder_tf

PACKAGE = Path(deepcoder_tf.__file__).parent


def makes_graphs(path: Path) -> bool:
    """Whether a module says `tf.function` in its code."""
    return any(
        isinstance(node, ast.Attribute) and ast.unparse(node) == "tf.function"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    )


def test_only_graph_of_makes_graphs():
    found = [path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if makes_graphs(path)]
    assert found == [Path("graphs.py")]
