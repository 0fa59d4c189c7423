"""R in this process, through rpy2's low-level interface; only this module, and the worker that runs
it, import rpy2.

Columns cross by copying buffers; no conversion rules of rpy2's are used, so that neither its
context variables nor anything that other users of rpy2 set can change what R receives.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from lmerbridge.errors import (
    EngineUnavailableError,
    FitFailedError,
    LmerBridgeError,
    UnsupportedModelError,
)
from lmerbridge.rlang.blobs import Ledger, resolved
from lmerbridge.rlang.command import RCommand
from lmerbridge.rlang.discover import (
    RInstallation,
    RpyProblem,
    find_r,
    r_in_use,
    r_of_this_machine,
    rpy2_problem,
)
from lmerbridge.rlang.environment import started_in
from lmerbridge.rlang.placement import lme4_well_placed
from lmerbridge.rlang.values import (
    Reply,
    RFactor,
    RFailure,
    RLogical,
    Value,
    codes_in_r,
    doubles_in_r,
    refuse_nul,
    reply_of,
    truth_in_r,
)

__all__ = ["Rpy2Session"]

_LOCK = threading.RLock()  # R is single-threaded


@contextmanager
def _own_signals() -> Iterator[None]:
    """Starting R replaces Python's handlers; put them back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            if handler is not None:
                signal.signal(number, handler)


@contextmanager
def _own_library_path() -> Iterator[None]:
    """Leave LD_LIBRARY_PATH as it was. R extends it for its own child processes; a Python that is
    started later from this one (a worker of joblib, say) would load another libpython by it.
    """
    name = "LD_LIBRARY_PATH"
    before = os.environ.get(name)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
            os.unsetenv(name)  # R sets it behind the back of os.environ
        else:
            os.environ[name] = before


@contextmanager
def _found_by_rpy2(used: RCommand | RpyProblem) -> Iterator[None]:
    """While rpy2 looks for R, by ``R_HOME`` and on the path: let it find the R that another
    variable names.
    """
    if not isinstance(used, RCommand) or used == r_of_this_machine():
        yield
        return
    before = {name: os.environ.get(name) for name in ("R_HOME", "PATH")}
    os.environ.pop("R_HOME", None)
    os.environ["PATH"] = os.pathsep.join(
        (str(Path(used.words[0]).parent), os.environ.get("PATH", ""))
    )
    try:
        yield
    finally:
        home = os.environ.get("R_HOME")  # which R has set for itself
        if before["PATH"] is None:
            del os.environ["PATH"]
        else:
            os.environ["PATH"] = before["PATH"]
        if home is None and before["R_HOME"] is not None:
            os.environ["R_HOME"] = before["R_HOME"]


def _import_rinterface() -> Any:
    """Import rpy2, and say in our words why that fails if it does.

    Raises
    ------
    EngineUnavailableError
    """
    compiled = importlib.util.find_spec("_rinterface_cffi_api") is not None
    mode = os.environ.get("RPY2_CFFI_MODE")
    if not compiled and mode is None:
        os.environ["RPY2_CFFI_MODE"] = "ABI"  # else rpy2 prints that it tries both
    try:
        import rpy2.rinterface as interface  # pyright: ignore[reportMissingImports]
    except Exception as error:
        # an rpy2 that does not fit this R raises ffi.error, a wrong R_HOME FileNotFoundError
        r = find_r(())
        problem = rpy2_problem(r) if isinstance(r, RInstallation) else r
        reason = problem.what if problem else f"{type(error).__name__}: {error}"
        fix = f"; mend it with: {problem.fix}" if problem and problem.fix else ""
        raise EngineUnavailableError(f"R cannot be used through rpy2: {reason}{fix}") from error
    finally:
        if not compiled and mode is None:
            os.environ.pop("RPY2_CFFI_MODE", None)
    return interface


