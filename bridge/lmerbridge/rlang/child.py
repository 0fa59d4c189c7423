"""A process of our own that answers calls.

A :class:`Child` does so over a socket of this machine: it gets the socket's port and a token by its
environment, connects, and says the token. A :class:`PipedChild` does so by its standard input and
output, which is all that a process in another file system or on another machine shares with us.
Either is in a session of its own, so that Ctrl-C in a terminal reaches Python alone. Nothing is
left behind by it: its output goes to a file without a name, its temporary files to a folder that is
removed with it (by itself, should Python end before), and there is no shared memory.
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
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lmerbridge.errors import EngineUnavailableError, FitFailedError
from lmerbridge.rlang.line import Line

__all__ = [
    "CONNECT_SECONDS",
    "INTERRUPTED",
    "Child",
    "GoneError",
    "KilledError",
    "KilledStartingError",
    "PipedChild",
]

CONNECT_SECONDS = 60.0  # seconds that a process may take to connect
POLL_SECONDS = 0.02
# What R says when a signal's handler of its own interrupted its garbage collector: from then on its
# memory cannot be trusted.
INTERRUPTED = ("recursive gc invocation", "during GC")


class GoneError(FitFailedError):
    """R's process has ended, or its connection is in an unknown state: start another."""


class KilledError(GoneError):
    """A signal ended the process during a call: it was killed from outside, or crashed."""


class KilledStartingError(EngineUnavailableError):
    """A signal ended the process before it answered for the first time."""


