import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmerbridge.errors import FormulaError
from lmerbridge.formula import parse_formula, update_formula
from lmerbridge.formula.parser import parse_expression
from lmerbridge.formula.syntax import deparse, deparse_lines, format_number, quote_name


def random_part(text):
    return [(t.text, t.grouping.label) for t in parse_formula(text).random]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("y ~ (1 | g)", [("1 | g", "g")]),
        ("y ~ (x | g)", [("x | g", "g")]),
        ("y ~ (0 + x | g)", [("0 + x | g", "g")]),
        ("y ~ (x - 1 | g)", [("x - 1 | g", "g")]),
        ("y ~ (1 + x + z | g)", [("1 + x + z | g", "g")]),
        ("y ~ (1 | a/b)", [("1 | b:a", "b:a"), ("1 | a", "a")]),
        ("y ~ (1 | a/b/c)", [("1 | c:(b:a)", "c:(b:a)"), ("1 | b:a", "b:a"), ("1 | a", "a")]),
        ("y ~ (1 | a:b)", [("1 | a:b", "a:b")]),
        ("y ~ (x || g)", [("1 | g", "g"), ("0 + x | g", "g")]),
        ("y ~ (0 + x || g)", [("0 + x | g", "g")]),
        (
            "y ~ (a * x || c)",
            [("1 | c", "c"), ("0 + a | c", "c"), ("0 + x | c", "c"), ("0 + a:x | c", "c")],
        ),
        (
            "y ~ (x || a/b)",
            [("1 | b:a", "b:a"), ("1 | a", "a"), ("0 + x | b:a", "b:a"), ("0 + x | a", "a")],
        ),
        ("y ~ x + 1 | g", [("x + 1 | g", "g")]),
        ("y ~ ((1 | g))", [("1 | g", "g")]),
        (
            "y ~ (1 | g) + (0 + x | g) + (1 | h)",
            [("1 | g", "g"), ("0 + x | g", "g"), ("1 | h", "h")],
        ),
        ("y ~ (1 | `odd name`)", [("1 | odd name", "odd name")]),
    ],
)
def test_random_terms(text, expected):
    assert random_part(text) == expected


@pytest.mark.parametrize(
    ("text", "labels", "intercept"),
    [
        ("y ~ a * b + (1 | g)", ("a", "b", "a:b"), True),
        ("y ~ a / b + (1 | g)", ("a", "a:b"), True),
        ("y ~ (a + b) / c + (1 | g)", ("a", "b", "a:b:c"), True),
        ("y ~ (a + b + c)^2 + (1 | g)", ("a", "b", "c", "a:b", "a:c", "b:c"), True),
        ("y ~ a * b * c - a:b:c + (1 | g)", ("a", "b", "c", "a:b", "a:c", "b:c"), True),
        ("y ~ b + a:b + (1 | g)", ("b", "b:a"), True),
        ("y ~ a:b + a + (1 | g)", ("a", "a:b"), True),
        ("y ~ 0 + a + (1 | g)", ("a",), False),
        ("y ~ a - 1 + (1 | g)", ("a",), False),
        ("y ~ a + (1 | g) - 1", ("a",), False),
        ("y ~ a - 1 + 1 + (1 | g)", ("a",), True),
        ("y ~ a + a + (1 | g)", ("a",), True),
        ("y ~ a + b - a + (1 | g)", ("b",), True),
        ("y ~ b %in% a + (1 | g)", ("b:a",), True),
        ("y ~ offset(o) + a + (1 | g)", ("a",), True),
        ("y ~ (1 | g)", (), True),
        ("y ~ x^2 + (1 | g)", ("x",), True),
        ("y ~ I(x^2) + log(x + 1) + (1 | g)", ("I(x^2)", "log(x + 1)"), True),
    ],
)
def test_fixed_terms(text, labels, intercept):
    terms = parse_formula(text).terms()
    assert (terms.labels, terms.intercept) == (labels, intercept)


def test_offsets_are_no_terms():
    terms = parse_formula("y ~ offset(log(o)) + a + (1 | g)").terms()
    assert [deparse(o) for o in terms.offsets] == ["offset(log(o))"]


def test_dot_stands_for_the_other_columns():
    formula = parse_formula("log(y) ~ . - b + (1 | g)")
    assert formula.terms(["a", "b", "g", "y"]).labels == ("a", "g")


