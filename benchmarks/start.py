"""What a user waits from the command to the first trial that trains: `nas search` beside a script with Ray Tune alone.

    python benchmarks/start.py [--rounds 5]

Both train one small CNN on scikit-learn's digits, two trials at a time. The script holds what people write: it imports
torch and Ray, and a class trainable whose `setup` loads the data. Stamps are taken where its `step` begins to build
the network, and where our worker does (`stamps.py`). Sides take turns; ratios are of times within a round.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
LAST = "training"

BARE = """
import os, time
import numpy as np
import torch
from ray import tune
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

def stamp(name):
    with open(os.environ["STAMPS"], "a") as file:
        file.write(f"{name} {time.time()}\\n")

class Reused(tune.Trainable):
    def setup(self, config):
        stamp("worker loads data")
        torch.set_num_threads(1)
        x, y = load_digits(return_X_y=True)
        x = x.reshape(-1, 1, 8, 8).astype(np.float32)
        parts = train_test_split(x, y, test_size=0.2, random_state=0)
        self.x, self.x_val, self.y, self.y_val = map(torch.from_numpy, parts)

    def reset_config(self, new_config):
        return True

    def step(self):
        stamp("training")
        net = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                            nn.Linear(256, 64), nn.ReLU(), nn.Linear(64, 10))
        optimizer = torch.optim.SGD(net.parameters(), 0.05, 0.9)
        for chosen in torch.randperm(len(self.y)).split(64):
            loss = nn.functional.cross_entropy(net(self.x[chosen]), self.y[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            score = (net(self.x_val).argmax(1) == self.y_val).float().mean().item()
        return {"score": score, "done": True}

if __name__ == "__main__":
    stamp("imported")
    import ray, sys
    ray.init(include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    stamp("Ray runs")
    tune.Tuner(
        tune.with_resources(Reused, {"cpu": 1}),
        param_space={"seed": tune.grid_search([0, 1])},
        tune_config=tune.TuneConfig(max_concurrent_trials=2, reuse_actors=True),
        run_config=tune.RunConfig(storage_path=sys.argv[1], name="bare", verbose=0),
    ).fit()
"""

OURS = (
    "--plugin", str(HERE / "stamps.py"), "--space", "stamped", "--task", "digits", "--trials", "2",
    "--concurrency", "2", "--epochs", "1", "--recipe", "augment=none", "--no-cache", "--no-reference", "--quiet",
)  # fmt: skip


def bare(folder: str) -> list[str]:
    """The command of the script by hand."""
    script = Path(folder, "bare.py")
    script.write_text(BARE)
    return [sys.executable, str(script), folder]


def ours(folder: str) -> list[str]:
    """The command of a search."""
    return [str(Path(sys.executable).with_name("nas")), "search", *OURS, "--out", f"{folder}/run"]


SIDES = {"Ray Tune alone": bare, "nas search": ours}


def play(side: str) -> dict[str, float]:
    """Seconds from the command to the first stamp of each name, in their order."""
    with tempfile.TemporaryDirectory() as folder:
        stamps = Path(folder, "stamps")
        told = {
            "STAMPS": str(stamps),
            "STAMPS_PARENT": str(os.getpid()),
            "XDG_CACHE_HOME": folder,
            "PYTHONPATH": str(HERE),
        }
        begun = time.time()
        done = subprocess.run(
            SIDES[side](folder), check=False, env=os.environ | told, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        if done.returncode:
            raise SystemExit(done.stderr.decode())
        found: dict[str, float] = {}
        for line in stamps.read_text().splitlines():
            name, _, when = line.rpartition(" ")
            found.setdefault(name, float(when) - begun)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    said = parser.parse_args()
    rounds: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for number in range(said.rounds):
        for side in list(SIDES)[:: 1 if number % 2 == 0 else -1]:
            rounds[side].append(play(side))
    table = Table("side", "until", "s from the command", "s of its own", title="medians")
    for side, found in rounds.items():
        before = 0.0
        for name in sorted(found[0], key=found[0].__getitem__):
            until = statistics.median(one[name] for one in found)
            table.add_row(side, name, f"{until:.2f}", f"{until - before:.2f}")
            before = until
    Console(width=100).print(table)
    ratios = [mine[LAST] / theirs[LAST] for mine, theirs in zip(*reversed(rounds.values()), strict=True)]
    print(f"start of nas search / of Ray Tune alone: {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
