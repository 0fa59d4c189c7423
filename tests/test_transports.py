"""The ways to R: one suite for all of them, and what happens when R does not behave."""

import asyncio
import contextlib
import ctypes
import io
import json
import math
import mmap
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lmerbridge as lb
from lmerbridge.design import build_frame
from lmerbridge.engines import FitSpec, load_engine
from lmerbridge.engines.lme4 import call_arguments
from lmerbridge.errors import (
    DataError,
    EngineUnavailableError,
    FitFailedError,
    UnsupportedModelError,
)
from lmerbridge.rlang import (
    FakeSession,
    RFactor,
    RLogical,
    placement,
    r_session,
    restart,
    transports,
    use,
)
from lmerbridge.rlang.blobs import LARGE_BYTES, Forget, Kept, Known, Ledger, resolved
from lmerbridge.rlang.child import Child, KilledError, KilledStartingError
from lmerbridge.rlang.pool import Pool, wanted_workers
from lmerbridge.rlang.processes import RscriptSession, WorkerSession
from lmerbridge.rlang.rcodec import MESSAGE_MARK, BadReplyError, decode, encode
from lmerbridge.rlang.worker import dumped, loaded
from rpy2_here import needs_rpy2, rpy2_problem

pytestmark = pytest.mark.filterwarnings("ignore::lmerbridge.errors.FitWarning")
PROCESSES = {"rscript": RscriptSession, "rpy2-worker": WorkerSession}
NAMES = ["rscript", "rpy2-worker", "rpy2", "fake"]


def needs(name):
    if name.startswith("rpy2"):
        needs_rpy2()


def real_transports():
    """Those that work here."""
    return ["rscript"] if rpy2_problem() else ["rscript", "rpy2-worker", "rpy2"]


def stop(text):
    raise RuntimeError(text)


def faked():
    """A fake that knows the functions used below."""
    return FakeSession(
        {
            "list": lambda **arguments: arguments,
            "versions": lambda: r_session("rscript").call("versions", {}).value,
            "fit": lambda **arguments: answer(r_session("rscript").call("fit", arguments)),
            "stop": lambda text: stop(text),
        }
    )


def answer(reply):
    if reply.failure is not None:
        raise RuntimeError(reply.failure.text)
    return reply.value


@pytest.fixture(params=NAMES)
def session(request):
    needs(request.param)
    return faked() if request.param == "fake" else r_session(request.param)


@pytest.fixture
def own_folder(tmp_path, monkeypatch):
    """Where temporary files go, for this test alone."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))


@pytest.fixture(params=list(PROCESSES))
def alone(request, own_folder):
    """A process of its own, with what it can have left behind looked for afterwards."""
    needs(request.param)
    before = children()
    made = PROCESSES[request.param]()
    made.start()
    yield made
    made.close()
    assert not made.alive
    assert children() - before == set()
    assert folders() == set()


def children():
    """Process ids of this process's children, the dead that nobody waited for included."""
    found = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            text = status.read_text()
            if int(text.rsplit(")", 1)[1].split()[1]) == os.getpid():
                found.add(int(status.parent.name))
    return found


def folders():
    """What there is of ours and of R's where temporary files go."""
    where = Path(tempfile.gettempdir())
    return {p.name for p in where.glob("lmerbridge-*")} | {p.name for p in where.glob("Rtmp*")}


# -- one suite for all

VALUES = {
    "number": (1.5, 1.5),
    "whole": (7, 7),
    "truth": (True, True),
    "nothing": (None, None),
    "text": ("a 'quoted' \"text\"\n`back` \\ é 🙂", "a 'quoted' \"text\"\n`back` \\ é 🙂"),
    "composed": ("\u00e9", "\u00e9"),
    "decomposed": ("e\u0301", "e\u0301"),
    "texts": (("a", "", "NA", 'system("false")'), ["a", "", "NA", 'system("false")']),
    "named": ({"a b": 1.0, "`": "x"}, {"a b": 1.0, "`": "x"}),
}


@pytest.mark.r
class TestEveryTransport:
    @pytest.mark.parametrize("kind", list(VALUES))
    def test_values_come_back(self, session, kind):
        sent, wanted = VALUES[kind]
        found = session.call("list", {"x": sent}).value
        assert list(found) == ["x"]
        assert (list(found["x"]) if kind == "texts" else found["x"]) == wanted

    @pytest.mark.parametrize(
        "array",
        [
            np.array([1.5, -0.0, np.inf, 5e-324, 1e308]),
            np.arange(-3, 4, dtype=np.int32),
            np.array([True, False, True]),
            np.arange(12.0).reshape(3, 4),
            np.asfortranarray(np.arange(12.0).reshape(3, 4)),
            np.arange(30.0)[::3],
            np.arange(40_000.0).reshape(200, 200),
        ],
        ids=["doubles", "integers", "truths", "rows", "columns", "steps", "large"],
    )
    def test_arrays_come_back(self, session, array):
        before = array.copy()
        found = session.call("list", {"x": array}).value["x"]
        assert found.shape == array.shape
        np.testing.assert_array_equal(found, array)
        np.testing.assert_array_equal(np.signbit(found), np.signbit(array))
        np.testing.assert_array_equal(array, before)

    def test_an_error_in_r_is_a_failure(self, session):
        reply = session.call("stop", {"text": "it's `wrong` 🙂"})
        assert reply.failure.text == "it's `wrong` 🙂"
        assert session.call("list", {"x": 1.0}).value == {"x": 1.0}

    def test_a_function_that_does_not_exist(self, session):
        assert "not found" in session.call("no such function", {}).failure.text

    def test_a_text_with_nul_is_refused_before_it_is_sent(self, session):
        if session.name == "fake":
            pytest.skip("nothing is sent")
        for bad in ("a\0b", {"a\0": 1.0}, RFactor(np.zeros(1, int), ("a", "a\0b"))):
            with pytest.raises(UnsupportedModelError, match="NUL"):
                session.call("list", {"x": bad})
        assert session.call("list", {"x": 1.0}).value == {"x": 1.0}


