"""What a pool does when processes end: no R is needed, the processes are scripted."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from lmerbridge.errors import EngineUnavailableError, FitFailedError
from lmerbridge.rlang.child import GoneError, KilledError, KilledStartingError
from lmerbridge.rlang.pool import MAX_FAILED_STARTS, Pool
from lmerbridge.rlang.values import Reply

ANSWER = Reply("answer", None, (), ())


class Scripted:
    """Starts and answers as the next words of the script say."""

    name = "scripted"
    number = 1

    def __init__(self, script):
        self.script = script
        self.alive = True

    def start(self):
        if not self.script[0].startswith("start"):
            return
        self._next()

    def _next(self):
        word = self.script.pop(0)
        if word == "answers":
            return ANSWER
        self.alive = False
        time.sleep(0.02)
        raise {
            "start killed": KilledStartingError("R was killed by SIGKILL before it answered"),
            "start fails": EngineUnavailableError("R has no lme4"),
            "is killed": KilledError("R was killed by SIGKILL; the next call starts another"),
            "ends": GoneError("R ended with status 3"),
            "is too slow": GoneError("R did not answer within 1 s"),
        }[word]

    def call(self, function, arguments, timeout=None):
        self.timeouts.append(timeout)
        return self._next()

    def close(self):
        self.alive = False


def asked(script, timeout=None):
    """The reply to one call, and the limits that each try of it was given."""
    left = list(script)
    Scripted.timeouts = []
    pool = Pool(lambda: Scripted(left), 1, "scripted")
    try:
        return pool.call("fit", {}, timeout), left
    finally:
        pool.close()


def test_a_call_that_a_kill_ends_is_repeated_once():
    reply, _ = asked(["is killed", "answers"])
    assert reply.value == "answer"
    assert reply.deaths == ("R was killed by SIGKILL",)
    assert asked(["answers"])[0].deaths == ()


@pytest.mark.parametrize("script", [["is killed", "is killed"], ["is killed", "ends"]])
def test_a_second_death_is_an_error(script):
    with pytest.raises(FitFailedError):
        asked([*script, "answers"])


@pytest.mark.parametrize("word", ["ends", "is too slow"])
def test_an_end_of_its_own_is_not_repeated(word):
    """R that quits, or is ended for its time, would do so again."""
    with pytest.raises(FitFailedError, match=r"status 3|within 1 s"):
        asked([word, "answers"])


def test_a_repeated_call_has_what_is_left_of_the_time():
    asked(["is killed", "answers"], timeout=5.0)
    first, second = Scripted.timeouts
    assert first == 5.0
    assert 0 < second <= 5.0 - 0.02
    with pytest.raises(FitFailedError, match="killed by SIGKILL"):
        asked(["is killed", "answers"], timeout=0.01)


def test_a_pool_that_is_closed_repeats_nothing():
    left = ["is killed", "answers"]
    pool = Pool(lambda: Scripted(left), 1, "scripted")
    pool.close()
    with pytest.raises(FitFailedError, match="killed by SIGKILL"):
        pool.call("fit", {})
    assert left == ["answers"]


def test_a_start_that_a_kill_ends_is_repeated_once():
    reply, _ = asked(["start killed", "answers"])
    assert reply.value == "answer"
    with pytest.raises(EngineUnavailableError, match="killed by SIGKILL before"):
        asked(["start killed", "start killed", "answers"])
    with pytest.raises(EngineUnavailableError, match="no lme4"):
        asked(["start fails", "answers"])


def test_starts_that_end_where_r_has_worked_are_no_missing_engine():
    """``auto`` takes another engine where R is unavailable, but not where it is being killed."""
    left = ["answers", "is killed", *["start killed"] * (MAX_FAILED_STARTS - 1), "answers"]
    pool = Pool(lambda: Scripted(left), 1, "scripted")
    pool.call("fit", {})
    assert pool.call("fit", {}).value == "answer"
    left[:] = ["is killed", *["start killed"] * MAX_FAILED_STARTS, "answers"]
    with pytest.raises(
        FitFailedError, match=f"{MAX_FAILED_STARTS} processes ended while they started"
    ):
        pool.call("fit", {})


class Worker:
    """Answers when it is let go; the first call of the pool's first process ends in a kill."""

    name = "worker"
    made = 0

    def __init__(self, gate, starts):
        Worker.made += 1
        self.number = Worker.made
        self.gate, self.starts = gate, starts
        self.alive = True
        self.ready = False

    def start(self):
        if self.number > 2 and not self.ready:
            self.starts.wait(10)
        self.ready = True

    def call(self, function, arguments, timeout=None):
        if function == "long":
            self.gate.wait(10)
        if function == "fit" and self.number == 1:
            self.alive = False
            raise KilledError("R was killed by SIGKILL; the next call starts another")
        return Reply(self.number, None, (), ())

    def close(self):
        self.alive = False

    def let_go(self):
        self.alive = False


@pytest.fixture
def two_workers():
    """A pool whose first process is free and whose second is in a long call."""
    Worker.made = 0
    gate, starts = threading.Event(), threading.Event()
    pool = Pool(lambda: Worker(gate, starts), 2, "worker")
    with ThreadPoolExecutor(2) as threads:
        first = pool._taken(None)
        long = threads.submit(pool.call, "long", {})
        while len(pool.processes()) < 2:
            time.sleep(0.001)
        pool._given_back(first)
        repeated = threads.submit(pool.call, "fit", {})
        while Worker.made < 3:  # another is begun when the first has been killed
            time.sleep(0.001)
        yield gate, starts, long, repeated
        gate.set()
        starts.set()
    pool.close()


def test_a_repeat_takes_a_process_that_works_before_a_new_one_has_started(two_workers):
    gate, _, long, repeated = two_workers
    gate.set()
    assert long.result(10).value == 2
    assert repeated.result(10).value == 2


def test_a_repeat_does_not_wait_for_a_long_call(two_workers):
    _, starts, long, repeated = two_workers
    starts.set()
    assert repeated.result(10).value == 3
    assert not long.done()
