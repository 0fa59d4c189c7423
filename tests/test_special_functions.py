"""The gamma function and its kin, the normal and the logistic distribution, and ranks are R's."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import lmerbridge as lb
from lmerbridge.design.columns import Numeric
from lmerbridge.design.evaluate import Evaluator
from lmerbridge.errors import DataError
from lmerbridge.formula.parser import parse_expression

COLUMNS = {
    "x": [-2.5, -1.75, 0.25, 3, 5],
    "p": [0.01, 0.25, 0.5, 0.9, 1],
    "n": [5, 10, 40.5, -3, 0],
    "k": [2, 3, 35, 4, 0],
    "t": [3, 1, 1, 2, np.nan],
}

# sprintf("%.15g", ...) of R 4.2.2
VALUES = {
    "plogis(x)": [
        0.0758581800212435,
        0.148047198031689,
        0.562176500885798,
        0.952574126822433,
        0.993307149075715,
    ],
    "plogis(x, 1, 2)": [
        0.148047198031689,
        0.201813222260379,
        0.40733340004593,
        0.731058578630005,
        0.880797077977882,
    ],
    "plogis(x, lower.tail=FALSE)": [
        0.924141819978757,
        0.851952801968311,
        0.437823499114202,
        0.0474258731775668,
        0.00669285092428486,
    ],
    "plogis(x*20, log.p=TRUE)": [
        -50,
        -35,
        -0.00671534848911807,
        -8.75651076269652e-27,
        -3.72007597602084e-44,
    ],
    "qlogis(p)": [-4.59511985013459, -1.09861228866811, 0, 2.19722457733622, np.inf],
    "qlogis(p, 1, scale=2)": [-8.19023970026918, -1.19722457733622, 1, 5.39444915467244, np.inf],
    "qlogis(-p, log.p=TRUE)": [
        4.6001660193249,
        1.25869154944603,
        0.432752129567189,
        -0.378164557091278,
        -0.541324854612918,
    ],
    "qlogis(p, lower.tail=FALSE)": [
        4.59511985013459,
        1.09861228866811,
        0,
        -2.19722457733622,
        -np.inf,
    ],
    "qlogis(x)": [np.nan, np.nan, -1.09861228866811, np.nan, np.nan],
    "dlogis(x)": [
        0.0701037165451082,
        0.126129225186655,
        0.246134082737598,
        0.0451766597309121,
        0.00664805667079016,
    ],
    "dlogis(x,1,2,TRUE)": [
        -2.76359548143612,
        -2.51897248376324,
        -2.11439370883963,
        -2.31967055559639,
        -2.94700320264589,
    ],
    "pnorm(x)": [
        0.00620966532577613,
        0.0400591568638171,
        0.598706325682924,
        0.99865010196837,
        0.999999713348428,
    ],
    "pnorm(x, 1, 2)": [
        0.0400591568638171,
        0.0845657223513357,
        0.353830233327276,
        0.841344746068543,
        0.977249868051821,
    ],
    "pnorm(x, p, k)": [
        0.104739379982922,
        0.252492537546923,
        0.49715043651385,
        0.700208404531304,
        1,
    ],
    "pnorm(4*x, lower.tail=FALSE)": [
        1,
        0.99999999999872,
        0.158655253931457,
        1.77648211207768e-33,
        2.75362411860623e-89,
    ],
    "pnorm(20*x, log.p=TRUE)": [
        -1254.83136113942,
        -616.975101261923,
        -2.86651612963764e-07,
        -0,
        -0,
    ],
    "pnorm(-x,log.p=TRUE,lower.tail=FALSE)": [
        -5.08164827727869,
        -3.21739799580027,
        -0.51298407540943,
        -0.00135080996474819,
        -2.86651612963764e-07,
    ],
    "qnorm(p)": [-2.32634787404084, -0.674489750196082, 0, 1.2815515655446, np.inf],
    "qnorm(p, 1, 2)": [-3.65269574808168, -0.348979500392163, 1, 3.5631031310892, np.inf],
    "qnorm(-p, log.p=TRUE)": [
        2.32822173753718,
        0.768149395303851,
        0.270288020738736,
        -0.236378059951955,
        -0.337474963764202,
    ],
    "qnorm(p, lower.tail=FALSE)": [
        2.32634787404084,
        0.674489750196082,
        0,
        -1.2815515655446,
        -np.inf,
    ],
    "qnorm(x)": [np.nan, np.nan, -0.674489750196082, np.nan, np.nan],
    "dnorm(x)": [
        0.0175283004935685,
        0.0862773188265115,
        0.386668116802849,
        0.00443184841193801,
        1.4867195147343e-06,
    ],
    "dnorm(x, 1, 2)": [
        0.0431386594132558,
        0.0775061327291466,
        0.185927546934884,
        0.120985362259572,
        0.026995483256594,
    ],
    "dnorm(x, log=TRUE)": [
        -4.04393853320467,
        -2.45018853320467,
        -0.950188533204673,
        -5.41893853320467,
        -13.4189385332047,
    ],
    "gamma(x)": [-0.945308720482942, 2.76236945388336, 3.62560990822191, 2, 24],
    "gamma(n)": [24, 362880, 1.286050248255e47, np.nan, np.nan],
    "lgamma(x)": [
        -0.056243716497674,
        1.01608880921444,
        1.28802252469808,
        0.693147180559945,
        3.17805383034795,
    ],
    "lgamma(n)": [3.17805383034795, 12.8018274800815, 108.473075069065, np.inf, np.inf],
    "digamma(x)": [
        1.10315664064524,
        -2.32269162861436,
        -4.22745353337627,
        0.922784335098467,
        1.5061176684318,
    ],
    "digamma(n)": [1.5061176684318, 2.25175258906672, 3.68890549293323, np.nan, np.nan],
    "trigamma(x)": [
        9.53924664498912,
        19.3016375445298,
        17.1973291545071,
        0.394934066848226,
        0.221322955737115,
    ],
    "trigamma(n)": [0.221322955737115, 0.105166335681686, 0.0249986982013567, np.inf, np.inf],
    "factorial(k)": [2, 6, 1.03331479663861e40, 24, 1],
    "factorial(x)": [2.36327180120735, -4.83414654429588, 0.906402477055477, 6, 120],
    "lfactorial(k)": [0.693147180559945, 1.79175946922805, 92.1361756036871, 3.17805383034795, 0],
    "lfactorial(x)": [
        0.860047015376481,
        1.57570459714986,
        -0.0982718364218132,
        1.79175946922805,
        4.78749174278205,
    ],
    "beta(k, 2.5)": [
        0.114285714285714,
        0.0507936507936508,
        0.00017403314120034,
        0.0277056277056277,
        np.inf,
    ],
    "beta(x,p)": [np.nan, np.nan, 5.24411510858424, 0.403307118370639, 0.2],
    "lbeta(k+1, p)": [4.59023231362388, 0.965325066475761, -1.21592241568797, -1.37336203541123, 0],
    "choose(n, k)": [10, 120, 1750898.03937696, 15, 1],
    "choose(x, 3)": [-6.5625, -3.0078125, 0.0546875, 1, 10],
    "choose(7, k)": [21, 35, 0, 35, 1],
    "choose(x, k)": [4.375, -3.0078125, 0.00240726501053706, 0, 1],
    "lchoose(n, k)": [2.30258509299405, 4.78749174278205, 14.3756393796336, 2.70805020110221, 0],
    "choose(60, k)": [1770, 34220, 5.19154379743283e16, 487635, 1],
    "pnorm(x, 0, -1)": [np.nan, np.nan, np.nan, np.nan, np.nan],
    "pnorm(x, 0.25, 0)": [0, 0, 1, 1, 1],
    "dnorm(x,0.25,0)": [0, 0, np.inf, 0, 0],
    "rank(x)": [1, 2, 3, 4, 5],
    "rank(t, na.last = 'keep')": [4, 1.5, 1.5, 3, np.nan],
    "rank(t, 'keep', 'min')": [4, 1, 1, 3, np.nan],
    "rank(-t, 'keep', ties.method = 'max')": [1, 4, 4, 2, np.nan],
}


def evaluator(**columns):
    return Evaluator(lambda name: Numeric(np.array(columns[name], float)), 5, columns)


@pytest.mark.parametrize("call", VALUES)
def test_values_are_r_s(call):
    found = evaluator(**COLUMNS).column(parse_expression(call))
    np.testing.assert_allclose(found.values, VALUES[call], rtol=3e-14)


def test_constants_are_numbers():
    found = evaluator(**COLUMNS)
    assert found.value(parse_expression("qnorm(0.975)")) == pytest.approx(
        1.95996398454005, rel=1e-14
    )
    assert found.value(parse_expression("choose(52, 5)")) == 2598960
    # the whole of Pascal's tenth row
    rows = evaluator(k=[0, 1, 2, 3, 4])
    expected = [1, 10, 45, 120, 210]
    assert rows.column(parse_expression("choose(10, k)")).values.tolist() == expected


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("rank(t)", "missing value"),
        ("rank(x, ties.method = 'first')", "order of the rows"),
        ("pnorm(x, lower.tail = 'no')", "TRUE or FALSE"),
        ("beta(x)", "needs its argument 'b'"),
    ],
)
def test_what_has_no_value_is_refused(call, words):
    with pytest.raises(DataError, match=words):
        evaluator(**COLUMNS).column(parse_expression(call))


# fixef(m), -2 * logLik(m), predict(m, data.frame(Days = c(0, 2.5, 9)), re.form = NA) of ML fits by
# lme4 1.1-31, with q = Reaction / 100, p = (Reaction - 150) / 400
FITS = [
    (
        "q ~ pnorm(Days, 4, 2) + lgamma(Days + 0.5) + (1 | Subject)",
        [2.59782062119, 0.380044187783, 0.0417138803943],
        136.696748711,
        [2.63034223938, 2.71286288784, 3.46311231796],
    ),
    (
        "qlogis(p) ~ plogis(Days, scale = 3) + choose(Days, 2) + (1 | Subject)",
        [-1.6193079341, 1.11287684714, 0.015139493621],
        173.143413976,
        [-1.06286951053, -0.815180245356, -0.0141884728251],
    ),
    (
        "rank(q) ~ Days + (1 | Subject)",
        [47.9393939394, 9.45791245791],
        1762.01241165,
        [47.9393939394, 71.5841750842, 133.060606061],
    ),
    (
        "qnorm(p) ~ beta(Days + 1, 2) + (1 | Subject)",
        [-0.262067724931, -0.963435911247],
        70.8135228329,
        [-0.743785680555, -0.323238258979, -0.270826233215],
    ),
    (
        "rank(q, ties.method = 'max') ~ factorial(Days / 3) + (1 | Subject)",
        [59.4822354424, 14.575127176],
        1800.16953173,
        [74.0573626185, 73.1924142054, 146.932998499],
    ),
]


def sleep():
    d = lb.datasets.load("sleepstudy")
    return d.assign(q=d["Reaction"] / 100, p=(d["Reaction"] - 150) / 400)


@pytest.mark.parametrize(("formula", "beta", "deviance", "predicted"), FITS)
def test_fits_and_predictions_are_lme4_s(formula, beta, deviance, predicted):
    m = lb.lmer(formula, sleep(), REML=False, engine="native")
    np.testing.assert_allclose(m.fixef(), beta, rtol=1e-7)
    assert m.deviance() == pytest.approx(deviance, rel=1e-9)
    new = pd.DataFrame({"Days": [0, 2.5, 9]})
    np.testing.assert_allclose(m.predict(new, re_form="NA"), predicted, rtol=1e-7)


def test_ranks_are_of_all_rows_and_stay_the_fit_s():
    """As in R, ranks are taken before ``subset`` leaves rows out; those of new data are not R's,
    which would rank them among themselves.
    """
    d = sleep()
    m = lb.lmer("rank(q) ~ Days + (1 | Subject)", d, REML=False, subset="Days > 2", engine="native")
    np.testing.assert_allclose(m.fixef(), [50.6150793651, 9.10119047619], rtol=1e-7)
    assert m.deviance() == pytest.approx(1230.18444622, rel=1e-9)
    m = lb.lmer("q ~ rank(Days) + (1 | Subject)", d, engine="native")
    ranked = d.assign(r=stats.rankdata(d["Days"]))
    same = lb.lmer("q ~ r + (1 | Subject)", ranked, engine="native")
    np.testing.assert_allclose(m.predict(d.iloc[3:6]), same.predict(ranked.iloc[3:6]), rtol=1e-10)
    with pytest.raises(DataError, match="make a column of ranks first"):
        m.predict(pd.DataFrame({"Days": [2.5], "Subject": ["308"]}))
