"""The transports that keep R in a process of its own: ``rpy2-worker`` and ``rscript``."""

from __future__ import annotations

import importlib.util
import os
import struct
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lmerbridge.errors import EngineUnavailableError
from lmerbridge.rlang import rcodec
from lmerbridge.rlang.blobs import Ledger
from lmerbridge.rlang.child import (
    CONNECT_SECONDS,
    INTERRUPTED,
    Child,
    GoneError,
    KilledError,
    PipedChild,
)
from lmerbridge.rlang.command import RCommand
from lmerbridge.rlang.discover import RpyProblem, r_in_use, r_of_this_machine
from lmerbridge.rlang.environment import for_another_r, for_r
from lmerbridge.rlang.placement import started_well_placed
from lmerbridge.rlang.values import Reply, Value, refuse_nul, reply_of
from lmerbridge.rlang.worker import dumped, loaded

__all__ = ["RscriptSession", "WorkerSession"]

FILES = Path(__file__).parent


# What an R is started with that shares nothing but its standard input and output with us: it reads
# the rest of its code, and serves. Of these words a shell on the way needs to take nothing apart.
_PIPED = "".join(
    """
local({
for (l in c('C.UTF-8', 'en_US.UTF-8'))
if (nzchar(suppressWarnings(Sys.setlocale('LC_ALL', l)))) break;
Sys.setenv(LANGUAGE = 'en');
input <- file('stdin', 'rb');
text <- function() {
n <- readBin(input, 'integer', 1L, 4L, endian = 'little');
if (!length(n)) stop('nothing comes by its standard input (docker exec needs -i)');
x <- rawToChar(readBin(input, 'raw', n)); Encoding(x) <- 'UTF-8'; x };
code <- function() parse(text = text(), encoding = 'UTF-8', keep.source = FALSE);
serve <- eval(code(), baseenv()); functions <- code(); token <- text();
output <- pipe('cat', 'wb');
serve(input, output, token, functions);
close(output) })
""".splitlines()
)


def _r(r: RCommand | None) -> RCommand:
    """The R that is named, or that in use.

    Raises
    ------
    EngineUnavailableError
    """
    used = r_in_use() if r is None else r
    if isinstance(used, RpyProblem):
        raise EngineUnavailableError(used.what)
    return used


def _code(token: bytes) -> list[bytes]:
    """What is sent to an R that has none of our files: its code and the token, each with its length
    before it.
    """
    texts = [(FILES / name).read_bytes() for name in ("serve.R", "lmerbridge.R")]
    return [part for text in (*texts, token) for part in (struct.pack("<i", len(text)), text)]


class _ProcessSession:
    """A call is sent, and its reply is waited for; whatever breaks that ends the process."""

    name = ""

    def __init__(self, child: Child | PipedChild):
        self.child = child
        self.ledger = Ledger()
        self._ready = False
        self._dead = False

    @property
    def alive(self) -> bool:
        return not self._dead and self.child.alive

    def start(self) -> None:
        """Wait until R answers.

        Raises
        ------
        EngineUnavailableError
        """
        if not self._ready:
            try:
                self.child.connect()
                self.child.line.limit(time.monotonic() + CONNECT_SECONDS)
                self._greet()
            except (TimeoutError, ValueError, rcodec.BadReplyError) as error:
                self.kill()
                raise EngineUnavailableError(f"{self.child.what} did not start: {error}") from error
            except OSError as error:
                raise self.child.not_started() from error
            except BaseException:
                self.kill()
                raise
            self._ready = True

    def _greet(self) -> None:
        """Read what is said before the first call, when everything is loaded."""

    def _request(self, function: str, arguments: Value) -> list[Any]:
        raise NotImplementedError

    def _reply(self) -> Reply:
        raise NotImplementedError

    def call(
        self, function: str, arguments: Mapping[str, Value], timeout: float | None = None
    ) -> Reply:
        """Run ``function``; see :class:`lmerbridge.rlang.values.Session`.

        Raises
        ------
        EngineUnavailableError
            R does not start.
        FitFailedError
            R ended, answered with garbage, or took longer than ``timeout`` seconds.
        """
        refuse_nul(dict(arguments))
        self.start()
        try:
            pieces = self._request(function, self.ledger.prepared(dict(arguments)))
        except BaseException:
            self.kill()  # the ledger says that it knows what was never sent
            raise
        end = None if timeout is None else time.monotonic() + timeout
        try:
            self.child.line.limit(end)
            self.child.line.send(pieces)
            reply = self._reply()
        except TimeoutError:
            self.kill()
            if end is None or time.monotonic() < end:
                raise GoneError(
                    "R stopped in the middle of a message and was ended; the next call starts "
                    "another"
                ) from None
            raise GoneError(
                f"R did not answer within {timeout:g} s and was ended; the next call starts another"
            ) from None
        except OSError as error:
            raise self.child.gone() from error
        except (rcodec.BadReplyError, ValueError, KeyError, TypeError, MemoryError) as error:
            self.kill()
            raise GoneError(
                f"R's answer was garbage ({error}), and it was ended; the next call starts another"
            ) from error
        except BaseException:  # Ctrl-C: what R would answer is nobody's any more
            self.kill()
            raise
        if reply.failure is not None and any(t in reply.failure.text for t in INTERRUPTED):
            self.kill()
            raise KilledError(
                f"a signal hit R while it collected garbage ({reply.failure.text}), and it was "
                "ended; the next call starts another"
            )
        return reply

    @property
    def number(self) -> int:
        return self.child.number

    def kill(self) -> None:
        self._dead = True
        self.child.kill()

    def close(self) -> None:
        self._dead = True
        self.child.close()

    def let_go(self) -> None:
        """What a forked process does with its parent's R."""
        self._dead = True
        self.child.let_go()


