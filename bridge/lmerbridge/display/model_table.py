"""Models side by side, for a paper: a table as text, Markdown, LaTeX, HTML or a DataFrame, in the
manner of R's modelsummary (Arel-Bundock 2022, J. Stat. Softw. 103(1)).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from lmerbridge.arguments import check_level, checked
from lmerbridge.display.named_models import named_models
from lmerbridge.errors import ArgumentError, UnsupportedModelError
from lmerbridge.optional import needed

__all__ = ["ModelTable", "table"]

STARS = ((0.001, "***"), (0.01, "**"), (0.05, "*"), (0.1, "+"))
STATISTICS = ("std_error", "conf_int", "statistic", "p_value")
NOTE = "+ p < 0.1, * p < 0.05, ** p < 0.01, *** p < 0.001"


@dataclass(frozen=True)
class ModelTable:
    """Models side by side.

    Attributes
    ----------
    names : tuple of str
        Of the models.
    rows : tuple of (str, tuple of str)
        The label of a row and its cells, one a model; the label is empty where a row goes on with
        the one above.
    rules : tuple of int
        Rows that a line stands above.
    notes : tuple of str
        What stands below.
    """

    names: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    rules: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def frame(self) -> pd.DataFrame:
        """Return the cells as a DataFrame of text, labels as its index."""
        return pd.DataFrame(
            [cells for _, cells in self.rows],
            index=pd.Index([label for label, _ in self.rows]),
            columns=list(self.names),
        )

    def __str__(self) -> str:
        """Return the table in columns of text."""
        stub = max(len(label) for label, _ in self.rows)
        widths = [
            max(len(name), *(len(cells[j]) for _, cells in self.rows))
            for j, name in enumerate(self.names)
        ]
        rule = "-" * (stub + sum(w + 2 for w in widths))

        def line(label: str, cells: Sequence[str]) -> str:
            shown = (c.center(w) for c, w in zip(cells, widths, strict=True))
            return (label.ljust(stub) + "".join(f"  {c}" for c in shown)).rstrip()

        lines = [line("", self.names), rule]
        for i, (label, cells) in enumerate(self.rows):
            lines += [rule] if i in self.rules else []
            lines.append(line(label, cells))
        return "\n".join([*lines, rule, *self.notes])

    __repr__ = __str__

    def to_markdown(self) -> str:
        """Return the table in Markdown, as GitHub and pandoc read it."""

        def line(cells: Sequence[str]) -> str:
            return (
                "| " + " | ".join(c.replace("|", "\\|").replace("*", "\\*") for c in cells) + " |"
            )

        lines = [line(("", *self.names)), "|:--|" + ":-:|" * len(self.names)]
        lines += [line((label, *cells)) for label, cells in self.rows]
        below = [_markdown(note) for note in self.notes]
        return "\n".join([*lines, *(["", *below] if below else [])]) + "\n"

    def to_latex(self) -> str:
        """Return the table in LaTeX; it needs the package booktabs."""
        columns = len(self.names)
        lines = [
            f"\\begin{{tabular}}{{l{'c' * columns}}}",
            "\\toprule",
            " & ".join(["", *map(_latex, self.names)]) + " \\\\",
            "\\midrule",
        ]
        for i, (label, cells) in enumerate(self.rows):
            lines += ["\\midrule"] if i in self.rules else []
            lines.append(" & ".join(map(_latex, (label, *cells))) + " \\\\")
        lines.append("\\bottomrule")
        lines += [
            f"\\multicolumn{{{columns + 1}}}{{l}}{{\\footnotesize {_latex(note)}}} \\\\"
            for note in self.notes
        ]
        return "\n".join([*lines, "\\end{tabular}"]) + "\n"

    def to_html(self) -> str:
        """Return the table in HTML, with its style in it."""

        def row(tag: str, cells: Sequence[str], top: bool = False) -> str:
            edge = "border-top:1px solid;" if top else ""
            parts = (
                f'<{tag} style="{edge}text-align:{"left" if j == 0 else "center"};'
                f'padding:0.1em 0.8em">{escape(cell)}</{tag}>'
                for j, cell in enumerate(cells)
            )
            return "<tr>" + "".join(parts) + "</tr>"

        body = "".join(
            row("td", (label, *cells), i in self.rules)
            for i, (label, cells) in enumerate(self.rows)
        )
        notes = "".join(
            f'<tr><td colspan="{len(self.names) + 1}" style="border-top:1px solid;text-align:left">'
            f"<small>{escape(note)}</small></td></tr>"
            for note in self.notes
        )
        return (
            '<table style="border-collapse:collapse;border-top:2px solid;border-bottom:2px solid">'
            f"<thead>{row('th', ('', *self.names))}</thead><tbody>{body}</tbody>"
            f"<tfoot>{notes}</tfoot></table>"
        )

    def _repr_html_(self) -> str:
        return self.to_html()

    def to_gt(self) -> Any:
        """Return the table as a ``great_tables.GT``, with lines where the other forms have them.

        Raises
        ------
        MissingPackageError
            The package great_tables is not installed.
        """
        needed("great_tables", "tables", "to_gt()")
        from great_tables import GT, loc, style  # pyright: ignore[reportMissingImports]

        made = GT(self.frame.reset_index(names=""), rowname_col="")
        made = made.cols_align("center", list(self.names)).tab_options(
            table_body_hlines_style="none", stub_border_style="none"
        )
        # below a row and not above the next one: of two edges that meet the upper one is drawn
        above = [row - 1 for row in self.rules]
        if above:
            line = style.borders(sides="bottom", weight="1px", color="#808080")
            made = made.tab_style(line, [loc.body(rows=above), loc.stub(rows=above)])
        for note in self.notes:
            made = made.tab_source_note(note)
        return made


SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"$\sim$", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
}  # fmt: skip


def _markdown(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*")


def _latex(text: str) -> str:
    minus = text.startswith("-") and text[1:2].isdigit()
    shown = "".join(SPECIAL.get(c, c) for c in (text[1:] if minus else text))
    return f"$-${shown}" if minus else shown


def _number(value: float, digits: int) -> str:
    """``digits`` decimals; scientific where they would show nothing of it."""
    if not math.isfinite(value):
        return ""
    if value != 0 and abs(value) < 0.5 * 10.0**-digits:
        return f"{value:.{max(digits - 1, 0)}e}"
    return f"{value:.{digits}f}"


def _p_value(value: float, digits: int) -> str:
    least = 10.0**-digits
    return f"<{least:.{digits}f}" if value < least else f"{value:.{digits}f}"


def _estimates(m: Any, ddf: str | None, level: float, exponentiate: bool) -> pd.DataFrame:
    """Rows of fixed effects with what there is of std_error, statistic, p_value, conf_low, ..."""
    if not hasattr(m, "ranef"):  # an ordinary regression
        found: pd.DataFrame = m.tidy()
        limits = m.confint(level=level).to_numpy()
        found = found.assign(conf_low=limits[:, 0], conf_high=limits[:, 1])
        if exponentiate and hasattr(m, "family"):
            ends = ["estimate", "conf_low", "conf_high"]
            found["std_error"] *= np.exp(found["estimate"])
            found[ends] = np.exp(found[ends])
        return found
    own = {"exponentiate": exponentiate} if m.result.call.generalized else {"ddf": ddf}
    found = m.tidy("fixed", conf_int=True, conf_level=level, **own)
    if "p_value" not in found:
        from scipy.special import ndtr

        found = found.assign(p_value=2 * ndtr(-np.abs(found["statistic"].to_numpy(float))))
    return found


def _spread_label(group: str, term: str) -> str:
    """modelsummary's label of a standard deviation or a correlation."""
    kind, _, name = term.partition("__")
    name = name.replace("(Intercept)", "Intercept")
    if kind == "cor":
        return f"Cor ({name.replace('.', ' ~ ', 1)} | {group})"
    return "SD (Observations)" if group == "Residual" else f"SD ({name} | {group})"


