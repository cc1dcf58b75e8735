"""optuna-dashboard behind a door that lets nobody write."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.simple_server import make_server as make_wsgi_server

from optuna.storages import JournalStorage
from optuna_dashboard import wsgi

from nas.controller.journal import JournalReader

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

READING = ("GET", "HEAD")
REFUSAL = b'{"reason": "nas dashboard only reads: what is written here would get into the record of the search"}'


def make_server(ledger: Path, host: str, port: int) -> WSGIServer:
    """A server of the dashboard on this journal; raises OSError where it cannot listen."""
    return make_wsgi_server(host, port, ReadOnlyDashboard(ledger), handler_class=_Silent)


class ReadOnlyDashboard:
    """The dashboard as a WSGI application.

    The journal is read again at each request, as far as it is new; one that was replaced, by a resume with other
    objectives, is read anew. What would write is refused, and could not: the storage cannot, either.
    """

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger.resolve()
        self._file = -1
        self._app: WSGIApplication | None = None

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answers a request."""
        if environ["REQUEST_METHOD"] not in READING:
            headers = [("Content-Type", "application/json"), ("Allow", ", ".join(READING))]
            start_response("405 Method Not Allowed", headers)
            return [REFUSAL]
        return self._current()(environ, start_response)

    def _current(self) -> WSGIApplication:
        file = self._ledger.stat().st_ino
        if self._app is None or file != self._file:
            self._file, self._app = file, wsgi(JournalStorage(JournalReader(self._ledger)))
        return self._app


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing: a browser asks every few seconds."""
