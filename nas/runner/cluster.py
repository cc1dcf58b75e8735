"""Starting Ray, quickly and quietly, and giving it back."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import ray

from nas.errors import ConfigError
from nas.runner.spec import Resources, cores

OBJECT_STORE_BYTES = 80 * 2**20
"""Only JSON travels, so that Ray's smallest store is enough; it is memory that training can use."""


def worker_environment(resources: Resources) -> dict[str, str]:
    """The environment of worker processes."""
    return {
        "OMP_NUM_THREADS": str(resources.threads),
        # the working directory stays the user's, so that relative paths of data and plugins hold
        "RAY_CHDIR_TO_TRIAL_DIR": "0",
        # a trial that asked for no GPU sees none
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
    }


QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1e9",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_THRESHOLD_S": "1e9",
    "RAY_AIR_NEW_OUTPUT": "0",
}


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


class Cluster:
    """Ray for one search: its own on this machine, a running one at an address, or the one this process has.

    `slots` is how many trials run at a time. Raises ConfigError when the cluster does not answer or is too small.
    """

    def __init__(self, resources: Resources, *, log_to_driver: bool = False) -> None:
        self.owned = False
        if resources.address is None:
            resources.slots(cores(), float("inf"))
        if not ray.is_initialized():
            self._start(resources, log_to_driver)
            self.owned = True
        try:
            there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
            self.slots = resources.slots(there.get("CPU", 0.0), there.get("GPU", 0.0))
        except BaseException:
            self.close()
            raise

    def _start(self, resources: Resources, log_to_driver: bool) -> None:
        quiet: dict[str, Any] = {"log_to_driver": log_to_driver, "logging_level": logging.ERROR}
        try:
            with environment(QUIET):
                if resources.address is not None:
                    ray.init(address=resources.address, **quiet)
                else:
                    ray.init(num_cpus=cores(), include_dashboard=False, object_store_memory=OBJECT_STORE_BYTES, **quiet)
        except (ConnectionError, RuntimeError, ValueError) as error:
            where = resources.address or "this machine"
            raise ConfigError(f"expected a Ray cluster at {where}, got no answer: {error}") from error

    def close(self) -> None:
        """Stops what was started."""
        if self.owned:
            ray.shutdown()
            self.owned = False
