"""A process of our own that answers calls over a socket of this machine.

It gets the socket's port and a token by its environment, connects, and says the token. It is in a
session of its own, so that Ctrl-C in a terminal reaches Python alone. Nothing is left behind by it:
its output goes to a file without a name, its temporary files to a folder that is removed with it
(by itself, should Python end before), and there is no shared memory.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence

from lmerbridge.errors import EngineUnavailableError, FitFailedError
from lmerbridge.rlang.line import Line

__all__ = ["START", "Child", "GoneError"]

START = 60.0  # seconds that a process may take to connect
POLL = 0.02


class GoneError(FitFailedError):
    """The process is no more, or of no more use."""


class Child:
    """The process, and the line to it."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], what: str):
        """Start it and return at once; :meth:`connect` waits for it.

        Raises
        ------
        EngineUnavailableError
            It does not start.
        """
        self.what = what
        self.pid = os.getpid()
        self._token = secrets.token_hex(32).encode()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        self._scratch = tempfile.mkdtemp(prefix="lmerbridge-")
        self._server = socket.create_server(("127.0.0.1", 0), backlog=1)
        self._line: Line | None = None
        port = self._server.getsockname()[1]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - a fixed program
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=self._said,
                env={
                    **environment,
                    "LMERBRIDGE_R_PORT": str(port),
                    "LMERBRIDGE_R_TOKEN": self._token.decode(),
                    "LMERBRIDGE_R_SCRATCH": self._scratch,
                    **dict.fromkeys(("TMPDIR", "TMP", "TEMP"), self._scratch),
                },
                start_new_session=True,
            )
        except OSError as error:
            self._server.close()
            self._said.close()
            self._clean()
            raise EngineUnavailableError(f"{what} does not start: {error}") from error

    def connect(self) -> None:
        """Wait until it has connected.

        Raises
        ------
        EngineUnavailableError
            It ended before, or took too long.
        """
        if self._line is not None:
            return
        end = time.monotonic() + START
        self._server.settimeout(POLL)
        try:
            while True:
                try:
                    line, _ = self._server.accept()
                except TimeoutError:
                    if self._process.poll() is not None:
                        raise EngineUnavailableError(
                            f"{self.what} ended before it answered{self._last_words()}"
                        ) from None
                    if time.monotonic() > end:
                        raise EngineUnavailableError(
                            f"{self.what} did not answer within {START:g} s{self._last_words()}"
                        ) from None
                    continue
                line.settimeout(START)
                if self._is_ours(line):
                    break
                line.close()  # somebody else on this machine
            self._line = Line(line)
        except BaseException:
            self.kill()
            raise
        finally:
            self._server.close()

    def _is_ours(self, line: socket.socket) -> bool:
        found = b""
        with contextlib.suppress(OSError):
            while len(found) < len(self._token):
                part = line.recv(len(self._token) - len(found))
                if not part:
                    break
                found += part
        return secrets.compare_digest(found, self._token)

    @property
    def line(self) -> Line:
        """To the process, once it has connected."""
        assert self._line is not None
        return self._line

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def number(self) -> int:
        """Its process id."""
        return self._process.pid

    def gone(self) -> GoneError:
        """The error that says how the process ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(2)
        code = self._process.poll()
        self.kill()
        if code is None:
            how = "closed its line"
        elif code < 0:
            try:
                how = f"was killed by {signal.Signals(-code).name}"
            except ValueError:
                how = f"was killed by signal {-code}"
        else:
            how = f"ended with status {code}"
        return GoneError(
            f"{self.what} {how} during the call{self._last_words()}; the next call starts another"
        )

    def _last_words(self) -> str:
        """The end of what it printed."""
        with contextlib.suppress(OSError, ValueError):
            size = self._said.seek(0, os.SEEK_END)
            self._said.seek(max(0, size - 2000))
            lines = self._said.read().decode("utf-8", "replace").strip().splitlines()
            self._said.seek(0, os.SEEK_END)
            short = [line.strip() for line in lines if len(line) < 200]  # no code of R's
            if short:
                return ": " + " | ".join(short[-3:])
        return ""

    def kill(self) -> None:
        """End it, and everything that it started, and wait until it is gone."""
        self._close_line()
        if os.getpid() != self.pid:  # a fork has no claim on it
            return
        if self._process.poll() is None:
            with contextlib.suppress(OSError):
                if hasattr(os, "killpg"):
                    os.killpg(self._process.pid, signal.SIGKILL)
                else:
                    self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
        self._clean()

    def _clean(self) -> None:
        shutil.rmtree(self._scratch, ignore_errors=True)

    def close(self) -> None:
        """Ask it to end by closing its line; kill it if it does not."""
        self._close_line()
        if os.getpid() != self.pid:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        self.kill()
        self._said.close()

    def _close_line(self) -> None:
        if self._line is not None:
            self._line.close()
        self._server.close()

    def let_go(self) -> None:
        """Forget it without ending it: what a fork does with its parent's."""
        self._close_line()
        self._process.returncode = 0  # so that nobody waits for it here
