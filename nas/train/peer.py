"""A process that trains trials together with a worker: python -m nas.train.peer FD, started by `nas.train.group`."""

from __future__ import annotations

import json
import os
import signal
import sys
from multiprocessing.connection import Connection

from nas.train.group import END, READY, Follower, is_memory
from nas.train.worker import Worker


def main(descriptor: int) -> None:
    """Does what the leader says at the other end of the line, and ends with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to us, too; the leader decides
    line = Connection(descriptor)
    try:
        said = json.loads(line.recv_bytes())
        worker = Worker(said["config"])
        group = Follower(said["rank"], said["size"], worker.device, line, said["folder"])
        line.send_bytes(json.dumps(READY).encode())
        group.meet(said["folder"])
        while True:
            if (order := group.order()) != END:
                worker.follow(order, group)
    except Exception as error:
        failure = {"failed": f"{type(error).__name__}: {error}"[:500], "memory": is_memory(error)}
        line.send_bytes(json.dumps(failure).encode())
        os._exit(1)  # at once: the others must not wait for us


if __name__ == "__main__":
    main(int(sys.argv[1]))
