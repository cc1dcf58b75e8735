"""The same question to a fresh process in which every hash of a string is another."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from nas.testing.case import Case


def same_elsewhere(question: Callable[[Case], Any], case: Case) -> None:
    """Fails unless `question`, a function of a module, answers the same in another process; the answer must be JSON."""
    here = json.loads(json.dumps(question(case)))
    there = ask(question, case)
    assert here == there, (
        f"{case}: {question.__name__} differs in another process with another PYTHONHASHSEED; "
        f"look for an iteration over a set, hash() or id(): {_first_difference(here, there)}"
    )


def ask(question: Callable[[Case], Any], case: Case) -> Any:
    """The answer of a new process under another PYTHONHASHSEED."""
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    done = subprocess.run(
        [sys.executable, "-m", "nas.testing.elsewhere", question.__module__, question.__qualname__],
        input=json.dumps(case.to_dict()),
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{case}: {question.__name__} fails in another process: {done.stderr.strip()[-2000:]}"
    return json.loads(done.stdout.splitlines()[-1])


def _first_difference(one: Any, other: Any) -> str:
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for i, (a, b) in enumerate(zip(one, other, strict=True)):
            if a != b:
                return f"number {i}: {str(a)[:200]} here, {str(b)[:200]} there"
    return f"{str(one)[:200]} here, {str(other)[:200]} there"


def _answer(module: str, name: str) -> None:
    question = getattr(importlib.import_module(module), name)
    print(json.dumps(question(Case.from_dict(json.load(sys.stdin)))))


if __name__ == "__main__":
    _answer(*sys.argv[1:])
