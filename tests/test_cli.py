import io
import json
import shutil
import subprocess
import sys

import pandas as pd
import pytest

import lmerbridge as lb
from checkout import REFERENCE

FORMULA = "Reaction ~ Days + (Days | Subject)"


def words(out):
    """What was printed, wherever its lines end."""
    return " ".join(out.split())


@pytest.fixture
def files(tmp_path, sleepstudy):
    plain = sleepstudy.astype({"Subject": str})
    plain.to_csv(tmp_path / "s.csv", index=False)
    plain.to_csv(tmp_path / "s.csv.gz", index=False)
    plain.to_csv(tmp_path / "s.tsv", index=False, sep="\t")
    plain.to_parquet(tmp_path / "s.parquet")
    plain.to_feather(tmp_path / "s.feather")
    return tmp_path


@pytest.mark.parametrize("name", ["s.csv", "s.csv.gz", "s.tsv", "s.parquet", "s.feather"])
def test_fit_prints_the_summary(run, files, name):
    status, out, err = run("fit", FORMULA, str(files / name), "--engine", "statsmodels")
    assert (status, err) == (0, "")
    assert out.startswith("Linear mixed model fit by REML ['lmerMod']\nFormula: " + FORMULA)
    assert "REML criterion at convergence: 1743.6" in out


def test_fit_a_data_set_by_ml(run):
    status, out, _ = run("fit", FORMULA, "sleepstudy", "--ml", "--engine", "statsmodels")
    assert status == 0
    assert "1763.9   1783.1   -876.0   1751.9" in out  # Bates et al. (2015) print these
    assert "   Data: sleepstudy" in out


def test_fit_json(run):
    _, out, _ = run("fit", FORMULA, "sleepstudy", "--json", "--engine", "statsmodels")
    assert json.loads(out)["schema"] == "lmerbridge/1"
    assert lb.from_json(out).nobs() == 180


def test_fit_tidy(run, tmp_path):
    _, out, _ = run("fit", FORMULA, "sleepstudy", "--tidy", "csv", "--engine", "statsmodels")
    (tmp_path / "t.csv").write_text(out)
    assert pd.read_csv(tmp_path / "t.csv").term.tolist()[:2] == ["(Intercept)", "Days"]
    _, out, _ = run("fit", FORMULA, "sleepstudy", "--tidy", "json", "--engine", "statsmodels")
    assert json.loads(out)[0]["effect"] == "fixed"


def test_notes_go_to_standard_error(run):
    status, out, err = run("fit", "Yield ~ 1 + (1 | Batch)", "Dyestuff2", "--engine", "statsmodels")
    assert status == 0
    assert err == "note: boundary (singular) fit: see help(m.isSingular)\n"
    assert out.rstrip().splitlines()[-1].startswith("Engine: statsmodels")


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("fit", "Reaction ~ Dayz + (1 | Subject)", "sleepstudy"), 2, "did you mean 'Days'"),
        (("fit", FORMULA, "nothere.csv"), 2, "no such file"),
        (("fit", FORMULA, "data.xyz"), 2, "unknown kind of file"),
        (("fit", FORMULA, "sleepstudy", "--engine", "nope"), 1, "there is no engine 'nope'"),
        (
            ("fit", "Reaction ~ 0 + (1 | Subject)", "sleepstudy", "--engine", "statsmodels"),
            1,
            "without fixed effects",
        ),
        (("datasets", "sleepstdy"), 2, "did you mean"),
        (("check", "nothere.toml"), 2, "nothere.toml"),
    ],
)
def test_errors_are_one_line(run, arguments, status, words):
    found, out, err = run(*arguments)
    assert (found, out) == (status, "")
    assert err.startswith("lmerbridge: ")
    assert words in err
    assert err.count("\n") == 1


def test_a_syntax_error_shows_the_spot(run):
    status, _, err = run("fit", "Reaction ~ Days + (1 | Subject", "sleepstudy")
    assert status == 2
    assert err.splitlines()[2].index("^") == 2 + "Reaction ~ Days + (1 | Subject".index("(")


@pytest.mark.parametrize(
    "arguments",
    [("fit",), ("nonsense",), ("fit", "--what"), ("fit", FORMULA, "sleepstudy", "--tidy", "xml")],
)
def test_wrong_use_is_status_2(run, arguments):
    assert run(*arguments)[0] == 2


def test_unreadable_files_are_an_error_of_ours(run, tmp_path):
    (tmp_path / "bad.parquet").write_text("not parquet")
    status, _, err = run("fit", FORMULA, str(tmp_path / "bad.parquet"))
    assert status == 2
    assert "cannot be read" in err
    (tmp_path / "empty.csv").write_text("")
    assert run("fit", FORMULA, str(tmp_path / "empty.csv"))[0] == 2


def test_engines(run):
    status, out, _ = run("engines")
    assert status == 0
    assert "statsmodels" in out
    assert "not start=: this engine chooses its own starting values" in out


