"""Ctrl-C and SIGTERM while a search runs: the first ends it in order, the next at once."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)


@contextmanager
def ending_in_order(finish: Callable[[], None], leave: Callable[[], None]) -> Iterator[None]:
    """Calls `finish` at the first signal and `leave` at the second; the third does what it did before.

    Handlers of SIGINT, SIGTERM and SIGUSR1 are what they were afterwards, whoever changed them. Other threads than the
    main one have no signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    heard = 0

    def handle(number: int, frame: object) -> None:
        nonlocal heard
        heard += 1
        if heard == 1:
            logger.warning("finishing the epochs that run, then leaving; again to leave now")
            finish()
        else:
            for ours in (signal.SIGINT, signal.SIGTERM):
                signal.signal(ours, before[ours])
            leave()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
