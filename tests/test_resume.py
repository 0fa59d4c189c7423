"""A run with ``--resume`` gives what a run without it gives, whatever has changed since."""

import copy
import json
import math
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import lmerbridge as lb
from checkout import REFERENCE
from lmerbridge.crosscheck import available_engines, identity, load_cases, run_cases
from lmerbridge.crosscheck.memory import open_memory
from lmerbridge.crosscheck.record import to_plain
from lmerbridge.design import build_frame
from lmerbridge.digest import digest
from lmerbridge.engines import LINEAR_MIXED, Engine, Feature, Status, load_engine, register_engine
from lmerbridge.engines.lme4 import Lme4Engine
from lmerbridge.engines.native import NativeEngine
from lmerbridge.errors import DataError
from lmerbridge.rlang import r_traces, r_versions

pytestmark = pytest.mark.filterwarnings("ignore::lmerbridge.errors.FitWarning")

MODELS = """
[[model]]
name = "pastes"
data = "pastes.csv"
formula = "strength ~ cask + (1 | batch)"
weights = "w"

[[model]]
name = "dye"
data = "Dyestuff"
formula = "Yield ~ 1 + (1 | Batch)"
"""


@pytest.fixture
def folder(tmp_path):
    """A suite of two models, one of them on a file of its own."""
    d = lb.datasets.load("Pastes")
    d["w"] = [1.0 + i % 3 for i in range(len(d))]
    d["w2"] = [1.0 + i % 4 for i in range(len(d))]
    d["o"] = [0.1 * (i % 5) for i in range(len(d))]
    d.to_csv(tmp_path / "pastes.csv", index=False)
    (tmp_path / "models.toml").write_text(MODELS)
    return tmp_path


@pytest.fixture
def fits(monkeypatch):
    """The names of the data of each fit by the native engine, as they are made."""
    made, real = [], NativeEngine.fit

    def counted(self, frame, spec):
        made.append(frame.asked.data_name)
        return real(self, frame, spec)

    monkeypatch.setattr(NativeEngine, "fit", counted)
    return made


def run_suite(folder, resume=None, engines=("native",), **how):
    """The reports without the seconds, which no two runs share."""
    reports = run_cases(load_cases(folder / "models.toml"), engines, resume=resume, **how)
    return [
        replace(r, outcomes=tuple(replace(o, seconds=0.0) for o in r.outcomes)) for r in reports
    ]


def edited(file, before, after):
    def change(folder, monkeypatch):
        path = folder / file
        text = path.read_text()
        assert before in text
        path.write_text(text.replace(before, after, 1))

    return change


def in_model(line):
    return edited("models.toml", 'weights = "w"', f'weights = "w"\n{line}')


def another(target, name, value):
    return lambda folder, monkeypatch: monkeypatch.setattr(target, name, lambda *_: value)


def upgraded(folder, monkeypatch):
    monkeypatch.setattr(NativeEngine, "status", lambda self: Status(True, "9.9"))


def golden_values(folder, monkeypatch):
    (folder / "golden").mkdir()
    source = REFERENCE / "golden" / "Dyestuff.json"
    record = json.loads(source.read_text())
    record["default"]["beta"] = record["polished"]["beta"] = 1500.0
    (folder / "golden" / "dye.json").write_text(json.dumps(record))


