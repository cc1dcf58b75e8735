"""How much better than all so far the models expect a candidate to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nas.controller.history import History
from nas.space.architecture import Architecture

from .aim import Aim
from .features import Encoder
from .gaussian_process import GaussianProcess, Inputs, distances_of
from .observed import Observed

Array = NDArray[np.float64]


class Expectation:
    """The models of one proposal, one an objective. Their weights are fitted once, at the first question.

    Trials that still run count as if they had ended where the model expects (Ginsbourger et al., Kriging is well-suited
    to parallelize optimization, 2010).
    """

    def __init__(self, encoder: Encoder, history: History, observed: Observed, aim: Aim) -> None:
        self._encoder, self._history, self._aim = encoder, history, aim
        self._trust = observed.trust
        self._trained = [trial.architecture for trial in observed.trials]
        self._running = [trial.architecture for trial in history.trials if not trial.finished]
        self._models: list[GaussianProcess] = []
        self._apart: tuple[Array, ...] | None = None

    def improvement(self, candidates: Sequence[Architecture]) -> Array:
        """The improvement that is expected of each, (M,)."""
        inputs = self._encoder.encode(self._history, [*self._trained, *self._running, *candidates])
        known, asked = len(self._trained), len(self._trained) + len(self._running)
        told, targets = self._measured(inputs[:asked]), self._aim.targets
        trained = told[:known]
        if self._models:
            models = [model.given(trained, t, self._trust) for model, t in zip(self._models, targets, strict=True)]
        else:
            models = self._models = [GaussianProcess(trained, target, self._trust) for target in targets]
        means, deviations = [], []
        for model, target in zip(models, targets, strict=True):
            mean, deviation = self._informed(model, told, target).predict(inputs[asked:])
            means.append(mean)
            deviations.append(deviation)
        return self._aim.improvement(means, deviations)

    def shares(self) -> dict[str, float]:
        """By name the mean share of each part in what the models go by; empty with too few trials to fit them."""
        inputs = self._encoder.encode(self._history, self._trained)
        models = [GaussianProcess(inputs, target, self._trust) for target in self._aim.targets]
        if not all(model.fitted for model in models):
            return {}
        means = np.mean([model.shares for model in models], axis=0)
        return dict(zip(inputs.names, means.tolist(), strict=True))

    def _measured(self, told: Inputs) -> Inputs:
        """The trials with their distances, which are measured once: a question may change nothing but their scale."""
        if self._apart is None:
            measured = distances_of(told, told)
            self._apart = tuple(far * size**2 for far, size in zip(measured, told.sizes, strict=True))
        return replace(told, apart=tuple(far / size**2 for far, size in zip(self._apart, told.sizes, strict=True)))

    def _informed(self, model: GaussianProcess, inputs: Inputs, target: Array) -> GaussianProcess:
        """The model after the running trials, the last of `inputs`, have turned out as it expects."""
        if not self._running:
            return model
        expected, _ = model.predict(inputs[len(target) :])
        trust = np.concatenate([self._trust, np.ones(len(expected))])
        return model.given(inputs, np.concatenate([target, expected]), trust)