def test_expanded_bars_are_shown_as_lme4_shows_them():
    assert str(parse_formula("y ~ x + (x || g)")) == "y ~ x + ((1 | g) + (0 + x | g))"


@pytest.mark.parametrize(
    ("text", "spot", "words"),
    [
        ("y ~ x + (1|g", 8, "never closed"),
        ("y ~ x + (1|g))", 13, "closes nothing"),
        ("y x", 2, "operator is missing"),
        ("y ~ x", 5, "No random effects terms specified in formula"),
        ("~ x + (1 | g)", 0, "response is missing"),
        ("y ~ foo(x) + (1 | g)", 4, "'foo' is not one that a formula may use"),
        ("y ~ __import__('os') + (1 | g)", 4, "unexpected '_'"),
        ("y ~ eval(x) + (1 | g)", 4, "'eval' is not one"),
        ("y ~ system('ls') + (1 | g)", 4, "'system' is not one"),
        ("y ~ x * (1 | g)", 6, "only be added"),
        ("y ~ x - (1 | g)", 6, "not taken away"),
        ("y ~ x[1] + (1 | g)", 5, "not allowed"),
        ("y ~ x$z + (1 | g)", 5, "not allowed"),
        ("y ~ `x + (1 | g)", 4, "never closed"),
        ("y ~ x + (| g)", 9, "something is missing"),
        ("y ~ (1 | factor(g))", 9, "grouping factor is a column"),
        ("y ~ (1 | a - b)", 11, "grouping factor is a column"),
        ("y ~ 2 * x + (1 | g)", 4, "other than 0 and 1"),
        ("y ~ x + (0 | g)", 11, "no columns"),
        ("y = x", 2, "single '='"),
        ("y ~ cut(x, brakes = 3) + (1 | g)", 11, "did you mean 'breaks'"),
        ("y ~ x ~ z + (1 | g)", 6, "one '~'"),
        ("y ~ (x | g | h)", 11, "one bar"),
        ("y ~ x +", 7, "ends too early"),
        ("y ~ sqrt() + (1 | g)", 4, "needs an argument"),
        ("y ~ x %o% z + (1|g)", 6, "unknown operator"),
        ("(1 | g) ~ x", 8, "response cannot hold"),
        ("y ~ a < b < c + (1 | g)", 10, "cannot be chained"),
        ("", 0, "empty"),
    ],
)
def test_errors_show_the_spot(text, spot, words):
    with pytest.raises(FormulaError) as caught:
        parse_formula(text)
    assert words in str(caught.value)
    assert caught.value.position == spot
    if text:
        lines = str(caught.value).splitlines()
        assert lines[-2].strip() == text.strip()
        assert lines[-1].index("^") == spot + 2


def test_a_formula_must_be_text():
    with pytest.raises(FormulaError, match="a formula is a string"):
        parse_formula(3)


@pytest.mark.parametrize(
    "text", ["y ~ x ^ 2 ** 3 + (1|g)", "y ~ -x + (1|g)", "y ~ .5e-3:x + (1|g)"]
)
def test_odd_but_lexable(text):
    assert deparse(parse_expression(text)).startswith("y ~ ")


@given(st.text(alphabet="yxg~+-*/|():^ .1%`'\",&<=", max_size=25))
def test_any_text_is_parsed_or_refused_as_a_formula(text):
    try:
        formula = parse_formula(text)
    except FormulaError:
        return
    assert parse_formula(str(formula)).random == formula.random or "||" in text


