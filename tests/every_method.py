"""Every public method of whatever a fit gives, found by introspection, and arguments that are odd.

``faults`` calls them and names what was raised that is none of our errors.
"""

from __future__ import annotations

import contextlib
import inspect
import re
import traceback
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd

import lmerbridge as lb
from checkout import REFERENCE
from lmerbridge.errors import LmerBridgeError

ODD = {
    "mapping": {},
    "text": "zz",
    "empty text": "",
    "minus one": -1,
    "nan": np.nan,
    "empty list": [],
    "object": object(),
    "empty frame": pd.DataFrame(),
    "series": pd.Series([1.0, 2.0], index=["p", "q"]),
    "none": None,
    "huge": 10**30,
    "numpy number": np.float64(0.5),
    "numpy integer": np.int64(1),
    "truth": True,
    "texts": ["zz", "yy"],
    "nested": [[1.0], [2.0, 3.0]],
    "named": {"zz": 1},
    "matrix": np.ones((2, 2)),
}

# What takes long, with an argument that makes it short; what is given is not varied.
SHORT = {
    "bootMer": {"nsim": 2},
    "PBmodcomp": {"nsim": 2},
    "mixed": {"method": "S"},
    "quantile_residuals": {"nsim": 10},
    "profile": {"parm": "sigma"},
    "confint": {"method": "Wald"},
    "allFit": None,
    "influence": {"groups": "g"},
}
# Arguments without which a method cannot be called.
NEEDED = {
    "specs": "~ 1",
    "L": [1.0],
    "name": "X",
    "where": "SE > 0",
    "sigma": 1.0,
    "edf": 10.0,
    "columns": [],
}


def data() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    n = 72
    d = pd.DataFrame({"g": [f"g{i % 6}" for i in range(n)]})
    d["h"] = [f"h{i % 2}" for i in range(n)]
    d["a"] = pd.Categorical(rng.choice(["a1", "a2", "a3"], n))
    d["b"] = pd.Categorical(rng.choice(["b1", "b2"], n))
    d["o"] = pd.Categorical(rng.choice(["l", "m", "h"], n), ["l", "m", "h"], ordered=True)
    d["x"] = rng.normal(3, 1, n).round(2)
    d["w"] = rng.uniform(0.5, 2, n).round(2)
    d["flat"] = rng.normal(size=n)
    shift = dict(zip(sorted(set(d["g"])), rng.normal(size=6), strict=True))
    d["y"] = 9 + d["x"] + d["g"].map(shift) + rng.normal(0, 0.5, n)
    d["holes"] = d["y"].where(rng.random(n) > 0.1)
    return d


def models() -> dict[str, lb.Model]:
    d = data()
    few = d[~((d["a"] == "a3") & (d["b"] == "b2"))].reset_index(drop=True)
    asked = {
        "no fixed effects": ("y ~ 0 + (1 | g)", d, {}),
        "intercept": ("y ~ 1 + (1 | g)", d, {}),
        "singular": ("flat ~ x + (1 + x | g)", d, {}),
        "empty cells": ("y ~ a * b + (1 | g)", few, {}),
        "weights": ("y ~ a + x + (1 | g)", d, {"weights": "w"}),
        "offset": ("y ~ a + offset(x) + (1 | g)", d, {}),
        "omit": ("holes ~ a * x + (1 | g)", d, {}),
        "exclude": ("holes ~ a + x + (1 | g)", d, {"na_action": "exclude"}),
        "no intercept": ("y ~ 0 + a + (1 | g)", d, {}),
        "slope": ("y ~ 0 + x + (0 + x | g)", d, {}),
        "covariate": ("y ~ x + (1 | g)", d, {}),
        "ordered": ("y ~ o + (1 | g)", d, {}),
        "two groups": ("y ~ b + (1 | h)", d, {}),
        "transformed": ("log(y) ~ a + (1 | g)", d, {}),
        "ML": ("y ~ a + poly(x, 2) + (1 | g) + (1 | b)", d, {"REML": False}),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            name: lb.lmer(formula, frame, engine="native", **more)
            for name, (formula, frame, more) in asked.items()
        }


@dataclass(frozen=True)
class Call:
    """One call: of which object, which method, with what."""

    owner: str
    method: str
    arguments: dict
    what: str

    def __str__(self) -> str:
        return f"{self.owner}.{self.method}({self.what})"


def methods(thing: object) -> list[str]:
    """The public names of what can be called, and of properties."""
    return [n for n in dir(type(thing)) if not n.startswith("_")]


def parameters(method: object) -> dict[str, inspect.Parameter]:
    try:
        return dict(inspect.signature(method).parameters)
    except ValueError:  # builtin
        return {}


def base(name: str, asked: dict[str, inspect.Parameter], owner: object) -> dict | None:
    """Arguments for a short call of the method, or nothing where it takes too long."""
    short = SHORT.get(name, {})
    if short is None:
        return None
    given = {k: v for k, v in short.items() if k in asked}
    for p in asked.values():
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            if p.name == "smaller":
                given[p.name] = "~ 1"
            elif p.name in ("newresp",):
                given[p.name] = np.asarray(owner.frame.y)
            elif p.name in ("responses",):
                given[p.name] = pd.DataFrame({"r": np.asarray(owner.frame.y)})
            elif p.name == "ddf":
                given[p.name] = "Satterthwaite"
            elif p.name in NEEDED:
                given[p.name] = NEEDED[p.name]
            else:
                given[p.name] = None
    return given


