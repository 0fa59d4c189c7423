"""Text files by R's rules: what is missing, what is a number, what is a level."""

import io
import random
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lmerbridge as lb
from lmerbridge.errors import DataError
from lmerbridge.reading import read_delimited

# a column of a file, and what read.csv of R 4.2.2 made of it: class, and the values
TOLD_BY_R = [
    (["T", "F", "TRUE"], "logical", [True, False, True]),
    (["T", "", "NA"], "logical", [True, None, None]),
    (["true", "false"], "character", ["true", "false"]),
    (["t", "f"], "character", ["t", "f"]),
    (["True", "T"], "character", ["True", "T"]),
    (["TRUE ", "F"], "character", ["TRUE ", "F"]),
    (["1", "", "2"], "integer", [1, None, 2]),
    ([" 1", "2"], "integer", [1, 2]),
    (["9 ", "2"], "numeric", [9.0, 2.0]),
    (["001", "+4"], "integer", [1, 4]),
    (["1e3", "1e", ".5", "1."], "numeric", [1000.0, 1.0, 0.5, 1.0]),
    (["0x1F", "0x1.8p1"], "numeric", [31.0, 3.0]),
    (["2147483648"], "numeric", [2147483648.0]),
    (["Inf", "-inf", "infinity", "nan"], "numeric", [np.inf, -np.inf, np.inf, None]),
    (["NAN", "1"], "character", ["NAN", "1"]),
    (["na", "1"], "character", ["na", "1"]),
    (["1L"], "character", ["1L"]),
    (["1d3", "2"], "character", ["1d3", "2"]),
    (["1_000"], "character", ["1_000"]),
    (["--1"], "character", ["--1"]),
    (["#N/A", "1"], "character", ["#N/A", "1"]),
    ([" NA", "1"], "character", [" NA", "1"]),
    (['"NA"', "a", "NA"], "character", [None, "a", None]),
    (["", "a", "None", "NULL", "n/a", "nan"], "character", ["", "a", "None", "NULL", "n/a", "nan"]),
    (["  ", "a"], "character", ["  ", "a"]),
    (['"1"', "2"], "integer", [1, 2]),
    (['" a"', "b"], "character", [" a", "b"]),
    (['"a""b"', "#c"], "character", ['a"b', "#c"]),
    (["NA", " ", ""], "logical", [None, None, None]),
]


def kind_of(column):
    if str(column.dtype).lower().startswith("bool"):
        return "logical"
    if pd.api.types.is_integer_dtype(column.dtype):
        # R's integers have 32 bits
        return "integer" if column.dropna().abs().max() < 2**31 else "numeric"
    if pd.api.types.is_numeric_dtype(column.dtype):
        return "logical" if column.isna().all() and len(column) != 0 else "numeric"
    return "character"


def plain(column):
    return [None if pd.isna(v) else v for v in column]


@pytest.mark.parametrize("sep", [",", "\t"])
@pytest.mark.parametrize(
    ("fields", "kind", "values"), TOLD_BY_R, ids=[" ".join(t[0]) for t in TOLD_BY_R]
)
def test_columns_are_r_s(fields, kind, values, sep):
    text = f"v{sep}w\n" + "".join(f"{field}{sep}z\n" for field in fields)
    column = read_delimited(io.StringIO(text), sep)["v"]
    assert (kind_of(column), plain(column)) == (kind, values)


# not NAN, which R takes for a number or a text by what stands before it
FIELDS = {
    "number": [
        "1",
        "2.5",
        "-3",
        ".5",
        "1.",
        "+7",
        "1e5",
        "0x1F",
        "1e",
        "  4",
        "5 ",
        "Inf",
        "nan",
        "100000",
        "1e400",
    ],
    "integer": [
        "1",
        "22",
        "+4",
        "100000",
        "2147483647",
        "2147483648",
        "0x10",
        "007",
        "3000000000",
        " 8",
    ],
    "truth": ["T", "F", "TRUE", "FALSE"],
    "text": [
        "true",
        "1L",
        "<NA>",
        "-",
        "1%",
        " T",
        "1d3",
        ".",
        "+",
        "i",
        "1,5",
        "a b",
        "None",
        "NULL",
        "nan ",
    ],
    "missing": ["NA", "", " ", "NA ", " NA"],
}


