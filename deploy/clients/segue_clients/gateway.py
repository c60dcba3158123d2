"""The gateway as a process of its own on ports of loopback."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

_START = 60.0
_STOP = 40.0


class Gateway:
    """`segue serve` on a folder of documents, up until the `with` block ends.

    Entering waits until every version of every model is in memory, and fails with the
    log where one did not load. Leaving asks it to end and checks that it ended well.
    """

    def __init__(
        self, binary: Path, config: Path, state: Path, headers: Mapping[str, str] | None = None
    ) -> None:
        """`headers` carry a key that sees every model, where the settings hold keys."""
        self._binary, self._config, self._state = binary, config, state
        self._headers = dict(headers or {})
        self.log_path = state.with_suffix(".log")
        self.data, self.grpc, self.metrics, self.admin = (
            f"127.0.0.1:{port}" for port in _free_ports(4)
        )
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Gateway:
        self._state.mkdir(parents=True)
        kept = ("PATH", "HOME", "SEGUE_CACHE", "XDG_CACHE_HOME", "ONNXRUNTIME_LIB")
        environment = {name: os.environ[name] for name in kept if name in os.environ}
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    str(self._binary),
                    "serve",
                    f"--config=file:{self._config}",
                    f"--state-dir={self._state}",
                    f"--http-addr={self.data}",
                    f"--grpc-addr={self.grpc}",
                    f"--metrics-addr={self.metrics}",
                    f"--admin-addr={self.admin}",
                    "--shutdown-delay=0s",
                ],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            self._await_models()
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process is not None
        alive = self._process.poll() is None
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(_STOP)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError(
                f"the gateway did not end within {_STOP} s\n{self.log()}"
            ) from error
        if not alive or code != 0:
            raise AssertionError(f"the gateway ended with {code}\n{self.log()}") from error

    def log(self) -> str:
        """The end of what the gateway wrote."""
        return self.log_path.read_text(errors="replace")[-6000:]

    def running(self) -> bool:
        """Whether the process is still there."""
        return self._process is not None and self._process.poll() is None

    def resident_bytes(self) -> int:
        """How much memory the process occupies now."""
        assert self._process is not None
        pages = Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def _await_models(self) -> None:
        wanted = {
            path.stem
            for path in self._config.iterdir()
            if not path.name.startswith("_") and path.is_file()
        }
        deadline = time.monotonic() + _START
        missing = "no answer"
        while time.monotonic() < deadline:
            if not self.running():
                raise AssertionError(f"the gateway ended at once\n{self.log()}")
            try:
                missing = self._missing(wanted)
            except (OSError, http.client.HTTPException) as error:
                missing = repr(error)
            if not missing:
                return
            time.sleep(0.05)
        raise AssertionError(f"not served after {_START} s: {missing}\n{self.log()}")

    def _missing(self, wanted: set[str]) -> str:
        """Which versions are not in memory; empty where all are and every model answers."""
        connection = http.client.HTTPConnection(self.data, timeout=5)
        try:
            connection.request("POST", "/v2/repository/index", headers=self._headers)
            index = json.loads(connection.getresponse().read())
            states = {f"{one['name']} {one['version']}": one["state"] for one in index}
            waiting = [name for name, state in states.items() if state != "READY"]
            if "UNAVAILABLE" in states.values():
                raise AssertionError(f"not loaded: {waiting}\n{self.log()}")
            for model in sorted(wanted):
                connection.request("GET", f"/v2/models/{model}/ready", headers=self._headers)
                response = connection.getresponse()
                response.read()
                if response.status != 200:
                    waiting.append(model)
        finally:
            connection.close()
        return ", ".join(waiting)


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now; held open together so that they differ."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in held]
    for server in held:
        server.close()
    return ports