# what must be fitted again
CHANGES = {
    "a cell": edited("pastes.csv", "62.8", "62.9"),
    "a cell of the last digit": edited("pastes.csv", "62.8", "62.80000000000001"),
    "a weight": edited("pastes.csv", ",1.0,", ",1.5,"),
    "a level": edited("pastes.csv", "A,b", "B,b"),
    "a missing value": edited("pastes.csv", "62.8", ""),
    "the formula": edited("models.toml", "strength ~ cask", "strength ~ 1"),
    "its random part": edited("models.toml", "(1 | batch)", "(1 | batch/cask)"),
    "REML": in_model("REML = false"),
    "weights": edited("models.toml", 'weights = "w"', 'weights = "w2"'),
    "no weights": edited("models.toml", 'weights = "w"', ""),
    "offset": in_model('offset = "o"'),
    "subset": in_model('subset = "w > 1"'),
    "na_action": in_model('na_action = "exclude"'),
    "control": in_model('control = { check_nobs_vs_nlev = "ignore" }'),
    "start": in_model("start = [1.5]"),
    "contrasts": in_model('contrasts = { cask = "contr.sum" }'),
    "the engine's version": upgraded,
    "our version": lambda folder, monkeypatch: monkeypatch.setattr(identity, "__version__", "9.9"),
    "our code": another(identity, "own_code", "other"),
    "a package": another(identity, "_installed", ["numpy-9.9.dist-info"]),
    "the processor": another(identity, "_processor", "another"),
    "the platform": lambda folder, monkeypatch: monkeypatch.setattr(
        identity.platform, "platform", lambda: "Plan 9"
    ),
}
# what is judged anew, of the same fits
SAME_FITS = {
    "nothing": lambda folder, monkeypatch: None,
    "the name": edited("models.toml", '"pastes"', '"renamed"'),
    "an engine that is required": in_model('require = ["native"]'),
    "several verdicts expected": in_model('expect = { native = ["flat", "boundary"] }'),
    "a note": in_model('shows = "weights"'),
    "what is expected": in_model('expect = { native = "flat" }'),
    "a tolerance": in_model(
        '[[model.tolerance]]\nquantity = "criterion"\nlimit = 0.5\nreason = "to try it"'
    ),
    "a column that is not used": edited("pastes.csv", ",0.0\n", ",0.7\n"),
    "golden values": golden_values,
    "a default": in_model('na_action = "omit"'),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_what_is_no_longer_so_is_fitted_again(folder, fits, monkeypatch, change):
    resume = folder / "done.jsonl"
    run_suite(folder, resume)
    change(folder, monkeypatch)
    del fits[:]
    resumed = run_suite(folder, resume)
    assert "pastes.csv" in fits
    assert resumed == run_suite(folder)


@pytest.mark.parametrize("change", SAME_FITS.values(), ids=list(SAME_FITS))
def test_verdicts_are_made_anew(folder, fits, monkeypatch, change):
    resume = folder / "done.jsonl"
    run_suite(folder, resume)
    change(folder, monkeypatch)
    del fits[:]
    resumed = run_suite(folder, resume)
    assert fits == []
    assert resumed == run_suite(folder)


def test_golden_values_that_changed_are_seen(folder, monkeypatch):
    resume = folder / "done.jsonl"
    assert run_suite(folder, resume)[1].outcomes[0].verdict.kind == "reference"
    golden_values(folder, monkeypatch)
    assert run_suite(folder, resume)[1].outcomes[0].verdict.kind == "unexplained"


class TestOptions:
    """``--baseline`` and ``--record`` after ``--resume``, other engines, other processes."""

    @pytest.fixture
    def check(self, run, folder):
        def check(*options):
            status, out, err = run("check", str(folder / "models.toml"), *map(str, options))
            assert "Traceback" not in err
            return status, re.sub(r" +\d+\.\d s ", " ", out)  # another run takes another time

        return check

    def test_baselines(self, check, folder):
        resume = ("--engine", "native", "--resume", folder / "done.jsonl")
        plain, resumed = folder / "plain.json", folder / "resumed.json"
        check(*resume)
        assert check("--engine", "native", "--record", plain)[0] == 0
        assert check(*resume, "--record", resumed)[0] == 0
        fits = [json.loads(path.read_text())["fits"] for path in (plain, resumed)]
        assert fits[0] == fits[1]
        status, out = check(*resume, "--baseline", plain)
        assert status == 0
        assert "2 agree" in out
        assert (status, out) == check("--engine", "native", "--baseline", resumed)

    @pytest.mark.parametrize("jobs", [1, 2])
    def test_a_baseline_sees_what_changed(self, check, folder, jobs):
        base = folder / "base.json"
        resume = ("--engine", "native", "--resume", folder / "done.jsonl", "--jobs", jobs)
        check(*resume, "--record", base)
        edited("pastes.csv", "62.8", "72.8")(folder, None)
        status, out = check(*resume, "--baseline", base)
        assert status == 1
        assert "OTHER DATA" in out
        assert "-> if the change is right, record the baseline anew" in out
        assert (status, out) == check("--engine", "native", "--baseline", base)

    def test_every_kind_of_report(self, check, folder):
        kinds = ("json", "junit", "markdown", "html")

        def reports(name, *options):
            paths = {kind: folder / f"{name}.{kind}" for kind in kinds}
            written = [text for kind, path in paths.items() for text in (f"--{kind}", path)]
            check("--engine", "native", "--engine", "statsmodels", *options, *written)
            texts = {kind: path.read_text() for kind, path in paths.items()}
            # pictures have identifiers by chance, and JUnit and the page say when they were written
            own = re.compile(
                r'<svg.*?</svg>|(?<=timestamp=")[^"]+|<dt>date</dt><dd>.*?</dd>', flags=re.DOTALL
            )
            return {k: own.sub("", v) for k, v in texts.items()}

        resume = ("--resume", folder / "done.jsonl")
        first, again = reports("first", *resume), reports("again", *resume)
        assert first == again  # the seconds too: they are those of the fit

    def test_another_engine_is_added(self, folder, fits):
        resume = folder / "done.jsonl"
        run_suite(folder, resume)
        del fits[:]
        both = ("native", "statsmodels")
        assert run_suite(folder, resume, both) == run_suite(folder, None, both)
        assert len(fits) == 2  # of the run without the file
        del fits[:]
        run_suite(folder, resume, ("statsmodels", "native"))
        assert fits == []

    def test_processes(self, folder, fits):
        resume = folder / "done.jsonl"
        first = run_suite(folder, resume, jobs=2)
        assert len(resume.read_text().splitlines()) == 2
        del fits[:]
        assert run_suite(folder, resume) == first
        assert run_suite(folder, resume, jobs=2) == first
        assert fits == []
        assert len(resume.read_text().splitlines()) == 2


class TestEngines:
    def test_every_engine_is_remembered_whole(self, folder, monkeypatch):
        resume, engines = folder / "done.jsonl", available_engines(rivals=True)
        first = run_suite(folder, resume, engines)
        made = [o.engine for r in first for o in r.outcomes if o.quantities is not None]
        kept = [json.loads(line)["kept"] for line in resume.read_text().splitlines()]
        assert sorted(k["engine"] for k in kept if "engine" in k) == sorted(made)
        again = run_suite(folder, resume, engines)
        assert digest(*(r.outcomes for r in again)) == digest(*(r.outcomes for r in first))

    def test_a_result_that_json_does_not_hold_is_not_remembered(self, folder, monkeypatch):
        real = NativeEngine.fit

        def odd(self, frame, spec):
            found = real(self, frame, spec)
            beta = found.estimates.beta.astype(np.float32)
            return replace(found, estimates=replace(found.estimates, beta=beta))

        monkeypatch.setattr(NativeEngine, "fit", odd)
        resume = folder / "done.jsonl"
        assert run_suite(folder, resume) == run_suite(folder, resume)
        assert not resume.exists()

    def test_a_failed_fit_is_tried_again(self, folder, monkeypatch, fits):
        resume = folder / "done.jsonl"

        def fails(self, frame, spec):
            raise lb.FitFailedError("R was ended")

        with monkeypatch.context() as patch:
            patch.setattr(NativeEngine, "fit", fails)
            assert {r.outcomes[0].verdict.kind for r in run_suite(folder, resume)} == {"failed"}
        assert run_suite(folder, resume) == run_suite(folder)

    def test_an_engine_that_comes_and_goes(self, folder, monkeypatch):
        resume = folder / "done.jsonl"
        run_suite(folder, resume)
        monkeypatch.setattr(NativeEngine, "status", lambda self: Status(False, None, "gone"))
        found = run_suite(folder, resume)
        assert {r.outcomes[0].verdict.kind for r in found} == {"unavailable"}

    def test_an_engine_of_the_program_s_own_is_never_remembered(self, folder):
        class Own(Engine):
            name, summary = "own", "for tests"
            supports = LINEAR_MIXED
            fitted = 0

            def status(self):
                return Status(True, "1")

            def limits(self, frame, spec):
                return None

            def fit(self, frame, spec):
                Own.fitted += 1
                return load_engine("native").fit(frame, spec)

        register_engine("own", Own)
        try:
            run_suite(folder, folder / "done.jsonl", ("own",))
            run_suite(folder, folder / "done.jsonl", ("own",))
        finally:
            register_engine("own", None)
        assert Own.fitted == 4


def lines_of(folder):
    resume = folder / "done.jsonl"
    run_suite(folder, resume)
    return resume, resume.read_bytes().splitlines(keepends=True)


class TestDamage:
    @pytest.mark.parametrize("kept", [1, 25, 90, 400, -2, -1])
    @pytest.mark.parametrize("line", [0, 1])
    def test_a_line_that_was_cut_off(self, folder, line, kept):
        resume, lines = lines_of(folder)
        resume.write_bytes(b"".join(lines[:line]) + lines[line][:kept])
        opened = open_memory(resume)
        whole = kept == -1  # only the end of the line is missing
        assert [("was cut off" in note) for note in opened.notes] == ([] if whole else [True])
        assert run_suite(folder, resume) == run_suite(folder)
        assert len(resume.read_bytes().splitlines()) == 2
        assert open_memory(resume).notes == []

    @pytest.mark.parametrize(
        "damage",
        [
            lambda line: line.replace(b"strength", b"strenght", 1),
            lambda line: line.replace(b"1", b"2", 1) if b"1" in line else line,
            lambda line: line[: len(line) // 2] + b"\n",
            lambda line: line[: len(line) // 2] + line,
            lambda line: line.replace(line[300:310], b"\0" * 10, 1),
            lambda line: line.replace(b'"sum": "', b'"sum": "0', 1),
            lambda line: b"nonsense\n" + line,
            lambda line: b"[1, 2]\n" + line,
            lambda line: b"\xff\xfe\n" + line,
            lambda line: b"[" * 100_000 + b"\n" + line,
        ],
    )
    def test_a_damaged_line_is_refused(self, folder, damage):
        resume, lines = lines_of(folder)
        content = damage(lines[0]) + lines[1]
        resume.write_bytes(content)
        with pytest.raises(DataError, match=r"done.jsonl:1 is not a line of an earlier run, but"):
            run_suite(folder, resume)
        assert resume.read_bytes() == content

    @pytest.mark.parametrize("what", ["pastes.csv", "base.json", "report.html"])
    def test_another_file_is_refused_and_not_touched(self, run, folder, what):
        path = folder / what
        kind = {"base.json": "--record", "report.html": "--html"}.get(what)
        if kind is not None:
            run("check", str(folder / "models.toml"), "--engine", "native", kind, str(path))
        before = path.read_bytes()
        status, out, err = run("check", str(folder / "models.toml"), "--resume", str(path))
        assert (status, out) == (2, "")
        assert err.count("\n") == 1
        assert "is not a line of an earlier run, but something else" in err
        assert path.read_bytes() == before

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (("--resume", "models.toml"), "--resume would write over the file of models"),
            (("--json", "models.toml"), "--json would write over the file of models"),
            (("--resume", "a", "--record", "a"), "--record would write over the file of --resume"),
            (("--json", "a", "--html", "../{}/a"), "--html would write over the file of --json"),
        ],
    )
    def test_no_option_writes_over_another_s_file(self, run, folder, options, words):
        paths = [o if o[:2] == "--" else str(folder / o.format(folder.name)) for o in options]
        status, out, err = run("check", str(folder / "models.toml"), *paths)
        assert (status, out) == (2, "")
        assert words in err
        assert (folder / "models.toml").read_text() == MODELS

    def test_a_folder_is_refused(self, run, folder):
        status, _, err = run("check", str(folder / "models.toml"), "--resume", str(folder))
        assert status == 2
        assert "--resume needs a file, and this is a folder" in err

    def test_a_file_that_cannot_be_written(self, folder, monkeypatch):
        resume = folder / "done.jsonl"
        opened = open_memory(resume)
        (folder / "gone").mkdir()
        opened.path = folder / "gone"
        with pytest.raises(DataError, match="gone cannot be written"):
            run_suite(folder, opened)

    def test_a_file_of_the_format_that_kept_verdicts(self, run, folder):
        resume = folder / "done.jsonl"
        report = to_plain(run_suite(folder)[0])
        resume.write_text(json.dumps({"key": "0123456789abcdef", "report": report}) + "\n")
        status, _, err = run(
            "check", str(folder / "models.toml"), "--engine", "native", "--resume", str(resume)
        )
        assert status == 0
        assert "is of an earlier version" in err
        assert len(resume.read_text().splitlines()) == 2
        assert '"report"' not in resume.read_text()

    def test_a_file_of_a_format_to_come(self, folder):
        resume = folder / "done.jsonl"
        resume.write_text('{"format": "lmerbridge-fits/99", "key": "x"}\n')
        with pytest.raises(DataError, match="but of another version of lmerbridge"):
            open_memory(resume)

    def test_an_empty_file_is_a_beginning(self, folder):
        resume = folder / "done.jsonl"
        resume.write_text("")
        assert run_suite(folder, resume) == run_suite(folder)

    def test_a_file_that_is_changed_meanwhile(self, folder):
        resume, _ = lines_of(folder)
        opened = open_memory(resume)
        resume.write_text("")
        assert run_suite(folder, opened) == run_suite(folder)


WITH_R = """
import subprocess
import sys

from lmerbridge.cli.app import app

started, real = [], subprocess.Popen.__init__

def spied(self, *args, **options):
    started.append(args[0])
    real(self, *args, **options)

subprocess.Popen.__init__ = spied
sys.argv = ["lmerbridge", "check", "models.toml", "--resume", "done.jsonl"]
try:
    app()
except SystemExit as end:
    assert not end.code, end.code
r = any("worker.py" in str(c) or "Rscript" in str(c) for c in started)
print("R" if r else "no R", file=sys.stderr)
print("statsmodels" if "statsmodels" in sys.modules else "no statsmodels", file=sys.stderr)
"""


@pytest.mark.r
class TestR:
    def test_r_is_not_started_where_nothing_is_left_to_fit(self, folder):
        def check():
            done = subprocess.run(
                [sys.executable, "-c", WITH_R], capture_output=True, text=True, cwd=folder
            )
            assert done.returncode == 0, done.stderr
            return done.stdout, done.stderr.splitlines()[-2:]

        first = check()
        assert first[1] == ["R", "statsmodels"]
        assert check() == (first[0], ["no R", "no statsmodels"])
        edited("pastes.csv", "62.8", "62.9")(folder, None)
        assert check()[1] == ["R", "statsmodels"]

    def test_another_r_is_fitted_with_again(self, folder, monkeypatch):
        resume = folder / "done.jsonl"
        first = run_suite(folder, resume, ("lme4",))
        asked = []
        monkeypatch.setattr(
            Lme4Engine, "fit", lambda self, frame, spec: asked.append(1) or real(self, frame, spec)
        )
        real = NativeEngine.fit
        assert run_suite(folder, resume, ("lme4",)) == first
        assert asked == []
        other = {**identity.r_versions(), "R": "9.9.9"}
        monkeypatch.setattr(identity, "r_versions", lambda: other)
        run_suite(folder, resume, ("lme4",))
        assert asked == [1, 1]

    def test_lme4_from_the_file_is_lme4(self, folder):
        resume, both = folder / "done.jsonl", ("lme4", "native")
        first = run_suite(folder, resume, both)
        assert run_suite(folder, resume, both) == first == run_suite(folder, None, both)


@pytest.mark.r
class TestTraces:
    """What R leaves in the file system, by which it need not be started to be asked."""

    @pytest.fixture
    def versions(self):
        return r_versions()

    def test_they_stay(self, versions):
        assert r_traces(versions) == r_traces(versions)
        assert r_traces(versions) != r_traces()

    @pytest.mark.parametrize("name", ["R_LIBS", "R_LIBS_USER", "R_HOME_OF_MINE", "LD_PRELOAD"])
    def test_the_environment(self, versions, monkeypatch, name):
        before = r_traces(versions)
        monkeypatch.setenv(name, "/elsewhere")
        assert r_traces(versions) != before

    def test_packages(self, versions, tmp_path):
        library = tmp_path / "library"
        here = {**versions, "libraries": [str(library)]}
        seen = [r_traces(here)]
        for step in (
            library.mkdir,
            (library / "lme4").mkdir,
            lambda: (library / "lme4" / "DESCRIPTION").write_text("Version: 1.1-31"),
            lambda: (library / "lme4" / "DESCRIPTION").write_text("Version: 1.1-310"),
            (library / "Matrix").mkdir,
        ):
            step()
            seen.append(r_traces(here))
        assert len(set(seen)) == len(seen)

    def test_the_home_and_its_libraries(self, versions, tmp_path):
        here = {**versions, "home": str(tmp_path), "files": str(tmp_path / "libblas.so")}
        seen = [r_traces(here)]
        for name in ("libblas.so", "etc/Renviron", "lib/libR.so"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text("x")
            seen.append(r_traces(here))
        assert len(set(seen)) == len(seen)

    def test_no_r(self, monkeypatch, tmp_path):
        monkeypatch.setenv("R_HOME", str(tmp_path))
        assert r_traces() is None

    def test_r_in_this_process_is_asked(self, monkeypatch):
        monkeypatch.setenv("LMERBRIDGE_R_TRANSPORT", "rpy2")
        assert r_traces() is None


class TestDigest:
    """What a key is made of."""

    VALUES = (
        None,
        True,
        1,
        1.0,
        "1",
        b"1",
        -0.0,
        0.0,
        math.inf,
        "",
        (),
        [],
        (1, 2),
        [1, 2],
        ((1,), 2),
        (1, (2,)),
        ("ab", "c"),
        ("a", "bc"),
        {},
        {"a": 1},
        {"a": 2},
        {"b": 1},
        frozenset({1, 2}),
        np.array([1.0, 2.0]),
        np.array([1, 2]),
        np.array([[1.0, 2.0]]),
        np.array([1.0, 2.0], dtype=np.float32),
        np.array(["a", "b"], dtype=object),
        np.array([], dtype=float),
        pd.RangeIndex(2),
        pd.Index([1, 0]),
        pd.Index(["0", "1"]),
        pd.Index(["0", "1"], name="i"),
        Feature.ML,
        Feature.REML,
        Status(True),
        Status(True, "1"),
        Status(False, "1"),
    )

    def test_other_values_have_other_digests(self):
        found = [digest(value) for value in self.VALUES]
        assert len(set(found)) == len(found)

    def test_the_same_have_the_same(self):
        for value in self.VALUES:
            assert digest(value) == digest(copy.deepcopy(value))
        assert digest(math.nan) == digest(float("nan"))
        assert digest(np.float64(0.5)) == digest(0.5)
        assert digest({3, 1, 2}) == digest({2, 3, 1})
        strided = np.arange(10.0)[::2]
        assert digest(strided) == digest(strided.copy())

    @pytest.mark.parametrize("value", [object(), lambda: 1, [object()], {"a": iter(())}])
    def test_what_nobody_can_say_is_refused(self, value):
        with pytest.raises(TypeError, match="no digest of a"):
            digest(value)

    def test_what_was_computed_since_is_no_part(self):
        frame = build_frame("Yield ~ 1 + (1 | Batch)", lb.datasets.load("Dyestuff"))
        before = digest(frame)
        assert frame.fingerprint
        assert digest(frame) == before