@pytest.mark.r
@pytest.mark.parametrize("name", NAMES[:3])
class TestEveryRealTransport:
    def test_factors_and_missing_values(self, name):
        needs(name)
        session = r_session(name)
        factor = RFactor(np.array([1, -1, 0]), ("b", "a'\"`\n🙂"), ordered=True)
        sent = {"x": factor, "l": RLogical(np.array([1, 0, -1])), "d": np.array([1.0, np.nan])}
        assert session.call("is.na", {"x": sent["l"]}).value.tolist() == [False, False, True]
        assert session.call("is.na", {"x": sent["d"]}).value.tolist() == [False, True]
        assert session.call("is.nan", {"x": sent["d"]}).value.tolist() == [False, False]
        assert session.call("is.nan", {"x": math.nan}).value is False
        assert session.call("is.na", {"x": math.nan}).value is True
        assert session.call("levels", {"x": factor}).value == ["b", "a'\"`\n🙂"]
        assert session.call("is.ordered", {"x": factor}).value is True
        assert session.call("as.character", {"x": factor}).value == ["a'\"`\n🙂", None, "b"]

    def test_what_r_says(self, name):
        needs(name)
        session = r_session(name)
        reply = session.call("warning", {"text": "careful"})
        assert [(c.kind, c.text) for c in reply.said] == [("warning", "careful")]
        reply = session.call("message", {"text": "well"})
        assert [(c.kind, c.text) for c in reply.said] == [("message", "well")]
        assert session.call("cat", {"text": "line 1\nline 2"}).output == ("line 1", "line 2")

    def test_normal_forms_stay_apart(self, name):
        needs(name)
        levels = ("\u00e9", "e\u0301", "\u212b", "\u00c5")
        factor = RFactor(np.arange(4), levels)
        assert r_session(name).call("nlevels", {"x": factor}).value == 4
        assert tuple(r_session(name).call("levels", {"x": factor}).value) == levels


def models(simulated):
    d = simulated.assign(g=[f"é{v}" if v % 2 else f"e\u0301{v}" for v in simulated.g])
    gaps = d.copy()
    gaps.loc[[3, 8], "y"] = np.nan
    gaps.loc[5, "f"] = None
    big = d.loc[np.repeat(d.index, 60)].reset_index(drop=True)
    big["y"] += np.random.default_rng(3).normal(size=len(big))
    sets = lb.datasets.load
    return {
        "slope": ("Reaction ~ Days + (Days | Subject)", sets("sleepstudy"), {}),
        "ML": ("Reaction ~ Days + (Days || Subject)", sets("sleepstudy"), {"REML": False}),
        "singular": ("Yield ~ 1 + (1 | Batch)", sets("Dyestuff2"), {}),
        "crossed": ("diameter ~ 1 + (1 | plate) + (1 | sample)", sets("Penicillin"), {}),
        "everything": (
            "y ~ f * x + o + b + (x | g) + (1 | h)",
            d,
            {"weights": "w", "offset": "z", "contrasts": {"f": "contr.sum"}},
        ),
        "missing": ("y ~ f + `odd name` + (1 | g)", gaps, {"na_action": "exclude"}),
        "no fixed": ("y ~ 0 + (1 | g)", d, {"subset": "x > -1"}),
        "nlopt": (
            "y ~ poly(x, 2) + (1 | g)",
            d,
            {"control": lb.lmerControl(optimizer="bobyqa", calc_derivs=False)},
        ),
        "large": ("y ~ x + (x | g)", big, {}),
    }


WHICH = [
    "slope",
    "ML",
    "singular",
    "crossed",
    "everything",
    "missing",
    "no fixed",
    "nlopt",
    "large",
]


@pytest.mark.r
@pytest.mark.parametrize("which", WHICH)
def test_bits(simulated, which):
    """R is given the same bytes by every transport, and what it answers arrives as it is."""
    formula, data, arguments = models(simulated)[which]
    frame = lb.lmer(formula, data, engine="lme4", **arguments).frame
    given = call_arguments(frame, FitSpec(REML=arguments.get("REML", True)))
    answered = r_session("rscript").call("fit", given).value
    wanted = None
    for name in real_transports():
        for _ in range(2):  # the second time, large columns are there already
            found = r_session(name).call("bytes_of", given).value
            wanted = wanted or found
            assert found == wanted
        assert_same(r_session(name).call("list", {"x": answered}).value["x"], answered)


def assert_same(found, wanted):
    """Equal to the bit, and of the same kinds."""
    assert type(found) is type(wanted)
    if isinstance(wanted, dict):
        assert list(found) == list(wanted)
        found, wanted = list(found.values()), list(wanted.values())
    if isinstance(wanted, list):
        for one, other in zip(found, wanted, strict=True):
            assert_same(one, other)
    elif isinstance(wanted, np.ndarray):
        assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
        assert found.tobytes("F") == wanted.tobytes("F")
    else:
        assert found == wanted