def test_datasets(run):
    _, out, _ = run("datasets")
    assert "sleepstudy" in out
    _, out, _ = run("datasets", "cake")
    assert "ordered factor with 6 levels" in out
    _, out, _ = run("datasets", "Dyestuff", "--csv")
    assert out.splitlines()[1] == "A,1545"


def test_check(run, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        '[[case]]\nname = "Dyestuff"\ndata = "Dyestuff"\nformula = "Yield ~ 1 + (1 | Batch)"\n'
    )
    (tmp_path / "golden").mkdir()
    shutil.copy(REFERENCE / "golden" / "Dyestuff.json", tmp_path / "golden")
    status, out, _ = run("check", str(path), "--engine", "statsmodels")
    assert status == 0
    assert "1 model, 1 fit: 1 agree; all well." in out


def test_check_fails_on_a_disagreement(run, tmp_path, monkeypatch):
    from lmerbridge.crosscheck import suite

    record = suite.golden(next(c for c in cli_cases() if c.name == "Dyestuff"))
    for which in ("default", "polished"):
        record[which] = {**record[which], "beta": 3.0}
    monkeypatch.setattr(suite, "golden", lambda case: record)
    path = tmp_path / "mine.toml"
    path.write_text(
        '[[case]]\nname = "Dyestuff"\ndata = "Dyestuff"\nformula = "Yield ~ 1 + (1 | Batch)"\n'
    )
    status, out, _ = run("check", str(path), "--engine", "statsmodels")
    assert status == 1
    assert "UNEXPLAINED" in out
    assert "the stored values were changed" in words(out)
    assert "-> trust neither, and please report it" in out


def test_an_interrupted_check_shows_what_is_done(run, monkeypatch):
    from lmerbridge.crosscheck import parallel

    real, seen = parallel.run_case, []

    def interrupted(case, engines):
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(case)
        return real(case, engines)

    monkeypatch.setattr(parallel, "run_case", interrupted)
    status, out, err = run("check", "--engine", "statsmodels")
    assert status == 130
    assert "2 models, 2 fits: 2 agree; all well." in out
    assert f"interrupted after 2 of {len(cli_cases())} cases" in err


def cli_cases():
    from lmerbridge.crosscheck import load_cases

    return [*load_cases(), *load_cases(REFERENCE / "generalized.toml")]


def test_the_installed_command():
    done = subprocess.run(
        [sys.executable, "-c", "from lmerbridge.cli import main; main()", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == lb.__version__


@pytest.fixture
def models(tmp_path):
    path = tmp_path / "models.toml"
    path.write_text(
        '[[model]]\nname = "a"\ndata = "Dyestuff"\nformula = "Yield ~ 1 + (1 | Batch)"\n'
        '[[model]]\nname = "b"\ndata = "Pastes"\nformula = "strength ~ 1 + (1 | batch/cask)"\n'
    )
    return path


def test_check_writes_reports(run, models, tmp_path):
    names = {n: tmp_path / f"report.{n}" for n in ("json", "junit", "markdown", "html")}
    options = [str(v) for n, p in names.items() for v in (f"--{n}", p)]
    status, out, _ = run("check", str(models), "--engine", "native", *options)
    assert status == 0
    assert "2 models, 2 fits: 2 reference; all well." in out
    assert json.loads(names["json"].read_text())["well"]
    assert names["junit"].read_text().count("<testcase") == 2
    assert "| a " in names["markdown"].read_text()
    assert "strength ~ 1" in names["html"].read_text()


def test_check_records_and_compares(run, models, tmp_path):
    base = str(tmp_path / "base.json")
    status, out, _ = run("check", str(models), "--engine", "native", "--record", base)
    assert status == 0
    assert "2 fits recorded" in out
    status, out, _ = run("check", str(models), "--engine", "native", "--baseline", base)
    assert status == 0
    assert "agrees with baseline" in out
    models.write_text(models.read_text().replace("batch/cask", "batch"))
    status, out, _ = run("check", str(models), "--engine", "native", "--baseline", base)
    assert status == 1
    assert "OTHER MODEL" in out
    assert (
        "formula: 'strength ~ 1 + (1 | batch/cask)' then, 'strength ~ 1 + (1 | batch)' now" in out
    )


def test_check_goes_on_where_it_stopped(run, models, tmp_path):
    done = tmp_path / "done.jsonl"
    run("check", str(models), "--engine", "native", "--resume", str(done))
    assert len(done.read_text().splitlines()) == 2
    status, out, _ = run("check", str(models), "--engine", "native", "--resume", str(done))
    assert status == 0
    assert len(done.read_text().splitlines()) == 2
    assert "2 models, 2 fits: 2 reference" in out
    done.write_text("nonsense\n" + done.read_text())
    status, _, err = run("check", str(models), "--engine", "native", "--resume", str(done))
    assert status == 2
    assert "done.jsonl:1 is not a line of an earlier run" in err


@pytest.mark.parametrize(
    ("data", "formula", "said"),
    [
        ("nothere.csv", "y ~ x + (1 | g)", "neither a data set nor a file"),
        ("sleepstudy", "Reaction ~ Dais + (Days | Subject)", "Dais"),
    ],
    ids=["file", "column"],
)
def test_a_model_that_cannot_be_fitted_is_named_with_its_line(run, tmp_path, data, formula, said):
    path = tmp_path / "models.toml"
    path.write_text(f'# ours\n\n[[model]]\nname = "a"\ndata = "{data}"\nformula = "{formula}"\n')
    status, out, _ = run("check", str(path), "--engine", "native")
    assert status == 1
    assert f"{path}:" in words(out)
    assert said in words(out)
    assert "\n1 model, 1 fit: 1 failed" in out


def test_check_in_parallel_and_scored(run, models):
    status, out, _ = run("check", str(models), "--engine", "native", "--jobs", "2")
    assert status == 0
    status, out, _ = run("check", str(models), "--engine", "native", "--scorecard")
    assert status == 0
    assert "2 of 2" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--json", "/no/such/folder/x.json"), "there is no folder"),
        (
            ("--engine", "native", "--baseline", "/no/such/file"),
            "models.toml --engine native --record /no/such/file",
        ),
        (("--baseline", "/no/such/file"), "there is no baseline /no/such/file; record one by: "),
        (("--baseline", "/"), "/ cannot be read as a baseline: Is a directory"),
        (("--jobs", "0"), "--jobs"),
        (("--engine", "nothing"), "there is no engine 'nothing'"),
    ],
)
def test_check_refuses_wrong_use(run, models, arguments, words):
    status, _, err = run("check", str(models), *arguments)
    assert status == 2
    assert words in err
    assert "Traceback" not in err


