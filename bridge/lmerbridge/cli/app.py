"""``lmerbridge fit | check | engines | doctor | datasets``.

Exit status: 0 all well, 1 a disagreement or a failed fit, 2 wrong use. Errors are one line on
standard error.
"""

from __future__ import annotations

import shlex
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from lmerbridge._version import __version__
from lmerbridge.errors import DataError, FitMessage, FitWarning, FormulaError, LmerBridgeError

__all__ = ["app", "main"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Mixed models with the numbers that lme4 prints.",
)


class TidyFormat(StrEnum):
    csv = "csv"
    json = "json"


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command()
def fit(
    formula: Annotated[str, typer.Argument(help="lme4's formula: 'y ~ x + (x | g)'.")],
    data: Annotated[
        str, typer.Argument(help="A CSV, TSV, Parquet or Feather file, or the name of a data set.")
    ],
    engine: Annotated[
        str, typer.Option(help="auto, lme4, lme4@4.6.2 (in that R), native, ...")
    ] = "auto",
    ml: Annotated[bool, typer.Option("--ml", help="Maximum likelihood instead of REML.")] = False,
    family: Annotated[
        str | None,
        typer.Option(help="Of a generalized model, as R writes it: poisson, 'binomial(probit)'."),
    ] = None,
    nagq: Annotated[
        int, typer.Option("--nAGQ", help="Of a generalized model: nodes of the quadrature.")
    ] = 1,
    weights: Annotated[str | None, typer.Option(help="Column of prior weights.")] = None,
    offset: Annotated[str | None, typer.Option(help="Column that is an offset.")] = None,
    subset: Annotated[str | None, typer.Option(help="Rows to use: 'x > 0'.")] = None,
    sep: Annotated[
        str | None, typer.Option(help="What parts the fields of a CSV file: ';', 'tab'.")
    ] = None,
    dec: Annotated[str, typer.Option(help="The decimal point of a CSV file.")] = ".",
    json: Annotated[bool, typer.Option("--json", help="The whole result as JSON.")] = False,
    tidy: Annotated[TidyFormat | None, typer.Option(help="Estimates as csv or json.")] = None,
    ddf: Annotated[
        str | None,
        typer.Option(help="Degrees of freedom and p-values: Satterthwaite or Kenward-Roger."),
    ] = None,
    correlation: Annotated[
        bool, typer.Option("--correlation", help="Show correlations of more than 12 fixed effects.")
    ] = False,
) -> None:
    """Fit a model and print lme4's summary."""
    from lmerbridge import datasets
    from lmerbridge.model import glmer, lmer

    if family is None and nagq != 1:
        raise DataError("--nAGQ is of a generalized model: name its --family")
    if family is not None and (ml or ddf is not None):
        raise DataError("--ml and --ddf are of linear models: leave them out with --family")
    path = Path(data)
    if not path.exists() and not path.suffix and data in datasets.names():
        table = datasets.load(data)
    else:
        mark = "\t" if sep == "tab" else sep
        table = datasets.read_table(path, mark, dec)
        table.attrs["name"] = path.stem  # what the summary shows as the data's name
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", FitWarning)
        warnings.simplefilter("always", FitMessage)
        rest: dict[str, Any] = {
            "engine": engine,
            "weights": weights,
            "offset": offset,
            "subset": subset,
        }
        model: Any = (
            lmer(formula, table, REML=not ml, **rest)
            if family is None
            else glmer(formula, table, family, nAGQ=nagq, **rest)
        )
    own = {"ddf": ddf} if family is None else {}
    if json:
        typer.echo(model.to_json(indent=2))
    elif tidy is TidyFormat.csv:
        typer.echo(model.tidy(**own).to_csv(index=False), nl=False)
    elif tidy is TidyFormat.json:
        typer.echo(model.tidy(**own).to_json(orient="records"))
    else:
        typer.echo(str(model.summary(correlation=True if correlation else None, **own)))
    for warning in caught:
        if issubclass(warning.category, (FitMessage, FitWarning)):
            typer.echo(f"note: {warning.message}", err=True)


@app.command()
def engines() -> None:
    """The engines: what each fits, and whether it works here."""
    from lmerbridge.cli.installations import installations_text
    from lmerbridge.engines import engine_names, load_engine, status_of

    for name in engine_names():
        state = status_of(name)
        typer.echo(
            f"{name} {state.version or ''}".rstrip()
            + (": available" if state.available else f": not available: {state.problem}")
        )
        try:
            engine = load_engine(name)
        except LmerBridgeError:
            continue
        typer.echo(f"  {engine.summary}")
        for feature, reason in engine.why_not.items():
            typer.echo(f"  not {feature.value}: {reason}")
    typer.echo(installations_text())


