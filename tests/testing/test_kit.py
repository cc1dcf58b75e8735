"""The checks themselves: each finds the promise that a broken thing breaks."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.errors import PluginError
from nas.plugin.registry import EntryKind
from nas.testing import IMAGE, Case, Check, cases, check_plugin, checks, parametrize_with_checks

KINDS: tuple[EntryKind, ...] = ("block", "space", "task", "strategy", "objective", "proxy")
BROKEN = Path(__file__).with_name("broken.py")
GOOD = '''
from nas import Space, chain, choice, hookimpl

def mine(b, task, *, width=8):
    """A kernel to choose."""
    kernel = choice("kernel", 1, 3, 5)
    return Space(chain(conv=b.conv(channels=width, kernel=kernel), head=b.classifier(classes=task.classes)))

@hookimpl
def nas_register(registry):
    registry.space("mine", mine)
'''


def promise(check: Check) -> str:
    return check.__name__.removeprefix("check_")


@pytest.mark.parametrize("case", cases(plugin=BROKEN), ids=str)
def test_the_broken_promise_is_found(case: Case) -> None:
    broken = case.spec.partition("__")[0].replace(" ", "_")
    (check,) = [check for check in checks(case.kind) if promise(check) == broken]
    with pytest.raises(Exception) as caught:
        check(case)
    assert isinstance(caught.value, AssertionError) or type(caught.value).__module__ == "nas.errors"


def test_every_check_has_something_broken_that_it_finds() -> None:
    found = {case.spec.partition("__")[0].replace(" ", "_") for case in cases(plugin=BROKEN)}
    every = {promise(check) for kind in KINDS for check in checks(kind)}
    # What a space promises beside these holds by the core's construction; tests/space tries it on random spaces.
    assert every - found <= {
        "reference_is_in_the_space",
        "samples_are_in_the_space",
        "json_round_trip",
        "mutation_changes_one_decision",
        "crossover_mixes_its_parents",
        "neighbours_differ",
        "size_equals_enumeration",
    }


@pytest.fixture
def good(tmp_path: Path) -> Path:
    (tmp_path / "good.py").write_text(GOOD)
    return tmp_path / "good.py"


def test_a_good_plugin_passes(good: Path) -> None:
    check_plugin(good)


def test_a_bad_plugin_is_told_all_that_is_wrong(good: Path) -> None:
    good.write_text(GOOD.replace('    """A kernel to choose."""\n', "").replace("1, 3, 5", "2, 4"))
    with pytest.raises(AssertionError) as caught:
        check_plugin(good)
    told = str(caught.value)
    assert "6 checks fail" in told
    for where in ("space mine for small_image", "space mine for image"):
        assert f"check_has_a_summary: {where}: has no summary" in told
        assert f"check_networks_build: {where}: BlockError: conv: block conv(channels=8,kernel=2)" in told
        assert f"check_blocks_take_what_reaches_them: {where}: conv: block conv(channels=8,kernel=" in told


def test_checks_of_one_plugin_only(good: Path) -> None:
    mark = parametrize_with_checks(plugin=good)
    assert {case.spec for _, case in (param.values for param in mark.args[1])} == {"mine"}


def test_options_and_task_of_ones_own(good: Path) -> None:
    case = Case("space", "mine:width=4", task=IMAGE, files=(str(good),))
    assert case.space().size == 3
    assert str(case) == "space mine:width=4 for image"


def test_a_thing_that_needs_an_option_is_left_to_its_author(tmp_path: Path) -> None:
    file = tmp_path / "needy.py"
    file.write_text(
        "from nas import hookimpl\n"
        "def needy(*, path): raise AssertionError\n"
        "@hookimpl\n"
        "def nas_register(registry): registry.task('needy', needy, summary='needs a path')\n"
    )
    assert [case.needs() for case in cases("task", plugin=file)] == [["path"]]
    assert parametrize_with_checks(plugin=file).args[1] == []
    assert Case("task", "needy:path=here", files=(str(file),)).needs() == []


@pytest.mark.parametrize(
    ("text", "message"),
    [("import nothing_of_this_name", "cannot be loaded.*nothing_of_this_name"), ("x = 1", "registers nothing")],
)
def test_a_plugin_without_anything_to_check_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "empty.py"
    file.write_text(text)
    with pytest.raises(PluginError, match=message):
        check_plugin(file)


def test_an_unknown_plugin_is_an_error() -> None:
    with pytest.raises(PluginError, match=r"'celll_cnn' registers nothing; plugins that do: .*cell_cnn"):
        cases(plugin="celll_cnn")