def test_degrees_of_freedom_on_the_command_line(run):
    code, out, _ = run(
        "fit",
        "Reaction ~ Days + (1 | Subject)",
        "sleepstudy",
        "--engine",
        "native",
        "--ddf",
        "Kenward-Roger",
    )
    assert code == 0
    assert "t-tests use Kenward-Roger's method" in out
    code, out, _ = run(
        "fit",
        "Reaction ~ Days + (1 | Subject)",
        "sleepstudy",
        "--engine",
        "native",
        "--ddf",
        "Satterthwaite",
        "--tidy",
        "csv",
    )
    assert code == 0
    assert "p_value" in out.splitlines()[0]
    code, _, err = run(
        "fit", "Reaction ~ Days + (1 | Subject)", "sleepstudy", "--engine", "native", "--ddf", "KR"
    )
    assert code == 2
    assert "unknown ddf" in err


def test_the_package_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "lmerbridge", "datasets", "nosuch"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith("lmerbridge: there is no data set 'nosuch'")


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--only", "a"], {"a"}),
        (["--only", "b,a"], {"a", "b"}),
        (["--only", "b*"], {"b"}),
        ([], {"a", "b"}),
    ],
)
def test_a_check_of_some_models(run, models, options, names):
    status, out, _ = run("check", str(models), "--engine", "native", *options)
    assert status == 0
    shown = {line.split()[1] for line in out.splitlines() if line.startswith("ok ")}
    assert shown == names


def test_a_model_that_there_is_not_is_named(run, models):
    status, _, error = run("check", str(models), "--only", "c")
    assert status == 2
    assert "no model is named 'c'" in error


def test_a_file_with_semicolons_and_decimal_commas(run, tmp_path):
    dye = lb.datasets.load("Dyestuff")
    lines = [
        f"{b};{str(y / 10).replace('.', ',')}" for b, y in zip(dye.Batch, dye.Yield, strict=True)
    ]
    (tmp_path / "a.csv").write_text("\n".join(["Batch;Yield", *lines]))
    dye.to_csv(tmp_path / "b.csv", sep="\t", index=False)
    formula = "Yield ~ 1 + (1 | Batch)"
    file, tabs = str(tmp_path / "a.csv"), str(tmp_path / "b.csv")
    asked = ("--engine", "native", "--tidy", "csv")
    status, out, _ = run("fit", formula, file, "--sep", ";", "--dec", ",", *asked)
    assert status == 0
    _, whole, _ = run("fit", formula, tabs, "--sep", "tab", *asked)
    estimates = [pd.read_csv(io.StringIO(text)).estimate.to_numpy() for text in (out, whole)]
    assert estimates[0] == pytest.approx(estimates[1] / 10, rel=1e-5)
    status, _, error = run("fit", formula, file, "--sep", ";;", *asked)
    assert status == 2
    assert "sep must be one character" in error


def test_sep_of_a_file_that_is_no_text(run, tmp_path):
    (tmp_path / "a.parquet").touch()
    status, _, error = run("fit", "y ~ x + (1 | g)", str(tmp_path / "a.parquet"), "--sep", ";")
    assert status == 2
    assert "is no text" in error