class Rpy2Session:
    """R embedded in this process.

    Raises
    ------
    EngineUnavailableError
        If rpy2 or R is missing or they do not fit each other.
    """

    name = "rpy2"

    def __init__(self) -> None:
        with _LOCK, _own_signals(), _own_library_path():
            used = r_in_use()
            own = used == r_of_this_machine()
            if not own and isinstance(used, RCommand) and not used.plain:
                raise EngineUnavailableError(
                    f"R cannot be used through rpy2: {used} is a command, and not an R that runs "
                    "in this process"
                )
            with started_in(), _found_by_rpy2(used):
                self._ri = _import_rinterface()
                try:
                    self._ri.initr()
                except Exception as error:
                    raise EngineUnavailableError(f"R does not start: {error}") from error
            self._run = self._load()
            self._bound = self._ri.baseenv["new.env"](parent=self._ri.baseenv["emptyenv"]())
            with lme4_well_placed(), self._quiet(), contextlib.suppress(Exception):
                self._ri.baseenv["loadNamespace"]("lme4")  # its absence is told by who needs it
        self._kept: dict[str, Any] = {}
        self._ledger = Ledger()

    def _load(self) -> Callable[..., Any]:
        ri = self._ri
        text = resources.files("lmerbridge.rlang").joinpath("lmerbridge.R").read_text("utf-8")
        base = ri.baseenv
        # enclosed by base, so that nothing the user defines in R can stand in for our names
        functions = base["new.env"](parent=base)
        functions["functions"] = functions
        base["eval"](ri.parse(text), functions)
        self._functions = functions
        run: Callable[..., Any] = functions["run"]
        return run

    def call(
        self, function: str, arguments: Mapping[str, Value], timeout: float | None = None
    ) -> Reply:
        """Run ``function`` of ``lmerbridge.R``; see :class:`lmerbridge.rlang.values.Session`.

        Raises
        ------
        UnsupportedModelError
            A timeout: what runs in this process cannot be ended.
        """
        if timeout is not None:
            raise UnsupportedModelError(
                "timeout= needs R in a process of its own: LMERBRIDGE_R_TRANSPORT=rpy2-worker or "
                "rscript (it is rpy2, in this process)"
            )
        refuse_nul(dict(arguments))
        with _LOCK:
            try:
                return self.call_named(function, self._ledger.prepared(dict(arguments)))
            except BaseException:  # what has arrived is not known
                self._ledger = Ledger()
                self._kept.clear()
                raise

    def call_named(self, function: str, named: Value) -> Reply:
        """The same with large arrays named (:mod:`lmerbridge.rlang.blobs`)."""
        with _LOCK, self._quiet():
            try:
                arguments = resolved(named, self._kept, self._to_keep)
                self._drop_forgotten()
                answer = self._run(self._ri.StrSexpVector([function]), self._to_r(arguments))
            except LmerBridgeError:
                raise
            except Exception as error:  # an R error outside tryCatch, such as an interrupt
                return Reply(None, RFailure(str(error).strip(), function), (), ())
            reply = self._from_r(answer)
        return reply_of(reply)

    def object(self, function: str, arguments: Mapping[str, Value]) -> Any:
        """What ``function`` of ``lmerbridge.R`` returns, as rpy2's object.

        Raises
        ------
        FitFailedError
            An error in R.
        """
        refuse_nul(dict(arguments))
        with _LOCK, self._quiet():
            try:
                return self._functions[function](
                    **{name: self._to_r(value) for name, value in arguments.items()}
                )
            except Exception as error:
                raise FitFailedError(f"R: {str(error).strip()}") from error

    def _to_keep(self, value: Value) -> Any:
        """In R, and bound there, so that R does not change it in place."""
        vector = self._to_r(value)
        self._bound[f"v{id(vector)}"] = vector
        return vector

    def _drop_forgotten(self) -> None:
        known = {f"v{id(vector)}" for vector in self._kept.values()}
        for name in list(self._bound.keys()):
            if name not in known:
                self._ri.baseenv["rm"](list=self._ri.StrSexpVector([name]), envir=self._bound)

    def close(self) -> None:
        """R cannot be ended and started again in one process; nothing is done."""

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        """Keep R's console silent while we use it, and leave it to its owner afterwards."""
        from rpy2.rinterface_lib import callbacks  # pyright: ignore[reportMissingImports]

        names = ("consolewrite_print", "consolewrite_warnerror", "showmessage")
        kept = {name: getattr(callbacks, name) for name in names}
        try:
            for name in names:
                setattr(callbacks, name, lambda _text: None)
            yield
        finally:
            for name, function in kept.items():
                setattr(callbacks, name, function)

    def _to_r(self, value: Value) -> Any:
        ri = self._ri
        if isinstance(value, ri.sexp.Sexp):
            return value
        if value is None:
            return ri.NULL
        if isinstance(value, (bool, np.bool_)):
            return ri.BoolSexpVector([bool(value)])
        if isinstance(value, (int, np.integer)):
            return ri.IntSexpVector([int(value)])
        if isinstance(value, (float, np.floating)):
            return self._array_to_r(np.array([value], dtype=np.float64))
        if isinstance(value, str):
            return ri.StrSexpVector([value])
        if isinstance(value, RFactor):
            vector = ri.IntSexpVector.from_memoryview(codes_in_r(value).data)
            vector.do_slot_assign("levels", ri.StrSexpVector(list(value.levels)))
            kinds = ["ordered", "factor"] if value.ordered else ["factor"]
            vector.rclass = ri.StrSexpVector(kinds)  # sets the object bit as well
            return vector
        if isinstance(value, RLogical):
            return ri.BoolSexpVector.from_memoryview(truth_in_r(value).data)
        if isinstance(value, np.ndarray):
            return self._array_to_r(value)
        if isinstance(value, dict):
            items = [self._to_r(v) for v in value.values()]
            vector = ri.ListSexpVector(items)
            vector.do_slot_assign("names", ri.StrSexpVector([str(k) for k in value]))
            return vector
        if isinstance(value, (tuple, list)) and all(isinstance(v, str) for v in value):
            return ri.StrSexpVector(list(value))
        if isinstance(value, (tuple, list)):
            return ri.ListSexpVector([self._to_r(v) for v in value])
        raise TypeError(f"cannot send {type(value).__name__} to R")

    def _array_to_r(self, array: np.ndarray[Any, np.dtype[Any]]) -> Any:
        ri = self._ri
        flat = np.ravel(array, order="F")
        kinds: dict[str, tuple[Any, Any]] = {
            "b": (ri.BoolSexpVector, np.int32),
            "i": (ri.IntSexpVector, np.int32),
            "f": (ri.FloatSexpVector, np.float64),
        }
        vector_type, dtype = kinds[flat.dtype.kind]
        flat = np.ascontiguousarray(flat, dtype=dtype)
        if flat.dtype.kind == "f":
            flat = doubles_in_r(flat)
        vector = vector_type.from_memoryview(flat.data)
        if array.ndim == 2:
            vector.do_slot_assign("dim", ri.IntSexpVector(list(array.shape)))
        return vector

    def _from_r(self, value: Any) -> Value:
        ri = self._ri
        if value is ri.NULL or value.typeof == ri.RTYPES.NILSXP:
            return None
        kind = value.typeof
        if kind == ri.RTYPES.VECSXP:
            items = [self._from_r(v) for v in value]
            names = value.names
            if names is ri.NULL or names.typeof == ri.RTYPES.NILSXP:
                return items
            return dict(zip(list(names), items, strict=True))
        if kind == ri.RTYPES.STRSXP:
            strings = [None if s is ri.NA_Character else str(s) for s in value]
            return strings[0] if len(strings) == 1 else strings
        if kind in (ri.RTYPES.REALSXP, ri.RTYPES.INTSXP, ri.RTYPES.LGLSXP):
            return self._array_from_r(value, kind)
        raise TypeError(f"cannot read R's type {kind}")

    def _array_from_r(self, value: Any, kind: Any) -> Value:
        ri = self._ri
        if len(value) == 0:
            return np.empty(0)
        array: np.ndarray[Any, np.dtype[Any]] = np.array(value.memoryview())
        if kind == ri.RTYPES.LGLSXP:
            array = array.astype(np.int32) != 0
        try:
            dim = value.do_slot("dim")
        except LookupError:
            return array.item() if len(array) == 1 else array
        return array.reshape(tuple(dim), order="F")
