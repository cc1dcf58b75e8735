"""Everything here runs on a real Ray, started once."""

from __future__ import annotations

import math
import os
import re
import signal
import threading
import time
from collections.abc import Callable

import psutil
import pytest
from acts import Wisher
from ray import tune

from nas.controller.controller import Controller
from nas.controller.history import History, Trial
from nas.controller.job import Done
from nas.errors import CandidateError, ConfigError, LedgerError, NasError, PluginError, SpaceError
from nas.plugin.manager import create_manager
from nas.plugin.registry import parse_spec
from nas.runner.cluster import Cluster, starting
from nas.runner.output import last_lines, log_file
from nas.runner.ray_runner import run_ray
from nas.runner.spec import Resources, WorkerSpec
from nas.space.architecture import Architecture

Search = Callable[..., tuple[Controller, WorkerSpec]]

pytestmark = pytest.mark.usefixtures("cluster")


def pids(controller: Controller) -> set[float]:
    return {metrics["pid"] for trial in controller.history.trials for metrics in trial.curve}


def test_every_trial_is_run_by_workers_that_stay(
    search: Search, cluster: Cluster, capfd: pytest.CaptureFixture[str]
) -> None:
    controller, spec = search("work", sizes=50, budget=12, config={"epochs": 2, "pause": 0.2})
    assert run_ray(controller, spec, cluster=cluster) == Done("the budget of 12 trials is spent", "budget")
    trials = controller.history.trials
    assert [trial.state for trial in trials] == ["complete"] * 12
    assert [[metrics["epoch"] for metrics in trial.curve] for trial in trials] == [[1, 2]] * 12
    assert all(trial.values == (trial.architecture.decisions["size"] + 0.02,) for trial in trials)
    assert trials[0].seconds == 1.0
    assert len(pids(controller)) <= 4
    assert max(trial.metrics["trained"] for trial in trials) > 2
    assert capfd.readouterr() == ("", "")


def test_two_trials_run_at_a_time(search: Search) -> None:
    running = []

    def watch(trial: Trial, history: History) -> None:
        running.append(sum(not other.finished for other in history.trials))

    controller, spec = search("work", sizes=50, budget=6, watcher=watch, config={"pause": 0.3})
    run_ray(controller, spec, Resources(2))
    assert max(running) == 2
    running.clear()
    controller, spec = search("work", sizes=50, budget=4, watcher=watch)
    run_ray(controller, spec, Resources(1))
    assert max(running) == 1


@pytest.mark.parametrize(("cpus", "threads"), [(1, 1), (2, 2), (0.5, 1)])
def test_threads_are_what_a_trial_gets(search: Search, cpus: float, threads: int) -> None:
    controller, spec = search("work", budget=1)
    run_ray(controller, spec, Resources(1, cpus_per_trial=cpus))
    [trial] = controller.history.trials
    assert trial.metrics["threads"] == threads
    assert trial.metrics["omp"] == threads


def test_a_trial_that_fails_is_recorded_and_the_search_goes_on(
    search: Search, capfd: pytest.CaptureFixture[str]
) -> None:
    controller, spec = search("raise", "memory", "nan", "unsaid", "silent", "work", config={"epochs": 2})
    assert run_ray(controller, spec, Resources(1)).cause == "space"
    assert [(trial.state, re.sub(r":\d+\)", ")", trial.reason)) for trial in controller.history.trials] == [
        ("failed", "ValueError: shapes differ (fake_workers.py)"),
        ("failed", "MemoryError: out of memory (fake_workers.py)"),
        ("failed", "objective 'score': expected a finite score, got nan"),
        ("complete", ""),
        ("failed", "objective 'score': expected metric 'score', got params"),
        ("complete", ""),
    ]
    assert len(pids(controller)) == 1, "the worker process outlives trials that fail"
    assert capfd.readouterr() == ("", "")


