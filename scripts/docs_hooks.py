"""Pages of the site that are files elsewhere: the README, CONTRIBUTING, the changelog, and the
source documents' scripts, which are run: a page shows what each cell prints and draws.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(Path(__file__).parent))
from page_code import differences  # noqa: E402

LOG = logging.getLogger("mkdocs.hooks")
OTHERWISE_TESTED = {"engines.md"}  # it registers an engine: tests/test_engine_contract.py
TEXTS = {
    "index.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
}
FIGURES = ROOT / "build" / "figures"
MOST_LINES = 60  # of what a cell prints


def moved(text: str) -> str:
    """Links of a file beside docs/ as those of a page in it."""
    text = text.replace("](docs/)", "](document_3_lecture.md)").replace("](docs/", "](")
    return text.replace("](CONTRIBUTING.md)", "](contributing.md)")


def cells_of(script: Path) -> list[tuple[bool, str]]:
    """Whether a cell is text, and its source."""
    cells = []
    for cell in re.split(r"(?m)^# %%", script.read_text("utf-8"))[1:]:
        head, _, body = cell.partition("\n")
        is_text = "[markdown]" in head
        body = re.sub(r"(?m)^# ?", "", body) if is_text else body
        cells.append((is_text, body.strip("\n")))
    return cells


def printed(code: str, name: str, scope: dict[str, Any]) -> str:
    """What a cell prints, without the middle of what is long."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(code, name, "exec"), scope)  # noqa: S102 - our own script
    lines = out.getvalue().splitlines()
    if len(lines) > MOST_LINES:
        lines = [*lines[: MOST_LINES // 2], "...", *lines[-MOST_LINES // 2 :]]
    return "\n".join(lines)


def script_page(script: Path, figures: Path) -> str:
    """Run a script cell by cell, which writes its figures; the page of it."""
    import lmerbridge as lb

    shown: set[str] = set()
    scope: dict[str, Any] = {"__name__": "__main__", "__file__": str(script)}
    parts, is_run = [], True
    for is_text, source in cells_of(script):
        if is_text:
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        if not is_run:
            continue
        try:
            out = printed(source, script.name, scope)
        except lb.DataError as error:  # data that is neither in the project nor to be fetched
            parts.append(f"!!! note\n    Not run when this page was made: {error}")
            is_run = False
            continue
        if out:
            parts.append(f"```text\n{out}\n```")
        new = sorted({path.name for path in figures.glob("*.png")} - shown)
        parts += [f"![{Path(name).stem}](figures/{script.stem}/{name})" for name in new]
        shown.update(new)
    return "\n\n".join(parts) + "\n"


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Say what the reader of a site needs, and not of a repository: a page by its name, and a
    folder that is no page without a link.
    """

    def named(match: re.Match[str]) -> str:
        other = files.get_file_from_path(f"{match[1]}.md")
        title = next((t for t, path in _titles(config["nav"]) if path == f"{match[1]}.md"), None)
        return match[0] if other is None or title is None else f"[{title}]("

    _check_code(markdown, page)
    markdown = re.sub(r"\[docs/(\w+)\.md\]\(", named, markdown)
    return re.sub(r"\[([^]\[]+)\]\(\.\./[^)]*\)", r"`\1`", markdown)


def _check_code(markdown: str, page: Any) -> None:
    """Fail where a page shows what its code does not print; pages show R's words, and need R."""
    name = page.file.src_uri if page is not None else ""
    if "```python" not in markdown or name.startswith("document_") or name in OTHERWISE_TESTED:
        return
    from lmerbridge.engines import status_of

    if not status_of("lme4").available:
        LOG.info("%s: its code is not run, as there is no R with lme4", name)
        return
    os.environ["LMERBRIDGE_DIALECT"] = "newest"
    if found := differences(markdown, name):
        raise PluginError(f"{name}: its code prints otherwise\n{found}")


def _titles(nav: Any, above: str = "") -> Iterator[tuple[str, str]]:
    """The names of the pages in the list of contents, with those of their sections, and files."""
    for entry in nav:
        for title, value in entry.items():
            if isinstance(value, str):
                yield f"{above}{title}", value
            else:
                yield from _titles(value, f"{title}: ")


def on_page_content(html: str, page: Any, config: Any, files: Any) -> str:
    """Write code in tables, and names in docstrings, as GitHub and Sphinx show them.

    Python's Markdown keeps the backslash before a bar in code, which a table's cell needs; and
    mkdocstrings the roles of names. A number in a cell stays beside its unit.
    """
    html = re.sub(r"(?<=\d) (?=(?:ms|s)\b[^<]*</td>)", "&nbsp;", html)
    html = re.sub(r"<code>[^<]*\\\|[^<]*</code>", lambda m: m[0].replace("\\|", "|"), html)
    return re.sub(r":(?:func|meth|class|mod|attr|data|exc):(?=<code>)", "", html)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that no file of docs/ is."""
    for page, source in TEXTS.items():
        text = moved((ROOT / source).read_text("utf-8"))
        files.append(File.generated(config, page, content=text))
    sys.path.insert(0, str(ROOT / "docs"))
    for script in sorted((ROOT / "docs").glob("document_*.py")):
        folder = FIGURES / script.stem
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*.png"):
            old.unlink()
        os.environ["LMERBRIDGE_FIGURES"] = str(folder)
        page = script_page(script, folder)
        files.append(File.generated(config, f"{script.stem}.md", content=page))
        for picture in sorted(folder.glob("*.png")):
            name = f"figures/{script.stem}/{picture.name}"
            files.append(File.generated(config, name, abs_src_path=str(picture)))
    return files