SKIPPED = {"progress", "resume", "jobs", "self", "timeout"}
# It asks R, which this test has not.
LIVE = {"r_object"}


def calls(owner: str, thing: object, odd: dict = ODD):
    """Calls of every method: as it is, and with every odd value for every argument."""
    for name in methods(thing):
        if name in LIVE:
            continue
        static = inspect.getattr_static(type(thing), name)
        if isinstance(static, property) or not callable(getattr(type(thing), name)):
            yield Call(owner, name, {}, "property"), None
            continue
        method = getattr(thing, name)
        asked = parameters(method)
        given = base(name, asked, thing)
        if given is None:
            continue
        yield Call(owner, name, given, "as it is"), method
        for p in asked.values():
            if p.name in SKIPPED:
                continue
            for label, value in odd.items():
                if p.name == "nsim" and label == "huge":
                    continue
                if p.kind is p.VAR_KEYWORD:
                    arguments = {**given, "zz": value}
                elif p.kind is p.VAR_POSITIONAL:
                    arguments = {**given, "*": value}
                else:
                    arguments = {**given, p.name: value}
                yield Call(owner, name, arguments, f"{p.name}={label}"), method


def raised(call: Call, method, thing) -> BaseException | None:
    """What the call raised that is none of ours."""
    arguments = dict(call.arguments)
    extra = [arguments.pop("*")] if "*" in arguments else []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = getattr(thing, call.method) if method is None else method(*extra, **arguments)
            str(found)
        except LmerBridgeError:
            return None
        except Exception as error:
            return error
    return None


def said(call: Call, error: BaseException) -> str:
    """The call, the exception and the line of ours that it comes from."""
    where = traceback.extract_tb(error.__traceback__)
    last = ([f for f in where if "/lmerbridge/" in f.filename] or list(where))[-1]
    spot = f"{last.filename.rpartition('/lmerbridge/')[2]}:{last.lineno}"
    return f"{call}: {type(error).__name__}: {str(error)[:90]!r} at {spot}"


def things(name: str, model: lb.Model) -> dict[str, object]:
    """The model and what it gives that has methods of its own; what it refuses to give is left."""
    made = {
        "ref_grid": lambda: model.ref_grid(),
        "means": lambda: model.emmeans("~ a"),
        "mean": lambda: model.emmeans("~ 1"),
        "list": lambda: model.emmeans("pairwise ~ a"),
        "profile": lambda: model.profile("sigma"),
        "bootstrap": lambda: model.bootMer(nsim=3, seed=1),
        "influence": lambda: model.influence("h" if name == "two groups" else "g"),
    }
    found: dict[str, object] = {name: model}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for label, make in made.items():
            with contextlib.suppress(LmerBridgeError):
                found[f"{name}/{label}"] = make()
    return found


def others(model: lb.Model) -> dict[str, object]:
    """What else is given: by contrasts, trends, refits, comparisons, regressions, formulas."""
    d, y = data(), np.asarray(model.frame.y)
    few = d[~((d["a"] == "a3") & (d["b"] == "b2"))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            "contrasts": model.emmeans("a").pairs(),
            "simple": model.emmeans("a").contrast(simple="each"),
            "trends": model.emtrends("a", "x"),
            "regrid": model.ref_grid().regrid(),
            "refits": model.refit_many(np.column_stack([y, y])),
            "check": lb.check("y ~ a + (1 | g)", d, ["native"]),
            "weighted": lb.lm("y ~ a + x", d, weights="w"),
            "aliased": lb.lm("y ~ a * b", few),
            "glm": lb.glm("y ~ a + x", d, weights="w"),
            "formula": lb.parse_formula("y ~ x + (1 | g)"),
            "summary": model.summary(),
        }


def faults(owner: str, thing: object, odd: dict = ODD) -> list[str]:
    """What calls raised that is none of our errors."""
    found = []
    for call, method in calls(owner, thing, odd):
        error = raised(call, method, thing)
        if error is not None:
            found.append(said(call, error))
    return found


# -- words

# Arguments that any text will do for: names that the user makes up, or that the engine knows, and
# symbols.
FREE = {"Letters", "na_strings", "optimizer", "resume"}


def words(method: object) -> list[str]:
    """The arguments that take some texts, or none; a name that is none where any may be given."""
    return [
        "zz" if p.kind is p.VAR_KEYWORD else p.name
        for p in parameters(method).values()
        if p.name not in FREE | SKIPPED
        and not p.name.startswith("_")
        and not (p.name == "name" and p.default is not p.empty)  # of a column, of a case
        and p.kind is not p.VAR_POSITIONAL
    ]


