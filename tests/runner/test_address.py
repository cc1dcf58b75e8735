"""Addresses that no Ray answers at are told within seconds. No Ray is started here."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from nas.errors import ConfigError
from nas.runner.cluster import check_address


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_where_nobody_is(scheme: str, listener: socket.socket) -> None:
    address = f"{scheme}127.0.0.1:{listener.getsockname()[1]}"
    listener.close()
    with pytest.raises(ConfigError, match=f"^expected a Ray cluster at {address}, got .*refused"):
        check_address(address)


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_where_something_else_is(scheme: str, listener: socket.socket) -> None:
    def answer() -> None:
        line, _ = listener.accept()
        line.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        line.close()

    threading.Thread(target=answer).start()
    with pytest.raises(ConfigError, match=r"^expected a Ray cluster at .*, got something else that answers there"):
        check_address(f"{scheme}127.0.0.1:{listener.getsockname()[1]}")


@pytest.mark.parametrize("address", ["head", "head:", "head:door", "ray://"])
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(ConfigError, match=r"as auto, host:port or ray://host:port, got|got .*(known|resolution)"):
        check_address(address)


def test_auto_without_a_cluster(monkeypatch: pytest.MonkeyPatch, listener: socket.socket) -> None:
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{listener.getsockname()[1]}")
    listener.close()
    with pytest.raises(ConfigError, match=r"^expected a Ray cluster at auto, got .*refused"):
        check_address("auto")
