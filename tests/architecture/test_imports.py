"""Imports point one way: from the console scripts down to plain data, never sideways or up."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import deepcoder_tf

PACKAGE = Path(deepcoder_tf.__file__).parent
ROOT = PACKAGE.name

STAIRS: tuple[frozenset[str], ...] = tuple(
    frozenset(rank.split())
    for rank in (
        "cli",
        "experiment",
        "training evaluation prediction export datasets synthesis",
        "objectives objectives_expressions models",
        "coders",
        "layers gp likelihoods",
        "preprocessing faces",
        "face_model lite_model graphs numerics config recogniser_config options types errors "
        "action_units expressions levels files",
    )
)
"""Rooms from the top of the stairs down; a module directly in the package is a room of its own."""

GROUND = len(STAIRS) - 1
"""The plain modules at the bottom may use one another as long as they form no circle."""

TF_FREE = (
    "synthesis",
    "faces",
    "face_model",
    "lite_model",
    "config",
    "options",
    "recogniser_config",
    "types",
    "errors",
    "action_units",
    "expressions",
    "levels",
    "files",
)
"""Rooms that must load without TensorFlow, which takes seconds."""

HEAVY = ("tensorflow", "keras", "tensorflow_probability", "absl.flags")


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    """The room that a module lives in; empty for the package's own `__init__`."""
    first = path.relative_to(PACKAGE).parts[0]
    return "" if first == "__init__.py" else first.removesuffix(".py")


def rank(name: str) -> int:
    """Height on the stairs; 0 is the top."""
    return next(i for i, rooms in enumerate(STAIRS) if name in rooms)


def imported(tree: ast.AST, *, run_time_only: bool = False) -> Iterator[tuple[str, int]]:
    """Full names of what a module imports, with their lines; relative imports are refused."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: write the full name of the module"
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno
        elif not (run_time_only and is_type_checking(node)):
            yield from imported(node, run_time_only=run_time_only)


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def rooms_used(path: Path) -> Iterator[tuple[str, int]]:
    for name, line in imported(ast.parse(path.read_text(encoding="utf-8"))):
        parts = name.split(".")
        if parts[0] == ROOT and len(parts) > 1 and parts[1] != "__version__":
            yield parts[1], line


def test_there_is_something_to_check():
    assert len(modules()) > 20
    assert {"cli", "gp", "faces"} <= {room(path) for path in modules()}


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path):
    own = room(path)
    if not own:
        assert not list(rooms_used(path)), "importing the package must import no room"
        return
    assert any(own in rooms for rooms in STAIRS), f"{own} has no place on the stairs"
    for other, line in rooms_used(path):
        where = f"{path.relative_to(PACKAGE)}:{line}: {own} imports {other}"
        assert any(other in rooms for rooms in STAIRS), f"{where}, which has no place"
        if other == own:
            continue
        assert rank(other) >= rank(own), f"{where}: up the stairs"
        if rank(other) == rank(own):
            assert rank(own) == GROUND, f"{where}: rooms of one rank do not import one another"


def test_rooms_form_no_circle():
    uses = {
        own: {other for path in modules() if room(path) == own for other, _ in rooms_used(path)}
        - {own}
        for own in {room(path) for path in modules()}
    }
    while uses:
        free = [own for own, others in uses.items() if not others & uses.keys()]
        assert free, f"a circle among {sorted(uses)}"
        for own in free:
            del uses[own]


def load(*names: str) -> list[str]:
    """Imports modules in a fresh interpreter; returns the heavy packages that came along."""
    code = (
        "import importlib, sys\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        f"print(*[heavy for heavy in {HEAVY!r} if heavy in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_importing_the_package_is_light():
    assert load(ROOT) == []


def test_light_rooms_load_without_tensorflow():
    names = [
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        for path in modules()
        if room(path) in TF_FREE
    ]
    assert len(names) > 8
    assert load(*names) == []


def test_console_scripts_load_without_tensorflow():
    """`--help` and a wrong flag answer at once."""
    names = [f"{ROOT}.cli.{path.stem}" for path in (PACKAGE / "cli").glob("[a-z]*.py")]
    assert len(names) >= 6
    assert set(load(*names)) <= {"absl.flags"}
