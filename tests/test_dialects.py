"""The forms of R's text by version: which is taken when, and what each looks like.

Texts are what R prints for sleepstudy: R 4.2.2 with lme4 1.1-31, lmerTest 3.1-3, emmeans 1.8.4 and
pbkrtest 0.5.2; R 4.5.0 with lme4 1.1-37; R 4.6.2 with lme4 2.1-0, lmerTest 3.2-1, emmeans 2.0.4
(made by tests/stored/dialects.R, which prints all of them).
"""

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest

import lmerbridge as lb
from lmerbridge.design import build_frame
from lmerbridge.dialects import FORMS, NEWEST, Dialect, dialect_of, without_r
from lmerbridge.display.means import grid_text
from lmerbridge.display.rformat import abbreviate
from lmerbridge.errors import DataError, FitWarning
from lmerbridge.inference.contrasts import contrast_grid
from lmerbridge.inference.linear_functions import Grid

ML = "Reaction ~ Days + (Days | Subject)"
OLD, MIDDLE, NEW = "1.1-31", "1.1-37", "2.1-0"


@pytest.fixture(autouse=True)
def _nothing_chosen(monkeypatch):
    monkeypatch.delenv("LMERBRIDGE_DIALECT")


@pytest.fixture(scope="module")
def fits():
    data = lb.datasets.load("sleepstudy")
    return {
        REML: lb.lmer(ML, data, REML=REML, engine="native", contrasts=None)
        for REML in (True, False)
    }


def text_of(thing, dialect):
    lb.options(dialect=dialect)
    return str(thing())


HEADS = {
    OLD: """\
     AIC      BIC   logLik deviance df.resid |
  1763.9   1783.1   -876.0   1751.9      174 |
""",
    NEW: """\
      AIC       BIC    logLik -2*log(L)  df.resid |
   1763.9    1783.1    -876.0    1751.9       174 |
""",
}
HEADS[MIDDLE] = HEADS[NEW]
TABLES = {
    OLD: """\
 Groups   Name        Variance Std.Dev. Corr|
 Subject  (Intercept) 565.48   23.780       |
          Days         32.68    5.717   0.08|
 Residual             654.95   25.592       |
""",
    NEW: """\
 Groups   Name        Variance Std.Dev. Corr |
 Subject  (Intercept) 565.48   23.780        |
          Days         32.68    5.717   0.08 |
 Residual             654.95   25.592        |
""",
}
TABLES[MIDDLE] = TABLES[OLD]


def without_digits(text):
    """The last digits are those of another optimizer."""
    return re.sub(r"\d", "#", text.replace("|\n", "\n"))


@pytest.mark.parametrize("dialect", [OLD, MIDDLE, NEW])
def test_a_fit_by_maximum_likelihood(fits, dialect):
    found = without_digits(text_of(fits[False].summary, dialect))
    assert without_digits(HEADS[dialect]) in found
    assert without_digits(TABLES[dialect]) in found


@pytest.mark.parametrize(("dialect", "heading"), [(OLD, "deviance"), (NEW, "-2*log(L)")])
def test_comparisons_of_models_are_headed(fits, dialect, heading):
    m = fits[False]
    lb.options(dialect=dialect)
    table = m.anova(m.update(". ~ . - Days"))
    assert list(table.columns)[:5] == ["npar", "AIC", "BIC", "logLik", heading]
    assert heading in str(table)


ORDERS = {
    OLD: ["sd_(Intercept)|Subject", "cor_Days.(Intercept)|Subject", "sd_Days|Subject"],
    NEW: ["sd_(Intercept)|Subject", "sd_Days|Subject", "cor_Days.(Intercept)|Subject"],
}


