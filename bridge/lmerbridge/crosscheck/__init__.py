"""Fits by several engines, compared quantity by quantity, each disagreement explained."""

from lmerbridge.crosscheck.cases import Case
from lmerbridge.crosscheck.check import Comparison, check
from lmerbridge.crosscheck.compare import Difference, compare
from lmerbridge.crosscheck.golden import golden, golden_since
from lmerbridge.crosscheck.parallel import run_cases
from lmerbridge.crosscheck.quantities import Quantities, of_golden, of_result
from lmerbridge.crosscheck.referee import Point, Referee
from lmerbridge.crosscheck.report import suite_text, totals
from lmerbridge.crosscheck.suite import (
    CaseReport,
    Outcome,
    available_engines,
    read_data,
    run_case,
    run_frame,
)
from lmerbridge.crosscheck.suite_file import load_cases
from lmerbridge.crosscheck.tolerances import TOLERANCES, Tolerance
from lmerbridge.crosscheck.verdict import VERDICTS, Fact, Reference, Verdict, judge

__all__ = [
    "TOLERANCES",
    "VERDICTS",
    "Case",
    "CaseReport",
    "Comparison",
    "Difference",
    "Fact",
    "Outcome",
    "Point",
    "Quantities",
    "Referee",
    "Reference",
    "Tolerance",
    "Verdict",
    "available_engines",
    "check",
    "compare",
    "golden",
    "golden_since",
    "judge",
    "load_cases",
    "of_golden",
    "of_result",
    "read_data",
    "run_case",
    "run_cases",
    "run_frame",
    "suite_text",
    "totals",
]
