"""The process behind ``rpy2-worker``: R through rpy2, asked over a socket by pickled values whose
arrays travel out of band. It is run by its path, to be up before the package is imported.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["HEADER", "dumped", "loaded", "main"]

SCRIPT_VARIABLES = ("R_HOME", "R_SHARE_DIR", "R_INCLUDE_DIR", "R_DOC_DIR", "R_ARCH")
HEADER = struct.Struct("<QQ")  # length of the pickle, number of buffers


def dumped(value: Any) -> list[Any]:
    """A value as pieces of bytes: lengths, the pickle, and each large buffer as it is."""
    buffers: list[pickle.PickleBuffer] = []
    body = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    raw = [buffer.raw() for buffer in buffers]
    sizes = struct.pack(f"<{len(raw)}Q", *(view.nbytes for view in raw))
    return [HEADER.pack(len(body), len(raw)) + sizes, body, *raw]


def loaded(read: Callable[[int], Any], begun: Callable[[], None] = lambda: None) -> Any:
    """The value from what ``read`` gives; of our own process only, as pickles must be."""
    size, count = HEADER.unpack(read(HEADER.size))
    begun()
    if size > 1 << 40 or count > 1 << 20:
        raise ValueError("no message of ours")
    sizes = struct.unpack(f"<{count}Q", read(8 * count)) if count else ()
    body = read(size)
    buffers = [read(n) for n in sizes]
    try:
        return pickle.loads(body, buffers=buffers)  # noqa: S301 - our own process
    except Exception as error:
        raise ValueError(f"no message of ours: {error}") from error


def _send(line: socket.socket, pieces: Sequence[Any]) -> None:
    for piece in pieces:
        line.sendall(piece)


def main() -> None:
    """Answer calls until the line is closed, and take the temporary files away."""
    scratch = os.environ.pop("LMERBRIDGE_R_SCRATCH")
    threading.Thread(target=_end_with, args=(os.getppid(), scratch), daemon=True).start()
    try:
        _serve()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _end_with(parent: int, scratch: str) -> None:
    """End when the parent has ended, also in the middle of a call: nobody waits for its reply."""
    while os.getppid() == parent:
        time.sleep(1)
    shutil.rmtree(scratch, ignore_errors=True)
    os._exit(1)


def _said_by_r() -> dict[str, str]:
    """What R's start script sets, and R itself does not; nothing where it cannot be asked so."""
    asked = subprocess.run(
        ("R", "CMD", "env"),  # noqa: S607 - the R that the path was set for
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=10,
    )
    found = dict(line.split("=", 1) for line in asked.stdout.splitlines() if "=" in line)
    return (
        {name: found[name] for name in SCRIPT_VARIABLES if name in found}
        if "R_HOME" in found
        else {}
    )


def _serve() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    port, token = os.environ.pop("LMERBRIDGE_R_PORT"), os.environ.pop("LMERBRIDGE_R_TOKEN")
    line = socket.create_connection(("127.0.0.1", int(port)))
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    line.sendall(token.encode())
    reader: Any = line.makefile("rb", buffering=1 << 20)

    def read(count: int) -> bytearray:
        data = bytearray(count)
        view, done = memoryview(data), 0
        while done < count:
            got = reader.readinto(view[done:])
            if not got:
                raise EOFError
            done += got
        return data

    # R and lme4 are loaded without Python's lock: our modules meanwhile
    ours = threading.Thread(target=importlib.import_module, args=("lmerbridge.rlang.rpy2_session",))
    ours.start()
    with contextlib.suppress(Exception):  # what is wrong is said by Rpy2Session
        known = _said_by_r()
        # rpy2 starts R to ask for a path that a process which runs no more could have used
        situation: Any = importlib.import_module("rpy2.situation")
        situation.r_ld_library_path_from_subprocess = lambda _home: ""
        interface: Any = importlib.import_module("rpy2.rinterface")
        if known:  # and once more for these
            os.environ.update(known)
            interface._getrenvvars = lambda *_: ()
        interface.initr()
        interface.baseenv["loadNamespace"]("lme4")
    ours.join()
    from lmerbridge.errors import EngineUnavailableError
    from lmerbridge.rlang.rpy2_session import Rpy2Session

    try:
        session = Rpy2Session()
    except EngineUnavailableError as error:
        _send(line, dumped(str(error)))
        return
    _send(line, dumped(None))
    while True:
        try:
            function, arguments = loaded(read)
        except (EOFError, OSError):
            return
        _send(line, dumped(session.call_named(function, arguments)))


if __name__ == "__main__":
    main()
