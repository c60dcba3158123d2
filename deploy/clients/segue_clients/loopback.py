"""Keeps a process of the tests on loopback: no proxies, no telemetry, no other host."""

from __future__ import annotations

import os
import sys
from typing import Any


def stay() -> None:
    """To be called before a client is imported; it holds for the rest of the process.

    Whatever connects elsewhere afterwards gets a PermissionError.
    """
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]
    os.environ.update({"NO_PROXY": "*", "OTEL_SDK_DISABLED": "true", "DO_NOT_TRACK": "1"})
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "socket.connect":
        return
    address = arguments[1]
    if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1", "localhost"):
        raise PermissionError(f"a test reaches beyond loopback: {address}")