def result_of(which, transport, simulated, monkeypatch):
    """The whole result, but for the time that it took."""
    formula, data, arguments = models(simulated)[which]
    monkeypatch.setenv("LMERBRIDGE_R_TRANSPORT", transport)
    found = json.loads(lb.lmer(formula, data, engine="lme4", **arguments).to_json())
    assert found["provenance"].pop("seconds") > 0
    return found


@pytest.mark.r
@pytest.mark.parametrize("which", WHICH)
def test_results_are_bit_identical(simulated, which, monkeypatch):
    """By every transport, each of which has chosen its addresses at random (JSON holds numbers to
    the bit).
    """
    first, *others = real_transports()
    wanted = result_of(which, first, simulated, monkeypatch)
    for name in others:
        assert result_of(which, name, simulated, monkeypatch) == wanted


@pytest.mark.r
@pytest.mark.parametrize("name", list(PROCESSES))
def test_results_do_not_depend_on_the_process(simulated, name, monkeypatch):
    """With crossed random effects lme4's last bits do, by where its library lies."""
    needs(name)
    found = []
    for _ in range(4):
        restart()
        found.append(result_of("crossed", name, simulated, monkeypatch))
    assert found[1:] == found[:-1]


class Started:
    """What was started: its libraries lie at random."""

    def __init__(self, log, highest):
        self.number, self.log, self.highest = len(log), log, highest
        log.append("started")

    def kill(self):
        self.log[self.number] = "killed"

    def close(self):
        self.log[self.number] += " and closed"


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's addresses")
class TestPlacement:
    def started(self, monkeypatch, *addresses):
        monkeypatch.setattr(placement, "_highest", lambda number, _: addresses[number])
        log = []
        found = placement.started_well_placed(lambda: Started(log, addresses[len(log)]))
        return found.highest, log

    @pytest.mark.parametrize("good", [0x7F00_A000_1000, 0x7F01_FFFF_F000])
    def test_the_first_that_lies_well(self, monkeypatch, good):
        # not enough room below the second: what follows would lie elsewhere
        bad = (0x7F00_7FFF_F000, 0x7F00_9000_0000)
        assert self.started(monkeypatch, *bad, good) == (
            good,
            ["killed and closed", "killed and closed", "started"],
        )

    def test_addresses_that_are_not_random(self, monkeypatch):
        _, log = self.started(monkeypatch, *[0x7F00_0000_0000] * 3)
        assert log == ["killed and closed", "started"]

    def test_unknown_addresses(self, monkeypatch):
        assert self.started(monkeypatch, None) == (None, ["started"])

    def test_an_end_of_the_tries(self, monkeypatch):
        addresses = [0x7F00_0000_0000 + i * 0x1000 for i in range(99)]
        _, log = self.started(monkeypatch, *addresses)
        assert log == ["killed and closed"] * placement.MAX_STARTS + ["started"]

    @pytest.mark.parametrize(
        "gaps",
        [
            [0x60_0000_0000],
            [(0xF000_0000, 300 << 10), 0x60_7000_0000],  # has the bit, and is too small for most
            [(0x7000_0000, 40 << 20), 0x60_9000_0000],
            [
                (0x7000_0000, 300 << 10),
                (0xF000_0000, 1 << 20),
                (0x1000_0000, 9 << 20),
                0x6070000000,
            ],
        ],
    )
    @pytest.mark.parametrize("size", [300 << 10, 1 << 19, 3 << 20, 30 << 20])
    def test_wherever_there_are_gaps(self, monkeypatch, gaps, size):
        """Linux lays what is mapped at the end of the highest gap that has room for it."""
        *between, end = gaps
        free = [*((0x7F00_0000_0000 + start, length) for start, length in between), (0, end)]

        def laid(size, take):
            i = next(i for i, (_, length) in enumerate(free) if length >= size)
            start, length = free[i]
            if take:
                free[i] = (start, length - size)
            return start + length - size

        def taken(size, prot):
            laid(size, True)
            return SimpleNamespace(close=lambda: None)

        monkeypatch.setattr(placement, "_next_free", lambda size: laid(size, False))
        monkeypatch.setattr(placement, "_mapped", taken)
        with placement.lme4_well_placed():
            assert laid(size, False) & (1 << 31)

    def test_in_this_process(self):
        def mapped():
            with contextlib.closing(mmap.mmap(-1, 1 << 19, mmap.MAP_PRIVATE)) as found:
                start = ctypes.c_char.from_buffer(found)
                address = ctypes.addressof(start)
                del start
                return address

        def kept_free():
            lines = Path("/proc/self/maps").read_text().splitlines()
            ends = [line.split()[0].split("-") for line in lines if "---p" in line]
            return sum(int(end, 16) - int(start, 16) for start, end in ends)

        before = kept_free()
        with placement.lme4_well_placed():
            assert mapped() & (1 << 31)
        assert kept_free() < before + (1 << 24)

    @pytest.mark.r
    @pytest.mark.parametrize("name", list(PROCESSES))
    def test_r_in_a_process(self, name):
        needs(name)
        session = PROCESSES[name]()
        session.call("versions", {})
        maps = Path(f"/proc/{session.number}/maps").read_text().splitlines()
        session.close()
        (first, *_) = [line for line in maps if line.endswith("/lme4.so")]
        assert int(first.split("-")[0], 16) & (1 << 31)