@pytest.mark.parametrize("dialect", [OLD, NEW])
def test_intervals_are_in_the_order_of_the_version(fits, dialect):
    m = fits[False]
    by_name = m.confint(oldNames=False)
    lb.options(dialect=dialect)
    other = m.confint(oldNames=False)
    assert list(other.index)[:3] == ORDERS[dialect]
    assert other.loc[by_name.index].equals(by_name)
    boot = m.confint(method="boot", nsim=100, seed=1, oldNames=False)
    assert list(boot.index)[:3] == ORDERS[dialect]
    # replications go with their names
    assert (boot.loc["sd_Days|Subject"] > 1).all()
    assert (boot.loc["cor_Days.(Intercept)|Subject"].abs() <= 1).all()
    # R numbers the parameters in its order
    assert m.confint(parm=2, oldNames=False).index[0] == ORDERS[dialect][1]


def test_small_p_values_of_marginal_means(fits):
    m = fits[True]
    for dialect, least in [(OLD, " <.0001"), (NEW, " <0.0001")]:
        lb.options(dialect=dialect)
        tested = m.emmeans("Days", at={"Days": [0, 9]}).summary(infer="test")
        assert str(tested).splitlines()[1].endswith(least)


JOINT = {
    OLD: ["df1 df2 F.ratio p.value", "1 Inf 45.853 <.0001"],
    MIDDLE: ["df1 df2 F.ratio Chisq p.value", "1 Inf 45.853 45.853 <.0001"],
    NEW: ["df1 df2 F.ratio Chisq p.value", "1 Inf 45.853 45.853 <0.0001"],
}


@pytest.mark.parametrize("dialect", [OLD, MIDDLE, NEW])
def test_chi_squared_of_joint_tests(fits, dialect):
    m = fits[True]
    lb.options(dialect=dialect)
    header, row = (" ".join(x.split()) for x in str(m.joint_tests(ddf="asymptotic")).splitlines())
    assert header == f"model term {JOINT[dialect][0]}"
    assert row == f"Days {JOINT[dialect][1]}"
    means = m.emmeans("Days", at={"Days": [0, 9]}, ddf="asymptotic").test(joint=True)
    assert ("Chisq" in means.columns) == (dialect != OLD)
    if dialect != OLD:
        assert means["Chisq"].tolist() == (means["df1"] * means["F.ratio"]).tolist()
    # with degrees of freedom there is none in any version
    assert "Chisq" not in m.joint_tests(ddf="Satterthwaite").columns


FAMILIES = {
    OLD: (
        0.8002,
        0.6865,
        "tukey method for comparing a family of 6 estimates",
        "bonferroni method for 15 tests",
        "tukey method for comparing a family of 3 estimates",
        "sidak method for 6 estimates",
        "scheffe method with rank 2",
    ),
    NEW: (
        0.7082,
        0.4085,
        "tukey method for comparing a family of 5 estimates",
        "bonferroni method for 10 tests",
        "tukey method for varying family sizes",
        "sidak method for 5 estimates",
        "scheffe method with varying rank",
    ),
}


@pytest.mark.parametrize("dialect", [OLD, NEW])
def test_families_where_a_cell_is_empty(dialect):
    d = lb.datasets.load("sleepstudy").query("Days < 6")
    d = d.assign(f=[str("abc"[int(x) % 3]) for x in d.Days], g=["uv"[int(x > 2)] for x in d.Days])
    lb.options(dialect=dialect)
    d = d[(d.f != "c") | (d.g != "v")]
    with pytest.warns(FitWarning, match="rank deficient so dropping 1 column"):
        m = lb.lmer("Reaction ~ f * g + (1 | Subject)", d, engine="native")
    e = m.emmeans("f * g", ddf="asymptotic")
    whole, within, *notes = FAMILIES[dialect]
    tables = (
        e.pairs(),
        e.pairs(adjust="bonferroni"),
        e.pairs(simple="f"),
        e.summary(infer="ci", adjust="sidak"),
        e.pairs(simple="f", adjust="scheffe"),
    )
    for table, note in zip(tables, notes, strict=True):
        assert f"adjustment: {note} \n" in f"{table}\n"
    assert re.search(rf"a u - c u .* {whole}$", str(tables[0]), re.MULTILINE)
    assert re.search(rf"g = v:\n.*\n a - b .* {within}$", str(tables[2]), re.MULTILINE)


