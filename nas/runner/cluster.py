"""Starting Ray, quickly and quietly, and giving it back."""

from __future__ import annotations

import logging
import math
import os
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Self

import ray
from ray._private.services import canonicalize_bootstrap_address
from ray.runtime_env import RuntimeEnv

from nas.errors import ConfigError, UnknownNameError
from nas.runner.spec import Resources, cores, explain

OBJECT_STORE_BYTES = 80 * 2**20
"""Only JSON travels, so that Ray's smallest store is enough; it is memory that training can use."""

VITAL = ("raylet", "gcs_server")
"""Processes of Ray without which nothing runs."""

CALL_SECONDS = 5.0

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1e9",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_THRESHOLD_S": "1e9",
    "RAY_AIR_NEW_OUTPUT": "0",
}
"""Ray without telemetry; Tune without files, handlers and words of its own."""


CLIENT, CLIENT_PORT = "ray://", 10001
GREETING, SETTINGS = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\4" + bytes(5), b"\4"
"""The beginning of HTTP/2, which Ray speaks at all its doors, and the kind of frame that is the answer."""

KEEP_FOLDER = {"RAY_CHDIR_TO_TRIAL_DIR": "0"}
"""Workers stay in the user's folder, so that relative paths of data and plugins hold."""


def worker_environment(resources: Resources) -> dict[str, str]:
    """The environment of worker processes; a trial that asked for no GPU sees none."""
    return {"OMP_NUM_THREADS": str(resources.threads), "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1", **KEEP_FOLDER}


def runtime_env(resources: Resources) -> dict[str, Any]:
    """The user's runtime environment and ours; raises ConfigError for what Ray does not know and where they differ."""
    given, ours = resources.runtime_env, worker_environment(resources)
    for name in given:
        if name not in RuntimeEnv.known_fields:
            raise UnknownNameError("option of a runtime environment", name, RuntimeEnv.known_fields)
    theirs = given.get("env_vars", {})
    for name, value in ours.items():
        if theirs.get(name, value) != value:
            raise ConfigError(
                f"runtime environment: expected {name} to be {value!r}, which follows from the resources of a trial, "
                f"got {theirs[name]!r}; leave it out"
            )
    return {**given, "env_vars": {**theirs, **ours}}


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """These environment variables, for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def check_machine(resources: Resources) -> None:
    """Raises ConfigError when this machine has fewer cores than asked for; a Ray that runs already counts its own."""
    if not ray.is_initialized():
        resources.slots(cores(), math.inf)


class Cluster:
    """Ray for one search: its own on this machine, a running one at an address, or the one this process has.

    `slots` is how many trials run at a time, `gpus` how many there are for them; `owned` whether `close` stops Ray and
    removes its folder `session`, if it has one here. Raises ConfigError when the cluster does not answer or is too
    small.
    """

    def __init__(self, resources: Resources, *, log_to_driver: bool = False) -> None:
        self.owned = not ray.is_initialized()
        self.session: str | None = None
        self._resources, self._log_to_driver = resources, log_to_driver
        if resources.address is None:
            check_machine(resources)
        if self.owned:
            self._start(resources, log_to_driver)
        elif resources.runtime_env:
            raise ConfigError(
                "expected to start Ray with the runtime environment, got a process that has Ray already; "
                "give the environment to its ray.init"
            )
        try:
            self.slots = self.fit(resources)
        except BaseException:
            self.close()
            raise

    def _start(self, resources: Resources, log_to_driver: bool) -> None:
        given: dict[str, Any] = {"log_to_driver": log_to_driver, "logging_level": logging.ERROR}
        inherited = QUIET
        if resources.address is None:
            given |= {"num_cpus": cores(), "include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
        if resources.address is None and not resources.runtime_env:
            # workers of this machine inherit from here, and those that Ray starts at once can be used as they are
            inherited = {**QUIET, **worker_environment(resources)}
        else:
            given["runtime_env"] = runtime_env(resources)
        try:
            with environment(inherited):
                if resources.address is not None:
                    check_address(resources.address)
                started = ray.init(resources.address or "local", **given)
        except (OSError, RuntimeError, ValueError) as error:
            where = f"a Ray cluster at {resources.address}" if resources.address else "Ray to start on this machine"
            raise ConfigError(f"expected {where}, got {explain(error)}") from error
        if resources.address is None:
            self.session = started.address_info["session_dir"]  # type: ignore[attr-defined]

    def fit(self, resources: Resources) -> int:
        """How many trials run at a time with `resources` each; raises ConfigError when there is too little."""
        there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        self.gpus = there.get("GPU", 0.0)
        return resources.slots(there.get("CPU", 0.0), self.gpus)

    def alive(self) -> bool:
        """Whether Ray's processes that were started here run; of a cluster elsewhere nothing is known."""
        node = getattr(ray._private.worker, "_global_node", None)
        if not self.session or node is None:
            return True
        found = [started.process for kind in VITAL for started in node.all_processes.get(kind, ())]
        return all(process.poll() is None for process in found)

    def restart(self) -> None:
        """Stops what is left of Ray on this machine, and starts it anew."""
        ray.shutdown()
        if self.session:
            shutil.rmtree(self.session, ignore_errors=True)
        self._start(self._resources, self._log_to_driver)

    def close(self) -> None:
        """Stops what was started, with its logs."""
        if self.owned:
            self.owned = False
            ray.shutdown()
            if self.session:
                shutil.rmtree(self.session, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def starting(resources: Resources) -> Iterator[Callable[[], Cluster]]:
    """A cluster that starts while the caller gets other things ready; call what this gives to wait for it.

    >>> with starting(Resources(1)) as cluster:  # doctest: +SKIP
    ...     controller = get_ready()
    ...     run_ray(controller, spec, Resources(1), cluster=cluster())
    """
    with ThreadPoolExecutor(1, "nas-ray-start") as pool:
        future = pool.submit(Cluster, resources)
        try:
            yield future.result
        finally:
            if future.exception() is None:
                future.result().close()


def check_address(address: str) -> None:
    """Raises ConfigError when no Ray answers at `address` within seconds, for Ray itself would try for many minutes."""
    door = address.removeprefix(CLIENT)
    if door != address:
        if find_spec("grpc") is None:
            raise ConfigError(f"address {address} needs the extra 'client': pip install 'graphnas[client]'")
        door = door if ":" in door else f"{door}:{CLIENT_PORT}"
    elif address == "auto":
        door = canonicalize_bootstrap_address("auto") or ""
        if not door:
            raise ConfigError("expected a Ray cluster that this machine is part of, got none; start one or name a host")
    host, colon, port = door.rpartition(":")
    if not colon or not port.isdigit():
        raise ConfigError(f"expected the address of a Ray cluster as auto, host:port or ray://host:port, got {address}")
    try:
        _greet(host, int(port))
    except OSError as error:
        raise ConfigError(f"expected a Ray cluster at {address}, got {error or type(error).__name__}") from error


def _greet(host: str, port: int) -> None:
    with socket.create_connection((host, port), CALL_SECONDS) as line:
        if os.environ.get("RAY_USE_TLS", "0") in ("", "0"):
            line.sendall(GREETING)
            if line.recv(9)[3:4] != SETTINGS:
                raise OSError("something else that answers there")