def test_deparse_breaks_lines_as_r_does(stored_text):
    for record in stored_text["deparsed"]:
        assert deparse_lines(parse_expression(record["formula"])) == record["lines"]


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("I(x**2)", "I(x^2)"),
        ("a%%2+b%/%3", "a%%2 + b%/%3"),
        ("!x+-x", "!x + -x"),
        ("f==1e5", "f == 1e+05"),
        ("c(123456,0.1,1L,1e-10)", "c(123456, 0.1, 1L, 1e-10)"),
        ("c('s\"t',TRUE,NULL)", 'c("s\\"t", TRUE, NULL)'),
        ("`a b`+c", "`a b` + c"),
        ("cut(x,breaks=3)", "cut(x, breaks = 3)"),
        ("-1:2", "-1:2"),
        ("a:b^2", "a:b^2"),
    ],
)
def test_deparse(code, text):
    assert deparse(parse_expression(code), integers=True) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (100000, "1e+05"),
        (123456, "123456"),
        (0.1, "0.1"),
        (1e-4, "1e-04"),
        (0.00012345, "0.00012345"),
        (1e15, "1e+15"),
        (0.1 + 0.2, "0.3"),
    ],
)
def test_numbers_as_r_prints_them(value, text):
    assert format_number(value) == text


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("x", "x"),
        ("a.b", "a.b"),
        ("odd name", "`odd name`"),
        ("1x", "`1x`"),
        ("if", "`if`"),
        ("_a", "`_a`"),
    ],
)
def test_names_are_quoted_where_r_needs_it(name, quoted):
    assert quote_name(name) == quoted


@pytest.mark.parametrize(
    ("old", "new", "result"),
    [
        ("y ~ x + (x | g)", ". ~ . - x", "y ~ (x | g)"),
        ("y ~ x + (x | g)", ". ~ . + z", "y ~ x + (x | g) + z"),
        ("y ~ x + (x | g)", "log(.) ~ .", "log((y)) ~ x + (x | g)"),
        ("y ~ x + (x | g)", ". ~ . - (x | g) + (1 | g)", "y ~ x + (1 | g)"),
        ("y ~ x + (x | g)", "~ . - 1", "y ~ x + (x | g) - 1"),
        ("y ~ x + (1 | g)", "z ~ .", "z ~ x + (1 | g)"),
        ("y ~ a * b + (1 | g)", ". ~ . - a:b", "y ~ a + b + (1 | g)"),
    ],
)
def test_update(old, new, result):
    assert update_formula(parse_formula(old), new) == result


def test_update_takes_away_only_what_is_there():
    with pytest.raises(FormulaError, match="no random term"):
        update_formula(parse_formula("y ~ x + (1 | g)"), ". ~ . - (x | g)")


# from R 4.2.2: deparse(update(as.formula(OLD), as.formula(NEW)), width.cutoff = 300)
UPDATED = [
    ("y ~ a:x + b:x + (1 | g)", ". ~ . - a:x", "y ~ (1 | g) + x:b"),
    ("y ~ 0 + a:b + c + (1 | g)", ". ~ . - c", "y ~ (1 | g) + a:b - 1"),
    ("y ~ a + (1 | g) + b", ". ~ .", "y ~ a + (1 | g) + b"),
    ("y ~ a:b + (1 | g)", ". ~ .", "y ~ (1 | g) + a:b"),
    (
        "log(y) ~ poly(x, 2) * a + offset(o) + (x | g / s)",
        ". ~ . - a",
        "log(y) ~ poly(x, 2) + (x | g/s) + poly(x, 2):a + offset(o)",
    ),
    ("y ~ (1 | g) + a:b + x", ". ~ . + a", "y ~ (1 | g) + x + a + a:b"),
    ("y ~ (a + b + c)^2 + (1 | g)", ". ~ . - a:b", "y ~ a + b + c + (1 | g) + a:c + b:c"),
    ("y ~ a + (1 | g)", ". ~ . - (1 | g) + (x | g)", "y ~ a + (x | g)"),
    ("y ~ a + (1 | g)", "~ . + offset(z)", "y ~ a + (1 | g) + offset(z)"),
    ("y ~ x + (1 | g)", ". ~ 0 + .", "y ~ x + (1 | g) - 1"),
    ("y ~ a / b + (1 | g)", ". ~ . + k:a", "y ~ a + (1 | g) + a:b + a:k"),
]


@pytest.mark.parametrize(("old", "new", "wanted"), UPDATED)
def test_random_terms_stand_among_the_main_effects_as_in_r(old, new, wanted):
    assert update_formula(parse_formula(old), new) == wanted


def test_a_random_term_that_is_not_there_cannot_be_taken_away():
    with pytest.raises(FormulaError, match=r"there is no random term \(1 \| h\) to take away"):
        update_formula(parse_formula("y ~ x + (1 | g)"), ". ~ . - (1 | h)")
    with pytest.raises(FormulaError, match="can only be added or taken away"):
        update_formula(parse_formula("y ~ x + (1 | g)"), ". ~ . * (1 | h)")
