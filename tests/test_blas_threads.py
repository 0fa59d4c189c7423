"""BLAS has one thread where matrices are small, and what it had before afterwards."""

import os
import threading

import pytest
from threadpoolctl import ThreadpoolController, threadpool_limits

import lmerbridge as lb
from lmerbridge.blas_threads import WORTH_THREADS, one_thread_below
from lmerbridge.solve.objective import Objective


def threads():
    return [
        lib.num_threads for lib in ThreadpoolController().select(user_api="blas").lib_controllers
    ]


@pytest.fixture(autouse=True)
def two_threads():
    with threadpool_limits(2, user_api="blas"):
        if set(threads()) != {2}:
            pytest.skip("this BLAS has no threads")
        yield


def test_inside_there_is_one():
    with one_thread_below(2):
        assert set(threads()) == {1}
        with one_thread_below(3):
            assert set(threads()) == {1}
        assert set(threads()) == {1}
    assert set(threads()) == {2}


def test_large_matrices_keep_them():
    with one_thread_below(WORTH_THREADS):
        assert set(threads()) == {2}


def test_they_come_back_after_an_error():
    with pytest.raises(KeyError), one_thread_below(2):
        raise KeyError
    assert set(threads()) == {2}


def test_other_threads_of_python_leave_it_as_it_is():
    seen = []

    def other():
        with one_thread_below(2):
            seen.append(threads())

    for limit, expected in ((2, 1), (WORTH_THREADS, 2)):
        with one_thread_below(limit):
            worker = threading.Thread(target=other)
            worker.start()
            worker.join()
            assert set(seen.pop()) == {expected}
    assert set(threads()) == {2}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_has_them_back():
    with one_thread_below(2):
        child = os.fork()
        if not child:
            os._exit(0 if set(threads()) == {2} else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert set(threads()) == {1}


def test_a_fit_uses_one(monkeypatch):
    seen = []
    at = Objective.value
    monkeypatch.setattr(Objective, "value", lambda self, x: seen.append(threads()) or at(self, x))
    lb.lmer("Reaction ~ Days + (Days | Subject)", lb.datasets.load("sleepstudy"), engine="native")
    assert seen
    assert all(set(found) == {1} for found in seen)
    assert set(threads()) == {2}
