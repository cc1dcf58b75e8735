"""Tasks of arrays of any kind in one file, and a small regression that needs none."""

from __future__ import annotations

from nas.plugin.hooks import hookimpl
from nas.plugin.registry import Registrar


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register the tasks."""
    registry.task(
        "diabetes",
        "nas_plugins.array_tasks.diabetes:diabetes",
        summary="442 patients as vectors of ten measures, and a value: how far their diabetes is a year on",
    )
    registry.task(
        "inputs",
        "nas_plugins.array_tasks.inputs:inputs",
        suffixes=(".npz",),
        claims="nas_plugins.array_tasks.inputs:claims",
        summary="several inputs in a file with x_train_NAME and x_test_NAME for each, y_train and y_test",
    )