class TestFake:
    """The engine with an R that says what we like."""

    @pytest.fixture
    def said(self):
        answers = {}
        before = use(FakeSession(answers))
        yield answers
        use(before)

    def fit(self, **arguments):
        return lb.lmer(
            "Reaction ~ 1 + (1 | Subject)",
            lb.datasets.load("sleepstudy"),
            engine="lme4",
            **arguments,
        )

    def test_no_lme4(self, said):
        said["versions"] = lambda: {"R": "9.9.9", "home": "/R", "packages": {}}
        with pytest.raises(EngineUnavailableError, match=r"R 9\.9\.9 has no package lme4"):
            self.fit()

    def test_a_failure(self, said):
        said["versions"] = lambda: {"R": "9", "home": "/R", "packages": {"lme4": "1"}}
        said["fit"] = lambda **_: stop("Downdated VtV is not positive definite")
        with pytest.raises(FitFailedError, match="Downdated VtV"):
            self.fit()

    def test_auto_falls_back_where_r_is_broken(self, said):
        said["versions"] = lambda: stop("no R")
        m = lb.lmer("Reaction ~ 1 + (1 | Subject)", lb.datasets.load("sleepstudy"))
        assert m.result.provenance.engine == "statsmodels"
        assert "lme4" in [s.engine for s in m.result.provenance.skipped]


# -- time and crash


def long_call(session, seconds=60.0, timeout=None):
    """A call that does not end in time, in a thread; returns what it raised."""
    found = []

    def run():
        try:
            found.append(session.call("Sys.sleep", {"time": seconds}, timeout))
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, found


def in_the_middle(session):
    """Wait until R is at work on the call: its state is sleeping, in the call."""
    time.sleep(0.3)
    return session.number


