"""What a search shows while it runs, driven by a real controller and ledger."""

from __future__ import annotations

import io
import json
import os
import pty
import random
import re
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from nas.api import Run
from nas.cli.curve import PLAIN_LEVELS, curve_values, sparkline
from nas.cli.lines import JsonView, LineView
from nas.cli.live import TableView
from nas.cli.pace import Pace, clock
from nas.cli.tables import run_table, said_of, summary
from nas.cli.trial import one_trial, trial_table, whole_record
from nas.cli.watch import watch
from nas.config import SearchConfig
from nas.controller.controller import Controller, Watcher
from nas.controller.history import History, Objective, Trial
from nas.controller.job import Done, Job
from nas.controller.ledger import Ledger
from nas.controller.tally import Tally
from nas.errors import CandidateError, ConfigError, LedgerError
from nas.runner.output import TrialOutput
from nas.space.architecture import Architecture
from nas.space.graph import Signature, chain, choice
from nas.space.space import Space

ACCURACY = Objective("val_accuracy", "val_accuracy", "maximize")
PARAMS = Objective("params", "params", "minimize")
block = Signature("block", ("vector",), parameters={"size": 0})
SPACE = Space(chain(only=block(size=choice("size", *range(500)))), name="sizes")
Search = Callable[..., Controller]


class InOrder:
    def propose(self, history: History, rng: random.Random) -> Architecture:
        return next(a for i, a in enumerate(SPACE.enumerate()) if i == len(history.trials))


def size_of(architecture: Architecture) -> dict[str, float]:
    """Every fifth candidate is refused."""
    size = architecture.decisions["size"]
    assert isinstance(size, int)
    if size % 5 == 4:
        raise CandidateError(f"only: expected an even better size than {size}")
    return {"params": float(size)}


@pytest.fixture
def search(tmp_path: Path) -> Iterator[Search]:
    ledgers: list[Ledger] = []

    def make(watcher: Watcher, *objectives: Objective, budget: int = 8, **options: object) -> Controller:
        ledgers.append(Ledger.create(tmp_path / "run", SPACE, objectives or [ACCURACY]))
        given = {"strategy": ("in order", InOrder()), "check": size_of, "budget": budget, **options}
        return Controller(ledger=ledgers[-1], watcher=watcher, **given)  # type: ignore[arg-type]

    yield make
    for ledger in ledgers:
        ledger.close()


def trained(controller: Controller, trials: int = 1000, epochs: int = 3, **more: float) -> Done | None:
    """Trains as many trials; those whose number is 2 fail in their second epoch."""
    for _ in range(trials):
        while not isinstance(job := controller.next(), Job):
            if isinstance(job, Done):
                return job
        for epoch in range(1, epochs + 1):
            if job.number == 2 and epoch == 2:
                controller.finish(job.number, "failed", "ValueError: shapes differ (block.py:12)")
                break
            value = float("nan") if job.number == 3 and epoch == 1 else 1 - 1 / (job.number + epoch + 1)
            controller.report(
                job.number, {"epoch": epoch, "epochs": epochs, "val_accuracy": value, "seconds": 1.5, **more}
            )
        else:
            controller.finish(job.number, "complete")
    return None


def run_of(controller: Controller, reason: str = "") -> Run:
    return Run(controller.ledger.folder, SearchConfig(strategy="random"), controller.history, reason)


def text(view: TableView, width: int = 110, height: int = 40) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    with console.capture() as said:
        console.print(view)
    return [line.rstrip() for line in said.get().splitlines()]


@pytest.fixture
def table() -> Iterator[TableView]:
    view = TableView(Console(file=io.StringIO(), force_terminal=True))
    yield view
    view.close()


def test_the_table_has_curves_the_best_and_reasons(search: Search, table: TableView) -> None:
    assert text(table)[0].startswith("starting the workers")
    controller = search(table)
    trained(controller, 6)
    job = controller.next()
    assert isinstance(job, Job)
    controller.report(job.number, {"epoch": 1, "epochs": 3, "val_accuracy": 0.9, "seconds": 1.5})
    lines = text(table)
    assert re.match(r"6/8 trials +\S+ \S* *elapsed 0:0\d +remaining 0:0\d", lines[0])
    assert lines[1] == "best val_accuracy=0.9 (trial 6)"
    assert lines[2].split() == ["trial", "state", "epoch", "val_accuracy", "curve", "seconds", "source", "reason"]
    assert lines[3].split() == ["7", "running", "1/3", "0.9", "█", "1.5", "in", "order"]
    by_number = {line.split()[0]: line for line in lines[3:10]}
    assert "×" in by_number["3"], "an epoch without a finite value"
    assert "▁" in "".join(by_number.values())
    assert "shapes differ" in by_number["2"]
    assert "1 running, 5 complete, 1 failed, 1 refused" in lines
    assert "failed: 1 × ValueError: shapes differ (block.py:12)" in lines
    assert "refused: 1 × only: expected an even better size than 4" in lines


