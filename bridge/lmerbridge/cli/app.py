"""``lmerbridge fit | check | engines | doctor | datasets``.

Exit status: 0 all well, 1 a disagreement or a failed fit, 2 wrong use. Errors are one line on
standard error.
"""

from __future__ import annotations

import sys
import warnings
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lmerbridge.errors import DataError, FitWarning, FormulaError, LmerBridgeError

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
        import lmerbridge

        typer.echo(lmerbridge.__version__)
        raise typer.Exit


@app.command()
def fit(
    formula: Annotated[str, typer.Argument(help="lme4's formula: 'y ~ x + (x | g)'.")],
    data: Annotated[
        str, typer.Argument(help="A CSV, TSV, Parquet or Feather file, or the name of a data set.")
    ],
    engine: Annotated[str, typer.Option(help="auto, lme4, statsmodels, ...")] = "auto",
    ml: Annotated[bool, typer.Option("--ml", help="Maximum likelihood instead of REML.")] = False,
    weights: Annotated[str | None, typer.Option(help="Column of prior weights.")] = None,
    offset: Annotated[str | None, typer.Option(help="Column that is an offset.")] = None,
    subset: Annotated[str | None, typer.Option(help="Rows to use: 'x > 0'.")] = None,
    json: Annotated[bool, typer.Option("--json", help="The whole result as JSON.")] = False,
    tidy: Annotated[TidyFormat | None, typer.Option(help="Estimates as csv or json.")] = None,
    correlation: Annotated[
        bool, typer.Option("--correlation", help="Show correlations of more than 12 fixed effects.")
    ] = False,
) -> None:
    """Fit a model and print lme4's summary."""
    from lmerbridge import datasets
    from lmerbridge.model import lmer

    path = Path(data)
    if not path.exists() and not path.suffix and data in datasets.names():
        table, name = datasets.load(data), data
    else:
        table, name = datasets.read_table(path), path.stem
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", FitWarning)
        model = lmer(
            formula,
            table,
            REML=not ml,
            engine=engine,
            weights=weights,
            offset=offset,
            subset=subset,
            _data_name=name,
        )
    if json:
        typer.echo(model.to_json(indent=2))
    elif tidy is TidyFormat.csv:
        typer.echo(model.tidy().to_csv(index=False), nl=False)
    elif tidy is TidyFormat.json:
        typer.echo(model.tidy().to_json(orient="records"))
    else:
        typer.echo(str(model.summary(correlation=True if correlation else None)))
    for warning in caught:
        if issubclass(warning.category, FitWarning):
            typer.echo(f"note: {warning.message}", err=True)


@app.command()
def engines() -> None:
    """The engines: what each fits, and whether it works here."""
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
        for feature, reason in engine.unsupported.items():
            typer.echo(f"  not {feature.value}: {reason}")


@app.command()
def doctor() -> None:
    """Whether each engine works here, what is wrong, and the command that mends it."""
    from lmerbridge.cli.doctor import report

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
        Path | None, typer.Argument(help="A TOML file of cases; default: the reference suite.")
    ] = None,
    engine: Annotated[
        list[str] | None,
        typer.Option(help="Only this engine (may be repeated); default: all that are available."),
    ] = None,
) -> None:
    """Fit every case of a suite with every engine and compare, quantity by quantity."""
    from rich.console import Console

    from lmerbridge.crosscheck import CaseReport, load_cases, run_suite, suite_text
    from lmerbridge.engines import engine_names, status_of

    cases = load_cases(suite)
    for name in engine or []:
        state = status_of(name)
        if not state.available:
            raise DataError(f"engine {name!r} is not available: {state.problem}")
    reports: list[CaseReport] = []
    interrupted = False
    try:
        with Console(stderr=True).status("") as status:
            run_suite(
                cases, engine or None, lambda case: status.update(f"fitting {case.name}"), reports
            )
    except KeyboardInterrupt:
        interrupted = True
    typer.echo(suite_text(reports))
    if interrupted:
        typer.echo(f"interrupted after {len(reports)} of {len(cases)} cases", err=True)
        raise typer.Exit(130)
    for name in [] if engine else engine_names():
        state = status_of(name)
        if not state.available:
            typer.echo(f"engine {name!r} took no part: {state.problem}")
    if not all(report.well for report in reports):
        raise typer.Exit(1)


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