# emmeans 2.0.4 of y ~ s / c, where s has so many c: what it says of bonferroni, of tukey, of holm
SIZES = {
    (3, 2): ("for 2 tests", "a family of 2 estimates", "for 1 tests", "for 2 estimates"),
    (2, 3): ("for 3 tests", "a family of 3 estimates", "for 3 tests", "for 3 estimates"),
    (3, 2, 1): (
        "for 1 tests",
        "varying family sizes",
        "varying numbers of tests",
        "for 1 estimates",
    ),
    (2, 4, 4): ("for 4 tests", "a family of 4 estimates", "for 6 tests", "for 4 estimates"),
}


@pytest.mark.parametrize("sizes", SIZES)
def test_families_of_different_sizes(sizes):
    """emmeans names the size of the last family, unless a row cannot be estimated."""
    rng = np.random.default_rng(2)
    cells = [(f"s{i}", f"s{i}c{j}") for i, size in enumerate(sizes) for j in range(size)]
    d = pd.DataFrame(cells * 6, columns=["s", "c"]).assign(y=rng.normal(size=6 * len(cells)))
    lb.options(dialect=NEW)
    means = lb.lm("y ~ s / c", d).emmeans("~ c | s")
    tables = (
        means.test(adjust="bonferroni"),
        means.pairs(adjust="tukey"),
        means.pairs(adjust="holm"),
        means.confint(adjust="bonferroni"),
    )
    for table, words in zip(tables, SIZES[sizes], strict=True):
        assert words in str(table)
    across = means.pairs(adjust="none", cross_adjust="bonferroni")
    assert "Cross-group" not in str(across)
    np.testing.assert_array_equal(
        across.table["p.value"], means.pairs(adjust="none").table["p.value"]
    )
    lb.options(dialect=OLD)
    with pytest.raises(DataError, match="equal size"):
        str(lb.lm("y ~ s / c", d).emmeans("~ c | s").pairs(cross_adjust="bonferroni"))


ACROSS = {"bonferroni": [0.5036, 0.2032, 0.8993, 0.8170], "sidak": [0.4402, 0.3651, 0.9899, 0.6501]}


@pytest.mark.parametrize("method", ACROSS)
def test_adjusting_across_groups_where_a_cell_is_empty(method):
    """R's p.adjust counts the p-values that there are; Sidak's method the groups."""
    d = lb.datasets.load("sleepstudy").query("Days < 6")
    d = d.assign(f=[str("abc"[int(x) % 3]) for x in d.Days], g=["uv"[int(x > 2)] for x in d.Days])
    with pytest.warns(FitWarning, match="rank deficient so dropping 1 column"):
        m = lb.lmer(
            "Reaction ~ f * g + (1 | Subject)", d[(d.f != "c") | (d.g != "v")], engine="native"
        )
    lb.options(dialect=NEW)

    def pairs():
        means = m.emmeans("f * g", ddf="asymptotic")
        return means.pairs(simple="f", adjust="none", cross_adjust=method)

    found = pairs()
    np.testing.assert_allclose(found.table["p.value"], [*ACROSS[method], np.nan, np.nan], atol=5e-5)
    assert f"Cross-group P-value adjustment: {method} method for 2 tests \n" in f"{found}\n"
    lb.options(dialect=OLD)
    assert f"Cross-group P-value adjustment: {method} \n" in f"{pairs()}\n"


@pytest.mark.parametrize(
    ("dialect", "shares"),
    [
        (OLD, ["Multiple R-squared:  0.2865,", "F-statistic: 71.46 on 1 and 178 DF,"]),
        (NEW, ["Multiple R-squared:  0.0007995,", "F-statistic: 0.1424 on 1 and 178 DF,"]),
    ],
)
def test_what_an_offset_explains_of_a_regression(dialect, shares):
    m = lb.lm("Reaction ~ Days + offset(10 * Days)", lb.datasets.load("sleepstudy"))
    text = text_of(m.summary, dialect)
    for share in shares:
        assert share in text