def test_the_table_shows_the_front(search: Search, table: TableView) -> None:
    controller = search(table, ACCURACY, PARAMS, budget=14)
    trained(controller)
    lines = text(table)
    at = next(i for i, line in enumerate(lines) if line.startswith("front"))
    assert lines[at].split() == ["front", "val_accuracy", "params"]
    assert len(lines[at + 1].split()) == 3
    assert any(re.match(r"\d+ on the front, hypervolume \d", line) for line in lines)


def test_the_value_of_a_running_trial_is_what_is_known(search: Search, table: TableView) -> None:
    controller = search(table, PARAMS)
    controller.next()
    assert text(table)[3].split() == ["0", "running", "…", "0", "in", "order"]


def test_a_narrow_or_low_terminal_loses_reasons_and_rows_only(search: Search, table: TableView) -> None:
    controller = search(table, budget=40)
    trained(controller, 3)
    for _ in range(30):
        controller.next()
    lines = text(table, width=80, height=24)
    assert max(map(len, lines)) <= 80
    assert any("and " in line and "more that run" in line for line in lines)
    assert len(lines) <= 24
    assert lines[2].split()[:7] == ["trial", "state", "epoch", "val_accuracy", "curve", "seconds", "source"]


def test_lines_say_each_trial_once(search: Search) -> None:
    out = io.StringIO()
    view = LineView(Console(file=out, width=160))
    trained(controller := search(view))
    view.end(run_of(controller, "the budget is spent"))
    lines = out.getvalue().splitlines()
    assert lines[0] == "searching sizes (500 architectures), 8 trials, 0 done before"
    numbers = [re.match(r"trial (\d+) (\w+)", line) for line in lines[1:10]]
    assert [(m[1], m[2]) for m in numbers if m][:4] == [
        ("0", "complete"), ("1", "complete"), ("2", "failed"), ("3", "complete"),
    ]  # fmt: skip
    assert len([m for m in numbers if m]) == 9
    assert "best val_accuracy=0.75 (trial 0)" in lines[1]
    assert "1/8" in lines[1]
    assert "7 complete, 1 failed, 1 refused; the budget is spent" in out.getvalue()


def test_lines_show_that_long_trials_live(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.cli.lines.SILENCE", -1.0)
    out = io.StringIO()
    trained(search(LineView(Console(file=out, width=160))), 1)
    assert "running: trial 0 epoch 2/3 0.6667" in out.getvalue()


def test_every_json_line_is_an_event(search: Search) -> None:
    out = io.StringIO()
    view = JsonView(out)
    controller = search(view, deadline=1e12)
    trained(controller)
    view.end(run_of(controller, "the budget is spent"))

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    events = [json.loads(line, parse_constant=refuse) for line in out.getvalue().splitlines()]
    kinds = [event["event"] for event in events]
    assert kinds[:6] == ["search", "started", "epoch", "epoch", "epoch", "finished"]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "search": 1, "started": 8, "epoch": 22, "finished": 7, "failed": 1, "refused": 1, "summary": 1,
    }  # fmt: skip
    first, last = events[0], events[-1]
    assert (first["space"], first["budget"], first["trials_before"]) == ("sizes", 8, 0)
    assert first["objectives"] == [{"name": "val_accuracy", "metric": "val_accuracy", "direction": "maximize"}]
    assert next(e for e in events if e["event"] == "epoch" and e["number"] == 3)["val_accuracy"] is None, "NaN"
    assert next(e for e in events if e["event"] == "failed")["reason"].startswith("ValueError")
    assert last["reason"] == "the budget is spent"
    assert last["states"] == {"complete": 7, "failed": 1, "refused": 1}
    assert last["reasons"]["refused"] == [{"count": 1, "reason": "only: expected an even better size than 4"}]
    assert last["best"]["number"] == 8
    assert all(event["time"] > 1e9 for event in events)