def test_a_worker_that_dies_is_recorded_and_the_search_goes_on(
    search: Search, capfd: pytest.CaptureFixture[str]
) -> None:
    controller, spec = search("die", "work", sizes=1, config={"epochs": 3})
    assert run_ray(controller, spec, Resources(1)).cause == "space"
    dead, alive = controller.history.trials
    assert (dead.state, len(dead.curve)) == ("failed", 1)
    assert dead.reason.startswith("the worker process died: ")
    assert "exit" in dead.reason.lower()  # what Ray says of the cause
    assert dead.reason.endswith(" (3 times)")
    assert len(dead.reason) < 300
    assert alive.state == "complete"
    assert len(pids(controller)) >= 2
    said = capfd.readouterr()
    ray = "(raylet)\x1b[0m A worker died or was killed while executing a task"  # comes or not: Ray has no switch for it
    ours = [line for line in said.out.splitlines() if ray not in line]
    assert (ours, said.err) == ([], "")


@pytest.mark.slow
def test_the_last_trial_is_not_forgotten_when_its_worker_dies(search: Search) -> None:
    controller, spec = search("die", budget=1, config={"epochs": 3, "pause": 0.1})
    assert run_ray(controller, spec, Resources(2)).cause == "budget"
    assert [trial.state for trial in controller.history.trials] == ["failed"]


def test_what_trials_print_is_in_their_logs(search: Search) -> None:
    controller, spec = search("loud", "raise", "work", config={"epochs": 2})
    run_ray(controller, spec, Resources(1))
    place = controller.ledger.folder
    loud = log_file(place, 0).read_bytes().decode()
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d trial 0 begins on \S+, process \d+\n", loud)
    assert int(loud.partition("process ")[2].partition("\n")[0]) == controller.history.trials[0].metrics["pid"]
    for epoch in (1, 2):
        assert f"epoch {epoch} is printed\n" in loud
        assert f"epoch {epoch} as C prints\n" in loud
        assert f"UserWarning: epoch {epoch} is doubtful" in loud
    failed = last_lines(place, 1, 4)
    assert failed is not None
    assert failed[-1] == "ValueError: shapes differ"
    assert "fake_workers.py" in log_file(place, 1).read_bytes().decode()
    assert len(last_lines(place, 2, 9) or []) == 1, "what others printed is not in it"


def test_scores_are_computed_by_the_workers_and_choose(search: Search) -> None:
    controller, spec = search("work", sizes=40, budget=4, strategy=("wisher", Wisher()), proxies=["size"])
    assert run_ray(controller, spec, Resources(2)).cause == "budget"
    history = controller.history
    assert [trial.state for trial in history.trials] == ["complete"] * 4
    assert 39 in [trial.architecture.decisions["size"] for trial in history.trials]
    assert len(history.scores) > 30


def test_a_worker_that_dies_over_a_score_is_no_end(search: Search) -> None:
    controller, spec = search("work", "unscored die", sizes=3, budget=5, strategy=("wisher", Wisher()), proxies=["s"])
    assert run_ray(controller, spec, Resources(1)).cause == "budget"
    history = controller.history
    assert {trial.state for trial in history.trials} == {"complete"}
    assert {} in history.scores.values()


def test_a_trial_whose_worker_is_killed_goes_on_in_another(search: Search) -> None:
    killed: list[tuple[int, int]] = []

    def watch(trial: Trial, history: History) -> None:
        if len(trial.curve) == 2 and not killed:
            killed.append((trial.number, int(trial.metrics["pid"])))
            os.kill(killed[0][1], signal.SIGKILL)

    controller, spec = search("work", sizes=50, budget=3, watcher=watch, config={"epochs": 5, "pause": 0.1})
    assert run_ray(controller, spec).cause == "budget"
    trials = controller.history.trials
    assert [trial.state for trial in trials] == ["complete"] * 3
    assert all([epoch["epoch"] for epoch in trial.curve] == [1, 2, 3, 4, 5] for trial in trials)
    [(number, pid)] = killed
    assert trials[number].curve[-1]["started_at"] > 1, "it went on from its checkpoint"
    assert [epoch["pid"] == pid for epoch in trials[number].curve] == [True, False, False, False, False]


