"""Arguments that name something they cannot apply to: an error or a warning in R's words."""

import numpy as np
import pytest

import lmerbridge as lb
from lmerbridge.design import build_frame
from lmerbridge.errors import DataError, FormulaError


@pytest.mark.parametrize(
    ("contrasts", "words"),
    [
        ({"x": "contr.sum"}, "contrasts apply only to factors.*factor\\(x\\)"),
        ({"y": "contr.sum"}, "contrasts apply only to factors"),
        ("contr.sum", "contrasts must be a mapping"),
        ({"f": "contr.summ"}, "did you mean 'contr.sum'"),
        ({"f": np.eye(2)}, "2 rows for a factor of 4 levels"),
    ],
)
def test_contrasts_that_do_not_apply_are_refused(simulated, contrasts, words):
    with pytest.raises(DataError, match=words):
        build_frame("y ~ x + f + factor(h) + (1 | g)", simulated, contrasts=contrasts)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("h", " (did you mean 'factor(h)'?)"),
        ("ff", " (did you mean 'f'?)"),
        ("g", ""),
        ("o", ""),
        ("facter(h)", " (did you mean 'factor(h)'?)"),
    ],
)
def test_contrasts_of_what_is_not_in_the_fixed_part_are_ignored_with_a_word(simulated, name, hint):
    frame = build_frame("y ~ x + f + factor(h) + (o | g)", simulated, contrasts={name: "contr.sum"})
    assert frame.asked.notes[0].kind == "warning"
    assert (
        frame.asked.notes[0].text
        == f"variable '{name}' is absent, its contrast will be ignored{hint}"
    )


def test_truth_values_have_contrasts(simulated):
    frame = build_frame("y ~ b + (1 | g)", simulated, contrasts={"b": "contr.sum"})
    assert frame.x_names == ("(Intercept)", "b1")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"weights": "f"}, "weights 'f' must be numeric"),
        ({"weights": "wt"}, "no column 'wt'.*did you mean 'w'"),
        ({"weights": "2"}, "variable lengths differ"),
        ({"weights": 2}, "shape"),
        ({"weights": "cbind(x, z)"}, "one value for each row"),
        ({"weights": {"w": 1}}, "weights must be a column's name"),
        ({"offset": "f"}, "offset 'f' must be numeric"),
        ({"offset": "b"}, "'offset' must be numeric"),
        ({"offset": "nope"}, "no column 'nope'"),
        ({"offset": ["a"] * 160}, "offset must be a column's name"),
        ({"subset": "f"}, "must be a condition"),
        ({"subset": "x"}, "must be a condition"),
        ({"subset": "nope > 2"}, "no column 'nope'"),
        ({"subset": "f == 'zz'"}, "the subset is empty"),
    ],
)
def test_arguments_by_row(simulated, arguments, words):
    with pytest.raises(DataError, match=words):
        build_frame("y ~ x + (1 | g)", simulated, **arguments)


@pytest.mark.parametrize("offset", ["f", "b"])
def test_offsets_in_the_formula_are_numbers(simulated, offset):
    with pytest.raises(DataError, match="'offset' must be numeric"):
        build_frame(f"y ~ x + offset({offset}) + (1 | g)", simulated)


# what R 4.2.2 with lme4 1.1-31 makes of the beginning of a word
@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("stop", "stop.deficient"),
        ("st", "stop.deficient"),
        ("warn", "warn+drop.cols"),
        ("m", "message+drop.cols"),
        ("silent", "silent.drop.cols"),
        ("i", "ignore"),
    ],
)
def test_checks_take_the_beginning_of_a_word(word, meant):
    assert lb.lmerControl(check_rankX=word).check_rankX == meant


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"check_rankX": "s"}, "silent.drop.cols or stop.deficient"),
        ({"check_rankX": "x"}, "must be one of"),
        ({"check_rankX": None}, "must be one of"),
        ({"check_scaleX": "message"}, "must be one of warning, stop, ignore"),
        ({"check_nlev_gtreq_5": "mess"}, None),
        ({"check_conv_singular": "ignore"}, "isSingular"),
        ({"optimzer": "bobyqa"}, "did you mean 'optimizer'"),
    ],
)
def test_other_words_are_refused_by_name(settings, words):
    if words is None:
        assert lb.lmerControl(**settings).check_nlev_gtreq_5 == "message"
        return
    with pytest.raises(DataError, match=words):
        lb.lmerControl(**settings)


def test_a_deficient_matrix_stops_in_r_s_words(simulated):
    with pytest.raises(DataError, match=r"column rank deficient \(rank\(X\) = 2 < 3 = p\)"):
        build_frame(
            "y ~ x + I(2 * x) + (1 | g)", simulated, control=lb.lmerControl(check_rankX="stop")
        )


@pytest.mark.parametrize("engine", ["native", pytest.param("lme4", marks=pytest.mark.r)])
@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("y ~ C(h) + (1 | g)", "h is numeric; write factor\\(h\\)"),
        ("y ~ x + (C(h) | g)", "h is numeric; write factor\\(h\\)"),
        ("y ~ C(b, sum) + (1 | g)", "b has truth values; write factor\\(b\\)"),
        ("y ~ C(f, Sum) + (1 | g)", "unknown contrasts Sum .did you mean 'sum'"),
        ("y ~ dummy(f, 'z') + (1 | g)", "'z' is not a level"),
    ],
)
def test_what_r_refuses_every_engine_refuses(simulated, formula, words, engine):
    with pytest.raises(DataError, match=words):
        lb.lmer(formula, simulated, engine=engine)


@pytest.mark.parametrize(
    ("call", "hint"),
    [
        ("Q('odd name')", "backticks"),
        ("C(f, Treatment(reference = 'b'))", "relevel"),
        ("np.log(x)", "write log()"),
        ("center(x)", "scale = FALSE"),
        ("squrt(x)", "did you mean 'sqrt'"),
    ],
)
def test_functions_of_other_languages_have_a_hint(simulated, call, hint):
    with pytest.raises(FormulaError) as refused:
        build_frame(f"y ~ {call} + (1 | g)", simulated)
    assert hint in str(refused.value)


@pytest.mark.r
@pytest.mark.filterwarnings("ignore::lmerbridge.errors.FitWarning")
@pytest.mark.parametrize(
    "formula",
    [
        "y ~ dummy(f) + (1 | g)",
        "y ~ x + (0 + dummy(f, 'a') | g)",
        "y ~ x * dummy(f, c('c', 'a')) + (1 | g)",
        "y ~ lme4::dummy(o) + dummy(h, 3) + dummy(b) + (dummy(f, 'b') || g)",
        "y ~ x + (0 + dummy(f, 'b') + dummy(f, 'a') | g)",
    ],
)
def test_dummy_is_lme4_s(simulated, formula):
    m = lb.lmer(formula, simulated, engine="lme4")  # refuses other columns than the frame's
    ours = lb.lmer(formula, simulated, engine="native")
    np.testing.assert_allclose(
        m.vcov() / m.vcov().iloc[0, 0], ours.vcov() / ours.vcov().iloc[0, 0], atol=0.05
    )
    np.testing.assert_allclose(ours.predict(simulated.head(5)), ours.fitted().head(5))
