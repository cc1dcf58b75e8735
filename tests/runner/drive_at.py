"""A search of fake workers on the cluster at an address; what it says is JSON, one line for each thing that it is told.

python drive_at.py ADDRESS  <  lines of {"run": FOLDER, "budget": N, "config": {...}, "resources": {...}, "files": []}
"""

from __future__ import annotations

import json
import sys
from typing import Any

from acts import SCORE, Sampler, space_of

from nas.controller.controller import Controller
from nas.controller.ledger import Ledger
from nas.errors import NasError
from nas.runner.ray_runner import run_ray
from nas.runner.spec import Resources, WorkerSpec


def search(
    address: str, run: str, budget: int, config: dict[str, Any], resources: dict[str, Any], files: list[str]
) -> Any:
    """Why it ended and what each trial's last epoch says, or the error."""
    space = space_of("work", sizes=1000)
    with Ledger.create(run, space, [SCORE]) as ledger:
        controller = Controller(ledger=ledger, strategy=("sampler", Sampler()), check=lambda _: {}, budget=budget)
        spec = WorkerSpec("fake_workers:Worker", {"run": run, **config}, tuple(files))
        try:
            done = run_ray(controller, spec, Resources(address=address, **resources))
        except NasError as error:
            return {"error": f"{type(error).__name__}: {error}", "trials": len(ledger.trials)}
        return {"cause": done.cause, "trials": [[t.state, t.reason, dict(t.metrics)] for t in ledger.trials]}


if __name__ == "__main__":
    for line in sys.stdin:
        said = {"budget": 1, "config": {}, "resources": {}, "files": [], **json.loads(line)}
        print(json.dumps(search(sys.argv[1], **said)), flush=True)
