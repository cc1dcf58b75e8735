"""The user's plugin files on machines that do not have them: their texts travel with a worker's configuration."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path

from nas.errors import PluginError
from nas.plugin.manager import Manager, create_manager


def plugin_sources(manager: Manager) -> dict[str, str]:
    """The texts of the plugin files that work here, by path."""
    return {file: Path(file).read_text() for file in manager.files if file not in manager.failures}


def shipped_manager(files: Sequence[str], sources: Mapping[str, str]) -> Manager:
    """A manager with the plugins in `files`; one that is not here, or is another here, is made from its text.

    Raises PluginError with this machine's name when a plugin of `sources` works on the machine that sent it and not
    here, and where `create_manager` does.
    """
    places = {file: _placed(file, sources[file]) if file in sources else file for file in files}
    manager = create_manager(places.values())
    for file in sources:
        if reason := manager.failures.get(places.get(file, "")):
            raise PluginError(
                f"plugin {file} does not work on node {socket.gethostname()}: {reason}; send what it imports by "
                "--runtime-env (py_modules or working_dir)"
            )
    return manager


def _placed(file: str, text: str) -> str:
    path = Path(file)
    if path.is_file() and path.read_text() == text:
        return file
    folder = Path(tempfile.mkdtemp(prefix=f"nas-plugin-{blake2b(text.encode(), digest_size=4).hexdigest()}-"))
    (folder / path.name).write_text(text)
    return str((folder / path.name).resolve())
