"""How every candidate of a search is trained. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from nas.errors import ConfigError, UnknownNameError
from nas.space.ports import TaskInfo

AUGMENTATIONS = ("crop", "flip", "cutout")
"""Names that `augment` may list, all for images; `nas.train.augment` has what they do."""

RATES = {"sgd": (0.1, 5e-4), "adamw": (2e-3, 0.05)}
"""Learning rate and weight decay of each optimizer where the user gives none."""


class Recipe(BaseModel):
    """How a candidate is trained: the same for all of a search, so that their values can be compared.

    epochs: passes over the training part. 24 because cells of `cell_cnn` then take about 7 s each on scikit-learn's
        digits and one core, so that 20 of them are searched in two minutes on two; 12 epochs lose half a point of
        validation accuracy (the mean of 8 cells is 98.4 % at 12, 98.9 % at 24, 99.0 % at 28).
    batch_size: examples a step, an epoch's steps equally large. 128 is a quarter faster and loses half a point there.
    optimizer: ``sgd`` (Nesterov) or ``adamw``, by default ``sgd`` for images and ``adamw`` for all else; `lr` and
        `weight_decay` default to what suits it. Norms and biases do not decay.
    warmup_epochs: the rate rises linearly, a tenth of the epochs by default, then falls to 0 along a cosine.
    label_smoothing: by default 0.1 for classes, and none where a token at every position or a value is asked for.
    grad_clip: largest norm of all gradients together; 0 is none.
    augment: ``auto`` (the task's own), ``none``, or names among ``crop``, ``flip`` and ``cutout``.
    amp: ``auto`` computes in bfloat16 on a GPU that can; ``off`` never.
    val_fraction: the part of the training data that is held out to judge candidates.
    init: the folder of a run or of an exported network whose weights candidates start with, where names and shapes
        agree; what gives the answer (the head) starts fresh.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: int = Field(24, ge=1)
    batch_size: int = Field(64, ge=2)
    optimizer: Literal["sgd", "adamw"] = "sgd"
    lr: float = Field(RATES["sgd"][0], gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(RATES["sgd"][1], ge=0)
    warmup_epochs: float = Field(2.4, ge=0)
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    grad_clip: float = Field(5.0, ge=0)
    augment: Literal["auto", "none"] | tuple[str, ...] = "auto"
    amp: Literal["auto", "off"] = "auto"
    val_fraction: float = Field(0.2, gt=0, lt=1)
    init: str = ""

    @classmethod
    def parse(cls, options: Mapping[str, Any], task: TaskInfo | None = None) -> Recipe:
        """A recipe from a user's options, the others as suits `task`.

        Raises ConfigError for a wrong value, UnknownNameError for a wrong name.
        """
        try:
            return cls.model_validate({**_suited(task), **options})
        except ValidationError as error:
            raise _explained(error) from None

    def augmentations(self, info: TaskInfo, default: tuple[str, ...]) -> tuple[str, ...]:
        """Names of what changes images, `default` being the task's own; raises ConfigError where there are none."""
        names = self.augment if not isinstance(self.augment, str) else default if self.augment == "auto" else ()
        if names and info.input.kind != "image":
            raise ConfigError(
                f"training option 'augment': {', '.join(names)} need images, task {info.name!r} has {info.input}"
            )
        return names

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, options: Any) -> Any:
        if not isinstance(options, Mapping):
            return options
        lr, decay = RATES.get(str(options.get("optimizer", "sgd")), RATES["sgd"])
        epochs = options.get("epochs", cls.model_fields["epochs"].default)
        warmup = 0.1 * epochs if isinstance(epochs, int | float) and epochs > 0 else 0.0
        return {"lr": lr, "weight_decay": decay, "warmup_epochs": warmup, **options}

    @field_validator("augment", mode="before")
    @classmethod
    def _names(cls, given: Any) -> Any:
        if given in ("auto", "none"):
            return given
        names = [part.strip() for part in given.split(",")] if isinstance(given, str) else given
        if not isinstance(names, list | tuple):
            return given
        for name in names:
            if name not in AUGMENTATIONS:
                raise ValueError(str(UnknownNameError("augmentation", str(name), ("auto", "none", *AUGMENTATIONS))))
        return tuple(names)

    @field_validator("init")
    @classmethod
    def _absolute(cls, folder: str) -> str:
        return str(Path(folder).expanduser().resolve()) if folder else ""

    @model_validator(mode="after")
    def _fits(self) -> Recipe:
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"expected warmup_epochs less than epochs, got {self.warmup_epochs:g} of {self.epochs}")
        return self


def _suited(task: TaskInfo | None) -> dict[str, Any]:
    """Defaults that a task changes: SGD and smooth labels are for images and classes."""
    if task is None:
        return {}
    changed: dict[str, Any] = {} if task.input.kind == "image" else {"optimizer": "adamw"}
    return changed if task.target == "class" else changed | {"label_smoothing": 0.0}


def _explained(error: ValidationError) -> ConfigError:
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    if first["type"] == "extra_forbidden":
        return UnknownNameError("training option", name, Recipe.model_fields)
    if first["type"] == "value_error":
        text = str(first["ctx"]["error"])
        return ConfigError(f"training option {name!r}: {text}" if name else f"training options: {text}")
    message = first["msg"].removeprefix("Input should be ")
    return ConfigError(f"training option {name!r}: expected {message}, got {first['input']!r}")
