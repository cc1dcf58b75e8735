"""Trials in this process, one after the other: for debugging, with breakpoints and tracebacks where they belong."""

from __future__ import annotations

from nas.controller.controller import Controller
from nas.controller.job import INTERRUPTED, TIME_UP, Done, Job, ScoreJob
from nas.runner.spec import Worker, WorkerSpec, explain, is_last, score_all


def run_local(controller: Controller, spec: WorkerSpec) -> Done:
    """Runs the search to its end and says why it ended; Ctrl-C ends it with everything recorded.

    The deadline is seen between epochs.
    """
    worker = spec.build()
    try:
        while True:
            answer = controller.next()
            if isinstance(answer, Done):
                return answer
            if isinstance(answer, ScoreJob):
                controller.scored(answer.number, score_all(worker, answer.to_dict()))
            if isinstance(answer, Job) and not _run(controller, worker, answer):
                return TIME_UP
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        worker.close()


def _run(controller: Controller, worker: Worker, job: Job) -> bool:
    """Whether the trial has ended, as opposed to being cut by the deadline."""
    epochs = iter(worker.trial(job.to_dict()))
    while True:
        try:
            metrics = next(epochs, None)
        except Exception as error:
            controller.finish(job.number, "failed", explain(error))
            return True
        if metrics is not None:
            controller.report(job.number, metrics)
        if metrics is None or is_last(metrics):
            controller.finish(job.number, "complete")
            return True
        if controller.seconds_left <= 0:
            return False
