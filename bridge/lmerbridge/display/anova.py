"""Tables of tests with R's headings."""

from __future__ import annotations

from lmerbridge.display.coefmat import anova_lines
from lmerbridge.display.table import RTable
from lmerbridge.inference.anova import TestTable

__all__ = ["table_of_tests"]


def table_of_tests(found: TestTable) -> RTable:
    """A DataFrame that prints as R prints an ``anova`` table."""
    table = found.table
    lines = anova_lines([str(i) for i in table.index], list(table.columns), table.to_numpy(float))
    return RTable.of(table, "\n".join([*found.heading, *lines]), found.notes)
