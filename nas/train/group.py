"""The processes that train one trial together on one machine, each on its share of every batch (data parallel).

The worker is the leader, rank 0: it starts the others, says when an epoch begins, evaluates and keeps the checkpoint.
The others end when the leader does, however that was; gradients are averaged by torch's DistributedDataParallel.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import timedelta
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from queue import SimpleQueue
from time import monotonic, sleep
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from nas.errors import LostProcessError, TrainingError

PEER = "nas.train.peer"
"""The module that the other processes run."""

READY = {"ready": True}
END: dict[str, Any] = {"end": True}

START_SECONDS = 600.0
"""In which a process must have imported torch and read the data."""

COLLECTIVE = timedelta(minutes=30)
"""How long one process may be behind another."""

LAST_WORDS_SECONDS = 10.0
"""In which the others are gone, or have said why, when what was to be summed up with them was not."""


class Alone:
    """A training in one process."""

    rank, size = 0, 1

    def training(self, order: Mapping[str, Any]) -> AbstractContextManager[object]:
        """While this is entered, the others train what `order` says, too."""
        return nullcontext()

    def goes_on(self, epoch: int) -> bool:
        """Whether the epoch after `epoch` is to be trained; the others wait here for the leader."""
        return True

    def wrap(self, network: nn.Module) -> nn.Module:
        """`network` such that its gradients become the mean over all processes."""
        return network

    def alone(self, wrapped: nn.Module) -> AbstractContextManager[None]:
        """In this, gradients are added up and stay here until the next backward pass outside of it."""
        return nullcontext()

    def share(self, batch: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The examples of `batch` that are this process's: (B, ...) -> (B / size, ...)."""
        return batch

    def mean(self, value: Tensor) -> Tensor:
        """The mean over all processes."""
        return value

    def close(self) -> None:
        """Ends the others."""


ALONE = Alone()


