"""Trials on Ray Tune. Tune decides where they run, the controller what runs, and only JSON goes between them.

The loop is Tune's own; `nas.runner.bridge` answers what it asks and hears what it says.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import Any

import ray
from ray import tune
from ray.train._internal import storage as tune_storage
from ray.tune.schedulers import FIFOScheduler, HyperBandScheduler, PopulationBasedTraining, TrialScheduler

from nas.controller.controller import Controller
from nas.controller.job import Done
from nas.errors import ConfigError, NasError
from nas.runner.bridge import Asker, Bridge, Ear, Ender, Leave
from nas.runner.cluster import KEEP_FOLDER, QUIET, Cluster, environment
from nas.runner.nodes import check_nodes
from nas.runner.sharing import FIRST, idle_text, use_text, uses
from nas.runner.signals import ending_in_order
from nas.runner.spec import Resources, WorkerSpec
from nas.runner.trainable import WorkerTrainable
from nas.storage import is_url

MOST_RESTARTS = 3
"""Of Ray on this machine: whatever ends it so often will not stop doing so."""

logger = logging.getLogger(__name__)

SESSION_FOLDER = "_get_ray_train_session_dir"
"""Internal to Ray; the folder in which Tune's driver keeps its files."""

PAUSING = (HyperBandScheduler, PopulationBasedTraining)
"""They hold trials back until others have come as far, while those wait for a free place: with few places for ever."""


def run_ray(
    controller: Controller,
    spec: WorkerSpec,
    resources: Resources | None = None,
    *,
    scheduler: TrialScheduler | None = None,
    cluster: Cluster | None = None,
) -> Done:
    """Runs the search to its end on Ray and says why it ended.

    Ray is started and stopped here unless a `cluster` is given or this process has one; one of this machine that dies
    is started again. A trial whose worker dies goes on from its last epoch, twice. At the deadline the search ends at
    once, at Ctrl-C when the epochs that run are trained, at the second at once; trials in flight stay so in the ledger.
    Raises ConfigError when there is less than `resources` or the `scheduler` pauses trials, NasError when workers
    cannot be made.
    """
    resources = resources or Resources()
    if isinstance(scheduler, PAUSING):
        raise ConfigError(
            f"expected a scheduler that stops trials, such as ASHA, got {type(scheduler).__name__}, which pauses them"
        )
    with ExitStack() as stack:
        if cluster is None:
            cluster = stack.enter_context(Cluster(resources))
        if resources.address is not None or is_url(str(spec.config.get("storage", ""))):
            check_nodes(spec)
        storage = tempfile.mkdtemp(prefix="nas-tune-", dir=cluster.session)
        stack.callback(shutil.rmtree, storage, ignore_errors=True)
        bridge = Bridge(controller, spec, resources.fitted(controller.history.trials), may_leave=cluster.owned)
        signals = ending_in_order(bridge.finish, bridge.leave)
        for context in (environment({**QUIET, **KEEP_FOLDER}), _silent(), _staged(storage), signals):
            stack.enter_context(context)
        restarts_left, warnings = MOST_RESTARTS, _unused(cluster, bridge.resources)
        while True:
            bridge.watch(cluster.alive)
            with suppress(Leave):
                _tune(bridge, bridge.resources, cluster.fit(bridge.resources), scheduler, storage)
            if bridge.ray_died:
                if not restarts_left:
                    raise NasError(
                        f"Ray has died {MOST_RESTARTS + 1} times; what was trained is safe, resume the search"
                    )
                restarts_left -= 1
                logger.warning("Ray has died; starting it again, trials that ran go on from their last epoch")
                cluster.restart()
            elif bridge.outgrown:
                bridge.resources = bridge.resources.fitted(controller.history.trials)
                used = use_text(uses(controller.history.trials)[:FIRST])
                logger.warning(f"a trial has {bridge.resources.gpus_per_trial:g} of a GPU now; the first were {used}")
            else:
                return replace(bridge.outcome(), warnings=warnings)
            storage = tempfile.mkdtemp(prefix="nas-tune-", dir=cluster.session)
            stack.callback(shutil.rmtree, storage, ignore_errors=True)


def _unused(cluster: Cluster, resources: Resources) -> tuple[str, ...]:
    """What is to be said of GPUs that are there for nothing; it is logged, too."""
    many = resources.concurrency or cluster.slots  # those that share a GPU use every one
    text = idle_text(
        cluster.gpus, min(cluster.gpus, many) if resources.shares_gpus else many * resources.gpus_per_trial
    )
    if text:
        logger.warning(text)
    return (text,) if text else ()


def _tune(bridge: Bridge, resources: Resources, slots: int, scheduler: TrialScheduler | None, storage: str) -> None:
    """Tune's loop, in this process also where Ray is behind `ray://`.

    Tuner would move itself to the cluster's head there, and with it the ledger, away from the user's machine.
    """
    objective = bridge.controller.ledger.objectives[0]
    aim: dict[str, Any] = {}
    scheduler = scheduler or FIFOScheduler()  # type: ignore[no-untyped-call]
    # Tune would give a free worker to the trial whose own worker is still starting, and kill that one: where trials are
    # shorter than a worker's start, a worker that died would never be replaced. New trials get free workers anyway.
    scheduler.choose_trial_to_run = _nobody  # type: ignore[method-assign]
    if scheduler.metric is None and type(scheduler) is not FIFOScheduler:
        aim = {"metric": objective.metric, "mode": "max" if objective.direction == "maximize" else "min"}
    tune.run(
        WorkerTrainable,
        name="search",
        resources_per_trial={"cpu": resources.cpus_per_trial, "gpu": resources.gpus_per_trial},
        search_alg=Asker(bridge),
        scheduler=scheduler,
        num_samples=-1,
        max_concurrent_trials=slots,
        reuse_actors=True,
        trial_dirname_creator=lambda trial: trial.trial_id,
        storage_path=storage,
        stop=Ender(bridge),
        callbacks=[Ear(bridge)],
        checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        raise_on_failed_trial=False,
        verbose=0,
        _remote=False,
        **aim,
    )


def _nobody(tune_controller: object) -> None:
    return None


@contextmanager
def _silent() -> Iterator[None]:
    """Tune logs what the ledger says better."""
    loggers = [logging.getLogger(name) for name in ("ray.tune", "ray.train", "ray.air")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


@contextmanager
def _staged(folder: str) -> Iterator[None]:
    """Behind ``ray://`` Tune's own files go to `folder`: Tune asks for this machine's node, and there is none."""
    if not ray.util.client.ray.is_connected():  # type: ignore[no-untyped-call]
        yield
        return
    before = getattr(tune_storage, SESSION_FOLDER)
    setattr(tune_storage, SESSION_FOLDER, lambda: folder)
    try:
        yield
    finally:
        setattr(tune_storage, SESSION_FOLDER, before)
