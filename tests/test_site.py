"""What the documentation site changes of the repository's texts."""

from types import SimpleNamespace

import pytest

from checkout import loaded


def script(name, package):
    """A file of scripts/, where the package of the extra ``docs`` that it needs is installed."""
    pytest.importorskip(package)
    return loaded(name)


def test_parameters_on_one_line_have_an_entry_each():
    apart = script("docs_defaults", "griffe").apart
    text = (
        "Do.\n\nParameters\n----------\nspecs, by\n    As there.\nat : mapping\n"
        "    Of them, and so\n    on.\na, *b : str, optional\n    Both.\n\n"
        "Returns\n-------\nint, float\n    Two.\n"
    )
    assert apart(text) == (
        "Do.\n\nParameters\n----------\nspecs\n    As there.\nby\n    As there.\nat : mapping\n"
        "    Of them, and so\n    on.\na : str, optional\n    Both.\n\n"
        "*b : str, optional\n    Both.\n\nReturns\n-------\nint, float\n    Two.\n"
    )
    assert apart("Nothing to take apart, at all.\n") == "Nothing to take apart, at all.\n"


def test_links_of_the_repository_become_those_of_the_site():
    hooks = script("docs_hooks", "mkdocs")
    nav = [{"Engines": [{"How to write one": "engines.md"}]}, {"API": "api.md"}]
    there = SimpleNamespace(get_file_from_path=lambda path: path != "none.md" or None)
    text = "[docs/engines.md](engines.md) [docs/none.md](none.md) [tests/x](../tests/x) [a](b.md)"
    assert hooks.on_page_markdown(text, None, {"nav": nav}, there) == (
        "[Engines: How to write one](engines.md) [docs/none.md](none.md) `tests/x` [a](b.md)"
    )


def test_a_number_stays_beside_its_unit():
    hooks = script("docs_hooks", "mkdocs")
    assert hooks.on_page_content("<td>22 ms</td><p>22 ms</p>", None, None, None) == (
        "<td>22&nbsp;ms</td><p>22 ms</p>"
    )
