"""Workers without torch, which runners make from "fake_workers:<name>"."""

from __future__ import annotations

import json
import os
import signal
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nas.errors import LedgerError


class Worker:
    """Trains nothing; the architecture's decision "act" says what happens. Its state is a file, as a checkpoint is.

    As the real one does, it says the last epoch of its checkpoint again, in case nobody heard it.

    Configuration: run (folder), epochs, pause (seconds of an epoch), start (seconds to be made), broken, says.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        if config.get("broken"):
            raise RuntimeError("no data here")
        time.sleep(config.get("start", 0.0))
        self.config = config
        self.trials = 0

    def trial(self, job: Mapping[str, Any]) -> Iterator[dict[str, float]]:
        decisions = job["architecture"]["decisions"]
        act, epochs = decisions["act"], self.config.get("epochs", 1)
        self.trials += 1
        file = Path(self.config["run"], "checkpoints", f"{job['number']}.json")
        done = json.loads(file.read_text()) if job["resume"] and file.exists() else 0
        for epoch in range(max(1, done), 1 if act == "silent" else epochs + 1):
            if epoch > done:
                time.sleep(self.config.get("pause", 0.0))
                misbehave(act, epoch, job["resume"])
                file.parent.mkdir(exist_ok=True)
                new = file.with_suffix(".new")
                new.write_text(json.dumps(epoch))
                new.replace(file)  # as a checkpoint is written: a kill leaves the old one or this, never half a file
            yield {
                "epoch": epoch,
                "score": float("nan") if act == "nan" else decisions["size"] + epoch / 100,
                "seconds": 0.5 * epoch,
                "started_at": done + 1,
                "trained": self.trials,
                "pid": os.getpid(),
                "threads": self.config.get("threads", 0),
                "omp": int(os.environ.get("OMP_NUM_THREADS", 0)),
                **({} if act == "unsaid" else {"epochs": epochs}),
                **self.config.get("says", {}),
            }

    def score(self, architecture: Mapping[str, Any], names: Sequence[str]) -> dict[str, dict[str, float]]:
        """The architecture's size; the acts of a trial are those of its score, too."""
        decisions = architecture["decisions"]
        misbehave(decisions["act"].removeprefix("unscored "), 2, False)
        return {"scores": dict.fromkeys(names, decisions["size"]), "seconds": dict.fromkeys(names, 0.001)}

    def close(self) -> None:
        Path(self.config["run"], f"closed-{os.getpid()}").touch()


def misbehave(act: str, epoch: int, resumed: bool) -> None:
    if act == "loud":
        print(f"epoch {epoch} is printed")
        os.write(2, f"epoch {epoch} as C prints\n".encode())
        warnings.warn(f"epoch {epoch} is doubtful", stacklevel=1)
    if act == "raise" and epoch == 2:
        raise ValueError("shapes differ")
    if act == "full" and epoch == 2:
        raise LedgerError("cannot write last.pt: no space")
    if act == "memory":
        raise MemoryError("out of memory")
    if act == "die" and epoch == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    if act == "hang" and epoch == 2:
        time.sleep(1000)
    if act == "interrupt" and epoch == 2 and not resumed:
        raise KeyboardInterrupt