class _Process:
    """The process, and the line to it."""

    _process: subprocess.Popen[Any]

    def __init__(self, what: str):
        self.what = what
        self.pid = os.getpid()
        self._token = secrets.token_hex(32).encode()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        self._line: Line | None = None

    def _start(
        self, command: Sequence[str], environment: Mapping[str, str], **streams: Any
    ) -> None:
        """Start the process and return at once; :meth:`connect` waits for it.

        Raises
        ------
        EngineUnavailableError
            It does not start.
        """
        try:
            self._process = subprocess.Popen(  # noqa: S603 - a fixed program, or the user's own
                list(command),
                stderr=self._said,
                env=dict(environment),
                start_new_session=True,
                **streams,
            )
        except OSError as error:
            self._close_ours()
            self._said.close()
            self._clean()
            raise EngineUnavailableError(f"{self.what} does not start: {error}") from error

    def connect(self) -> None:
        """Wait until it has said the token.

        Raises
        ------
        EngineUnavailableError
            It ended before, or took too long.
        """
        if self._line is not None:
            return
        end = time.monotonic() + CONNECT_SECONDS
        try:
            while self._line is None:
                found = self._connected()
                if found is not None:
                    self._line = Line(found)
                elif self._process.poll() is not None:
                    raise self.not_started()
                elif time.monotonic() > end:
                    raise EngineUnavailableError(
                        f"{self.what} did not answer within {CONNECT_SECONDS:g} s"
                        f"{self._last_words()}"
                    )
        except BaseException:
            self.kill()
            raise

    def _connected(self) -> socket.socket | None:
        """Return the line once the process has said the token on it; wait for a moment at most."""
        raise NotImplementedError

    def _close_ours(self) -> None:
        """Close what the process was to connect to."""

    def _clean(self) -> None:
        """Take away the process's temporary files."""

    def _ended_by(self, code: int) -> int | None:
        """The signal that ended the process, by its exit status; ``None``: it ended by itself."""
        return -code if code < 0 else None

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

    def _end(self) -> tuple[str, bool]:
        """How the process ended, in words, and whether a signal ended it.

        R's handler of a segmentation fault runs R's own code: where the fault came during a garbage
        collection, R ends with status 0 and many a complaint instead of by the signal.
        """
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(2)
        code = self._process.poll()
        self.kill()
        if code is None:
            return "closed its line", False
        number = self._ended_by(code)
        if number is None:
            words = self._last_words()
            return f"ended with status {code}", any(text in words for text in INTERRUPTED)
        try:
            return f"was killed by {signal.Signals(number).name}", True
        except ValueError:
            return f"was killed by signal {number}", True

    def gone(self) -> GoneError:
        """Return the error that says how the process ended during a call."""
        how, killed = self._end()
        return (KilledError if killed else GoneError)(
            f"{self.what} {how} during the call{self._last_words()}; the next call starts another"
        )

    def not_started(self) -> EngineUnavailableError:
        """Return the error that says how the process ended before it answered."""
        how, killed = self._end()
        return (KilledStartingError if killed else EngineUnavailableError)(
            f"{self.what} {how if killed else 'ended'} before it answered{self._last_words()}"
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
        self._close_ours()

    def let_go(self) -> None:
        """Forget it without ending it: what a fork does with its parent's."""
        self._close_line()
        self._process.returncode = 0  # so that nobody waits for it here


class Child(_Process):
    """A process that connects to a socket of ours."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], what: str):
        """Start it and return at once; :meth:`connect` waits for it.

        Raises
        ------
        EngineUnavailableError
            It does not start.
        """
        super().__init__(what)
        self._scratch = tempfile.mkdtemp(prefix="lmerbridge-")
        self._server = socket.create_server(("127.0.0.1", 0), backlog=1)
        self._server.settimeout(POLL_SECONDS)
        own = {
            "LMERBRIDGE_R_PORT": str(self._server.getsockname()[1]),
            "LMERBRIDGE_R_TOKEN": self._token.decode(),
            "LMERBRIDGE_R_SCRATCH": self._scratch,
            **dict.fromkeys(("TMPDIR", "TMP", "TEMP"), self._scratch),
        }
        self._start(command, {**environment, **own}, stdin=subprocess.DEVNULL, stdout=self._said)

    def _connected(self) -> socket.socket | None:
        try:
            line, _ = self._server.accept()
        except TimeoutError:
            return None
        line.settimeout(CONNECT_SECONDS)
        if self._is_ours(line):
            self._server.close()
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return line
        line.close()  # somebody else on this machine
        return None

    def _is_ours(self, line: socket.socket) -> bool:
        found = b""
        with contextlib.suppress(OSError):
            while len(found) < len(self._token):
                part = line.recv(len(self._token) - len(found))
                if not part:
                    break
                found += part
        return secrets.compare_digest(found, self._token)

    def _close_ours(self) -> None:
        self._server.close()

    def _clean(self) -> None:
        shutil.rmtree(self._scratch, ignore_errors=True)


class PipedChild(_Process):
    """A process that is spoken to by its standard input and output, and shares nothing else.

    Whatever it prints before the token, as the greeting of a wrapper, is passed over.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        what: str,
        first: Callable[[bytes], Sequence[bytes]],
    ):
        """Start it, send what ``first`` makes of the token, and return; :meth:`connect` waits.

        Raises
        ------
        EngineUnavailableError
            It does not start.
        """
        super().__init__(what)
        self._ours, theirs = socket.socketpair()
        try:
            self._start(command, environment, stdin=theirs, stdout=theirs)
        finally:
            theirs.close()
        self._ours.settimeout(POLL_SECONDS)
        self._before = bytearray()
        self._unsent = bytearray(b"".join(first(self._token)))

    def _connected(self) -> socket.socket | None:
        try:
            if self._unsent:
                del self._unsent[: self._ours.send(self._unsent)]
                return None
            part = self._ours.recv(1)  # what follows the token is not ours to take
        except TimeoutError:
            return None
        except OSError:  # it has ended, or closed its input
            part = b""
        if not part:
            raise self.not_started()
        self._before += part
        if self._before.endswith(self._token):
            return self._ours
        if part == b"\n":
            self._said.write(bytes(self._before))  # for its last words
            self._said.flush()
            self._before.clear()
        return None

    def _ended_by(self, code: int) -> int | None:
        # a shell, a container's client: what ended by a signal is told by a status above 128
        return code - 128 if 128 < code <= 128 + 64 else super()._ended_by(code)

    def _close_ours(self) -> None:
        self._ours.close()