def test_json_says_when_a_trial_is_taken_up_again(search: Search) -> None:
    out = io.StringIO()
    controller = search(JsonView(out))
    job = controller.next()
    assert isinstance(job, Job)
    controller.report(job.number, {"epoch": 1, "epochs": 3, "val_accuracy": 0.5})
    controller.lost(job.number, "the worker died")
    controller.next()
    events = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [(e["event"], e.get("epoch")) for e in events[1:]] == [("started", 0), ("epoch", 1), ("started", 1)]


class Watched(list[Trial]):
    """Trials that count how often somebody goes through all of them."""

    walks = 0

    def __iter__(self) -> Iterator[Trial]:
        self.walks += 1
        return super().__iter__()


@pytest.mark.parametrize("kind", ["table", "lines", "JSON"])
def test_no_view_goes_through_all_trials_again(search: Search, table: TableView, kind: str) -> None:
    console = Console(file=io.StringIO(), width=160)
    view = {"table": table, "lines": LineView(console), "JSON": JsonView(io.StringIO())}[kind]
    controller = search(view, ACCURACY, PARAMS, budget=30)
    controller.ledger.trials = watched = Watched()
    trained(controller, 2)
    for _ in range(20):
        while not isinstance(job := controller.next(), Job):
            assert not isinstance(job, Done)
        before = watched.walks
        controller.report(job.number, {"epoch": 1, "epochs": 1, "val_accuracy": 0.5})
        controller.finish(job.number, "complete")
        text(table)
        assert watched.walks == before


def test_one_kind_of_output_at_a_time() -> None:
    with pytest.raises(ConfigError, match="got both"), watch(quiet=True, json_lines=True):
        pass


def test_a_large_run_is_shown_by_its_best(search: Search) -> None:
    controller = search(lambda trial, history: None, budget=100)
    trained(controller, 99, epochs=1)
    controller.next()
    out = io.StringIO()
    console = Console(file=out, width=160)
    console.print(run_table(run_of(controller)))
    said = out.getvalue()
    assert len(re.findall(r"^│ +★? +│ \d+ ", said, re.MULTILINE)) == 21
    assert "more with --all" in said
    console.print(run_table(run_of(controller), everything=True))
    assert len(re.findall(r"^│ +★? +│ \d+ ", out.getvalue()[len(said) :], re.MULTILINE)) == len(
        controller.history.trials
    )


def test_a_trial_is_shown_with_its_curve_and_its_log(search: Search) -> None:
    controller = search(lambda trial, history: None)
    trained(controller, 5)
    run = run_of(controller)
    output = TrialOutput({"run": str(run.folder)}, {"number": 2})
    with output.kept():
        print("shapes [3] and [4]")  # which is no markup
    output.close()
    out = io.StringIO()
    for number in (0, 2, 4):
        Console(file=out, width=100).print(trial_table(run, one_trial(run, number)))
    said = out.getvalue()
    assert "▁▆█" in said
    assert f"log: {run.folder}/logs/2.log" in said
    assert "shapes [3] and [4]" in said
    assert "ValueError: shapes differ (block.py:12)" in said
    assert "log: it was never trained" in said
    assert whole_record(run, one_trial(run, 2))["log"] == f"{run.folder}/logs/2.log"
    assert whole_record(run, one_trial(run, 0))["log"] is None
    with pytest.raises(LedgerError, match="has no trial 99"):
        one_trial(run, 99)


def test_what_is_said_of_many_reasons_is_short(search: Search) -> None:
    controller = search(lambda trial, history: None, budget=3)
    tally = Tally([ACCURACY])
    for number in range(8):
        trial = controller.ledger.refuse(SPACE.sample(random.Random(number)), reason="because " + "x" * number)
        tally.see(trial)
    assert said_of(tally, groups=2) == [
        "8 refused", "refused: 1 × because ", "refused: 1 × because x", "refused: 6 for 6 other reasons",
    ]  # fmt: skip


