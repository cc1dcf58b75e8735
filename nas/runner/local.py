"""Trials in this process, one after the other: for debugging, with breakpoints and tracebacks where they belong."""

from __future__ import annotations

from threading import Event

from nas.controller.controller import Controller
from nas.controller.job import INTERRUPTED, TIME_UP, Done, Job, ScoreJob
from nas.errors import LedgerError, LostProcessError
from nas.runner.output import TrialOutput
from nas.runner.signals import ending_in_order
from nas.runner.spec import Worker, WorkerSpec, explain, is_last, score_all


def run_local(controller: Controller, spec: WorkerSpec) -> Done:
    """Runs the search to its end and says why it ended.

    The deadline is seen between epochs. Ctrl-C ends the search when the epoch is trained and recorded, the second one
    at once.
    """
    asked = Event()
    worker = spec.build()
    try:
        with ending_in_order(asked.set, _interrupt):
            while not asked.is_set():
                answer = controller.next()
                if isinstance(answer, Done):
                    return answer
                if isinstance(answer, ScoreJob):
                    controller.scored(answer.number, score_all(worker, answer.to_dict()))
                if isinstance(answer, Job) and not _run(controller, spec, worker, answer, asked):
                    return INTERRUPTED if asked.is_set() else TIME_UP
            return INTERRUPTED
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        worker.close()


def _interrupt() -> None:
    raise KeyboardInterrupt


def _run(controller: Controller, spec: WorkerSpec, worker: Worker, job: Job, asked: Event) -> bool:
    """Whether the trial has ended, as opposed to being cut by the deadline or by who asked for an end."""
    output = TrialOutput(spec.config, job.to_dict(), echo=True)
    try:
        return _trained(controller, output, worker, job, asked)
    finally:
        output.close()


def _trained(controller: Controller, output: TrialOutput, worker: Worker, job: Job, asked: Event) -> bool:
    epochs = iter(worker.trial(job.to_dict()))
    while True:
        try:
            with output.kept():
                metrics = next(epochs, None)
        except LedgerError:  # a full disk: no fault of the trial
            raise
        except LostProcessError as error:
            output.failed(error)
            controller.lost(job.number, str(error))
            return True
        except Exception as error:
            output.failed(error)
            controller.finish(job.number, "failed", explain(error))
            return True
        if metrics is not None:
            controller.report(job.number, metrics)
        if metrics is None or is_last(metrics):
            controller.finish(job.number, "complete")
            return True
        if controller.seconds_left <= 0 or asked.is_set():
            return False
