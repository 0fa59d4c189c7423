"""The random terms of a formula on data, in lme4's order with lme4's labels."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from lmerbridge.design.blocks import RandomBlock
from lmerbridge.design.columns import Column, Factor, Numeric, drop_unused_levels
from lmerbridge.design.design import TermDesign
from lmerbridge.design.matrix import ModelMatrix, model_matrix
from lmerbridge.design.rows import TermRows
from lmerbridge.formula import Formula, Grouping, Terms

__all__ = ["random_blocks"]


def _interaction(grouping: Grouping, factors: Mapping[str, Factor]) -> Factor:
    """The combinations of levels that occur; the first factor's levels vary slowest."""
    parts = [factors[column] for column in grouping.columns]
    if len(parts) == 1:
        return drop_unused_levels(parts[0])
    codes = parts[0].codes.astype(np.int64)
    for part in parts[1:]:
        codes = codes * len(part.levels) + part.codes
    used, codes = np.unique(codes, return_inverse=True)
    names: list[list[str]] = []
    for part in reversed(parts):
        used, remainder = np.divmod(used, len(part.levels))
        names.append([part.levels[i] for i in remainder])
    levels = tuple(":".join(reversed(combination)) for combination in zip(*names, strict=True))
    return Factor(codes, levels)


def _term_labels(groups: list[str]) -> list[str]:
    """lme4 labels terms by their factor, made unique (and syntactic) if one has several."""
    if len(set(groups)) == len(groups):
        return groups
    labels: list[str] = []
    for group in groups:
        name = "".join(c if c.isalnum() or c in "._" else "." for c in group)
        if not (name[:1].isalpha() or name[:1] == "."):
            name = "X" + name
        unique, count = name, 0
        while unique in labels:
            count += 1
            unique = f"{name}.{count}"
        labels.append(unique)
    return labels


def _ordered(blocks: list[RandomBlock]) -> list[RandomBlock]:
    """By decreasing number of levels. lme4 re-sorts only if it must, and then later terms come
    first among equals.
    """
    sizes = [len(block.levels) for block in blocks]
    if all(a >= b for a, b in itertools.pairwise(sizes)):
        return blocks
    return [blocks[i] for i in sorted(range(len(blocks)), key=lambda i: sizes[i])[::-1]]


def _shared(terms: Terms, variables: Mapping[str, Column], fixed: Terms) -> bool:
    """Whether the fixed part has these columns and no others: without factors the terms tell."""
    return (
        terms.labels == fixed.labels
        and terms.intercept == fixed.intercept
        and all(isinstance(column, Numeric) for column in variables.values())
    )


def random_blocks(
    formula: Formula,
    variables: Mapping[str, Column],
    factors: Mapping[str, Factor],
    terms: Terms,
    fixed: ModelMatrix,
) -> list[RandomBlock]:
    """A block per random term.

    Parameters
    ----------
    formula : Formula
        The model's.
    variables : mapping
        The evaluated variables by their text, rows used only.
    factors : mapping
        The columns that group, rows used only.
    terms : Terms
        Of the fixed part.
    fixed : ModelMatrix
        The fixed part's, which a term with the same columns shares.
    """
    blocks = []
    for term in formula.random:
        own = {label: variables[label] for label in term.columns.variable_labels}
        # `contrasts=` codes the fixed effects only, as in lme4
        matrix = fixed
        if not _shared(term.columns, own, terms):
            matrix = model_matrix(term.columns, own, len(fixed.values))
        group = _interaction(term.grouping, factors)
        name = term.grouping.label
        blocks.append(
            RandomBlock(
                TermDesign(name, name, term.text, matrix.names, group.levels, term.structure),
                TermRows(matrix.values, group.codes),
            )
        )
    blocks = _ordered(blocks)
    labels = _term_labels([block.group for block in blocks])
    return [
        block if block.label == label else replace(block, term=replace(block.term, label=label))
        for block, label in zip(blocks, labels, strict=True)
    ]
