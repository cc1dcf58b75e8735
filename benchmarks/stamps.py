"""Plugin of `start.py`: a small CNN that says when it is built to be trained, and a search that says when it starts.

A stamp is a line ``name seconds`` in the file that the environment variable STAMPS names; STAMPS_PARENT is the process
that starts the driver.
"""

from __future__ import annotations

import os
import time

from nas.controller.history import History
from nas.plugin.hooks import hookimpl
from nas.plugin.registry import Blocks, Registrar
from nas.space.graph import chain, choice
from nas.space.ports import TaskInfo
from nas.space.space import Space


def stamp(name: str) -> None:
    """Says that it is now."""
    with open(os.environ["STAMPS"], "a") as file:
        file.write(f"{name} {time.time()}\n")


def stamped(b: Blocks, task: TaskInfo) -> Space:
    """The network of the bare side, or one that is twice as wide."""
    conv = b.conv2d(channels=choice("channels", 16, 32))
    return Space(
        chain(
            stamp=b.stamp(),
            conv=conv,
            pool=b.pool2d(),
            flatten=b.flatten(),
            linear=b.linear(features=64),
            act=b.activation(),
            head=b.linear(features=task.outputs),
        )
    )


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register the space and its block."""
    stamp("plugins loaded" if os.getppid() == int(os.environ["STAMPS_PARENT"]) else "worker loads plugins")
    registry.block("stamp", "stamping:Stamp", inputs=("image",))
    registry.space("stamped", stamped)


@hookimpl
def nas_search_started(history: History, run: str) -> None:
    """The controller asks for its first candidate next."""
    stamp("controller ready")