@app.command()
def doctor(
    fix: Annotated[bool, typer.Option("--fix", help="Run what can be mended by pip.")] = False,
) -> None:
    """Whether each engine works here, by which way R is reached and why, what is wrong, and the
    command that mends it.
    """
    from lmerbridge.cli.doctor import mend, report

    if fix:
        done = mend(typer.echo)
        if not done:
            typer.echo("nothing here can be mended by pip")
        for mended in done:
            typer.echo(
                f"{mended.requirement}: "
                + ("installed" if mended.problem is None else f"failed: {mended.problem}")
            )
        typer.echo()
    text, well = report()
    typer.echo(text)
    if not well:
        raise typer.Exit(1)


@app.command()
def datasets(
    name: Annotated[str | None, typer.Argument(help="Describe this one.")] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print its rows.")] = False,
) -> None:
    """The data sets of this package."""
    from lmerbridge import datasets as sets

    if name is None:
        for known in sets.names():
            info = sets.describe(known)
            where = "" if sets.is_local(known) else " (to be fetched)"
            typer.echo(f"{known:24} {info.rows:6}  {info.title}{where}")
    elif csv:
        typer.echo(sets.load(name).to_csv(index=False), nl=False)
    else:
        typer.echo(str(sets.describe(name)))


@app.command()
def check(
    suite: Annotated[
        Path | None, typer.Argument(help="A TOML file of models; default: the reference suite.")
    ] = None,
    engine: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this engine (may be repeated, or a list: a,b); default: all that work here."
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Only the models of this name, in which * stands for any text (may be repeated, "
            "or a list)."
        ),
    ] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(
            help="Fail unless this engine works here (may be repeated, or a list); "
            "LMERBRIDGE_REQUIRE_R=1 is --require lme4."
        ),
    ] = None,
    r: Annotated[
        list[str] | None,
        typer.Option(
            "--r",
            help="Compare lme4 with lme4: an R by its path, its version or a command in place of "
            "Rscript (repeat it; the first is the reference, of one alone the R in use). Status 1 "
            "if any number moved.",
        ),
    ] = None,
    scorecard: Annotated[
        bool, typer.Option("--scorecard", help="How each engine does, rivals included.")
    ] = False,
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="Models at a time.", min=1)] = 1,
    resume: Annotated[
        Path | None, typer.Option(help="A file that keeps each fit; run again to go on.")
    ] = None,
    record: Annotated[Path | None, typer.Option(help="Write the numbers as a baseline.")] = None,
    baseline: Annotated[
        Path | None, typer.Option(help="Compare with a baseline written by --record.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write everything as JSON.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write Markdown, for a summary.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write one self-contained page.")] = None,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", "-v", help="Every quantity of every fit, and all evidence."),
    ] = False,
) -> None:
    """Fit every model of a suite with every engine, compare, and say why they differ."""
    from lmerbridge.crosscheck import CaseReport, available_engines, load_cases, run_cases
    from lmerbridge.crosscheck.requirements import for_a_run, listed, missing
    from lmerbridge.crosscheck.selection import only as chosen_cases
    from lmerbridge.crosscheck.upgrade import between, drifted, engines_of, for_an_upgrade
    from lmerbridge.engines import AUTO_ORDER, engine_names, status_of
    from lmerbridge.files import data_folder, further_cases
    from lmerbridge.optional import needed

    if r:
        _refuse_with_r(
            {"engine": engine, "require": require, "scorecard": scorecard, "baseline": baseline}
        )
    own = suite is None
    engine = engines_of(r, "--r") if r else listed(engine or [])
    cases = load_cases(suite)
    if own and scorecard:
        cases += [
            *load_cases(data_folder("reference") / "generalized.toml"),
            *load_cases(further_cases()),
        ]
        # those with engines of their own are there to show a verdict
        cases = [case for case in cases if case.engines is None]
    elif own:
        cases += load_cases(data_folder("reference") / "generalized.toml")
        if not engine:
            cases += load_cases(data_folder("reference") / "zoo.toml")
    cases = chosen_cases(cases, listed(only or []))
    wanted = listed(require or [])
    cases = for_an_upgrade(cases, engine) if r else for_a_run(cases, wanted, engine)
    written = {"resume": resume, "record": record, "json": json, "junit": junit}
    _check_written({**written, "markdown": markdown, "html": html}, suite)
    if html is not None:
        needed("jinja2", "report", "--html")
    if jobs > 1:
        needed("joblib", "parallel", "--jobs")
    memory = None
    if resume is not None:
        from lmerbridge.crosscheck.memory import open_memory

        memory = open_memory(resume)
        for note in memory.notes:
            typer.echo(f"note: {note}", err=True)
        memory.recall_r()
    for name in engine:
        state = status_of(name)
        if not state.available:
            raise DataError(f"engine {name!r} is not available: {state.problem}")
    kept = None
    if baseline is not None:
        from lmerbridge.crosscheck.baseline import load_baseline

        kept = load_baseline(baseline, _recording(suite, engine, baseline))
    chosen = engine or available_engines(rivals=scorecard)
    reports: list[CaseReport] = []
    interrupted = False
    try:
        with _progress(len(cases)) as show:
            run_cases(cases, chosen, jobs, memory, show, reports)
    except KeyboardInterrupt:
        interrupted = True
    if kept is not None:
        from lmerbridge.crosscheck.baseline import against_baseline

        reports = against_baseline(reports, kept)
    if r:
        reports = [drifted(report) for report in reports]
    _print_reports(reports, scorecard, verbose)
    if r:
        for sentence in between(reports):
            typer.echo(sentence)
    _write_reports(reports, {"json": json, "junit": junit, "markdown": markdown, "html": html})
    if interrupted:
        typer.echo(f"interrupted after {len(reports)} of {len(cases)} cases", err=True)
        raise typer.Exit(130)
    absent = missing(reports)
    for sentence in absent.values():
        typer.echo(f"lmerbridge: {sentence}", err=True)
    idle = {}
    for name in [] if engine else engine_names():
        state = status_of(name)
        if not state.available and name not in absent and (scorecard or name in AUTO_ORDER):
            idle[name] = state.problem
    for name, problem in idle.items():
        typer.echo(f"engine {name!r} took no part: {problem}")
    if kept is not None:
        from lmerbridge.crosscheck.baseline import not_compared

        for sentence in not_compared(reports, kept, engine):
            typer.echo(sentence)
    if record is not None:
        from lmerbridge.crosscheck.baseline import record_baseline

        typer.echo(f"{record}: {record_baseline(reports, record)} fits recorded")
    well = all(report.well for report in reports)
    if absent or not (well or scorecard):
        raise typer.Exit(1)


