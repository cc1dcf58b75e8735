"""The hooks a plugin may implement. All of them; each is used by a plugin that ships with the package."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import click

    from nas.controller.history import History, Trial
    from nas.plugin.registry import Registrar

PROJECT = "nas"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def nas_register(registry: Registrar) -> None:
    """Register blocks, spaces, tasks, strategies, schedulers, objectives and all other kinds that `Registrar` has."""


@hookspec
def nas_add_commands(group: click.Group) -> None:
    """Add commands to the `nas` command line."""


@hookspec
def nas_search_started(history: History, run: str) -> None:
    """A search starts or goes on in folder `run`; `history` is what it has so far."""


@hookspec
def nas_trial_reported(trial: Trial, history: History) -> None:
    """A trial has trained an epoch, the last of its curve; `history` is live, as for `nas_trial_finished`."""


@hookspec
def nas_trial_finished(trial: Trial, history: History) -> None:
    """A trial has ended, whatever its state, and is in the ledger; `history` is live, so it should not be kept."""


@hookspec
def nas_search_finished(history: History, run: str) -> None:
    """The search has ended and its winner, if there is one, is exported."""