@pytest.mark.slow
def test_a_worker_that_died_is_replaced_also_when_trials_are_short(search: Search) -> None:
    killed = []

    def watch(trial: Trial, history: History) -> None:
        if trial.number == 3 and trial.curve and not killed:
            killed.append(trial.metrics["pid"])
            os.kill(int(trial.metrics["pid"]), signal.SIGKILL)

    config = {"epochs": 2, "pause": 0.1, "start": 2.0}
    controller, spec = search("work", sizes=99, budget=50, watcher=watch, config=config)
    run_ray(controller, spec)
    last = {trial.metrics["pid"] for trial in controller.history.trials[-10:]}
    assert len(last) == 2
    assert not last & set(killed)


def test_a_worker_that_cannot_be_made_ends_the_search(search: Search) -> None:
    controller, spec = search("work", sizes=9, config={"broken": True})
    with pytest.raises(NasError, match=r"worker 'fake_workers:Worker' cannot be made: RuntimeError: no data here"):
        run_ray(controller, spec)
    assert {trial.state for trial in controller.history.trials} == {"running"}


def test_a_worker_that_cannot_save_ends_the_search_and_not_the_trial(search: Search) -> None:
    controller, spec = search("full", config={"epochs": 3})
    with pytest.raises(LedgerError, match=r"^cannot write last\.pt: no space$"):
        run_ray(controller, spec, Resources(1))
    assert [(trial.state, len(trial.curve)) for trial in controller.history.trials] == [("running", 1)]


def test_errors_of_the_driver_come_out_as_they_are(search: Search) -> None:
    class Broken:
        def propose(self, history: History, rng: object) -> Architecture:
            raise KeyError("front")

    controller, spec = search("work", sizes=9, strategy=("broken", Broken()))
    with pytest.raises(PluginError, match="strategy 'broken' failed"):
        run_ray(controller, spec)

    def refuse(architecture: Architecture) -> dict[str, float]:
        raise CandidateError("too large")

    controller, spec = search("work", sizes=9, check=refuse)
    with pytest.raises(SpaceError, match="does not fit the task"):
        run_ray(controller, spec)

    controller, spec = search("work", sizes=9)
    controller.ledger.report = lambda *_: (_ for _ in ()).throw(LedgerError("full"))  # type: ignore[method-assign]
    with pytest.raises(LedgerError, match="full"):
        run_ray(controller, spec)


def test_refused_candidates_do_not_keep_workers_waiting(search: Search) -> None:
    def check(architecture: Architecture) -> dict[str, float]:
        if architecture.decisions["size"] % 3:
            raise CandidateError("no multiple of three")
        return {}

    controller, spec = search("work", sizes=60, check=check)
    started = time.monotonic()
    assert run_ray(controller, spec).cause == "space"
    states = [trial.state for trial in controller.history.trials]
    assert (states.count("complete"), states.count("refused")) == (20, 40)
    assert time.monotonic() - started < 20


def test_the_deadline_is_kept_in_the_middle_of_an_epoch(search: Search) -> None:
    def watch(trial: Trial, history: History) -> None:
        if trial.curve:
            controller.deadline = time.monotonic() + 0.5

    controller, spec = search("hang", watcher=watch, config={"epochs": 3})
    assert run_ray(controller, spec, Resources(1)) == Done("the time is up", "time")
    assert -5 < controller.seconds_left <= 0
    assert [(trial.state, len(trial.curve)) for trial in controller.history.trials] == [("running", 1)]


