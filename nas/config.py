"""What a search is told: the same options on the command line, in a TOML file and in Python. No torch here."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from nas.errors import ConfigError, UnknownNameError

DEFAULT_TRIALS = 20
AUTO = "auto"
DEFAULT_EXPORTER = "pytorch"


class SearchConfig(BaseModel):
    """Everything that defines a search; stored as ``config.json`` in its folder.

    `time` is in seconds or written ``1h30m``; `trials` and `time` bound the search together, 20 trials when
    neither is given. `concurrency` None uses every core: cores / cpus_per_trial. `processes_per_trial` train each trial
    together, by default one for each whole GPU of a trial, and `cpus_per_trial` is by default a core for each.
    With `gpus_per_trial` ``auto`` the first trials have a GPU each, and later ones the part that those needed.
    Without `objectives` it is what the task is usually judged by; `limits` such as ``params<=1e6`` hold
    for every candidate that is trained;
    `cache` says whether networks that an earlier search trained alike are answered, and in which folder they are kept,
    true is the user's cache folder;
    `loggers` follow the search, as ``tensorboard``;
    `proxies` are zero-cost scores that a strategy may use where they are cheap. The stored `recipe` is whole: it has
    what the user did not say, too. `search_recipe` names options of the recipe that are searched for with the
    architecture, and the values to try, none for the usual ones.

    `address` is a Ray cluster's, for whose workers `runtime_env` is Ray's runtime environment, also as JSON or the name
    of a JSON file; `storage` is a folder or URL that all of its nodes reach, for checkpoints and a copy of the record.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    space: str = "cell_cnn"
    task: str = "digits"
    strategy: str = "auto"
    objectives: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    scheduler: str | None = None
    loggers: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ("naswot", "synflow")
    trials: int | None = Field(default=None, ge=1)
    time: float | None = Field(default=None, gt=0)
    seed: int = Field(default=0, ge=0)
    reference: bool = True
    recipe: dict[str, Any] = Field(default_factory=dict)
    search_recipe: dict[str, tuple[Any, ...]] = Field(default_factory=dict)
    runner: Literal["ray", "local"] = "ray"
    concurrency: int | None = Field(default=None, ge=1)
    gpus_per_trial: Annotated[float, Field(ge=0)] | Literal["auto"] = 0
    processes_per_trial: int | None = Field(default=None, ge=1)
    cpus_per_trial: float | None = Field(default=None, gt=0)
    address: str | None = None
    runtime_env: dict[str, Any] = Field(default_factory=dict)
    storage: str | None = None
    plugins: tuple[str, ...] = ()
    cache: bool | str = True

    @field_validator("time", mode="before")
    @classmethod
    def _seconds(cls, value: object) -> object:
        return parse_duration(value) if isinstance(value, str) else value

    @field_validator("objectives", "limits", "loggers", "proxies", "plugins", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("cache")
    @classmethod
    def _folder(cls, value: bool | str) -> bool | str:
        if isinstance(value, bool):
            return value
        if not value.strip():
            raise ValueError("expected true, false or a folder")
        return str(Path(value).expanduser().resolve())

    @field_validator("search_recipe", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        """``"lr,batch_size"`` and a list of names are options without values."""
        names = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
        if isinstance(names, list | tuple):
            return dict.fromkeys(names, ())
        return value

    @field_validator("runtime_env", mode="before")
    @classmethod
    def _environment(cls, value: object) -> object:
        return read_runtime_env(value) if isinstance(value, str) else value

    @field_validator("gpus_per_trial", mode="before")
    @classmethod
    def _whole_or_part(cls, value: object) -> object:
        if value == AUTO:
            return value
        try:
            number = float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            number = -1.0
        if number < 0 or (number > 1 and not number.is_integer()):
            raise ValueError("expected a part of one GPU, a whole number or auto")
        return number

    @field_validator("processes_per_trial")
    @classmethod
    def _a_gpu_each(cls, value: int | None, info: ValidationInfo) -> int | None:
        gpus = _number(info.data.get("gpus_per_trial", 0))
        if value is not None and gpus and value != max(1, gpus):
            raise ValueError(f"expected a GPU for each process of a trial, gpus_per_trial is {gpus:g}")
        return value

    @field_validator("cpus_per_trial")
    @classmethod
    def _a_core_each(cls, value: float | None, info: ValidationInfo) -> float | None:
        processes = info.data.get("processes_per_trial") or int(_number(info.data.get("gpus_per_trial", 0)))
        if value is not None and processes > 1 and value < processes:
            raise ValueError(f"expected a core for each of the {processes} processes of a trial")
        return value

    @field_validator("storage")
    @classmethod
    def _absolute_storage(cls, value: str | None) -> str | None:
        return value if value is None or "://" in value else str(Path(value).expanduser().resolve())

    @field_validator("plugins")
    @classmethod
    def _absolute(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(Path(file).expanduser().resolve()) for file in value)

    @classmethod
    def parse(cls, options: Mapping[str, Any]) -> SearchConfig:
        """Raises ConfigError with the option's name, what was expected and what came."""
        options = dict(options)
        if (epochs := options.pop("epochs", None)) is not None:
            options["recipe"] = {**options.get("recipe", {}), "epochs": epochs}
        for name in options:
            if name not in cls.model_fields:
                raise UnknownNameError("option", name, [*cls.model_fields, "epochs", "out"])
        try:
            return cls.model_validate(options)
        except ValidationError as error:
            raise ConfigError(first_problem(error)) from error

    @property
    def budget(self) -> int | None:
        """The number of trials, None when only time bounds the search."""
        return DEFAULT_TRIALS if self.trials is None and self.time is None else self.trials

    @property
    def slots(self) -> int:
        """How many trials run at a time."""
        return self.concurrency or max(1, int(_cores() / self.cpus))

    @property
    def processes(self) -> int:
        """How many train a trial together."""
        return self.processes_per_trial or max(1, int(self.gpus))

    @property
    def gpus(self) -> float:
        """GPUs of each trial, of the first ones where it is measured."""
        return _number(self.gpus_per_trial)

    @property
    def cpus(self) -> float:
        """Cores of each trial."""
        return self.cpus_per_trial or self.processes

    @property
    def threads(self) -> int:
        """Threads of each process of a trial."""
        return max(1, int(self.cpus / self.processes))


def _number(gpus: float | str) -> float:
    return 1.0 if gpus == AUTO else float(gpus)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def first_problem(error: ValidationError) -> str:
    """The first complaint of pydantic as one sentence."""
    problem = error.errors()[0]
    where = ".".join(map(str, problem["loc"])) or "the options"
    ours = problem["type"] == "value_error"
    text = str(problem["ctx"]["error"]) if ours else problem["msg"].lower()
    return f"option {where!r}: {text}, got {problem['input']!r}"


def parse_duration(text: str) -> float:
    """Seconds from ``90``, ``90s``, ``30m``, ``1h30m`` or ``2d``.

    >>> parse_duration("1h30m")
    5400.0
    """
    units = {"d": 86400, "h": 3600, "m": 60, "s": 1}
    if re.fullmatch(r"\d+(\.\d+)?", text.strip()):
        return float(text)
    parts = re.findall(r"(\d+(?:\.\d+)?)([dhms])", text.strip().lower())
    if not parts or "".join(a + b for a, b in parts) != text.strip().lower():
        raise ValueError("expected a time like 90s, 30m, 1h30m or 2d")
    return float(sum(float(number) * units[unit] for number, unit in parts))


def read_runtime_env(text: str) -> dict[str, Any]:
    """Ray's runtime environment from JSON or a JSON file, whose folder a relative ``working_dir`` counts from."""
    file = None if text.lstrip().startswith("{") else Path(text).expanduser()
    try:
        found = json.loads(text if file is None else file.read_text())
    except OSError as error:
        raise ValueError(f"expected JSON in braces or a JSON file, cannot read {text}: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"expected JSON: {error}") from error
    if not isinstance(found, dict):
        raise ValueError('expected an object as {"env_vars": {"A": "1"}}')
    folder = found.get("working_dir")
    if isinstance(folder, str) and "://" not in folder:
        found["working_dir"] = str(((file.parent if file else Path()) / Path(folder).expanduser()).resolve())
    return found


def read_toml(path: Path) -> dict[str, Any]:
    """The options in a TOML file; relative paths of plugins, task and `out` count from the file's folder."""
    try:
        options = tomllib.loads(path.read_text())
    except FileNotFoundError as error:
        raise ConfigError(f"the file {path} does not exist") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no TOML: {error}") from error
    here = path.parent
    plugins = options.get("plugins", [])
    options["plugins"] = [str(here / file) for file in ([plugins] if isinstance(plugins, str) else plugins)]
    if isinstance(task := options.get("task"), str) and (here / task).is_file():
        options["task"] = str(here / task)
    recipe = options.get("recipe")
    if isinstance(recipe, dict) and isinstance(start := recipe.get("init"), str):
        options["recipe"] = {**recipe, "init": str(here / start)}
    if isinstance(cache := options.get("cache"), str) and cache.strip():
        options["cache"] = str(here / Path(cache).expanduser())
    if isinstance(out := options.get("out"), str):
        options["out"] = str(here / out)
    if isinstance(storage := options.get("storage"), str) and "://" not in storage:
        options["storage"] = str(here / storage)
    if isinstance(env := options.get("runtime_env"), str) and not env.lstrip().startswith("{"):
        options["runtime_env"] = str(here / env)
    return options


def parse_pairs(text: str) -> dict[str, Any]:
    """``key=value,key=value`` as options, for ``--recipe``."""
    from nas.plugin.registry import BARE, parse_spec

    found = parse_spec(f":{text}")[1]
    if BARE in found:
        raise ConfigError(f"expected 'key=value,key=value', got {text!r}")
    return found


def write_json(path: Path, data: object) -> None:
    """The whole file or, after a crash, the one before."""
    partial = path.with_name(path.name + ".tmp")
    with partial.open("w") as file:
        json.dump(data, file, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
