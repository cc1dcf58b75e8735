"""Image classification: scikit-learn's handwritten digits, also read row by row, and any images in an .npz file."""

from __future__ import annotations

from nas.plugin.hooks import hookimpl
from nas.plugin.registry import Registrar


@hookimpl
def nas_register(registry: Registrar) -> None:
    """Register the tasks; their data is read at first use."""
    registry.task(
        "digits", "nas_plugins.image_tasks.digits:digits", summary="1,797 handwritten digits of 8x8, 10 classes"
    )
    registry.task(
        "digit_rows",
        "nas_plugins.image_tasks.digits:digit_rows",
        summary="the same digits read row by row: sequences of 8 steps with 8 features",
    )
    registry.task(
        "digit_views",
        "nas_plugins.image_tasks.digits:digit_views",
        summary="the same digits as images and as sequences at once, for networks of two inputs",
    )
    registry.task(
        "npz",
        "nas_plugins.image_tasks.npz:npz",
        suffixes=(".npz",),
        claims="nas_plugins.image_tasks.npz:claims",
        summary="images in a file with x_train y_train x_test y_test",
    )