class WorkerSession(_ProcessSession):
    """R through rpy2 in a Python of its own."""

    name = "rpy2-worker"

    def __init__(self, r: RCommand | None = None) -> None:
        used = _r(r)
        own = used == r_of_this_machine()
        if not (own or used.plain):
            raise EngineUnavailableError(
                f"{used} is a command, which rpy2 cannot use: LMERBRIDGE_R_TRANSPORT=rscript can"
            )
        environment = for_r(os.environ) if own else for_another_r(os.environ)
        # rpy2 asks the R on the path for its home: let that be the R that Rscript belongs to
        environment["PATH"] = os.pathsep.join(
            (str(Path(used.words[0]).parent), environment.get("PATH", ""))
        )
        # the same packages, wherever they were found
        environment["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
        environment["PYTHONSAFEPATH"] = "1"
        if importlib.util.find_spec("_rinterface_cffi_api") is None:
            environment.setdefault("RPY2_CFFI_MODE", "ABI")  # else rpy2 prints that it tries both
        command = [sys.executable, str(FILES / "worker.py")]
        super().__init__(
            started_well_placed(lambda: Child(command, environment, "R's worker process"))
        )

    def _greet(self) -> None:
        problem = self._loaded()
        if problem is not None:
            self.kill()
            raise EngineUnavailableError(str(problem))

    def _loaded(self) -> Any:
        line = self.child.line
        return loaded(line.read, line.flowing)

    def _request(self, function: str, arguments: Value) -> list[Any]:
        return dumped((function, arguments))

    def _reply(self) -> Reply:
        reply = self._loaded()
        if not isinstance(reply, Reply):
            raise rcodec.BadReplyError("no reply")
        return reply


class RscriptSession(_ProcessSession):
    """An ``Rscript`` that needs nothing beyond base R and lme4."""

    name = "rscript"

    def __init__(self, r: RCommand | None = None) -> None:
        used = _r(r)
        environment = for_another_r(os.environ)
        options = (*used.words, "--no-init-file", "--no-site-file")
        by_socket = (*options, str(FILES / "socket.R"))

        def start() -> Child | PipedChild:
            if used.plain:
                return Child(by_socket, {**environment, "LMERBRIDGE_R_FILES": str(FILES)}, "R")
            return PipedChild((*options, "-e", _PIPED), environment, f"R ({used})", _code)

        super().__init__(started_well_placed(start, "R"))

    def _greet(self) -> None:
        self._answer()

    def _answer(self) -> Any:
        line = self.child.line
        return rcodec.decode(line.read, line.texts, line.flowing)

    def _request(self, function: str, arguments: Value) -> list[Any]:
        return [*rcodec.encode(function), *rcodec.encode(arguments)]

    def _reply(self) -> Reply:
        answer = self._answer()
        try:
            return reply_of(answer)
        except AttributeError as error:
            raise rcodec.BadReplyError(f"no reply: {error}") from error
