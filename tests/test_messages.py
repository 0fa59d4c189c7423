"""How errors and messages are shown, in a session and in a notebook."""

import sys
import traceback
import types
import warnings

import pytest

import lmerbridge as lb


@pytest.fixture
def notebook(monkeypatch):
    """What IPython asks of an error, with Python's own text of a traceback for IPython's."""

    def structured_traceback(kind, error, lines, tb_offset):
        assert tb_offset == 0
        return traceback.format_exception(kind, error, lines)

    shell = types.SimpleNamespace(
        InteractiveTB=types.SimpleNamespace(structured_traceback=structured_traceback)
    )
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda d: lb.lmer("Reaction ~ Dayz + (1 | Subject)", d, engine="native"),
            "the data has no column 'Dayz' (did you mean 'Days'?)",
        ),
        (lambda d: lb.lmer("Reaction ~ (Days", d), "this '(' is never closed"),
        (lambda d: lb.lmer("Reaction ~ Days + (1 | Subject)", d, engine="lme5"), "'lme5'"),
        (
            lambda d: lb.lmer("Reaction ~ Days + (1 | Subject)", d, engine="native").summary(
                ddf="KRR"
            ),
            "'KRR'",
        ),
    ],
    ids=["column", "formula", "engine", "choice"],
)
def test_a_notebook_shows_the_users_lines_and_the_message(notebook, call, message):
    data = lb.datasets.load("sleepstudy")
    with pytest.raises(lb.errors.LmerBridgeError) as caught:
        call(data)
    shown = "".join(caught.value._render_traceback_())
    files = {line.split('"')[1] for line in shown.splitlines() if line.startswith("  File ")}
    assert files == {__file__}
    assert message in shown
    # Python's own has every line
    whole = "".join(traceback.format_exception(caught.value))
    assert "lmerbridge" in whole.replace(__file__, "")


@pytest.mark.parametrize(
    ("file", "place"),
    [
        ("/tmp/ipykernel_7/3.py", "lmerbridge:1: "),
        ("<ipython-input-2-abc>", "lmerbridge:1: "),
        ("/home/me/analysis.py", "/home/me/analysis.py:2: "),
    ],
)
def test_a_message_names_the_users_line_but_no_cell(file, place, capsys):
    data = lb.datasets.load("sleepstudy")
    m0, m1 = (
        lb.lmer(f"Reaction ~ {fixed} + (1 | Subject)", data, engine="native")
        for fixed in ("1", "Days")
    )
    users = compile("\nm0.anova(m1)", file, "exec")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda *w: print(warnings.formatwarning(*w[:4]), end="")
        for _ in range(2):
            exec(users, {"m0": m0, "m1": m1, "__name__": "__main__"})
    said = f"{place}FitMessage: refitting model(s) with ML (instead of REML)\n"
    assert capsys.readouterr().out == 2 * said
