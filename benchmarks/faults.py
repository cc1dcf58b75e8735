"""What a search with real training on Ray loses when it is killed again and again: nothing, or the exit code is 1.

    python benchmarks/faults.py [--kills 30] [--trials 40] [--epochs 4] [--minutes 15]

The commands are `nas search` and `nas resume`. At random moments, once trials run, one of these gets SIGKILL: the
driver (then `nas resume` goes on), a worker (its trial goes on in another), or the raylet (Ray is started again). After
every kill the ledger is compared, record by record, with what it was. Kills that did not come in `--minutes` are left
out.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

import nas
from nas.controller.history import Trial
from nas.errors import NasError

COMMAND = [sys.executable, "-m", "nas.cli.main"]
VICTIMS = ("driver", "worker", "driver", "worker", "raylet")


class Search:
    """The search in `folder`, its driver, and what its finished trials were when they were seen first."""

    def __init__(self, folder: Path, trials: int, epochs: int) -> None:
        self.folder, self.epochs = folder, epochs
        self.finished: dict[int, Trial] = {}
        self.problems: list[str] = []
        self.went_on: set[int] = set()
        self._start(
            "search", "--space", "cell_cnn:channels=8", "--strategy", "random", "--no-proxies", "--no-cache",
            "--seed", "1", "--trials", str(trials), "--epochs", str(epochs), "--out", str(folder),
        )  # fmt: skip

    def _start(self, *arguments: str) -> None:
        self._log = (self.folder.parent / "log").open("a")
        self.driver = subprocess.Popen([*COMMAND, *arguments, "-q"], stdout=self._log, stderr=self._log)

    @property
    def running(self) -> bool:
        """Whether the driver is there."""
        return self.driver.poll() is None

    def trials(self) -> list[Trial]:
        """The ledger's records, compared with what they were."""
        try:
            found = list(nas.load_run(self.folder).trials)
        except NasError:
            return []
        for number, trial in self.finished.items():
            if number >= len(found) or found[number] != trial:
                self.problems.append(f"the record of trial {number} is lost or changed")
        self.finished |= {trial.number: trial for trial in found if trial.finished}
        return found

    def wait_for_work(self, since: int) -> bool:
        """Until more epochs than `since` are recorded; False when the search ended before."""
        while self.running:
            if sum(len(trial.curve) for trial in self.trials()) > since:
                return True
            time.sleep(0.25)
        return False

    def kill(self, victim: str) -> bool:
        """Kills one process of the kind; False where there is none."""
        children = psutil.Process(self.driver.pid).children(recursive=True)
        names = {"worker": "ray::", "raylet": "raylet"}
        found = [self.driver.pid]
        if victim != "driver":
            found = [p.pid for p in children if _title(p).startswith(names[victim]) and "IDLE" not in _title(p)]
            found = [pid for pid in found if victim == "raylet" or "Agent" not in _title(psutil.Process(pid))]
        if not found:
            return False
        os.kill(random.choice(found), 9)
        if victim == "driver":
            self.driver.wait()
            self.went_on |= {trial.number for trial in self.trials() if trial.curve and not trial.finished}
            self._start("resume", str(self.folder))
        return True


def _title(process: psutil.Process) -> str:
    try:
        words = process.cmdline()
    except psutil.Error:
        return ""
    return Path(words[0]).name if words else ""


def check(search: Search, trials: int) -> None:
    """Adds to the problems what is wrong with the search at its end."""
    found = [trial for trial in search.trials() if trial.state != "refused"]
    states = Counter(trial.state for trial in found)
    if states != {"complete": trials}:
        search.problems.append(f"expected {trials} complete trials, got {dict(states)}")
    if len({trial.digest for trial in found}) != len(found):
        search.problems.append("a network was trained twice")
    for trial in found:
        if [epoch["epoch"] for epoch in trial.curve] != list(range(1, search.epochs + 1)):
            search.problems.append(f"the curve of trial {trial.number} has gaps: {[e['epoch'] for e in trial.curve]}")
    if not (search.folder / "best" / "model.py").is_file():
        search.problems.append("the winner was not exported")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--minutes", type=float, default=15)
    options = parser.parse_args()
    begun, rng, killed = time.monotonic(), random.Random(0), Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        search = Search(Path(folder) / "run", options.trials, options.epochs)
        since = 0
        while killed.total() < options.kills and time.monotonic() - begun < 60 * options.minutes:
            if not search.wait_for_work(since):
                break
            time.sleep(rng.uniform(0.0, 2.0))
            since = sum(len(trial.curve) for trial in search.trials())
            victim = VICTIMS[killed.total() % len(VICTIMS)]
            killed[victim] += search.running and search.kill(victim)
        search.driver.wait()
        if search.driver.returncode:
            search.problems.append(f"the last driver ended with {search.driver.returncode}")
        check(search, options.trials)
        table = Table("what", "figure", title="a search that is killed")
        table.add_row("kills", ", ".join(f"{count} {name}" for name, count in killed.items()) or "none")
        table.add_row(
            "trials", f"{len(search.finished)} finished, {len(search.went_on)} of them went on after a dead driver"
        )
        table.add_row("time", f"{time.monotonic() - begun:.0f} s")
        table.add_row("lost or changed", "; ".join(sorted(set(search.problems))) or "nothing")
        Console(width=160).print(table)
        if search.problems:
            print((Path(folder) / "log").read_text()[-3000:])
    sys.exit(bool(search.problems))


if __name__ == "__main__":
    main()
