"""A suite's outcome for other programs: JSON, JUnit, Markdown."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from xml.etree import ElementTree

from tabulate import tabulate

from lmerbridge._version import __version__
from lmerbridge.crosscheck.record import to_plain
from lmerbridge.crosscheck.report import explanations, totals, verdict_cell
from lmerbridge.crosscheck.suite import CaseReport

__all__ = ["json_text", "junit_text", "markdown_text"]


def json_text(reports: Sequence[CaseReport]) -> str:
    """Everything, as JSON."""
    return json.dumps(
        {
            "format": "lmerbridge-check/1",
            "lmerbridge": __version__,
            "well": all(r.well for r in reports),
            "totals": totals(reports),
            "cases": [to_plain(r) for r in reports],
        },
        indent=1,
    )


def _legal(text: str) -> str:
    """Without the characters that XML does not allow."""
    return "".join(c for c in text if c in "\t\n" or c >= " ")


def _versions(reports: Sequence[CaseReport]) -> dict[str, str]:
    """Of this package, the platform, and what the engines' numbers depend on."""
    found = {"lmerbridge": __version__, "platform": platform.platform()}
    for report in reports:
        for outcome in report.outcomes:
            for name, version in outcome.versions.items():
                found.setdefault(name, version)
    return found


def junit_text(reports: Sequence[CaseReport]) -> str:
    """A test per case and engine, as CI servers read it."""
    seconds = [o.seconds for r in reports for o in r.outcomes if o.seconds == o.seconds]
    suite = ElementTree.Element(
        "testsuite",
        name="lmerbridge check",
        time=f"{sum(seconds):.4f}",
        timestamp=datetime.now(UTC).isoformat(timespec="seconds"),
        hostname=platform.node(),
    )
    properties = ElementTree.SubElement(suite, "properties")
    for name, version in _versions(reports).items():
        ElementTree.SubElement(properties, "property", name=name, value=_legal(version))
    tests = failures = skips = 0
    for report in reports:
        if report.skipped:
            test = ElementTree.SubElement(suite, "testcase", classname=report.case.name, name="all")
            ElementTree.SubElement(test, "skipped", message=_legal(report.skipped))
            tests, skips = tests + 1, skips + 1
        lines = explanations(report)
        for o in report.outcomes:
            tests += 1
            test = ElementTree.SubElement(
                suite,
                "testcase",
                classname=_legal(report.case.name),
                name=o.engine,
                time="0" if o.seconds != o.seconds else f"{o.seconds:.4f}",
            )
            file, _, line = report.case.where("").rpartition(":")
            if file and line.isdecimal():
                test.set("file", _legal(file))
                test.set("line", line)
            if o.verdict.kind in ("refused", "unavailable") and o.well:
                skips += 1
                ElementTree.SubElement(
                    test, "skipped", message=_legal(f"{o.verdict.kind}: {o.verdict.sentence}")
                )
            elif not o.well:
                failures += 1
                found = ElementTree.SubElement(
                    test,
                    "failure",
                    type=o.verdict.kind,
                    message=_legal(
                        f"{o.verdict.kind}: {o.verdict.sentence}"
                        + (f" ({report.change})" if report.change else "")
                    ),
                )
                found.text = _legal("\n".join(lines))
    for name, value in (("tests", tests), ("failures", failures), ("skipped", skips)):
        suite.set(name, str(value))
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def markdown_text(reports: Sequence[CaseReport]) -> str:
    """For a CI summary: the verdicts in one table, what is not well in words below it."""
    engines = list(dict.fromkeys(o.engine for r in reports for o in r.outcomes))
    rows = []
    for report in reports:
        by_engine = {o.engine: o for o in report.outcomes}
        row = [_cell(report.case.name), f"`{_cell(report.case.formula)}`"]
        for engine in engines:
            o = by_engine.get(engine)
            mark = "" if o is None or o.well else "**"
            row.append("" if o is None else f"{mark}{verdict_cell(o).lower()}{mark}")
        if report.skipped:
            row[2:3] = ["skipped"]
        rows.append(row)
    lines = [
        "## lmerbridge check",
        "",
        totals(reports),
        "",
        tabulate(
            rows, headers=["case", "formula", *engines], tablefmt="github", disable_numparse=True
        ),
    ]
    notes = [line for r in reports if not r.well or r.skipped for line in explanations(r)]
    if notes:
        lines += ["", "<details><summary>What is not well</summary>", "", "```text", *notes, "```"]
        lines += ["", "</details>"]
    return "\n".join(lines) + "\n"
