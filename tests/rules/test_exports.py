"""The public names: complete, sorted, and there when they are asked for."""

import ast
import inspect
from pathlib import Path

import pytest

import recapito

SOURCE = ast.parse(Path(recapito.__file__).read_text("utf-8"))


def imported_for_type_checkers() -> set[str]:
    block = next(node for node in SOURCE.body if isinstance(node, ast.If))
    return {alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}


def test_the_list_of_names_is_sorted() -> None:
    assert recapito.__all__ == sorted(recapito.__all__)


def test_type_checkers_and_the_interpreter_see_the_same_names() -> None:
    assert imported_for_type_checkers() == set(recapito.__all__)


@pytest.mark.parametrize("name", recapito.__all__)
def test_every_name_is_there_with_a_docstring(name: str) -> None:
    value = getattr(recapito, name)
    assert name in dir(recapito)
    if inspect.isclass(value):
        assert inspect.getdoc(value)
        assert value.__module__.startswith("recapito")


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Postino"):
        recapito.Postino  # type: ignore[attr-defined]  # noqa: B018


def test_the_version_is_that_of_the_distribution() -> None:
    from importlib.metadata import version

    assert recapito.__version__ == version("recapito")