@contextlib.contextmanager
def a_signal_soon(calls_go_on):
    """SIGINT while the body waits, which it must end."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.siginterrupt(signal.SIGINT, not calls_go_on)
    began = time.monotonic()
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
        assert time.monotonic() - began < 10
    finally:
        signal.signal(signal.SIGINT, handler)


@pytest.mark.r
class TestFaults:
    def test_timeout(self, alone):
        with pytest.raises(FitFailedError, match=r"did not answer within 0\.3 s and was ended"):
            alone.call("Sys.sleep", {"time": 60.0}, 0.3)
        assert not alone.alive

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
    def test_a_signal(self, alone, number):
        thread, found = long_call(alone)
        os.kill(in_the_middle(alone), number)
        thread.join(30)
        assert isinstance(found[0], FitFailedError), found
        if number is signal.SIGKILL:
            assert "was killed by SIGKILL" in str(found[0])
        assert "the next call starts another" in str(found[0])

    def test_quit(self, alone):
        with pytest.raises(FitFailedError, match=r"ended with status 3|closed its line"):
            alone.call("quit", {"save": "no", "status": 3})
        assert not alone.alive

    def test_a_signal_in_the_middle_of_a_garbage_collection(self, alone):
        """R's handler of the signal then fails in R's words, which R answers with, and lives on."""
        with pytest.raises(KilledError, match="while it collected garbage"):
            alone.call("stop", {"message": "cannot get ALTVEC DATAPTR during GC"})
        assert not alone.alive

    @pytest.mark.skipif(sys.platform == "win32", reason="/dev/stderr is how R's own words are said")
    def test_an_end_in_the_middle_of_a_garbage_collection(self, alone):
        """The same handler in another collection: R says so and ends with status 0."""
        alone.call("cat", {"x": "*** recursive gc invocation\n", "file": "/dev/stderr"})
        with pytest.raises(KilledError, match=r"ended with status 0.*recursive gc"):
            alone.call("quit", {"save": "no", "status": 0})

    def test_more_memory_than_there_is(self, alone):
        reply = alone.call("numeric", {"length": 1e13})
        assert "cannot allocate" in reply.failure.text
        assert alone.call("list", {"x": 1.0}).value == {"x": 1.0}

    @pytest.mark.skipif(sys.platform != "linux", reason="sets another process's limit")
    def test_its_memory_limit(self, alone, simulated):
        import resource

        big = simulated.loc[np.repeat(simulated.index, 2000)].reset_index(drop=True)
        frame = build_frame("y ~ x + z + w + (x + z | g)", big)
        arguments = call_arguments(frame, FitSpec())
        used = int(Path(f"/proc/{alone.number}/statm").read_text().split()[0]) * 4096
        resource.prlimit(alone.number, resource.RLIMIT_AS, (used + 40_000_000,) * 2)
        try:
            failure = alone.call("fit", arguments, 120).failure
        except FitFailedError:  # R itself may not survive it
            assert not alone.alive
        else:
            assert "cannot allocate" in failure.text

    @pytest.mark.parametrize("calls_go_on", [False, True])
    def test_interrupt(self, alone, calls_go_on):
        """Whatever the handler does to a system call: that of polars lets it go on."""
        with a_signal_soon(calls_go_on):
            alone.call("Sys.sleep", {"time": 20.0})
        assert not alone.alive


@pytest.mark.r
@pytest.mark.parametrize("name", list(PROCESSES))
def test_the_next_fit_starts_another_r(name, sleepstudy, monkeypatch):
    """A fit that is killed, then the same: through the engine, on the pool."""
    needs(name)
    monkeypatch.setenv("LMERBRIDGE_R_TRANSPORT", name)
    formula = "Reaction ~ Days + (Days | Subject)"
    want = lb.lmer(formula, sleepstudy, engine="lme4").result.estimates.theta
    (first,) = r_session().processes()
    with pytest.raises(FitFailedError, match=r"could not fit Reaction .* within"):
        lb.lmer(formula, sleepstudy, engine="lme4", timeout=1e-4)
    found = lb.lmer(formula, sleepstudy, engine="lme4", timeout=60).result.estimates.theta
    (second,) = r_session().processes()
    assert first != second
    np.testing.assert_array_equal(found, want)
    os.kill(second, signal.SIGKILL)  # while it has nothing to do: nobody notices
    time.sleep(0.2)
    found = lb.lmer(formula, sleepstudy, engine="lme4").result.estimates.theta
    np.testing.assert_array_equal(found, want)


@pytest.mark.r
@pytest.mark.parametrize("name", list(PROCESSES))
@pytest.mark.parametrize("asked", ["status", "a fit", "conditional variances"])
def test_what_a_kill_ends_is_asked_again(name, asked, sleepstudy, monkeypatch):
    """R is killed in the middle of the call itself, by the first thing that R does in it."""
    needs(name)
    monkeypatch.setenv("LMERBRIDGE_R_TRANSPORT", name)
    formula = "Reaction ~ Days + (Days | Subject)"
    want = lb.lmer(formula, sleepstudy, engine="lme4")
    modes = want.ranef()
    again = None if asked == "conditional variances" else want
    again = again or lb.lmer(formula, sleepstudy, engine="lme4")
    transports._versions.clear()
    kind = type(r_session()._free[0])
    request, killed = kind._request, []

    def killing(self, function, arguments):
        wanted = {"status": "versions", "a fit": "fit"}.get(asked, "conditional_variances")
        pieces = request(self, function, arguments)
        if function == wanted and not killed:
            killed.append(self.number)
            os.kill(self.number, signal.SIGKILL)
        return pieces

    monkeypatch.setattr(kind, "_request", killing)
    if asked == "status":
        status = load_engine("lme4").status()
        assert (status.available, status.problem) == (True, None)
    elif asked == "a fit":
        found = lb.lmer(formula, sleepstudy, engine="lme4")
        np.testing.assert_array_equal(found.fixef(), want.fixef())
        (note,) = found.result.evidence.notes
        assert "was killed by SIGKILL during the call" in note
        assert str(found.summary()) == str(want.summary())
    else:
        pd.testing.assert_frame_equal(again.ranef(), modes)
    assert len(killed) == 1


@pytest.mark.parametrize("bad", [0, -1, float("nan"), float("inf"), "soon"])
def test_a_timeout_is_a_positive_number(sleepstudy, bad):
    with pytest.raises(DataError, match="timeout must be a positive number of seconds"):
        lb.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy, engine="native", timeout=bad)


def test_native_obeys_a_timeout(sleepstudy):
    with pytest.raises(FitFailedError, match="longer than timeout= allows"):
        lb.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy, engine="native", timeout=1e-9)
    m = lb.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy, engine="native", timeout=60)
    assert m.update(". ~ . - Days").inputs["timeout"] == 60


@pytest.mark.usefixtures("r_here")
@pytest.mark.r
def test_r_in_this_process_cannot_be_timed(sleepstudy):
    with pytest.raises(UnsupportedModelError, match="needs R in a process of its own"):
        lb.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy, engine="lme4", timeout=60)


# a process that says its token and its greeting, and then something else
IMPOSTOR = """
import os, socket, sys, time
line = socket.create_connection(("127.0.0.1", int(os.environ["LMERBRIDGE_R_PORT"])))
line.sendall(os.environ["LMERBRIDGE_R_TOKEN"].encode() + bytes.fromhex("{greeting}"))
for text in sys.argv[1:]:
    line.sendall(bytes.fromhex(text))
    time.sleep(0.1)
{then}
"""


class Impostor(RscriptSession):
    def __init__(self, *texts, greeting=None, then="time.sleep(60)"):
        greeting = whole(MESSAGE_MARK, 0) if greeting is None else greeting
        program = IMPOSTOR.format(greeting=greeting, then=then)
        self.__class__.__mro__[2].__init__(
            self,
            Child(
                [sys.executable, "-S", "-c", program, *texts],
                dict(os.environ),
                "R",
            ),
        )


def whole(*numbers):
    return np.array(numbers, dtype="<i4").tobytes().hex()


@pytest.mark.parametrize(
    "texts",
    [
        ("deadbeef" * 20,),
        (whole(MESSAGE_MARK, 99),),
        (whole(MESSAGE_MARK, 3, -5, 0),),
        (whole(MESSAGE_MARK, 3, 2, 1, 7), whole(0, 0, 0, 0)),
        (whole(MESSAGE_MARK, 3, 4, 2, 3, 3), whole(0, 0, 0, 0, 0, 0, 0, 0)),
        (whole(MESSAGE_MARK, 4, 1, 1), "6100", whole(9)),
        (whole(MESSAGE_MARK, 0),),
        (whole(MESSAGE_MARK) + whole(5, 1, 0) * 100 + whole(0),),
        (whole(MESSAGE_MARK, 5, 1, 1) + "7800" + whole(0),),
    ],
)
def test_garbage_on_the_line(texts, own_folder):
    before = children()
    with pytest.raises(FitFailedError, match=r"garbage|line|ended"):
        Impostor(*texts).call("list", {"x": 1.0}, 20)
    assert children() - before == set()
    assert folders() == set()


def test_a_message_that_stops_in_the_middle(monkeypatch):
    monkeypatch.setattr("lmerbridge.rlang.line.STALL_SECONDS", 0.3)
    with pytest.raises(FitFailedError, match="stopped in the middle of a message"):
        Impostor(whole(MESSAGE_MARK, 3, 1000, 0)).call("list", {"x": 1.0})


@pytest.mark.parametrize("text", ["", whole(MESSAGE_MARK), whole(MESSAGE_MARK, 3, 1000, 0)])
def test_a_line_that_is_closed_in_the_middle(text):
    with pytest.raises(FitFailedError, match="ended with status 7 during the call"):
        Impostor(text, then="os._exit(7)").call("list", {"x": 1.0})


def test_a_greeting_that_is_none_is_an_engine_that_does_not_start(own_folder):
    with pytest.raises(EngineUnavailableError, match=r"R did not start"):
        Impostor(greeting="deadbeef" * 20).call("list", {"x": 1.0}, 20)
    with pytest.raises(EngineUnavailableError, match=r"R ended before it answered"):
        Impostor(greeting="", then="os._exit(7)").call("list", {"x": 1.0}, 20)
    with pytest.raises(KilledStartingError, match=r"R was killed by SIGKILL before it answered"):
        Impostor(greeting="", then="os.kill(os.getpid(), 9)").call("list", {"x": 1.0}, 20)
    assert folders() == set()


def test_a_process_that_never_answers_is_not_available(monkeypatch):
    monkeypatch.setattr("lmerbridge.rlang.child.CONNECT_SECONDS", 0.5)
    child = Child([sys.executable, "-S", "-c", "import time; time.sleep(60)"], os.environ, "R")
    with pytest.raises(EngineUnavailableError, match=r"did not answer within 0\.5 s"):
        child.connect()
    assert not child.alive


def test_a_process_that_ends_says_why():
    child = Child([sys.executable, "-c", "raise SystemExit('no lme4 here')"], os.environ, "R")
    with pytest.raises(EngineUnavailableError, match="ended before it answered: no lme4 here"):
        child.connect()


def reading(data):
    stream = io.BytesIO(data)

    def read(count):
        found = stream.read(count)
        if len(found) < count:
            raise BadReplyError("short")
        return bytearray(found)

    def texts(count):
        found = []
        for _ in range(count):
            rest = data[stream.tell() :]
            if b"\0" not in rest:
                raise BadReplyError("short")
            found.append(rest.split(b"\0", 1)[0])
            stream.seek(len(found[-1]) + 1, os.SEEK_CUR)
        return found

    return read, texts


@given(st.lists(st.integers(-3, 12) | st.integers(-(2**31), 2**31 - 1), max_size=40), st.binary())
def test_no_bytes_confuse_the_reader(numbers, tail):
    data = np.array([MESSAGE_MARK, *numbers], dtype="<i4").tobytes() + tail
    with contextlib.suppress(BadReplyError, MemoryError):
        decode(*reading(data))


@given(st.binary(max_size=200))
def test_no_bytes_confuse_the_reader_of_pickles(data):
    def read(count):
        if count > len(data):
            raise EOFError
        return bytearray(data[:count])

    with contextlib.suppress(EOFError, ValueError):
        loaded(read)


def test_pickles_keep_arrays_apart():
    sent = ("fit", {"x": np.arange(100_000.0), "f": RFactor(np.arange(9), ("a",)), "t": "é"})
    pieces = [bytes(p) for p in dumped(sent)]
    stream = io.BytesIO(b"".join(pieces))
    function, found = loaded(lambda n: bytearray(stream.read(n)))
    assert function == "fit"
    np.testing.assert_array_equal(found["x"], sent[1]["x"])
    assert found["f"].levels == ("a",)
    assert max(map(len, pieces)) == 800_000  # out of band: as it is


# -- data that is there already


class TestLedger:
    def test_what_was_sent_is_named(self):
        ledger, x = Ledger(), np.arange(20_000.0)
        (first,) = ledger.prepared({"x": x}).values()
        (second,) = ledger.prepared({"x": x.copy()}).values()
        assert isinstance(first, Kept)
        assert second == Known(first.key)

    def test_a_change_in_place_is_noticed(self):
        ledger, x = Ledger(), np.arange(20_000.0)
        ledger.prepared({"x": x})
        x[7] = 0
        assert isinstance(ledger.prepared({"x": x})["x"], Kept)

    @pytest.mark.parametrize(
        "other",
        [
            np.arange(20_000).astype(np.int64),
            np.arange(20_000.0).reshape(100, 200),
            RFactor(np.arange(20_000), ("a",)),
            RLogical(np.arange(20_000)),
        ],
    )
    def test_other_kinds_are_others(self, other):
        ledger = Ledger()
        ledger.prepared({"x": np.arange(20_000.0), "l": RFactor(np.arange(20_000), ("b",))})
        assert isinstance(ledger.prepared({"x": other})["x"], Kept)

    def test_what_is_small_is_sent(self):
        x = np.arange(LARGE_BYTES // 8 - 1.0)
        assert Ledger().prepared({"x": x})["x"] is x

    def test_room(self):
        ledger, kept = Ledger(room=400_000), {}
        arrays = [np.full(20_000, float(i)) for i in range(5)]
        for array in arrays * 2:
            found = resolved(ledger.prepared({"x": array}), kept, lambda value: value)
            np.testing.assert_array_equal(found["x"], array)
            assert sum(a.nbytes for a in kept.values()) <= 400_000
        assert isinstance(ledger.prepared({"x": arrays[0]}), Forget)


@pytest.mark.r
def test_data_is_sent_once(alone, simulated, monkeypatch):
    big = simulated.loc[np.repeat(simulated.index, 100)].reset_index(drop=True)
    sizes = []
    send = alone.child.line.send

    def counted(pieces):
        sizes.append(sum(memoryview(p).nbytes for p in pieces))
        send(pieces)

    monkeypatch.setattr(alone.child.line, "send", counted)
    for formula in ("y ~ x + (1 | g)", "y ~ x + (x | g)", "y ~ 1 + (1 | g)"):
        frame = build_frame(formula, big)
        assert alone.call("fit", call_arguments(frame, FitSpec())).failure is None
    assert sizes[0] > 16_000 * (8 + 8 + 4)
    assert max(sizes[1:]) < 5_000


# -- threads and processes


@pytest.mark.r
class TestThreads:
    FORMULA = "Reaction ~ Days + (Days | Subject)"

    @pytest.fixture(autouse=True)
    def _transport(self, monkeypatch):
        monkeypatch.setenv("LMERBRIDGE_R_TRANSPORT", real_transports()[:2][-1])

    @pytest.fixture
    def theta(self, sleepstudy):
        return lb.lmer(self.FORMULA, sleepstudy, engine="lme4").result.estimates.theta

    def fitted(self, data):
        return lb.lmer(self.FORMULA, data, engine="lme4").result.estimates.theta

    def test_from_any_thread(self, sleepstudy, theta):
        with ThreadPoolExecutor(8) as threads:
            for found in threads.map(self.fitted, [sleepstudy] * 24):
                np.testing.assert_array_equal(found, theta)

    def test_from_asyncio(self, sleepstudy, theta):
        async def several():
            return await asyncio.gather(
                *(asyncio.to_thread(self.fitted, sleepstudy) for _ in range(4))
            )

        async def in_the_loop():  # as a cell of Jupyter runs
            return self.fitted(sleepstudy)

        for found in (*asyncio.run(several()), asyncio.run(in_the_loop())):
            np.testing.assert_array_equal(found, theta)

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    def test_after_a_fork(self, sleepstudy, theta):
        """As in a web server that loads the application before it forks its workers."""
        parents = set(r_session().processes())
        context = multiprocessing.get_context("fork")
        queue = context.Queue()

        def work():
            found = [self.fitted(sleepstudy) for _ in range(2)]
            queue.put((found, r_session().processes()))

        workers = [context.Process(target=work) for _ in range(2)]
        for worker in workers:
            worker.start()
        answers = [queue.get(timeout=60) for _ in workers]
        for worker in workers:
            worker.join(30)
        assert [worker.exitcode for worker in workers] == [0, 0]
        for found, processes in answers:
            np.testing.assert_array_equal(found, [theta, theta])
            assert not set(processes) & parents
        np.testing.assert_array_equal(self.fitted(sleepstudy), theta)
        assert parents == set(r_session().processes())

    def test_a_pool_lends_each_call_a_process_of_its_own(self):
        pool = Pool(RscriptSession, 3, "rscript")
        everybody = threading.Barrier(3)

        def ask(_):
            everybody.wait(30)
            pool.call("Sys.sleep", {"time": 0.5})
            return pool.call("Sys.getpid", {}).value

        try:
            with ThreadPoolExecutor(3) as threads:
                found = set(threads.map(ask, range(3)))
            assert len(pool.processes()) == 3
            assert found <= set(pool.processes())
        finally:
            pool.close()

    def test_waiting_for_a_process_can_be_interrupted(self):
        pool = Pool(RscriptSession, 1, "rscript")
        busy, _ = long_call(pool, 12.0)
        time.sleep(0.3)
        try:
            with a_signal_soon(calls_go_on=True):
                pool.call("list", {"x": 1.0})
        finally:
            pool.close()  # a killed call would be repeated
            busy.join()

    def test_a_pool_is_no_larger_than_asked(self):
        pool = Pool(RscriptSession, 1, "rscript")
        try:
            with ThreadPoolExecutor(4) as threads:
                found = set(threads.map(lambda _: pool.call("Sys.getpid", {}).value, range(8)))
            assert len(found) == 1
            thread, _ = long_call(pool, 5.0)
            time.sleep(0.3)
            with pytest.raises(FitFailedError, match="busy for the whole timeout"):
                pool.call("Sys.getpid", {}, 0.1)
        finally:
            pool.close()
            thread.join(30)
            assert not thread.is_alive()


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5"])
def test_a_number_of_workers(monkeypatch, text):
    monkeypatch.setenv("LMERBRIDGE_R_WORKERS", text)
    with pytest.raises(DataError, match="LMERBRIDGE_R_WORKERS must be a positive whole number"):
        wanted_workers()


PROGRAM = """
import os, signal, sys, threading, warnings
# what is started in the background of a shell ignores Ctrl-C
signal.signal(signal.SIGINT, signal.default_int_handler)
import lmerbridge as lb
from lmerbridge.rlang import r_session
d = lb.datasets.load("sleepstudy")
fit = lambda: lb.lmer("Reaction ~ Days + (Days | Subject)", d, engine="lme4").sigma()
print(fit())
{then}
"""


def program(then, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(then=then)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
        start_new_session=True,
    )


@pytest.mark.r
@pytest.mark.parametrize("name", list(PROCESSES))
class TestPrograms:
    def test_ctrl_c_leaves_everything_whole(self, name):
        """As a terminal sends it: to the whole group, in the middle of a fit."""
        needs(name)
        running = program(
            "print('now', flush=True)\n"
            "try:\n    r_session().call('Sys.sleep', {'time': 60.0})\n"
            "except KeyboardInterrupt:\n    print('interrupted', fit())\n",
            LMERBRIDGE_R_TRANSPORT=name,
        )
        first = running.stdout.readline()
        assert running.stdout.readline() == "now\n"
        time.sleep(0.3)
        os.killpg(running.pid, signal.SIGINT)
        out, err = running.communicate(timeout=60)
        assert (out, err) == (f"interrupted {first}", "")
        assert running.returncode == 0

    def test_an_end_leaves_nothing(self, name, own_folder):
        needs(name)
        running = program(
            "print(*r_session().processes())",
            LMERBRIDGE_R_TRANSPORT=name,
        )
        out, err = running.communicate(timeout=60)
        assert err == ""
        assert not Path(f"/proc/{out.split()[-1]}").exists()
        assert folders() == set()

    @pytest.mark.parametrize("busy", [False, True])
    def test_r_ends_when_python_is_killed(self, name, own_folder, busy):
        """The worker at once, Rscript when its call ends."""
        needs(name)
        seconds = 60 if name == "rpy2-worker" else 1
        running = program(
            "print(*r_session().processes(), flush=True)\n"
            f"call = lambda: r_session().call('Sys.sleep', {{'time': {seconds}.0}})\n"
            + ("threading.Thread(target=call).start()\n" if busy else "")
            + "threading.Event().wait(0.3)\n"
            "os.kill(os.getpid(), signal.SIGKILL)",
            LMERBRIDGE_R_TRANSPORT=name,
        )
        out, _ = running.communicate(timeout=60)
        process = Path(f"/proc/{out.split()[-1]}")
        for _ in range(200):
            if not process.exists() and not folders():
                break
            time.sleep(0.05)
        assert not process.exists()
        assert folders() == set()


def test_rpy2_that_does_not_work_is_not_needed(tmp_path):
    """Where rpy2 is broken, Rscript is used, and the reason is told."""
    if load_engine("lme4").status().problem:
        pytest.skip("no R here")
    broken = tmp_path / "rpy2"
    broken.mkdir()
    (broken / "__init__.py").write_text("")
    (broken / "rinterface.py").write_text("raise OSError('symbol not found: R_getVar')")
    running = program(
        "from lmerbridge.rlang import chosen\nprint(chosen().name, chosen().why)",
        PYTHONPATH=str(tmp_path),
        LMERBRIDGE_R_TRANSPORT="",
    )
    out, err = running.communicate(timeout=60)
    assert err == ""
    assert out.splitlines()[1].startswith("rscript rpy2 does not work here, and is not needed: ")


@pytest.mark.r
def test_the_object_in_r(sleepstudy):
    needs("rpy2")
    import rpy2.rinterface as ri

    m = lb.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy, REML=False, weights="Days + 1")
    there = m.r_object
    assert list(ri.baseenv["class"](there)) == ["lmerMod"]
    sigma = ri.evalr("stats::sigma")(there)
    assert sigma[0] == m.sigma()


@pytest.mark.r
@pytest.mark.parametrize("which", WHICH)
def test_conditional_variances_are_those_of_the_fit(simulated, which, monkeypatch):
    """They are computed on demand, in another process of R; R's own of the fit itself are the same
    to the bit.
    """
    needs("rpy2")
    import rpy2.rinterface as ri

    monkeypatch.setenv("LMERBRIDGE_R_TRANSPORT", "rscript")
    formula, data, arguments = models(simulated)[which]
    m = lb.lmer(formula, data, engine="lme4", **arguments)
    postvar = "function(m) as.numeric(unlist(lapply(lme4::ranef(m), attr, 'postVar')))"
    fitted = m.r_object  # which starts R in this process
    wanted = np.array(ri.evalr(postvar)(fitted))
    found = [term.variances.ravel() for term in m.result.estimates.random]
    assert np.concatenate(found).tobytes() == wanted.tobytes()


# -- bytes

TEXTS = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=8)
PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**31) + 1, 2**31 - 1),
    st.floats(allow_nan=False),
    TEXTS,
)
NESTED = st.recursive(PLAIN, lambda v: st.dictionaries(TEXTS.filter(bool), v, max_size=3))


@given(NESTED)
def test_encoded_values_are_read_by_our_own_reader(value):
    """The two directions have one format; what R makes of it is tested with R."""
    data = MESSAGE_MARK.to_bytes(4, "little") + b"".join(bytes(p) for p in encode(value))
    found = decode(*reading(data))
    assert found == value or (isinstance(value, dict) and not value)


@pytest.mark.r
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(value=NESTED.filter(lambda v: v != {}))
def test_values_come_back_from_r_bit_by_bit(value):
    for name in real_transports()[:2]:
        found = r_session(name).call("list", {"x": value}).value["x"]
        assert found == value or value in ({}, None)
