"""The winner, after the search and in the driver: its network with trained weights, judged on the test part."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import nn

from nas.controller.checkpoints import checkpoint_file
from nas.errors import TrainingError
from nas.model import Blueprint
from nas.space.architecture import Architecture
from nas.storage import open_place
from nas.train import checkpoint
from nas.train.data import Data
from nas.train.loop import evaluate
from nas.train.target import evaluation_batch, target_of
from nas.train.task import Task
from nas.train.worker import Setting


def trained_blueprint(config: Mapping[str, Any], architecture: Architecture) -> Blueprint:
    """The blueprint from which the worker of `config` trained the architecture, its normalisation included."""
    return Setting.open(config).blueprint(architecture)


def load_trained(config: Mapping[str, Any], architecture: Architecture, number: int) -> nn.Module:
    """The network of trial `number` with its weights, in evaluation mode on the CPU; it takes raw inputs.

    config: the one its worker had. Raises TrainingError when the trial has no checkpoint.
    """
    return load_weights(trained_blueprint(config, architecture), config.get("storage", config["run"]), number)


def load_weights(plan: Blueprint, place: str, number: int) -> nn.Module:
    """See `load_trained`, for a blueprint that is there already."""
    file = checkpoint_file(open_place(place), number)
    if not file.is_file():
        raise TrainingError(f"trial {number} has no checkpoint: expected {file}; only trials worth keeping keep theirs")
    network = plan.build()
    network.load_state_dict(checkpoint.load(file)["weights"])
    return network.eval()


def evaluate_test(
    network: nn.Module, task: Task, device: str = "cpu", metrics: Collection[str] = ()
) -> dict[str, float]:
    """Loss and metrics on the test part; the only place that reads it, and only after the search.

    metrics: the validation metrics that the search went by.
    """
    where = torch.device(device)
    data = Data(task.test_arrays(), where, evaluation_batch(task.info))
    found = evaluate(network.to(where), data, target_of(task, metrics))
    return {f"test_{name}": value for name, value in found.items()}
