"""`nas benchmark`: what it compares is what was simulated, and what it refuses it refuses before that."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from nas.cli.main import main
from nas.controller.history import Objective
from nas.controller.simulate import play
from nas.controller.table import Row, Rows
from nas.errors import ConfigError
from nas.testing import toys
from nas_plugins.benchmark.peers import decide, peer
from nas_plugins.benchmark.report import _cell
from nas_plugins.benchmark.runs import Bench, Played, plays, split_specs
from nas_plugins.benchmark.summary import at, points, summarise

PLUGIN = '''
from nas import Objective, Space, chain, choice, hookimpl
from nas.controller.history import Score
from nas.controller.table import Row, Rows
from nas.errors import ConfigError


def widths(registry, *, costs=True):
    """Sixteen convolutions: the wider, the better."""
    b = registry.blocks
    conv = b.conv(channels=choice("width", *range(1, 9)), kernel=choice("kernel", 1, 3))
    space = Space(chain(conv=conv, head=b.classifier(classes=2)), inputs=["image"], name="widths")
    up, judge = Objective("val", "val", "maximize"), Objective("test", "test", "maximize")
    rows = {}
    for made in space.enumerate():
        value = made.decisions["width"] / 8 + made.decisions["kernel"] / 100
        scores, seconds = {"luck": value, "pace": -value}, {"luck": 1.0, "pace": 9.0}
        rows[made.digest] = Row(({"val": value},), 3600.0, {"test": value}, {}, scores, seconds)
    return Rows(space, (up,), rows, judge)


def elsewhere(registry):
    """Rows of another space."""
    table = widths(registry)
    return Rows(table.space, table.objectives, {"another": next(iter(table.rows.values()))}, table.judge)


class First:
    def propose(self, history, rng):
        if history.proxies and not history.scores:
            return Score(tuple(history.space.enumerate()))
        known = {trial.digest for trial in history.trials}
        left = [a for a in history.space.enumerate() if a.digest not in known] or [history.space.sample(rng)]
        return max(left, key=lambda a: history.scores.get(a.digest, {}).get("luck", 0.0))


class Picky:
    def check(self, space, objectives):
        raise ConfigError("it takes no space of convolutions; take another")

    def propose(self, history, rng):
        return history.space.sample(rng)


def first(*, mood=""):
    """In order, or the luckiest first."""
    return First()


def picky():
    """Refuses."""
    return Picky()


@hookimpl
def nas_register(registry):
    registry.table("widths", widths)
    registry.table("elsewhere", elsewhere)
    registry.strategy("first", first)
    registry.strategy("picky", picky)
'''


@pytest.fixture
def plugin(tmp_path: Path) -> str:
    file = tmp_path / "widths.py"
    file.write_text(PLUGIN)
    return str(file)


def run(plugin: str, *told: str) -> Any:
    return CliRunner().invoke(main, ["benchmark", "--plugin", plugin, "--processes", "1", *told])


@pytest.mark.parametrize(
    ("text", "specs"),
    [
        ("random", ["random"]),
        ("random,evolution", ["random", "evolution"]),
        (
            "random; evolution:population=9,sample=3, peer:tpe",
            ["random", "evolution:population=9,sample=3", "peer:tpe"],
        ),
        ("evolution:population=9,sample=3;random", ["evolution:population=9,sample=3", "random"]),
        ("auto,proxies=false,random", ["auto:proxies=false", "random"]),
        ("optuna:sampler=GPSampler,optuna:tpe", ["optuna:sampler=GPSampler", "optuna:tpe"]),
        (" , ;", []),
    ],
)
def test_a_list_of_strategies_may_have_options(text: str, specs: list[str]) -> None:
    assert split_specs(text) == specs


@pytest.mark.parametrize("text", ["sample=3", "random;sample=3"])
def test_an_option_before_any_strategy_is_told(text: str) -> None:
    with pytest.raises(ConfigError, match="expected a strategy and then its options, got 'sample=3' first"):
        split_specs(text)


def test_numbers_are_those_of_the_searches(plugin: str) -> None:
    """`first` without scores goes through the widths in order: from the fourth training on it has width 2."""
    done = run(
        plugin,
        *[
            "--table",
            "widths",
            "--strategies",
            "first",
            "--trials",
            "16",
            "--seeds",
            "2",
            "--proxies",
            "none",
            "--json",
        ],
    )
    assert done.exit_code == 0, done.output
    (line,) = json.loads(done.output)["lines"]
    assert line["regret"]["10"] == {"mean": pytest.approx(3 / 8), "half": pytest.approx(0, abs=1e-12)}
    assert line["regret"]["16"]["mean"] == pytest.approx(0)
    assert line["optimum"] == {"found": 2, "seeds": 2, "median": 16}
    assert line["hours"] == pytest.approx(16)
    assert line["scored"] == 0


def test_scores_help_and_cost(plugin: str) -> None:
    done = run(
        plugin,
        *["--table", "widths", "--strategies", "first", "--trials", "4", "--seeds", "2", "--proxies", "luck", "--json"],
    )
    (line,) = json.loads(done.output)["lines"]
    assert line["optimum"]["median"] == 1
    assert line["scored"] == 16
    assert line["hours"] == pytest.approx(4 + 16 / 3600)
    assert line["score_share"] == pytest.approx(16 / (4 * 3600))


def test_all_scores_of_the_table_may_be_used_unless_said(plugin: str) -> None:
    done = run(plugin, *["--table", "widths", "--strategies", "first", "--trials", "1", "--seeds", "1", "--json"])
    assert json.loads(done.output)["lines"][0]["hours"] == pytest.approx(1 + 16 * 10 / 3600)


def test_workers_share_the_simulated_time(plugin: str) -> None:
    done = run(
        plugin,
        *[
            "--table",
            "widths",
            "--strategies",
            "random",
            "--trials",
            "8",
            "--seeds",
            "1",
            "--workers",
            "4",
            "--proxies",
            "none",
            "--json",
        ],
    )
    assert json.loads(done.output)["lines"][0]["hours"] == pytest.approx(2)


def test_the_table_for_people_compares_with_one_of_them(plugin: str) -> None:
    told = "--table widths --strategies random,first,peer:tpe --trials 12 --seeds 3 --proxies luck --against random"
    done = run(plugin, *told.split())
    assert done.exit_code == 0, done.output
    assert "regret in test, seen by val" in done.output
    assert "as random" in done.output
    shown = {line.split()[0]: line.split() for line in done.output.splitlines() if line.strip()}
    assert shown["trainings"] == ["trainings", "random", "first", "peer:tpe"]
    assert shown["10"][2] == shown["12"][2] == "0±0"
    assert " ".join(shown["optimum"]).count("1 (3/3)") == 1
    assert shown["time"][3:5] == ["12.0", "h"]
    assert shown["as"][1:4:2] == ["random", "1"]


def test_what_is_left_in_the_folder(plugin: str, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    done = run(
        plugin,
        *["--table", "widths", "--strategies", "random,first", "--trials", "6", "--seeds", "2", "--out"],
        str(out),
    )
    assert done.exit_code == 0, done.output
    with (out / "curves.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 2 * 6
    assert {row["strategy"] for row in rows} == {"random", "first"}
    for row in rows:
        assert float(row["value"]) + float(row["regret"]) == pytest.approx(1.03)
    last = [row for row in rows if row["strategy"] == "random" and row["seed"] == "1"][-1]
    assert (last["trainings"], float(last["simulated_seconds"])) == ("6", 6 * 3600)
    assert (out / "regret.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((out / "summary.json").read_text())["trials"] == 6


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("--table width --strategies random", "unknown table 'width'; did you mean 'widths'?"),
        ("--table widths --strategies rendom", "unknown strategy 'rendom'; did you mean 'random'?"),
        ("--table widths --strategies peer:tp", "unknown peer 'tp'; did you mean 'tpe'?"),
        ("--table widths --strategies evolution:popul=3", "unknown option of strategy 'evolution' 'popul'"),
        ("--table widths:cost=1 --strategies random", "unknown option of table 'widths' 'cost'"),
        ("--table widths --strategies random --proxies look", "has no zero-cost score 'look'; it has luck, pace"),
        ("--table widths --strategies random,random", "strategy 'random' is listed twice"),
        ("--table widths --strategies ,", "expected at least one strategy, got none"),
        ("--table widths --strategies random --trials 0", "expected --trials to be at least 1, got 0"),
        ("--table widths --strategies random --seeds -1", "expected --seeds to be at least 1, got -1"),
        ("--table widths --strategies random --workers 0", "expected --workers to be at least 1, got 0"),
        ("--table widths --strategies random --halving 1", "expected --halving to be larger than 1, got 1"),
        ("--table widths --strategies random --processes 0", "expected --processes to be at least 1, got 0"),
        (
            "--table widths --strategies random --against evolution",
            "expected --against to be one of the strategies random",
        ),
        (
            "--table elsewhere --strategies random",
            "has no row for any of 200 random architectures of its space 'widths'",
        ),
        (
            "--table widths --strategies picky",
            "strategy 'picky' cannot search table 'widths': it takes no space of conv",
        ),
    ],
)
def test_bad_input_is_one_sentence_before_anything_is_played(
    plugin: str, told: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas_plugins.benchmark.runs.plays", pytest.fail)
    done = run(plugin, *told.split())
    assert done.exit_code == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_two_processes_find_what_one_finds(plugin: str) -> None:
    bench = Bench("widths", ("random", "evolution"), trials=5, seeds=2, plugins=(plugin,))
    seen: list[tuple[int, int]] = []
    one, two = plays(bench, 1), plays(bench, 2, lambda done, total: seen.append((done, total)))
    assert [(p.strategy, p.seed, p.regrets) for p in one] == [(p.strategy, p.seed, p.regrets) for p in two]
    assert seen == [(n, 4) for n in range(1, 5)]


@pytest.mark.parametrize(
    ("mean", "half", "shown"),
    [
        (0.34871, 0.0163, "0.349±0.016"),
        (1.5283, 0.32, "1.5±0.3"),
        (0.0039, 0.0011, "0.0039±0.0011"),
        (47.3, 12.0, "47±12"),
        (0.00415, 0.0, "0.00415±0"),
        (0.25, math.inf, "0.25"),
    ],
)
def test_a_mean_is_shown_as_far_as_it_is_known(mean: float, half: float, shown: str) -> None:
    assert _cell(mean, half) == shown


def played(strategy: str, seed: int, regrets: list[float], optimum: int | None) -> Played:
    ends = tuple(3600.0 * n for n in range(1, len(regrets) + 1))
    return Played(strategy, seed, tuple(regrets), tuple(regrets), ends, optimum, (0.1, 0.3), 2, 36.0, ends[-1], "over")


def test_a_summary_by_hand() -> None:
    (line,) = summarise([played("a", 0, [3.0, 1.0, 0.0], 3), played("a", 1, [1.0, 1.0], None)], 4)
    assert [mean for mean, _ in line.curve] == [2.0, 1.0, 0.5, 0.5]
    assert line.curve[0][1] == pytest.approx(12.7062 * math.sqrt(2 / 2), rel=1e-4)
    assert (line.found, line.seeds, line.optimum) == (1, 2, None)
    assert line.hours == 2.5
    assert line.score_share == pytest.approx(72 / (5 * 3600))
    assert (line.propose_median, line.propose_max) == (pytest.approx(0.2), 0.3)
    assert line.fewest == 2
    assert [line.reaches(goal) for goal in (2.0, 0.7, 0.1)] == [1, 3, None]


def test_a_search_that_ended_early_keeps_its_last_value() -> None:
    assert [at([5.0, 2.0], n) for n in (1, 2, 3, 9)] == [5.0, 2.0, 2.0, 2.0]


@pytest.mark.parametrize(
    ("trials", "shown"), [(5, [5]), (10, [10]), (100, [10, 20, 30, 50, 75, 100]), (60, [10, 20, 30, 50, 60])]
)
def test_where_the_table_looks(trials: int, shown: list[int]) -> None:
    assert points(trials) == shown


def toy_table(space: Any) -> Any:
    from nas.controller.history import Objective

    class Every:
        proxies, reference, best, judge = (), (), 1.0, Objective("toy", "toy", "maximize")
        objectives = (judge,)

        def __init__(self) -> None:
            self.space = space

        def row(self, architecture: Any) -> Row:
            return Row(({"toy": toys.worth(architecture)},), 1.0)

    return Every()


@pytest.mark.parametrize("name", ["tpe", "gp", "nsga2", "random"])
@pytest.mark.parametrize("space", [toys.cell_space(), toys.conditional_space()], ids=str)
def test_peers_search_flat_and_conditional_spaces(name: str, space: Any) -> None:
    found = play(toy_table(space), peer(name)(toy_table(space), 0), trials=14)
    assert [trial.state for trial in found.trials] == ["complete"] * 14
    assert all(trial.architecture in space for trial in found.trials)
    assert {trial.source for trial in found.trials} == {f"peer:{name}"}


def test_what_a_peer_proposes_twice_is_trained_twice() -> None:
    from nas.space.graph import chain, choice
    from nas.space.space import Space

    space = Space(chain(conv=toys.CONV(kernel=choice("kernel", 1, 3)), head=toys.HEAD()), inputs=["image"])
    rows = {made.digest: Row(({"val": 1.0},), 1.0) for made in space.enumerate()}
    table = Rows(space, (toy_table(space).judge,), rows)
    found = play(table, peer("random")(table, 0), trials=9)
    assert len(found.trained) == 9
    assert len({trial.digest for trial in found.trials}) == 2


def test_a_peer_learns_from_what_it_is_told() -> None:
    space = toys.cell_space()
    found = play(toy_table(space), peer("tpe")(toy_table(space), 1), trials=80)
    values = [trial.values[0] for trial in found.trials if trial.values]
    assert sum(values[-20:]) / 20 > sum(values[:20]) / 20 + 0.2


def test_peers_ask_only_for_what_is_open() -> None:
    class Asked:
        def __init__(self) -> None:
            self.labels: list[str] = []

        def suggest_categorical(self, label: str, options: range) -> int:
            self.labels.append(label)
            return options[-1]

    space, asked = toys.conditional_space(), Asked()
    made = decide(space, asked)
    assert sorted(asked.labels) == sorted(made.decisions)
    assert len(asked.labels) < len(space.decisions)


@pytest.mark.parametrize("searcher", ["syne_evolution", "syne_bore", "syne_kde"])
def test_searchers_of_syne_tune_are_peers(plugin: str, searcher: str) -> None:
    pytest.importorskip("syne_tune", reason="needs the extra 'peers'")
    told = f"--table digits_rnn --strategies peer:{searcher} --trials 10 --seeds 1 --json"
    one, other = (json.loads(run(plugin, *told.split()).stdout) for _ in range(2))
    for record in (one, other):
        del record["lines"][0]["propose_seconds"]
    assert one == other


def test_a_peer_of_syne_tune_wants_one_objective() -> None:
    space = toys.cell_space()
    two = (Objective("a", "a", "maximize"), Objective("b", "b", "minimize"))
    with pytest.raises(ConfigError, match="expected a table with one objective for peer 'syne_bore', got 2"):
        peer("syne_bore")(Rows(space, two, {}), 0)