def choices(method: object) -> dict[str, list[str]]:
    """Per argument the texts that the docstring lists: ``ddf : {"a", "b"}``."""
    found = re.findall(r"^(\w+) : \{(.*?)\}", inspect.getdoc(method) or "", re.MULTILINE)
    return {name: re.findall(r'"([^"]+)"', listed) for name, listed in found}


def unheard(owner: str, name: str, method: object, given: dict) -> list[str]:
    """Calls with a text that is no word of any argument, which nothing was said of: alone, and
    beside each word that the docstring lists for another argument.
    """
    found = []
    for argument in words(method):
        beside: list[dict] = [{}]
        beside += [
            {other: word}
            for other, listed in choices(method).items()
            if other != argument and other in parameters(method)
            for word in listed
        ]
        for more in beside:
            asked = {**given, **more, argument: "zz"}
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    method(**asked)
            except LmerBridgeError:
                continue
            except Exception as error:
                found.append(said(Call(owner, name, {}, f"{argument}=zz beside {more}"), error))
                continue
            found.append(f"{owner}.{name}({argument}=zz) beside {more} answers")
    return found


def unheard_by(owner: str, thing: object) -> list[str]:
    """What :func:`unheard` finds in all methods of an object."""
    found = []
    for name in methods(thing):
        static = inspect.getattr_static(type(thing), name)
        if name in LIVE or isinstance(static, property) or not callable(getattr(thing, name)):
            continue
        method = getattr(thing, name)
        given = base(name, parameters(method), thing)
        if given is not None:
            found += unheard(owner, name, method, given)
    return found


# -- functions


def functions(model: lb.Model) -> dict[str, tuple[object, dict]]:
    """The functions of ``lb``, ``lb.datasets`` and ``lb.plots``, with arguments that they take."""
    d = data()
    fit = {"data": d, "engine": "native"}
    plots = {"m": model}
    found: dict[str, tuple[object, dict]] = {
        "lmer": (lb.lmer, {"formula": "y ~ a + (1 | g)", **fit}),
        "glmer": (lb.glmer, {"formula": "I(y > 0) ~ x + (1 | g)", **fit}),
        "glmer_nb": (lb.glmer_nb, {"formula": "round(exp(flat + 1)) ~ x + (1 | g)", **fit}),
        "lm": (lb.lm, {"formula": "y ~ a", "data": d}),
        "glm": (lb.glm, {"formula": "I(y > 0) ~ a", "data": d}),
        "lmList": (lb.lmList, {"formula": "y ~ x | g", "data": d}),
        "check": (lb.check, {"formula": "y ~ a + (1 | g)", "data": d, "engines": ["native"]}),
        "simulate_design": (
            lb.simulate_design,
            {"formula": "r ~ x + (1 | g)", "data": d, "beta": [1, 2], "theta": [1], "sigma": 1.0},
        ),
        "from_json": (lb.from_json, {"text": model.to_json()}),
        "parse_formula": (lb.parse_formula, {"text": "y ~ x + (1 | g)"}),
        "emm_options": (lb.emm_options, {}),
        "lmerControl": (lb.lmerControl, {}),
        "glmerControl": (lb.glmerControl, {}),
        "register_engine": (lb.register_engine, {"name": "zz", "factory": None}),
        "isNested": (lb.isNested, {"f1": [1, 2], "f2": [1, 1]}),
        "engine_names": (lb.engine_names, {}),
        "options": (lb.options, {}),
        "r": (lb.r, {"path": "no R is here"}),
        "read_csv": (lb.read_csv, {"source": REFERENCE / "inference" / "wild.csv"}),
        "datasets.load": (lb.datasets.load, {"name": "sleepstudy"}),
        "datasets.describe": (lb.datasets.describe, {"name": "sleepstudy"}),
        "table": (lb.table, {"models": model}),
        "plots.estimates": (lb.plots.estimates, {"models": {"m": model}}),
        "plots.means": (lb.plots.means, {"e": model.emmeans("~ a")}),
        "plots.influence": (lb.plots.influence, {"found": model.influence("g")}),
        "plots.bootstrap": (lb.plots.bootstrap, {"boot": model.bootMer(nsim=3, seed=1)}),
        "plots.effects": (lb.plots.effects, {**plots, "x": "x"}),
    }
    for tool in ("findbars", "nobars", "subbars", "expandDoubleVerts"):
        found[tool] = (getattr(lb, tool), {"formula": "y ~ x + (x || g)"})
    for name in lb.plots.__all__:
        found.setdefault(f"plots.{name}", (getattr(lb.plots, name), plots))
    return found


def function_faults(model: lb.Model, odd: dict = ODD) -> list[str]:
    """What functions raised that is none of our errors, with every odd value for every argument."""
    found = []
    for name, (function, given) in functions(model).items():
        for p in parameters(function).values():
            if p.name in SKIPPED or p.name.startswith("_"):
                continue
            key = "zz" if p.kind is p.VAR_KEYWORD else p.name
            for label, value in odd.items():
                call = Call("lb", name, {**given, key: value}, f"{key}={label}")
                error = raised(call, function, None)
                if error is not None:
                    found.append(said(call, error))
    return found