def test_a_smaller_model_of_pbkrtest(fits):
    m = fits[True]
    lb.options(dialect=OLD)
    assert "small (restriction matrix) : " in str(m.SATmodcomp(". ~ . - Days"))
    lb.options(dialect=MIDDLE)
    assert "small : Reaction ~ (Days | Subject)" in str(m.SATmodcomp(". ~ . - Days"))


@pytest.mark.parametrize(
    ("formula", "old", "new"),
    [
        ("Reaction ~ (1|Subject)", "Reaction ~ (1 | Subject)", "Reaction ~ 1 + (1 | Subject)"),
        (
            "Reaction ~ (1|Subject) + Days",
            "Reaction ~ Days + (1 | Subject)",
            "Reaction ~ Days + (1 | Subject)",
        ),
        (
            "Reaction ~ 0 + Days + (1|Subject)",
            "Reaction ~ Days + (1 | Subject) - 1",
            "Reaction ~ 0 + Days + (1 | Subject)",
        ),
        (
            "Reaction ~ Days + (Days||Subject)",
            "Reaction ~ Days + (1 | Subject) + (0 + Days | Subject)",
            "Reaction ~ Days + (1 | Subject) + (0 + Days | Subject)",
        ),
    ],
)
def test_the_formula_above_ranova(formula, old, new):
    m = lb.lmer(formula, lb.datasets.load("sleepstudy"), engine="native")
    for dialect, line in [(OLD, old), (NEW, new)]:
        assert text_of(m.ranova, dialect).splitlines()[3] == line


def test_names_of_contrasts_in_a_formula(simulated):
    d = simulated.assign(b=simulated.f.astype(str))
    levels = sorted(d.b.unique())
    for dialect, names in [(OLD, ["1", "2"]), (NEW, levels[:2])]:
        lb.options(dialect=dialect)
        for text in ("C(b, contr.SAS)", 'C(b, "contr.SAS", base = 3)', "C(b, base = 3)"):
            found = list(lb.lm(f"y ~ {text}", d).coef().index[1:3])
            assert found == [f"{text}{name}" for name in names]
        # contrasts by name keep the levels in every version
        found = list(lb.lm('y ~ C(b, "contr.SAS")', d).coef().index[1:3])
        assert found == [f'C(b, "contr.SAS"){level}' for level in levels[:2]]


STILL = {
    OLD: "Note: contrasts are still on the {} scale \n",
    NEW: "Note: contrasts are still on the {} scale. Consider using\n"
    "      regrid() if you want contrasts of back-transformed estimates. \n",
}
STILL[MIDDLE] = STILL[NEW]


@pytest.mark.parametrize("dialect", [OLD, MIDDLE, NEW])
def test_contrasts_on_the_scale_of_a_transformation(dialect):
    d = lb.datasets.load("sleepstudy")
    d = d.assign(f=[str("abc"[int(x) % 3]) for x in d.Days], g=["uv"[int(x > 4)] for x in d.Days])
    lb.options(dialect=dialect)
    root, logarithm = (
        lb.lmer(f"{y} ~ f * g + (1 | Subject)", d, engine="native").emmeans(
            "f * g", ddf="asymptotic"
        )
        for y in ("sqrt(Reaction)", "log(Reaction)")
    )
    for table in (
        root.pairs(),
        root.summary(type="response").pairs(),
        root.contrasts("eff", infer="both"),
        root.contrasts("identity"),
        root.pairs(simple="f"),
        root.pairs()[0:2],
        root.contrasts(interaction="pairwise", by="g"),
    ):
        assert STILL[dialect].format("sqrt") in f"{table}\n"
    for table in (
        logarithm.contrasts("identity"),
        logarithm.summary(type="response").pairs(ratios=False),
    ):
        assert STILL[dialect].format("log") in f"{table}\n"
    for table in (
        root,
        logarithm.pairs(),
        logarithm.summary(type="response").pairs(),
        root.pairs().pairs(),
        root.contrasts(interaction="pairwise"),
    ):
        assert "contrasts are still" not in str(table)
    bound = root.pairs(simple="f").rbind(root.pairs(simple="g"))
    assert ("contrasts are still" in str(bound)) == (dialect == OLD)


