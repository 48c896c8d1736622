"""Every module says what it offers, and everything offered says what it is."""

from __future__ import annotations

import ast
import importlib
import inspect
import itertools
from pathlib import Path

import pytest

import deepcoder_tf

PACKAGE = Path(deepcoder_tf.__file__).parent

MODULES = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
)


def constant_docstrings(module) -> set[str]:
    """Names of assignments that a bare string follows, as documentation tools read them."""
    body = ast.parse(Path(module.__file__).read_text(encoding="utf-8")).body
    documented: set[str] = set()
    for node, following in itertools.pairwise(body):
        if (
            isinstance(node, ast.Assign | ast.AnnAssign)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
            and isinstance(following.value.value, str)
        ):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                documented |= {n.id for n in ast.walk(target) if isinstance(n, ast.Name)}
    return documented


def own_docstring(thing) -> bool:
    """Whether a class or function was documented itself, not by inheritance or generation."""
    text = inspect.getdoc(thing) if inspect.isroutine(thing) else thing.__dict__.get("__doc__")
    generated = inspect.isclass(thing) and (text or "").startswith(f"{thing.__name__}(")
    return bool(text and text.strip()) and not generated


def undocumented_methods(cls) -> list[str]:
    """Public methods and properties that the class itself defines without a docstring."""
    missing = []
    for name, member in vars(cls).items():
        if name.startswith("_"):
            continue
        function = member.fget if isinstance(member, property) else member
        function = getattr(function, "__func__", getattr(function, "func", function))
        if not inspect.isfunction(function) or function.__qualname__.split(".")[0] != cls.__name__:
            continue
        # A method that overrides one of a parent inherits its text.
        if not inspect.getdoc(getattr(cls, name)):
            missing.append(f"{cls.__name__}.{name}")
    return missing


@pytest.mark.parametrize("name", MODULES)
def test_what_a_module_offers_is_documented(name):
    module = importlib.import_module(name)
    assert module.__doc__ and module.__doc__.strip(), "the module has no docstring"
    assert isinstance(module.__dict__.get("__all__"), list), "the module has no __all__"
    assert list(module.__all__) == sorted(set(module.__all__), key=order), "__all__: sort it"
    missing = []
    documented = constant_docstrings(module)
    for public in module.__all__:
        thing = getattr(module, public)
        if public.startswith("__") or public == "FLAGS":
            continue
        if inspect.isclass(thing) or inspect.isroutine(thing):
            if not own_docstring(thing):
                missing.append(public)
            if inspect.isclass(thing) and thing.__module__ == name:
                missing += undocumented_methods(thing)
        elif not inspect.ismodule(thing) and public not in documented and is_home(module, public):
            missing.append(public)
    assert not missing, f"without docstring: {', '.join(missing)}"


def order(name: str) -> tuple[int, str]:
    """ruff's order: CONSTANTS, then Classes, then functions."""
    if name.isupper() and len(name) > 1:
        return 0, name
    return (1, name) if name[:1].isupper() else (2, name)


def is_home(module, name: str) -> bool:
    """Whether the module assigns the name itself rather than passing it on."""
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    return any(
        isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store)
        for statement in tree.body
        for node in ast.walk(statement)
        if not isinstance(statement, ast.FunctionDef | ast.ClassDef)
    )


@pytest.mark.parametrize("name", MODULES)
def test_modules_use_lazy_annotations(name):
    """One habit everywhere, and Python 3.10 reads newer annotations."""
    module = importlib.import_module(name)
    body = ast.parse(Path(module.__file__).read_text(encoding="utf-8")).body
    if any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in body):
        assert any(isinstance(n, ast.ImportFrom) and n.module == "__future__" for n in body)
