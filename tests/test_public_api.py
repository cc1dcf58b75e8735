"""What `import nas` offers is what docs/python.md says, and each name says what it is."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import nas
from nas import errors, testing

DOCS = (Path(__file__).parents[1] / "docs" / "python.md").read_text()


def test_all_is_what_the_docs_list() -> None:
    listed = re.findall(r"^\| `(?:nas\.)?(\w+)", DOCS, re.MULTILINE)
    assert sorted(listed) == sorted(nas.__all__)


@pytest.mark.parametrize("name", nas.__all__)
def test_every_name_is_there_and_documented(name: str) -> None:
    thing = getattr(nas, name)
    assert inspect.getdoc(thing), f"nas.{name} has no docstring"
    assert name in dir(nas)


@pytest.mark.parametrize("name", nas.__all__)
def test_every_public_method_is_documented(name: str) -> None:
    thing = getattr(nas, name)
    for attribute, value in vars(thing).items() if inspect.isclass(thing) else ():
        if callable(value) and not attribute.startswith("_"):
            assert inspect.getdoc(value), f"nas.{name}.{attribute} has no docstring"


def test_all_is_sorted_and_once() -> None:
    assert nas.__all__ == sorted(set(nas.__all__))


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'nas' has no attribute 'serach'"):
        _ = nas.serach


def test_every_error_is_one_of_ours_and_in_the_tree_of_the_docstring() -> None:
    for name, thing in vars(errors).items():
        if inspect.isclass(thing) and issubclass(thing, Exception):
            assert issubclass(thing, nas.NasError)
            assert name in (errors.__doc__ or ""), f"{name} is missing in the tree that nas/errors.py draws"


def test_the_kit_offers_what_it_lists() -> None:
    for name in testing.__all__:
        assert hasattr(testing, name)


def test_every_module_says_what_it_is() -> None:
    root = Path(nas.__file__).parent
    for path in sorted(root.rglob("*.py")):
        module = ".".join(("nas", *path.relative_to(root).with_suffix("").parts)).removesuffix(".__init__")
        assert importlib.import_module(module).__doc__, f"{path} has no docstring"


def test_the_version_is_the_distribution_s() -> None:
    from importlib.metadata import version

    assert nas.__version__ == version("graphnas")
    code = [sys.executable, "-m", "nas.cli.main", "--version"]
    assert nas.__version__ in subprocess.run(code, capture_output=True, text=True, check=True).stdout
