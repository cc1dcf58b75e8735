"""How much better than all so far the models expect a candidate to be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nas.controller.history import History
from nas.space.architecture import Architecture

from .aim import Aim
from .features import Encoder
from .gaussian_process import GaussianProcess, Inputs
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

    def improvement(self, candidates: Sequence[Architecture]) -> Array:
        """The improvement that is expected of each, (M,)."""
        inputs = self._encoder.encode(self._history, [*self._trained, *self._running, *candidates])
        known, asked = len(self._trained), len(self._trained) + len(self._running)
        targets = self._aim.targets
        if not self._models:
            self._models = [GaussianProcess(inputs[:known], target, self._trust) for target in targets]
        means, deviations = [], []
        for model, target in zip(self._models, targets, strict=True):
            informed = self._informed(model.given(inputs[:known], target, self._trust), inputs[:asked], target)
            mean, deviation = informed.predict(inputs[asked:])
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

    def _informed(self, model: GaussianProcess, inputs: Inputs, target: Array) -> GaussianProcess:
        """The model after the running trials, the last of `inputs`, have turned out as it expects."""
        if not self._running:
            return model
        expected, _ = model.predict(inputs[len(target) :])
        trust = np.concatenate([self._trust, np.ones(len(expected))])
        return model.given(inputs, np.concatenate([target, expected]), trust)