def test_ctrl_c_ends_in_order(
    search: Search, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    controller, spec = search("work", sizes=50, config={"epochs": 100, "pause": 1.5})
    before = signal.getsignal(signal.SIGINT)
    seen: list[int] = []

    def interrupt() -> None:
        while len([trial for trial in controller.history.trials if trial.curve]) < 2:
            time.sleep(0.05)
        seen.extend(len(trial.curve) for trial in controller.history.trials)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    assert run_ray(controller, spec).cause == "interrupted"
    assert signal.getsignal(signal.SIGINT) is before
    assert {trial.state for trial in controller.history.trials} == {"running"}
    assert [len(trial.curve) for trial in controller.history.trials] == [epochs + 1 for epochs in seen]
    assert capfd.readouterr() == ("", "")
    assert caplog.messages == ["finishing the epochs that run, then leaving; again to leave now"]


def test_a_second_ctrl_c_does_not_wait_for_the_epoch(search: Search) -> None:
    controller, spec = search("hang", config={"epochs": 3})

    def interrupt() -> None:
        while not any(trial.curve for trial in controller.history.trials):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    assert run_ray(controller, spec, Resources(1)).cause == "interrupted"
    assert [(trial.state, len(trial.curve)) for trial in controller.history.trials] == [("running", 1)]


def test_workers_are_gone_afterwards(search: Search) -> None:
    controller, spec = search("work", sizes=50, budget=3)
    run_ray(controller, spec)
    until = time.monotonic() + 10
    while any(psutil.pid_exists(int(pid)) for pid in pids(controller)) and time.monotonic() < until:
        time.sleep(0.1)
    assert not any(psutil.pid_exists(int(pid)) for pid in pids(controller))


def test_what_schedulers_stop_is_recorded_as_stopped(search: Search) -> None:
    scheduler = tune.schedulers.AsyncHyperBandScheduler(grace_period=1, max_t=4, reduction_factor=2)
    controller, spec = search("work", sizes=100, budget=10, config={"epochs": 4})
    assert run_ray(controller, spec, Resources(1), scheduler=scheduler).cause == "budget"
    trials = controller.history.trials
    stopped = [trial for trial in trials if trial.state == "stopped"]
    assert {trial.state for trial in trials} == {"stopped", "complete"}
    assert all(trial.reason == "stopped by the scheduler" for trial in stopped)
    assert all(1 <= len(trial.curve) < 4 for trial in stopped)
    assert all(trial.values is not None and math.isfinite(trial.values[0]) for trial in stopped)
    best = max(trials, key=lambda trial: trial.architecture.decisions["size"])  # type: ignore[arg-type, return-value]
    assert best.state == "complete"


@pytest.mark.slow
@pytest.mark.parametrize("spec", ["asha:grace_period=1,reduction_factor=2", "median_stopping:min_samples_required=2"])
def test_our_schedulers_stop_what_falls_behind(search: Search, spec: str) -> None:
    name, options = parse_spec(spec)
    scheduler = create_manager().registry.get("scheduler", name).build(4, **options)
    controller, worker = search("work", sizes=100, budget=10, config={"epochs": 4})
    assert run_ray(controller, worker, Resources(1), scheduler=scheduler).cause == "budget"
    ends = {
        trial.state: [t for t in controller.history.trials if t.state == trial.state]
        for trial in controller.history.trials
    }
    assert set(ends) == {"stopped", "complete"}
    assert all(trial.values == (trial.curve[-1]["score"],) for trial in ends["stopped"])
    sizes = {state: [int(trial.values[0]) for trial in some if trial.values] for state, some in ends.items()}
    assert sum(sizes["stopped"]) / len(sizes["stopped"]) < sum(sizes["complete"]) / len(sizes["complete"])


def test_schedulers_that_pause_are_refused(search: Search) -> None:
    controller, spec = search("work", budget=1)
    scheduler = tune.schedulers.HyperBandScheduler(max_t=4)
    with pytest.raises(ConfigError, match="got HyperBandScheduler, which pauses them"):
        run_ray(controller, spec, scheduler=scheduler)


def test_a_cluster_can_start_while_other_things_are_done(cluster: Cluster) -> None:
    with starting(Resources(2)) as started:
        assert started().slots == cluster.slots
    with starting(Resources(64)) as started, pytest.raises(ConfigError, match="expected resources for 64 trials"):
        started()


def test_more_than_there_is_is_refused(search: Search) -> None:
    controller, spec = search("work")
    with pytest.raises(ConfigError, match=r"expected resources for 64 trials at a time with 1 CPUs .* got .* CPUs"):
        run_ray(controller, spec, Resources(64))
    with pytest.raises(ConfigError, match=r"1 trials at a time with 1 CPUs and 8 GPUs each, got .* and 0 GPUs"):
        run_ray(controller, spec, Resources(1, gpus_per_trial=8))
    assert not controller.history.trials