EMMEANS_1_8_4 = {
    "unknown_p": "NaN",
    "least_p": "<.0001",
    "least_p_below": 5e-5,
    "SE_digits": None,
    "joint_chisq": False,
    "families_of_estimable": False,
    "unequal_groups_apart": False,
    "groups_counted": False,
    "ratios_of_plain_logarithms": False,
    "offset_terms_in_grid": False,
    "scale_of_contrasts": " ",
    "scale_of_bound": True,
    "prior_weights_count": False,
}


def test_whose_dialect_a_result_has(fits, monkeypatch):
    result = fits[True].result
    assert dialect_of(result) == NEWEST
    made = dataclasses.replace(
        result.provenance, engine="lme4", versions={"R": "4.2.2", "lme4": "1.1.31"}
    )
    by_lme4 = dataclasses.replace(result, provenance=made)
    old = dialect_of(by_lme4)
    assert old == Dialect(
        deviance="deviance",
        correlations_padded=False,
        deviations_first=False,
        covariances_shown=False,
        family_residual_shown=True,
        scale_advice="",
        **EMMEANS_1_8_4,
        regression_offset_apart=False,
        SAT_formula=False,
        ranova_as_written=False,
        C_keeps_levels=False,
        knots_moved_inside=False,
        deviance_residuals_shown=True,
        glm_tests_shown=False,
        bare_exponents=True,
        abbreviates_any_script=False,
    )
    # from JSON, the dialect of who fitted
    assert "Corr\n" in str(lb.from_json(lb.Model(by_lme4).to_json()).summary())
    monkeypatch.setenv("LMERBRIDGE_DIALECT", "newest")
    assert dialect_of(by_lme4) == NEWEST
    lb.options(dialect="lme4 1.1-31")
    assert dialect_of(result) == old
    lb.options(dialect=None)
    monkeypatch.setenv("LMERBRIDGE_DIALECT", "lme4 2.1-0, emmeans 1.8.4")
    assert dialect_of(result) == dataclasses.replace(
        NEWEST,
        **EMMEANS_1_8_4,
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("old", "is 'old': it must be \"newest\", a version of lme4 such as"),
        (3, "is a text such as"),
        ("lme44 1.1-31", "names 'lme44' (did you mean 'lme4'?)"),
        ("emmeans 1.8.4", "must name a version of lme4 too"),
        ("lme4 1.1-31 2", "must be"),
    ],
)
def test_what_is_no_dialect_is_refused(text, says, fits, monkeypatch):
    with pytest.raises(DataError, match="dialect") as caught:
        lb.options(dialect=text)
    assert says in str(caught.value)
    assert lb.options().dialect is None
    if isinstance(text, str):
        monkeypatch.setenv("LMERBRIDGE_DIALECT", text)
        with pytest.raises(DataError, match="LMERBRIDGE_DIALECT"):
            str(fits[True].summary())


def test_an_unknown_option_is_refused():
    with pytest.raises(DataError, match="diag\\(x \\| g\\) for what 'diag_special' makes"):
        lb.options(**{"lme4.doublevert.default": "diag_special"})
    with pytest.raises(DataError, match=r"no option 'dialekt' \(did you mean 'dialect'"):
        lb.options(dialekt="1.1-31")


def test_every_form_is_of_the_dialect_and_is_another_before():
    newer = {field.name: getattr(NEWEST, field.name) for field in dataclasses.fields(NEWEST)}
    for form in FORMS:  # of one attribute the newest first
        assert newer[form.attribute] != form.before
        newer[form.attribute] = form.before


# of R 4.6.2: attr(bs(x, df = df), "knots"), where quantiles are boundary knots
KNOTS = [
    ([0] * 20 + [1, 2, 3, 4, 5], 7, [0.025, 0.025, 0.025, 0.2]),
    ([0] * 20 + [1, 2, 3, 4, 5], 6, [0, 0, 0]),
    ([0] * 10 + [5] * 10 + [1, 2], 7, [0.625, 0.625, 4.453125, 4.453125]),
    ([0] * 5 + [5] * 15 + [1], 6, [1, 4.5, 4.5]),
    ([0] * 10 + [5] * 10, 6, [0.3125, 2.5, 4.6875]),
]


