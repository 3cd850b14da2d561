"""The network is used only when asked for."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from typing import Any

_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE", "HF_EVALUATE_OFFLINE")


def settle_network(*, online: bool) -> None:
    """Tell the Hugging Face libraries, before they are imported, whether they may use the network.

    They read these variables once, at import. No telemetry either way.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_UPDATE_DOWNLOAD_COUNTS", "false")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    # Kernels are compiled code fetched from the hub.
    os.environ["USE_HUB_KERNELS"] = "NO"
    if not online:
        for name in _OFFLINE:
            os.environ[name] = "1"


@contextlib.contextmanager
def no_connections() -> Iterator[None]:
    """Nothing in this process connects to another machine, whatever a library tries.

    Sockets within the machine's own file system stay. Raises ConnectionRefusedError in the caller.
    """
    before = (socket.socket.connect, socket.getaddrinfo)

    def connect(self: socket.socket, address: Any) -> None:
        if self.family != getattr(socket, "AF_UNIX", None):
            raise ConnectionRefusedError("no connections here: auditkit is offline")
        before[0](self, address)

    def getaddrinfo(*_: Any, **__: Any) -> Any:
        raise ConnectionRefusedError("no connections here: auditkit is offline")

    socket.socket.connect = connect  # type: ignore[method-assign, assignment]
    socket.getaddrinfo = getaddrinfo
    try:
        yield
    finally:
        socket.socket.connect, socket.getaddrinfo = before  # type: ignore[method-assign]
