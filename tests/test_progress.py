"""Bars of long work, on a terminal and in a notebook."""

import sys
import types

import pytest

from after import fitted
from lmerbridge.model.progress import progress_bar


@pytest.fixture
def pictures(monkeypatch):
    """What a notebook was given to show, in order; IPython is played."""
    shown = []

    class Handle:
        def update(self, picture):
            shown.append(picture)

    def display(picture, display_id):
        assert display_id is True
        shown.append(picture)
        return Handle()

    shell = types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", types.SimpleNamespace(display=display))
    return shown


WORK = {
    "profile": (lambda m: m.profile(["Days", "(Intercept)"], progress=True), 2),
    "bootstrap": (lambda m: m.bootMer(nsim=30, seed=1, progress=True), 30),
    "influence": (lambda m: m.influence("Subject", progress=True), 18),
}


@pytest.mark.parametrize("name", WORK)
def test_a_notebook_shows_how_far_it_is_and_keeps_the_last_count(pictures, name):
    work, total = WORK[name]
    work(fitted("sleep"))
    assert f"{name}: begun" == repr(pictures[0])
    assert "<progress  " in pictures[0]._repr_html_()
    assert repr(pictures[-1]).startswith(f"{name}: {total} of {total}, ")
    assert f'value="{total}" max="{total}"' in pictures[-1]._repr_html_()


def test_interrupted_work_says_how_far_it_came(pictures):
    def work():
        with progress_bar("<b>", True) as tell:
            tell(3, 7)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert repr(pictures[-1]).startswith("<b>: 3 of 7, ")
    assert "&lt;b&gt;: 3 of 7" in pictures[-1]._repr_html_()


def test_a_bar_is_drawn_ten_times_a_second_at_most(pictures):
    with progress_bar("draws", True) as tell:
        for i in range(1000):
            tell(i + 1, 1000)
    assert len(pictures) < 30


def test_a_terminal_has_its_own_bar_and_none_is_none(capfd):
    with progress_bar("draws", False) as tell:
        assert tell is None
    with progress_bar("draws", True) as tell:
        tell(7, 7)
    out, err = capfd.readouterr()
    assert out == ""
    assert "ipywidgets" not in err