@pytest.mark.parametrize(("x", "df", "knots"), KNOTS)
def test_knots_at_a_boundary_are_moved_since_r_4_3(x, df, knots):
    """A basis with these knots given is the basis of df columns."""
    d = pd.DataFrame({"x": np.array(x, dtype=float), "y": np.arange(len(x)) % 3.0, "g": "a"})

    def basis(text):
        control = lb.lmerControl(check_rankX="ignore")
        return build_frame(f"y ~ {text}", d, mixed=False, control=control).X

    given = ", ".join(map(repr, knots))
    asked = basis(f"bs(x, df = {df})")
    np.testing.assert_allclose(asked, basis(f"bs(x, knots = c({given}))"), atol=1e-12)
    lb.options(dialect=OLD)
    older = basis(f"bs(x, df = {df})")
    assert np.allclose(older, asked) == (knots == [0, 0, 0])


# of emmeans 1.10.7 and 2.0.4: pairs() of three and of six means of which some are the same function
# of beta, so that their difference is 0 for any beta
DEGENERATE = [
    ([[1, 0], [1, 0], [0, 1]], [np.nan, 0.6649581, 0.6649581], "2.56155281280883"),
    ([[1, 0], [1, 0], [1, 0]], [np.nan] * 3, "2"),
    ([[1, 0]] * 3 + [[0, 1]], [np.nan, np.nan, 0.7621346, np.nan, 0.7621346, 0.7621346], "3"),
]


@pytest.mark.parametrize(("L", "p", "family"), DEGENERATE)
def test_families_count_what_has_a_statistic(L, p, family):
    class Twenty:
        """The methods of a denominator: beta of 1 and 2 with unit variances, 20 df."""

        name = "kenward-roger"
        beta = np.array([1.0, 2.0])
        vcov = np.eye(2)

        def of_rows(self, rows):
            return np.full(len(rows), 20.0)

    means = np.array(L, dtype=float)
    labels = pd.DataFrame({"a": list("abcd")[: len(means)]})
    zeros = np.zeros(len(means))
    grid = Grid(labels, means, zeros, np.zeros((len(means), 0)), (), "emmean", Twenty())
    asked = dataclasses.replace(contrast_grid(grid, "pairwise"), infer="test")
    np.testing.assert_allclose(asked.table()["p.value"].to_numpy(float), p, atol=1e-6)
    assert f"tukey method for comparing a family of {family} estimates" in grid_text(asked)


VARIANCES = {
    OLD: "Variance Corr \n612.100       \n 35.072  0.066\n654.940       ",
    MIDDLE: "Variance Cov    \n612.100         \n 35.072    9.604\n654.940         ",
    NEW: "Variance Corr  \n612.100        \n 35.072  0.066 \n654.940        ",
}


@pytest.mark.parametrize("dialect", [OLD, MIDDLE, NEW])
def test_what_stands_beside_variances(fits, dialect):
    """lme4 1.1-32 to 1.1-38 shows covariances there."""
    lines = text_of(lambda: fits[True].VarCorr(comp="Variance"), dialect).splitlines()
    shown = [line[lines[0].index("Variance") :] for line in lines]
    assert without_digits("\n".join(shown)) == without_digits(VARIANCES[dialect])


LONG = ["Größenordnung", "Ünïcödé", "länge (cm)", "hâtivement", "дальность", "Straßenbahn"]
SHORT = {
    OLD: ["Grßnrd", "Ünïcöd", "ln(cm)", "hâtvmn", "дально", "Strßnb"],
    NEW: ["Grßnrd", "Ünïcöd", "ln(cm)", "htvmnt", "дально", "Strßnb"],
}


@pytest.mark.parametrize("dialect", [OLD, NEW])
def test_names_of_other_scripts_are_abbreviated(dialect):
    lb.options(dialect=dialect)
    assert abbreviate(LONG, 6, without_r()) == SHORT[dialect]