def _recording(suite: Path | None, engines: list[str], baseline: Path) -> str:
    """The command that records what this one would have compared with."""
    words = ["lmerbridge", "check", *([] if suite is None else [str(suite)])]
    for name in engines:
        words += ["--engine", name]
    return shlex.join([*words, "--record", str(baseline)])


def _refuse_with_r(others: dict[str, Any]) -> None:
    """Refuse options that say something of other engines than lme4, or of another reference.

    Raises
    ------
    DataError
    """
    for option, value in others.items():
        if value:
            raise DataError(
                f"--r compares lme4 with lme4 in another R: leave out --{option}, or run once more "
                "without --r"
            )


def _check_written(paths: dict[str, Path | None], suite: Path | None) -> None:
    """See that each file can be written and is no other one: an option takes another's file for its
    own, and what was in it is lost.

    Raises
    ------
    DataError
    """
    seen = {} if suite is None else {suite.resolve(): "the file of models"}
    for option, path in paths.items():
        if path is None:
            continue
        if not path.parent.is_dir():
            raise DataError(f"{path}: there is no folder {path.parent}")
        if path.is_dir():
            raise DataError(f"{path}: --{option} needs a file, and this is a folder")
        before = seen.setdefault(path.resolve(), f"the file of --{option}")
        if before != f"the file of --{option}":
            raise DataError(f"{path}: --{option} would write over {before}; name another file")


@contextmanager
def _progress(total: int) -> Iterator[Any]:
    """A bar on standard error, where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task("", total=total)
        yield lambda case, done: bar.update(task, description=case.name, completed=done)


def _print_reports(reports: list[Any], scorecard: bool, verbose: bool) -> None:
    from rich.console import Console
    from rich.text import Text

    from lmerbridge.crosscheck.overview import DEFAULT_COLUMNS, conclusion, overview_text
    from lmerbridge.crosscheck.report import suite_text
    from lmerbridge.crosscheck.scorecard import scorecard as scores
    from lmerbridge.crosscheck.scorecard import scorecard_text

    if scorecard:
        typer.echo(scorecard_text(scores(reports)))
        return
    console = Console(soft_wrap=True, highlight=False)
    if verbose:
        shown = f"{suite_text(reports)}\n{conclusion(reports)}"
    else:
        shown = overview_text(reports, console.width if console.is_terminal else DEFAULT_COLUMNS)
    for line in shown.splitlines():
        text = Text(line)
        if console.is_terminal:
            text.highlight_regex(r"\b[A-Z]{4,}[A-Z, ]+\b|\S+!|^FAIL|^Not well:", "bold red")
            text.highlight_regex(r"agrees with [\w ]+?(?=  |$)|^ok|^All is well:", "green")
            text.highlight_regex("^note", "yellow")
            text.highlight_regex("^skip", "dim")
        console.print(text)


def _write_reports(reports: list[Any], paths: dict[str, Path | None]) -> None:
    from lmerbridge.crosscheck.formats import json_text, junit_text, markdown_text
    from lmerbridge.crosscheck.html import html_text

    writers = {"json": json_text, "junit": junit_text, "markdown": markdown_text, "html": html_text}
    for name, path in paths.items():
        if path is not None:
            path.write_text(writers[name](reports), encoding="utf-8")


def main() -> None:
    """Run the command line; our errors are one line (a formula's with its caret), status 2 for
    wrong use and 1 for a fit that failed.
    """
    try:
        app()
    except (FormulaError, DataError) as error:
        typer.echo(f"lmerbridge: {error}", err=True)
        sys.exit(2)
    except LmerBridgeError as error:
        typer.echo(f"lmerbridge: {error}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        sys.exit(1)