def _spreads(m: Any) -> dict[str, float]:
    if not hasattr(m, "ranef"):
        return {}
    found = m.tidy("ran_pars")
    names = (_spread_label(g, t) for g, t in zip(found["group"], found["term"], strict=True))
    return dict(zip(names, found["estimate"].tolist(), strict=True))


def _about(m: Any, digits: int) -> dict[str, str]:
    """What is said of the fit as a whole."""
    said = {"Num.Obs.": f"{m.nobs():d}"}
    if hasattr(m, "ngrps"):
        said |= {f"Num. {group}": f"{count:d}" for group, count in m.ngrps().items()}
    with contextlib.suppress(UnsupportedModelError):  # a link without a latent variance
        if hasattr(m, "r2"):
            r2, icc = m.r2(), m.icc()
            for label, value in (
                ("R2 Marg.", r2.marginal),
                ("R2 Cond.", r2.conditional),
                ("ICC", icc.adjusted),
            ):
                if value is not None and math.isfinite(value):
                    said[label] = _number(value, digits)
    for label, of in (("AIC", m.AIC), ("BIC", m.BIC), ("RMSE", m.rmse)):
        said[label] = f"{of():.1f}" if label != "RMSE" else _number(of(), digits)
    return said


def _cell(row: Mapping[Any, Any], digits: int, stars: bool) -> str:
    text = _number(row["estimate"], digits)
    p = row["p_value"]
    if stars and math.isfinite(p):
        text += next((sign for limit, sign in STARS if p < limit), "")
    return text


