"""How every candidate of a search is trained. No torch here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from nas.errors import ConfigError, UnknownNameError
from nas.space.ports import TaskInfo

AUGMENTATIONS = ("crop", "flip", "cutout")
"""Names that `augment` may list, all for images; `nas.train.augment` has what they do."""

RATES = {"sgd": (0.1, 5e-4), "adamw": (2e-3, 0.05)}
"""Learning rate and weight decay of each optimizer where the user gives none."""


STEPS = 400
"""Steps of a training on few examples of classes where the user says nothing of epochs."""

SMALLEST = 8
"""The smallest batch where the user says nothing."""

SETTING = "recipe."
"""What the label of a decision of the recipe begins with."""

SEARCHED: dict[str, tuple[Any, ...]] = {
    "lr": (0.25, 0.5, 1.0, 2.0, 4.0),
    "weight_decay": (0.0, 0.2, 1.0, 5.0),
    "batch_size": (0.5, 1.0, 2.0),
    "optimizer": ("sgd", "adamw"),
    "momentum": (0.8, 0.9, 0.95),
    "label_smoothing": (0.0, 0.1, 0.2),
    "grad_clip": (0.0, 1.0, 5.0),
    "augment": ("none", "auto"),
}
"""What can be searched for, and where the user names no values: of the first three, multiples of the recipe's own.

Not epochs, nor what is held out: values would not compare.
"""
MULTIPLES = ("lr", "weight_decay", "batch_size")
RATED = ("lr", "weight_decay")


class Recipe(BaseModel):
    """How a candidate is trained: the same for all of a search, so that their values can be compared.

    epochs: passes over the training part. 24 because cells of `cell_cnn` then take about 7 s each on scikit-learn's
        digits and one core, so that 20 of them are searched in two minutes on two; 12 epochs lose half a point of
        validation accuracy (the mean of 8 cells is 98.4 % at 12, 98.9 % at 24, 99.0 % at 28). Where classes are to
        be told from few examples, as many as make 400 steps, which 24 of the digits do.
    batch_size: examples a step, an epoch's steps equally large. 128 is a quarter faster and loses half a point there.
        Of few examples it is a fifth of what is trained on, 8 at least.
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
    def parse(cls, options: Mapping[str, Any], task: TaskInfo | None = None, examples: int | None = None) -> Recipe:
        """A recipe from a user's options, the others as suits `task` and its number of examples, validation's too.

        Raises ConfigError for a wrong value, UnknownNameError for a wrong name.
        """
        try:
            suited = {**_suited(task), **options}
            made = cls.model_validate(suited)
            if task is None or examples is None:
                return made
            return cls.model_validate({**made._of_few(examples, task.target, options), **suited})
        except ValidationError as error:
            raise _explained(error) from None

    def _of_few(self, examples: int, target: str, given: Mapping[str, Any]) -> dict[str, int]:
        """Smaller batches and more epochs where a training would be over after a few steps."""
        left = examples * (1 - self.val_fraction)
        batch = self.batch_size if "batch_size" in given else min(self.batch_size, max(SMALLEST, round(left / 5)))
        epochs = math.ceil(STEPS / math.ceil(left / batch)) if target == "class" else 0
        return {"batch_size": batch, "epochs": max(self.epochs, epochs)}

    def augmentations(self, info: TaskInfo, default: tuple[str, ...]) -> tuple[str, ...]:
        """Names of what changes images, `default` being the task's own; raises ConfigError where there are none."""
        names = self.augment if not isinstance(self.augment, str) else default if self.augment == "auto" else ()
        if names and info.input.kind != "image":
            raise ConfigError(
                f"training option 'augment': {', '.join(names)} need images, task {info.name!r} has {info.input}"
            )
        return names

    def search(self, wanted: Mapping[str, Sequence[Any]]) -> dict[str, tuple[Any, ...]]:
        """The values to be tried of each option in `wanted`, where it has none the usual ones.

        Raises ConfigError for an option that cannot be searched for and for a value that it cannot have.
        """
        found: dict[str, tuple[Any, ...]] = {}
        for name, given in wanted.items():
            if name not in SEARCHED:
                raise UnknownNameError("training option to search for", name, SEARCHED)
            base = getattr(self, name)
            usual = [type(base)(base * factor) for factor in SEARCHED[name]] if name in MULTIPLES else SEARCHED[name]
            found[name] = tuple(dict.fromkeys(self._tried(name, value) for value in given or usual))
        if "optimizer" in found and (rate := [name for name in RATED if name in found and not wanted[name]]):
            raise ConfigError(f"expected values of {rate[0]} to try, since optimizer is searched for, too; got none")
        return found

    def _tried(self, name: str, value: Any) -> Any:
        """The value as the recipe has it: 1 is 1.0 where a fraction is asked for; words stay words."""
        if type(value) not in (int, float, str):
            raise ConfigError(f"training option {name!r}: expected numbers or words to try, got {value!r}")
        made = getattr(self.changed({name: value}), name)
        return value if isinstance(value, str) else made

    def changed(self, options: Mapping[str, Any]) -> Recipe:
        """The recipe with other options; another optimizer comes with its own rate and decay."""
        whole = self.model_dump()
        if options.get("optimizer", self.optimizer) != self.optimizer:
            whole = {name: value for name, value in whole.items() if name not in RATED}
        return Recipe.parse({**whole, **options})

    def set_by(self, settings: Mapping[str, Any]) -> Recipe:
        """The recipe of a candidate with these settings."""
        decided = {label: value for label, value in settings.items() if label.startswith(SETTING)}
        return self.changed({label.removeprefix(SETTING): value for label, value in decided.items()})

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
