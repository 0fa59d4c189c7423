"""How exact the native engine is, on every model that the repository holds R's fits of: ``make
exactness`` (needs no R).

Compared with lme4 polished: restarted from its own answer and from elsewhere, with tight
tolerances (reference/golden.R). Columns as issue and tests have them: criterion above polished
lme4's; fixed effects in standard errors; standard errors relative; standard deviations relative,
or in sigma/10 where they are nearly 0. ``--write`` makes docs/accuracy.md.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

from tabulate import tabulate

import lmerbridge as lb
from lmerbridge.crosscheck import golden, load_cases, of_golden, of_result, read_data
from lmerbridge.design import build_frame
from lmerbridge.engines import FitSpec, load_engine
from lmerbridge.files import data_folder
from lmerbridge.result import FitResult

DOCS = Path(__file__).resolve().parents[1] / "docs" / "accuracy.md"
HEAD = """\
# How exact the native engine is

Made by `make exactness` from the fits in `reference/golden` and `reference/further/golden`, which
`reference/golden.R` made: lme4 {lme4} in R {R}, with its defaults, and polished (restarted from its
own answer and from elsewhere, with tight tolerances).

"""


def distances(record: dict[str, Any], result: FitResult) -> dict[str, float]:
    """The worst figure of each column for one model."""
    lme4, ours = of_golden(record, "polished", "lme4").values, of_result(result).values
    errors, sigma = lme4["standard errors"], float(record["polished"]["sigma"])

    def deviation(name: str, value: float) -> float:
        gap = abs(ours["std. deviations"][name] - value)
        return gap / (value if value > 1e-2 * sigma else 10 * sigma)

    return {
        "criterion": result.criterion.value - float(record["polished"]["criterion"]),
        "fixed effects": max(
            (
                abs(ours["fixed effects"][k] - v) / errors[k]
                for k, v in lme4["fixed effects"].items()
            ),
            default=0.0,
        ),
        "standard errors": max(
            (abs(ours["standard errors"][k] / v - 1) for k, v in errors.items()), default=0.0
        ),
        "std. deviations": max(deviation(k, v) for k, v in lme4["std. deviations"].items()),
    }


def main() -> None:
    warnings.simplefilter("ignore", lb.FitWarning)
    suites = {
        "reference suite": data_folder("reference") / "cases.toml",
        "R packages": data_folder("reference") / "further" / "cases.toml",
    }
    engine = load_engine("native")
    table, early = [], []
    stamp: dict[str, str] = {}
    for name, path in suites.items():
        worst: dict[str, tuple[float, str]] = {}
        count = certified = 0
        for case in load_cases(path):
            record = golden(case)
            if case.error is not None or record is None:
                continue
            if case.data in lb.datasets.names() and not lb.datasets.is_local(case.data):
                print(f"{case.name}: left out, {case.data} is not on this machine")
                continue
            stamp = record["made_by"]
            frame = build_frame(case.formula, read_data(case))
            result = engine.fit(frame, FitSpec(REML=case.REML and frame.X.shape[1] > 0))
            count += 1
            certified += result.evidence.converged
            for column, value in distances(record, result).items():
                if column not in worst or value > worst[column][0]:
                    worst[column] = (value, case.name)
            default = float(record["default"]["criterion"])
            if default - result.criterion.value > 1e-5:
                early.append(
                    [
                        case.name,
                        f"`{case.formula}`",
                        "REML" if case.REML else "ML",
                        f"{default:.5f}",
                        f"{result.criterion.value:.5f}",
                        f"{default - result.criterion.value:.2g}",
                    ]
                )
        table.append(
            [name, count, certified] + [f"{value:.1e} ({model})" for value, model in worst.values()]
        )
    columns = ["models", "fitted", "certified", *worst]
    early.sort(key=lambda row: -float(row[-1]))
    listing = ["model", "formula", "", "lme4's criterion", "native", "lower by"]
    if "--write" in sys.argv:
        text = HEAD.format(**stamp) + "The worst of each:\n\n"
        text += tabulate(table, headers=columns, tablefmt="github", disable_numparse=True)
        text += "\n\n## Where lme4's default stops early\n\nBy more than 1e-5 of the criterion; "
        text += "lme4 reaches the same when it is polished. Smaller is better.\n\n"
        text += tabulate(early, headers=listing, tablefmt="github", disable_numparse=True) + "\n"
        DOCS.write_text(text, encoding="utf-8")
    print(tabulate(table, headers=columns, disable_numparse=True))
    print("\nWhere lme4's default stops early, by more than 1e-5 of the criterion:\n")
    print(tabulate(early, headers=listing, disable_numparse=True))


if __name__ == "__main__":
    main()
