"""Fits by several engines, compared quantity by quantity."""

from lmerbridge.crosscheck.cases import Case, golden, load_cases
from lmerbridge.crosscheck.compare import Comparison, compare
from lmerbridge.crosscheck.quantities import Quantities, of_golden, of_result
from lmerbridge.crosscheck.report import suite_text
from lmerbridge.crosscheck.suite import CaseReport, Outcome, read_data, run_case, run_suite
from lmerbridge.crosscheck.tolerances import TOLERANCES, Tolerance

__all__ = [
    "TOLERANCES",
    "Case",
    "CaseReport",
    "Comparison",
    "Outcome",
    "Quantities",
    "Tolerance",
    "compare",
    "golden",
    "load_cases",
    "of_golden",
    "of_result",
    "read_data",
    "run_case",
    "run_suite",
    "suite_text",
]
