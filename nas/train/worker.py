"""What a worker process does: it keeps plugins, task and data, and trains one candidate after the other."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch
from torch import nn

from nas.controller.checkpoints import checkpoint_file
from nas.errors import ConfigError, TrainingError
from nas.model import Blueprint, Normalize, Units, blueprint
from nas.model.measure import latency_ms
from nas.plugin.registry import Registry
from nas.plugin.shipping import shipped_manager
from nas.space.architecture import Architecture
from nas.storage import open_place
from nas.train.augment import augmentations
from nas.train.data import Data
from nas.train.gpu import Meter
from nas.train.group import ALONE, Alone, Leader, is_memory
from nas.train.inherit import inherit, read_start
from nas.train.loop import stream, train
from nas.train.memory import PIECES
from nas.train.proxy import EXAMPLES, Batch, draw_batch, make_scorer
from nas.train.recipe import Recipe
from nas.train.target import Metrics, evaluation_batch, target_of
from nas.train.task import Arrays, Task, open_task, split, value_statistics


@dataclass(frozen=True)
class Setting:
    """What all candidates of a search have in common; made from a worker's configuration in any process."""

    registry: Registry
    task: Task
    recipe: Recipe
    seed: int

    @classmethod
    def open(cls, config: Mapping[str, Any]) -> Setting:
        """The setting that `config` names; the test part of the task is not read."""
        registry = shipped_manager(config["plugins"], config.get("sources", {})).registry
        task = open_task(registry, config["task"], check=False)
        return cls(registry, task, Recipe.parse(config["recipe"], task.info), config["seed"])

    @cached_property
    def parts(self) -> tuple[Arrays, Arrays]:
        """What is trained on and what is validated on."""
        return split(self.task.train_arrays(), self.seed, self.recipe.val_fraction)

    @cached_property
    def units(self) -> Units:
        """What networks do to raw inputs and to values; from the part that is trained on and nothing else."""
        train, _ = self.parts
        inputs = tuple(numbers and Normalize(*numbers) for numbers in self.task.normalize(train))
        return Units(inputs, Normalize(*value_statistics(train.y)) if self.task.info.target == "value" else None)

    @property
    def blueprint(self) -> Callable[[Architecture], Blueprint]:
        """From a candidate to its network as it is trained; raises CandidateError."""
        return partial(blueprint, task=self.task.info, registry=self.registry, normalize=self.units)