@pytest.mark.r
def test_random_columns_are_those_of_live_r(tmp_path):
    from lmerbridge.rlang import find_r

    rng = random.Random(7)
    columns = []
    for _ in range(250):
        pool = [f for kind in rng.sample(sorted(FIELDS), rng.randint(1, 3)) for f in FIELDS[kind]]
        few = rng.sample(pool, min(len(pool), rng.randint(1, 5)))
        fields = [rng.choice(few) for _ in range(6)]
        columns.append([f'"{f}"' if "," in f or rng.random() < 0.15 else f for f in fields])
    rows = [",".join([*row, "z"]) for row in zip(*columns, strict=True)]
    header = ",".join([*(f"c{i}" for i in range(len(columns))), "z"])
    file = tmp_path / "made.csv"
    file.write_text("\n".join([header, *rows, ""]), "utf-8")
    code = (
        f"d <- read.csv('{file}'); for (v in d) cat(class(v), ifelse(is.na(v), '<missing>', "
        "if (is.numeric(v)) sprintf('%.17g', v) else as.character(v)), sep = '\\t', fill = 1e6)"
    )
    rscript = Path(find_r().home) / "bin" / "Rscript"
    said = subprocess.run(
        [str(rscript), "--vanilla", "-e", code], capture_output=True, text=True, check=True
    )
    answers = [line.split("\t") for line in said.stdout.splitlines()]
    found = read_delimited(file)
    assert len(answers) == len(columns) + 1
    for i, (fields, (kind, *values)) in enumerate(zip(columns, answers, strict=False)):
        column = found[f"c{i}"]
        if column.isna().all():  # of no kind any more
            assert set(values) == {"<missing>"}
            continue
        assert kind_of(column) == kind, (fields, kind, column)
        for ours, theirs in zip(plain(column), values, strict=True):
            if kind == "numeric" and theirs != "<missing>":
                assert float(ours) == pytest.approx(float(theirs.replace("Inf", "inf")), rel=1e-15)
            elif kind == "logical" and ours is not None:
                assert str(ours).upper() == theirs
            else:
                assert ("<missing>" if ours is None else str(ours)) == theirs, fields


@pytest.mark.parametrize("ending", ["csv", "tsv"])
def test_the_command_line_keeps_every_level(tmp_path, run, ending):
    """read.csv gives 42 rows and 7 groups here; only NA is missing."""
    rng = np.random.default_rng(4)
    groups = ["None", "NULL", "n/a", "", "A", "B", "nan"]
    sep = "," if ending == "csv" else "\t"
    lines = [sep.join(["g", "flag", "y", "x"])]
    for i in range(42):
        flag = "T" if rng.random() < 0.5 else "F"
        lines.append(
            sep.join([groups[i % 7], flag, f"{rng.normal() + i % 7:.4f}", f"{rng.normal():.4f}"])
        )
    lines.append(sep.join(["NA", "T", "1.5", "0.5"]))
    file = tmp_path / f"t.{ending}"
    file.write_text("\n".join(lines) + "\n", "utf-8")
    d = lb.datasets.read_table(file)
    assert sorted(d.g.dropna().unique()) == sorted(groups)
    status, out, _ = run("fit", "y ~ x + flag + (1 | g)", str(file), "--engine", "native")
    assert status == 0
    assert "Number of obs: 42, groups:  g, 7" in out
    assert "flagTRUE" in out


def test_declared_levels_are_texts(tmp_path):
    file = tmp_path / "d.csv"
    file.write_text("k,n\n10,1\n9,2\n,3\nNA,4\n", "utf-8")
    (tmp_path / "d.toml").write_text('[columns.k]\nlevels = "numeric"\n', "utf-8")
    d = lb.datasets.read_csv(file)
    assert d.k.cat.categories.tolist() == ["9", "10"]
    assert d.k.isna().sum() == 2
    (tmp_path / "d.toml").write_text('[columns.k]\nlevels = ["9", "10", ""]\n', "utf-8")
    assert lb.datasets.read_csv(file).k.isna().sum() == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a,b\n1+2i,1\n", "complex"),
        ("a\nä\n".encode("latin-1"), "UTF-8"),
        (b"a,b\n1,2\n1,2,3,4\n", "cannot be read"),
        (b"", "cannot be read"),
    ],
)
def test_what_is_no_table_says_so(tmp_path, content, words):
    file = tmp_path / "bad.csv"
    file.write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        lb.datasets.read_table(file)
    assert str(caught.value).count(str(file)) == 1


def test_texts_after_many_numbers_are_read_at_once():
    """Once they took a time exponential in the numbers before the text."""
    names = [str(i) for i in range(100, 2000)] + ["207a"]
    d = read_delimited(io.StringIO("subject\n" + "\n".join(names)))
    assert d["subject"].tolist() == names
    floats = [f"{i}.5" for i in range(2000)] + ["1+2"]
    assert read_delimited(io.StringIO("x\n" + "\n".join(floats)))["x"].tolist() == floats


# read.csv2(text = "x;y;z;w;k\n1,5;1.5;2;,5;a\n-2,25e1;2.0;;1;b\n") of R 4.2.2
def test_decimal_commas_are_read_as_read_csv2_does():
    text = "x;y;z;w;k\n1,5;1.5;2;,5;a\n-2,25e1;2.0;;1;b\n"
    d = lb.read_csv(io.StringIO(text), sep=";", dec=",")
    assert d["x"].tolist() == [1.5, -22.5]
    assert d["y"].tolist() == ["1.5", "2.0"]
    assert d["z"].dtype == "Int64"
    assert d["w"].tolist() == [0.5, 1.0]
    assert d["k"].tolist() == ["a", "b"]
    with pytest.raises(lb.ArgumentError, match="dec must be one character, not ''"):
        lb.read_csv(io.StringIO(text), dec="")
