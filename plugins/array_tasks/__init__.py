"""Tasks of arrays of any kind in one file: several inputs, or one, for a class or values."""

from __future__ import annotations

from nas.plugin.hooks import hookimpl
from nas.plugin.registry import Registrar


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register the task."""
    registry.task(
        "inputs",
        "nas_plugins.array_tasks.inputs:inputs",
        suffixes=(".npz",),
        claims="nas_plugins.array_tasks.inputs:claims",
        summary="several inputs in a file with x_train_NAME and x_test_NAME for each, y_train and y_test",
    )