class Worker:
    """Trains candidates, one after the other, in one process.

    config: ``plugins`` (files), ``sources`` (their texts, where machines may lack them), ``task``, ``recipe``, ``seed``
        (of the search), ``run`` (its folder), ``storage`` (where checkpoints are, by default there), ``threads``,
        ``processes`` (that train a trial together, by default 1; each has the threads and, if any, a GPU), and
        ``device``: ``cpu``, ``cuda`` or ``auto``, a GPU where there is one; with ``latency`` true every epoch's metrics
        have ``latency_ms``, the time of a forward pass of one example on that device; ``metrics`` are those that the
        search goes by.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        torch.set_num_threads(config["threads"])
        self.place = open_place(config.get("storage", config["run"]))
        self.latency = bool(config.get("latency", False))
        self.device = choose_device(config["device"])
        processes = config.get("processes", 1)
        self.group = Leader(config, processes, self.device) if processes > 1 else ALONE
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
            torch.set_float32_matmul_precision("high")
        setting = Setting.open(config)  # let go of at the end, and with it the arrays that were split
        self.blueprint = setting.blueprint
        self.recipe = setting.recipe
        batch = evaluation_batch(setting.task.info)
        train, held_out = setting.parts
        self.data = Data(train, self.device, batch, setting.task.redraw)
        self.validation = Data(held_out, self.device, batch)
        self.target = target_of(setting.task, config.get("metrics", ()))
        self.start = read_start(self.recipe.init) if self.recipe.init else None
        self.augmentations = partial(augmentations, info=setting.task.info, default=setting.task.augment)
        self.make_scorer = partial(make_scorer, setting.registry, setting.task.info, seed=setting.seed)
        self.draw_batch = partial(
            draw_batch, self.data, setting.task.info.inputs, setting.units, self.target, setting.seed
        )

    def trial(self, job: Mapping[str, Any]) -> Iterator[Metrics]:
        """The metrics of each epoch, when its checkpoint is durable.

        job: ``number``, ``architecture`` (a dictionary), ``seed``, and ``resume``: go on from its checkpoint, if there
            is one, beginning with the metrics of the last epoch in it.

        A trial that runs out of memory goes on from its last epoch with batches in pieces, in `micro_batches` of its
        metrics. Raises CandidateError or TrainingError for a candidate that cannot be built, diverges or needs too much
        memory even so, LostProcessError when one of several processes has died.
        """
        said: int | None = None
        failure = ""
        for pieces in (1, PIECES):
            attempt = {**job, "resume": job["resume"] or said is not None}
            try:
                for metrics in self._trial(attempt, pieces, self.group):
                    if said is None or metrics["epoch"] > said:
                        said = int(metrics["epoch"])
                        yield metrics
                return
            except (MemoryError, RuntimeError) as error:
                if not is_memory(error):
                    raise
                failure = _memory_text(error, self.device)
            finally:
                self._free()
        # raised only here, where nothing holds the frames, and tensors, of what went wrong
        raise TrainingError(f"{failure}, also in {PIECES} pieces a batch")

    def follow(self, order: Mapping[str, Any], group: Alone) -> None:
        """Trains with the leader of `group`, as what it was told by `training` says."""
        for _ in self._trial(order["job"], order["pieces"], group):
            pass
        self._free()

    def score(self, architecture: Mapping[str, Any], names: Sequence[str]) -> dict[str, dict[str, Any]]:
        """What zero-cost proxies say of a candidate: ``scores``, ``refusals`` and ``seconds``, by the proxies' names.

        Raises UnknownNameError for an unknown proxy, and nothing because of the candidate.
        """
        found = self.make_scorer(names, self.batch).score(Architecture.from_dict(architecture))
        return {"scores": {**found.values}, "refusals": {**found.refusals}, "seconds": {**found.seconds}}

    @cached_property
    def batch(self) -> Batch:
        """What proxies are fed with, the same for all candidates."""
        return self.draw_batch(EXAMPLES)

    def close(self) -> None:
        """Let go of the data."""
        self.group.close()
        del self.data, self.validation, self.draw_batch
        self.__dict__.pop("batch", None)
        self._free()

    def _trial(self, job: Mapping[str, Any], pieces: int, group: Alone) -> Iterator[Metrics]:
        candidate = Architecture.from_dict(job["architecture"])
        plan, recipe = self.blueprint(candidate.network), self.recipe.set_by(candidate.settings)
        meter = Meter(self.device)
        torch.manual_seed(stream(job["seed"], "weights"))
        network = plan.build()
        facts: Metrics = {"params": plan.costs.params, "flops": plan.costs.flops}
        if pieces > 1:
            facts["micro_batches"] = pieces
        if self.start is not None:
            facts["inherited"] = inherit(network, plan, self.start)
        network = faster_layout(network.to(self.device), self.validation)
        if self.latency:  # it is the same for every weight, and a trial that is stopped early shall have it, too
            facts["latency_ms"] = latency_ms(network, self.validation.batch(torch.arange(1))[0])
        with group.training({"job": job, "pieces": pieces}):
            epochs = train(
                network,
                self.data,
                self.validation,
                recipe,
                seed=job["seed"],
                target=self.target,
                augment=self.augmentations(recipe),
                file=checkpoint_file(self.place, job["number"]),
                resume=job["resume"],
                pieces=pieces,
                group=group,
            )
            for metrics in epochs:
                yield metrics | facts | meter.read()

    def _free(self) -> None:
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def faster_layout(network: nn.Module, data: Data) -> nn.Module:
    """`network` with its weights channels-last, where it runs so: small images train a quarter faster on a CPU.

    A block that calls `view` on an image may need the usual layout; then nothing is changed.
    """
    if data.x[0].ndim != 4:
        return network
    x, _ = data.batch(torch.arange(min(2, len(data))))
    _set_layout(network.eval(), torch.channels_last)
    try:
        with torch.no_grad():
            network(*x)
    except RuntimeError:
        _set_layout(network, torch.contiguous_format)
    return network.train()


def _set_layout(network: nn.Module, layout: torch.memory_format) -> None:
    network.to(memory_format=layout)  # type: ignore[call-overload]  # torch's stubs forget this form


def choose_device(name: str) -> torch.device:
    """``auto`` is a GPU where there is one; raises ConfigError where one is asked for that PyTorch cannot use."""
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(
            f"a GPU was asked for, and PyTorch {torch.__version__} finds none that it can use: install one "
            "for this GPU's driver, or ask for none"
        )
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)


def _memory_text(error: BaseException, device: torch.device) -> str:
    first = str(error).partition("\n")[0].strip() or type(error).__name__
    return f"out of memory on {device}: a smaller batch_size or fewer trials at once may help ({first[:200]})"