@pytest.mark.parametrize(("busy", "wasted"), [(0.3, True), (0.95, False)])
def test_the_summary_speaks_of_gpus_that_are_not_used(search: Search, busy: float, wasted: bool) -> None:
    controller = search(lambda trial, history: None, budget=6)
    trained(controller, gpu_memory=0.1, gpu_busy=busy)
    config = SearchConfig(strategy="random", gpus_per_trial=1)
    run = Run(controller.ledger.folder, config, controller.history, "over", ("6 of 8 GPUs not used: ask",))
    console = Console(file=io.StringIO(), width=160)
    with console.capture() as caught:
        console.print(summary(run))
    said = caught.get()
    assert "WARNING: 6 of 8 GPUs not used: ask" in said
    assert f"{busy:.0%} busy, 10% of the memory at most in one trial" in said
    assert ("WARNING: GPUs were 30% busy" in said) == wasted


def test_curves_are_of_what_there_is(search: Search) -> None:
    controller = search(lambda trial, history: None)
    trained(controller, 1)
    [trial] = controller.history.trials
    assert curve_values(trial, ACCURACY) == pytest.approx([0.5, 2 / 3, 0.75])
    assert curve_values(trial, PARAMS) == pytest.approx([0.5, 2 / 3, 0.75]), "params is no metric of an epoch"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([], ""),
        ([1.0], "█"),
        ([0.0], "▁"),
        ([0.0, float("nan"), 1.0], "▁×█"),
        ([i / 99 for i in range(100)], "▁▁▂▂▃▃▄▄▅▅▆▆▇▇██"),
    ],
)
def test_sparklines(values: list[float], said: str) -> None:
    assert sparkline(values, 0.0, 1.0) == said
    assert len(sparkline(values, 0.0, 1.0, PLAIN_LEVELS)) == len(said)
    assert sparkline(values, 0.0, 1.0, PLAIN_LEVELS).isascii()


def test_what_is_left_follows_from_the_speed_and_the_deadline(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("nas.cli.pace.time.monotonic", lambda: now)
    tally = Tally([ACCURACY])
    pace = Pace(tally)

    def watcher(trial: Trial, history: History) -> None:
        tally.see(trial)
        pace.see(trial)

    controller = search(watcher, budget=4)
    controller.next()
    assert pace.remaining(controller.history) is None
    now = 110.0  # until when the workers started, and the first epoch took 1.5 s
    for epoch in (1, 2):
        controller.report(0, {"epoch": epoch, "epochs": 2, "val_accuracy": 0.5, "seconds": 1.5 * epoch})
    controller.finish(0, "complete")
    job = controller.next()
    assert isinstance(job, Job)
    controller.report(job.number, {"epoch": 1, "epochs": 2, "val_accuracy": 0.5})
    now = 128.5
    assert pace.remaining(controller.history) == 20.0 / 1.5 * 2.5
    controller.deadline = 138.5
    assert pace.remaining(controller.history) == 10.0
    assert [clock(s) for s in (None, 5, 65, 3700)] == ["?", "0:05", "1:05", "1:01:40"]


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_views import InOrder, SPACE, ACCURACY, run_of, size_of, trained
from nas.cli.watch import watch
from nas.controller.controller import Controller
from nas.controller.ledger import Ledger
with Ledger.create(Path("run"), SPACE, [ACCURACY]) as ledger, watch(quiet=False, json_lines={json}) as view:
    controller = Controller(ledger=ledger, strategy=("s", InOrder()), check=size_of, budget=4, watcher=view)
    trained(controller)
    print("a trial prints this")
    view.end(run_of(controller, "over"))
"""


def test_on_a_terminal_the_table_goes_and_the_summary_stays(tmp_path: Path) -> None:
    driver, terminal = pty.openpty()
    script = SCRIPT.format(tests=str(Path(__file__).parent), json=False)
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"}
    process = subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, env=env, stdout=terminal, stderr=terminal)
    os.close(terminal)
    said = b""
    while select.select([driver], [], [], 60)[0]:
        try:
            said += os.read(driver, 65536)
        except OSError:  # how the other side's end is heard of
            break
    os.close(driver)
    assert process.wait(60) == 0, said.decode()
    shown = said.decode()
    assert "\x1b[?25l" in shown, "the cursor is hidden while the table lives"
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l"), "and comes back"
    assert "a trial prints this" in shown
    assert "over" in shown[shown.rindex("\x1b[?25h") :]


def test_json_lines_have_standard_output_for_themselves(tmp_path: Path) -> None:
    script = SCRIPT.format(tests=str(Path(__file__).parent), json=True)
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["event"] for line in done.stdout.splitlines()][-1] == "summary"
    assert "a trial prints this" in done.stderr
