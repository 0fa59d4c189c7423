"""The transports that keep R in a process of its own: ``rpy2-worker`` and ``rscript``."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lmerbridge.errors import EngineUnavailableError
from lmerbridge.rlang import rcodec
from lmerbridge.rlang.blobs import Ledger
from lmerbridge.rlang.child import START, Child, GoneError
from lmerbridge.rlang.discover import rscript_path
from lmerbridge.rlang.placement import started_well_placed
from lmerbridge.rlang.values import Reply, Value, refuse_nul, reply_of
from lmerbridge.rlang.worker import dumped, loaded

__all__ = ["RscriptSession", "WorkerSession"]

FILES = Path(__file__).parent


def _utf8(environment: dict[str, str]) -> dict[str, str]:
    """R reads formulas as text, which in the C locale has no letters but ASCII's."""
    if os.name == "posix" and "UTF-8" not in environment.get("LC_ALL", "").upper().replace(
        "UTF8", "UTF-8"
    ):
        environment["LC_ALL"] = "C.UTF-8" if sys.platform != "darwin" else "en_US.UTF-8"
    return environment


def _rscript() -> str:
    script, wrong = rscript_path()
    if script is None:
        raise EngineUnavailableError(wrong or "R is not installed (no Rscript found)")
    return script


class _ProcessSession:
    """A call is sent, and its reply is waited for; whatever breaks that ends the process."""

    name = ""

    def __init__(self, child: Child):
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
                self.child.line.limit(time.monotonic() + START)
                self._greet()
            except (TimeoutError, ValueError) as error:
                self.kill()
                raise EngineUnavailableError(f"{self.child.what} did not start: {error}") from error
            except OSError as error:
                raise EngineUnavailableError(
                    f"{self.child.what} did not start: {self.child.gone()}"
                ) from error
            except BaseException:
                self.kill()
                raise
            self._ready = True

    def _greet(self) -> None:
        """What is said before the first call."""

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
            return self._reply()
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

    def __init__(self) -> None:
        environment = _utf8(dict(os.environ))
        script = _rscript()
        # rpy2 asks the R on the path for its home: let that be the R that Rscript belongs to
        environment["PATH"] = os.pathsep.join(
            (str(Path(script).parent), environment.get("PATH", ""))
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

    def __init__(self) -> None:
        script = _rscript()
        environment = _utf8(
            {k: v for k, v in os.environ.items() if k not in ("R_HOME", "LD_LIBRARY_PATH")}
        )
        environment["LMERBRIDGE_R_FILES"] = str(FILES)
        command = [script, "--no-init-file", "--no-site-file", str(FILES / "serve.R")]
        super().__init__(started_well_placed(lambda: Child(command, environment, "R"), "R"))

    def _request(self, function: str, arguments: Value) -> list[Any]:
        return [*rcodec.encode(function), *rcodec.encode(arguments)]

    def _reply(self) -> Reply:
        line = self.child.line
        answer = rcodec.decode(line.read, line.texts, line.flowing)
        try:
            return reply_of(answer)
        except AttributeError as error:
            raise rcodec.BadReplyError(f"no reply: {error}") from error