@checked
def table(
    models: Any,
    statistic: str = "std_error",
    stars: bool = False,
    digits: int = 3,
    ddf: str | None = "Satterthwaite",
    level: float = 0.95,
    exponentiate: bool = False,
) -> ModelTable:
    """Compare models side by side, as a paper shows them.

    Parameters
    ----------
    models : Model, sequence of models, or mapping of str to model
        Mixed models, generalized ones and ordinary regressions; of a mapping the keys are the
        columns' heads.
    statistic : {"std_error", "conf_int", "statistic", "p_value"}
        What stands in brackets below an estimate.
    stars : bool
        Whether estimates have stars by their p-values.
    digits : int
        Decimals.
    ddf : str, optional
        Degrees of freedom of p-values and intervals, as of :meth:`lmerbridge.Model.tidy`; ``None``:
        normal ones.
    level : float
        Of the intervals, between 0 and 1.
    exponentiate : bool
        Whether effects of generalized models are ratios, as of their ``tidy``; those of other
        models stay as they are.

    Returns
    -------
    ModelTable
        With ``print()``, ``to_markdown()``, ``to_latex()``, ``to_html()``, ``to_gt()`` and
        ``frame``.

    Raises
    ------
    ArgumentError
        A statistic that is none of those, or a level that is not between 0 and 1.
    DataError
        There is no model, or one is none.
    """
    named = named_models(models, "table", lambda i, _: f"({i})")
    if statistic not in STATISTICS:
        raise ArgumentError(f"statistic must be one of {', '.join(STATISTICS)}, not {statistic!r}")
    check_level(level)
    if digits < 0:
        raise ArgumentError(f"digits must be 0 or more, not {digits}")
    shown: Callable[[Mapping[Any, Any]], str] = {
        "std_error": lambda r: f"({_number(r['std_error'], digits)})",
        "statistic": lambda r: f"({_number(r['statistic'], digits)})",
        "p_value": lambda r: f"({_p_value(r['p_value'], digits)})",
        "conf_int": lambda r: (
            f"[{_number(r['conf_low'], digits)}, {_number(r['conf_high'], digits)}]"
        ),
    }[statistic]
    fixed: list[dict[str, dict[Any, Any]]] = [
        {str(r["term"]): r for r in _estimates(m, ddf, level, exponentiate).to_dict("records")}
        for m in named.values()
    ]
    rows: list[tuple[str, tuple[str, ...]]] = []
    for term in dict.fromkeys(t for each in fixed for t in each):
        rows.append(
            (term, tuple(_cell(e[term], digits, stars) if term in e else "" for e in fixed))
        )
        rows.append(("", tuple(shown(e[term]) if term in e else "" for e in fixed)))
    rules = []
    for parts in (
        [{k: _number(v, digits) for k, v in _spreads(m).items()} for m in named.values()],
        [_about(m, digits) for m in named.values()],
    ):
        labels = _in_order(parts)
        if labels:
            rules.append(len(rows))
        rows += [(label, tuple(part.get(label, "") for part in parts)) for label in labels]
    return ModelTable(
        tuple(named), tuple(rows), tuple(r for r in rules if r), (NOTE,) if stars else ()
    )


def _in_order(parts: Sequence[Mapping[str, str]]) -> list[str]:
    """All labels, each model's in its order, those of later models where they belong."""
    order: list[str] = []
    for part in parts:
        at = 0
        for label in part:
            if label in order:
                at = order.index(label) + 1
            else:
                order.insert(at, label)
                at += 1
    return order
