"""What is different between the data of a baseline and the data of now, in one sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np

from lmerbridge.crosscheck.snapshot import BLOCK_ROWS, ColumnSnapshot, Snapshot, mixed, of_words

__all__ = ["data_change", "in_both"]

MAX_SHOWN = 3  # of changed values, rows or levels, that are shown

# of a value: its row then and now, counted from 1, and what it was and is
Changed: TypeAlias = tuple[int, int, str, str]
Columns: TypeAlias = Mapping[str, tuple[ColumnSnapshot, ColumnSnapshot]]


def _listed(names: Sequence[str], most: int = 12) -> str:
    shown = list(names[:most])
    if len(names) > most:
        return f"{', '.join(shown)} and {len(names) - most} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def _rows(numbers: Sequence[int]) -> str:
    word = "row" if len(numbers) == 1 else "rows"
    return f"{word} {_listed([str(n) for n in numbers], MAX_SHOWN)}"


@dataclass
class _Changes:
    """What was found so far: sentences, the columns that they are about, and whether one is about
    whole rows, and so about every column.
    """

    sentences: list[str] = field(default_factory=list)
    columns: set[str] = field(default_factory=set)
    whole_rows: bool = False

    def say(self, text: str, *columns: str) -> None:
        self.sentences.append(text)
        self.columns.update(columns)
        self.whole_rows = self.whole_rows or not columns


def _paired(then: Snapshot, now: Snapshot, changes: _Changes) -> dict[str, str]:
    """By the name of then, the name of now: the same, or that of a column with the same values."""
    pairs = {name: name for name in then.columns if name in now.columns}
    fresh = [name for name in now.columns if name not in then.columns]
    for name, column in then.columns.items():
        if name in pairs:
            continue
        same = next((n for n in fresh if column.same_values(now.columns[n])), None)
        if same is None:
            if not (now.whole and column.derived):
                changes.say(f"column {name} is gone", name)
            continue
        changes.say(f"column {name} is called {same} now", name)
        pairs[name] = same
        fresh.remove(same)
    for name in [] if now.whole else fresh:
        changes.say(f"column {name} is new", name)
    return pairs


def _renamed_levels(name: str, then: ColumnSnapshot, now: ColumnSnapshot) -> dict[str, str]:
    """By the level of then what it is called now, where the rows of a level are the rows of one
    that there was not.
    """
    if then.cells is not None and now.cells is not None:
        if then.rows != now.rows:
            return {}
        pairs = set(zip(then.cells, now.cells, strict=True))
    elif np.array_equal(then.places, now.places):  # the same codes
        pairs = set(zip(then.levels or (), now.levels or (), strict=False))
    else:
        return {}
    one_to_one = len({a for a, _ in pairs}) == len(pairs) == len({b for _, b in pairs})
    old = set(then.levels or ())
    return {a: b for a, b in sorted(pairs) if a != b and b not in old} if one_to_one else {}


def _levels(
    name: str, then: ColumnSnapshot, now: ColumnSnapshot, changes: _Changes
) -> ColumnSnapshot:
    """Say what became of the levels; the column of then, with the names and the order of now."""
    assert then.levels is not None
    assert now.levels is not None
    if then.levels == now.levels:
        return then
    names = _renamed_levels(name, then, now)
    if names:
        parts = [f"{a} is called {b} now" for a, b in names.items()]
        word = "level" if len(parts) == 1 else "levels"
        changes.say(f"{word} of column {name}: {_listed(parts, MAX_SHOWN)}", name)
    called = tuple(names.get(level, level) for level in then.levels)
    if set(called) == set(now.levels):
        # that names which sort otherwise come in another order needs no saying, unless the first
        # does, with which treatment contrasts compare
        if called != now.levels and (not names or called[0] != now.levels[0]):
            changes.say(
                f"the levels of column {name} are in another order: "
                f"{_listed(called, MAX_SHOWN)} then, {_listed(now.levels, MAX_SHOWN)} now",
                name,
            )
    else:
        gone = [level for level in called if level not in now.levels]
        fresh = [level for level in now.levels if level not in called]
        parts = [f"{_listed(gone, MAX_SHOWN)} gone"] if gone else []
        parts += [f"{_listed(fresh, MAX_SHOWN)} new"] if fresh else []
        changes.say(f"levels of column {name}: {', '.join(parts)}", name)
    cells = then.cells
    if cells is not None:
        cells = tuple(names.get(cell, cell) for cell in cells)
    return replace(then, levels=called, cells=cells)


def _recoded(then: ColumnSnapshot, now: ColumnSnapshot) -> ColumnSnapshot:
    """The column of now with the codes that its levels had then; those that are new come after."""
    if then.levels is None or now.levels is None or then.levels == now.levels or now.words is None:
        return now
    levels = (*then.levels, *(level for level in now.levels if level not in set(then.levels)))
    place = {level: i for i, level in enumerate(levels)}
    codes = np.array([*(place[level] for level in now.levels), -1], dtype=np.int64)
    words = codes[now.words.view(np.int64)].view(np.uint64)
    return of_words(replace(now, levels=levels), words)


@dataclass
class _Alignment:
    """Rows of then and now brought together, counted from 0."""

    changed: list[tuple[int, int]] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    added: list[int] = field(default_factory=list)
    moved: bool = False


def _aligned(then: Sequence[tuple[str, ...]], now: Sequence[tuple[str, ...]]) -> _Alignment:
    """A row of which there are now fewer is gone, one of which there are more is added; and where
    both come together, it changed. What is left are rows in another order.
    """
    gone, fresh = Counter(then), Counter(now)
    gone, fresh = gone - fresh, fresh - gone
    alignment, moved = _Alignment(), list[int]()
    i = j = 0
    while i < len(then) or j < len(now):
        if i < len(then) and j < len(now) and then[i] == now[j]:
            i, j = i + 1, j + 1
            continue
        lost = i < len(then) and gone[then[i]] > 0
        new = j < len(now) and fresh[now[j]] > 0
        if lost:
            gone[then[i]] -= 1
        if new:
            fresh[now[j]] -= 1
        if lost and new:
            alignment.changed.append((i, j))
        elif lost:
            alignment.gone.append(i)
        elif new:
            alignment.added.append(j)
        else:
            moved.append(i)
        step = not (lost or new)
        i, j = i + int(lost or step), j + int(new or step)
    if moved and alignment.changed and not (alignment.gone or alignment.added):
        # a value that changed may make of its row one that there was elsewhere
        alignment.changed = sorted([*alignment.changed, *((i, i) for i in moved)])
    elif moved:
        alignment.moved = True
    return alignment


def _say_values(
    name: str,
    changed: Sequence[Changed],
    then: ColumnSnapshot,
    now: ColumnSnapshot,
    changes: _Changes,
) -> None:
    def place(row: int, before: int) -> str:
        return str(row) if row == before else f"{row} ({before} then)"

    shown = changed[:MAX_SHOWN]
    if len(changed) == 1:
        before, row, a, b = changed[0]
        text = f"in row {place(row, before)}: {a} then, {b} now"
    else:
        text = f"in {len(changed)} rows: " + ", ".join(
            f"row {place(row, before)}: {a} then, {b} now" for before, row, a, b in shown
        )
        if len(changed) > len(shown):
            text += f", and {len(changed) - len(shown)} more"
            text += (
                " (the same values in other rows)" if then.alike == now.alike else _means(then, now)
            )
    changes.say(f"column {name} differs {text}", name)


def _means(then: ColumnSnapshot, now: ColumnSnapshot) -> str:
    if then.mean is None or now.mean is None:
        return ""
    return f" (mean {then.mean:.6g} then, {now.mean:.6g} now)"


def _short(
    columns: Mapping[str, tuple[ColumnSnapshot, ColumnSnapshot]],
    rows: tuple[int, int],
    changes: _Changes,
) -> None:
    """Say which rows and values changed, where all values are known."""
    names = list(columns)
    before = list(zip(*(columns[n][0].cells or () for n in names), strict=True))
    after = list(zip(*(columns[n][1].cells or () for n in names), strict=True))
    alignment = _aligned(before, after)
    for k, name in enumerate(names):
        changed = [
            (i + 1, j + 1, before[i][k], after[j][k])
            for i, j in alignment.changed
            if before[i][k] != after[j][k]
        ]
        if changed:
            _say_values(name, changed, *columns[name], changes)
    gone = [i + 1 for i in alignment.gone]
    added = [j + 1 for j in alignment.added]
    counts = f" ({rows[0]} rows then, {rows[1]} now)" if rows[0] != rows[1] else ""
    if gone:
        changes.say(f"{_rows(gone)} of then {'is' if len(gone) == 1 else 'are'} gone{counts}")
        counts = ""
    if added:
        changes.say(f"{_rows(added)} {'is' if len(added) == 1 else 'are'} new{counts}")
    if alignment.moved:
        first = next(i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b)
        changes.say(f"the rows are in another order, from row {first + 1} on")


def _block_change(
    then: ColumnSnapshot, now: ColumnSnapshot, block: int
) -> tuple[int, str, str] | None:
    """The one value of a block that changed: its row, counted from 0, then and now; ``None`` where
    that is not one value.
    """
    assert now.words is not None
    first = block * BLOCK_ROWS
    words = now.words[first : first + BLOCK_ROWS]
    places = np.arange(first, first + len(words), dtype=np.uint64)
    with np.errstate(over="ignore"):
        old = words - (now.sums[block] - then.sums[block])
        gap = now.places[block] - then.places[block]
        fits = mixed(words, places) - mixed(old, places) == gap
    at = np.flatnonzero(fits)
    if len(at) != 1 or now.kind == "matrix":
        return None
    i = int(at[0])
    return first + i, then.text_of(int(old[i])), now.text_of(int(words[i]))


def _long(
    columns: Mapping[str, tuple[ColumnSnapshot, ColumnSnapshot]],
    rows: tuple[int, int],
    changes: _Changes,
) -> None:
    """Say which rows changed, as far as the sums by block tell."""
    if rows[0] != rows[1]:
        whole = min(rows) // BLOCK_ROWS
        same = whole
        for then, now in columns.values():
            differ = np.flatnonzero(then.places[:whole] != now.places[:whole])
            same = min(same, int(differ[0]) if len(differ) else whole)
        changes.say(
            f"{rows[0]} rows then, {rows[1]} now, the first {same * BLOCK_ROWS} of them the same"
        )
        return
    apart = {n: c for n, c in columns.items() if not np.array_equal(c[0].places, c[1].places)}
    if len(apart) > 1 and all(then.alike == now.alike for then, now in apart.values()):
        block = min(int(np.flatnonzero(t.places != n.places)[0]) for t, n in apart.values())
        changes.say(
            f"the rows are in another order, from one of the rows {block * BLOCK_ROWS + 1} to "
            f"{min((block + 1) * BLOCK_ROWS, rows[0])} on"
        )
        return
    for name, (then, now) in apart.items():
        blocks = np.flatnonzero(then.places != now.places).tolist()
        ones = [_block_change(then, now, block) for block in blocks]
        if all(one is not None for one in ones):
            changed = [(one[0] + 1, one[0] + 1, one[1], one[2]) for one in ones if one is not None]
            _say_values(name, changed, then, now, changes)
            continue
        last = min((blocks[-1] + 1) * BLOCK_ROWS, rows[0])
        changes.say(
            f"column {name} differs in some of the rows {blocks[0] * BLOCK_ROWS + 1} to {last}"
            f"{_means(then, now)}",
            name,
        )


def in_both(then: Snapshot, now: Snapshot) -> tuple[Snapshot, Snapshot]:
    """Both without the columns that one model uses and another does not; a column that only has
    another name stays.
    """
    columns = {
        name: column
        for name, column in then.columns.items()
        if name in now.columns or any(column.same_values(c) for c in now.columns.values())
    }
    return replace(then, columns=columns), replace(now, whole=True)


def data_change(then: Snapshot, now: Snapshot) -> str:
    """What changed: columns, types, levels, rows, values; ``""`` if nothing did.

    Parameters
    ----------
    then : Snapshot
        As it was recorded.
    now : Snapshot
        Of the data at hand.
    """
    changes = _Changes()
    pairs = _paired(then, now, changes)
    columns: dict[str, tuple[ColumnSnapshot, ColumnSnapshot]] = {}
    for name, called in pairs.items():
        before, after = then.columns[name], now.columns[called]
        if before.kind != after.kind:
            changes.say(
                f"column {name} is of another type: {before.kind} then, {after.kind} now", name
            )
            continue
        if before.levels is not None and after.levels is not None:
            before = _levels(name, before, after, changes)
            after = _recoded(before, after)
        columns[name] = before, after
    rows = then.rows, now.rows
    if columns:
        kept = all(c.cells is not None for pair in columns.values() for c in pair)
        (_short if kept else _long)(columns, rows, changes)
    if not changes.sentences:
        return ""
    same = [name for name in then.columns if name not in changes.columns]
    if same and not changes.whole_rows:
        changes.sentences.append(f"{', '.join(same)} the same")
    return "; ".join(changes.sentences)