class Member(Alone):
    """One of several processes, which meet through a file that is not there yet."""

    def __init__(self, rank: int, size: int, device: torch.device) -> None:
        self.rank, self.size, self.device = rank, size, device

    def meet(self, folder: str) -> None:
        """Waits for all others."""
        backend = "nccl" if self.device.type == "cuda" else "gloo"
        where = Path(folder, "meeting").as_uri()
        distributed.init_process_group(
            backend, init_method=where, rank=self.rank, world_size=self.size, timeout=COLLECTIVE
        )

    def wrap(self, network: nn.Module) -> nn.Module:
        """See `Alone`; on GPUs batch norm sees the whole batch."""
        if self.device.type == "cuda":  # torch has it for GPUs only
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return DistributedDataParallel(network, find_unused_parameters=True)  # of experts, say, some may have no part

    def alone(self, wrapped: nn.Module) -> AbstractContextManager[None]:
        """See `Alone`."""
        assert isinstance(wrapped, DistributedDataParallel)
        return wrapped.no_sync()

    def share(self, batch: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """See `Alone`."""
        return tuple(tensor.tensor_split(self.size)[self.rank] for tensor in batch)

    def mean(self, value: Tensor) -> Tensor:
        """See `Alone`."""
        distributed.all_reduce(value)
        return value / self.size


class Follower(Member):
    """Every process but the first; it does as the leader says on `line`, and ends with the leader."""

    def __init__(self, rank: int, size: int, device: torch.device, line: Connection, folder: str) -> None:
        super().__init__(rank, size, device)
        self._orders: SimpleQueue[dict[str, Any]] = SimpleQueue()
        threading.Thread(target=self._listen, args=(line, folder), daemon=True).start()

    def order(self) -> dict[str, Any]:
        """What the leader says next."""
        return self._orders.get()

    def goes_on(self, epoch: int) -> bool:
        """See `Alone`; raises TrainingError when the leader is at another epoch."""
        order = self.order()
        if order == END:
            return False
        if order != {"epoch": epoch}:
            raise TrainingError(f"expected the leader to go on from epoch {epoch}, got {order}")
        return True

    def _listen(self, line: Connection, folder: str) -> None:
        """Also while the main thread waits for others: whoever has no leader any more must not stay."""
        with suppress(EOFError, OSError):
            while True:
                self._orders.put(json.loads(line.recv_bytes()))
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(0)


class Leader(Member):
    """The first process, which starts the others; where one has failed all are started anew for the next trial.

    config: a worker's, from which the others make theirs, each with its own device.
    """

    def __init__(self, config: Mapping[str, Any], size: int, device: torch.device) -> None:
        super().__init__(0, size, device)
        self._config = config
        self._folder = ""
        self._peers: list[tuple[subprocess.Popen[bytes], Connection]] = []
        self._met = False
        self._start()

    @contextmanager
    def training(self, order: Mapping[str, Any]) -> Iterator[None]:
        """See `Alone`.

        Raises LostProcessError when a process has died, MemoryError or TrainingError when it has failed.
        """
        try:
            if any(process.poll() is not None for process, _ in self._peers):
                self.close()  # one died while there was nothing to do
            if not self._peers:
                self._start()
            if not self._met:
                self._meet()
            self._tell(order)
            yield
        except GeneratorExit:  # nobody wants the next epoch
            self._dismiss()
            raise
        except BaseException as error:
            why = self._explained(error)
            self.close()
            if why is error:
                raise
            raise why from error
        else:
            self._dismiss()

    def goes_on(self, epoch: int) -> bool:
        """See `Alone`."""
        self._tell({"epoch": epoch})
        return True

    def close(self) -> None:
        """Ends the others; what they hold is given back when this returns."""
        peers, self._peers = self._peers, []
        for _, line in peers:
            line.close()
        for process, _ in peers:
            process.kill()
            process.wait()
        if self._met:
            self._met = False
            distributed.destroy_process_group()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self) -> None:
        """Also while this process still gets ready itself."""
        self._folder = tempfile.mkdtemp(prefix="nas-group-")
        path = os.pathsep.join(filter(None, sys.path))  # Ray and scripts change it, plugins and blocks may need that
        for rank in range(1, self.size):
            ours, theirs = Pipe()
            process = subprocess.Popen(
                [sys.executable, "-m", PEER, str(theirs.fileno())],
                env={**os.environ, "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
            )
            theirs.close()
            self._peers.append((process, ours))
            where = f"{self.device.type}:{rank}" if self.device.type == "cuda" else self.device.type
            config = {**self._config, "processes": 1, "device": where, "latency": False}
            hello = {"config": config, "rank": rank, "size": self.size, "folder": self._folder}
            with suppress(OSError):  # it has died already, which is seen when it is needed
                ours.send_bytes(json.dumps(hello).encode())
            if self.device.type == "cuda":  # NCCL waits for the dead, and nothing but the end of a process ends that
                threading.Thread(target=self._die_with, args=(process,), daemon=True).start()

    def _meet(self) -> None:
        until = monotonic() + START_SECONDS
        for rank, (_, line) in enumerate(self._peers, start=1):
            if not line.poll(max(0.0, until - monotonic())):
                raise LostProcessError(f"process {rank} of {self.size} was not ready after {START_SECONDS:.0f} s")
            if (said := _hear(line)) != READY:
                raise self._last_words(rank, said)
        self.meet(self._folder)
        self._met = True

    def _tell(self, order: Mapping[str, Any]) -> None:
        for _, line in self._peers:
            line.send_bytes(json.dumps(order).encode())

    def _dismiss(self) -> None:
        """The others wait for the next trial."""
        try:
            self._tell(END)
        except OSError:
            self.close()

    def _explained(self, error: BaseException) -> BaseException:
        """What has ended a training in which this process saw `error`: that, or what happened to another process."""
        if not isinstance(error, RuntimeError | OSError) or is_memory(error):
            return error
        until = monotonic() + LAST_WORDS_SECONDS
        silent = {line: rank for rank, (_, line) in enumerate(self._peers, start=1)}
        found: list[BaseException] = []
        while silent and (ready := wait(list(silent), max(0.0, until - monotonic()))):
            for line in [line for line in silent if line in ready]:
                found.append(self._last_words(silent.pop(line), _hear(line)))
        order = (MemoryError, LostProcessError, TrainingError)  # the others only fail because of one of these
        return min(found, key=lambda reason: order.index(type(reason)), default=error)

    def _last_words(self, rank: int, said: Mapping[str, Any]) -> BaseException:
        if "failed" in said:
            return MemoryError(said["failed"]) if said["memory"] else TrainingError(f"process {rank}: {said['failed']}")
        code = self._peers[rank - 1][0].wait(LAST_WORDS_SECONDS)
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        return LostProcessError(f"process {rank} of the {self.size} that trained the trial died {how}")

    def _die_with(self, process: subprocess.Popen[bytes]) -> None:
        process.wait()
        sleep(LAST_WORDS_SECONDS)  # this process may have failed, too, and be able to say why
        if process in [peer for peer, _ in self._peers]:  # it was not ended by `close`
            os._exit(1)


def is_memory(error: BaseException) -> bool:
    """Whether memory has run out; on the CPU PyTorch raises a plain RuntimeError then."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def _hear(line: Connection) -> dict[str, Any]:
    """A message; nothing from one who is gone."""
    try:
        found: dict[str, Any] = json.loads(line.recv_bytes())
    except (EOFError, OSError):
        return {}
    return found
