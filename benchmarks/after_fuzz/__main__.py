"""Random models and questions put to live R and to us: ``make after-fuzz`` (needs R with lmerTest,
pbkrtest and emmeans; minutes).

Every model has a seed of its own: ``make after-fuzz ARGS="--first 1234 --models 1 --show"`` asks about
that one again. What differs is explained by a rule of ``explained.py``, whose reason stands in
docs/functions.md, or counts as unexplained; ends with status 1 if anything does.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer

import lmerbridge as lb
from lmerbridge.dialects import PACKAGES
from lmerbridge.rlang import RInstallation, find_r

sys.path.insert(0, str(Path(__file__).parent.parent))
from after_fuzz.at_theta import at_theta
from after_fuzz.compare import numbers_differ, same_words, text_differs, without_optimizer
from after_fuzz.explained import explanation
from after_fuzz.models import Made, make_model
from after_fuzz.questions import Asked, Question, questions

HERE = Path(__file__).parent
BATCH = 6  # models to an R process
TEXT, NUMBERS, REFITTED = 2e-3, 2e-4, 2e-2


def r_words(asked: str | None) -> list[str]:
    """What starts the R that is asked: the words of ``--r``, or those of the R in use."""
    if asked:
        return shlex.split(asked)
    found = find_r()
    if not isinstance(found, RInstallation):
        raise SystemExit("make after-fuzz asks R, and none is found; lmerbridge doctor says why")
    return [str(Path(found.home) / "bin" / "Rscript")]


def dialect_of_r(words: list[str]) -> str:
    """The versions whose text ours is compared with."""
    packages = ", ".join(f'"{name}"' for name in PACKAGES if name != "R")
    code = (
        f"for (p in c({packages})) cat(p, format(packageVersion(p)), sep = ' ', '\\n');"
        "cat('R', format(getRversion()))"
    )
    done = subprocess.run([*words, "--vanilla", "-e", code], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{shlex.join(words)} does not answer: {done.stderr.strip()[-500:]}")
    return ", ".join(" ".join(line.split()) for line in done.stdout.splitlines())


def columns(d: pd.DataFrame) -> dict[str, Any]:
    """A data frame for R."""
    made: dict[str, Any] = {}
    for name in d:
        values = d[name]
        if isinstance(values.dtype, pd.CategoricalDtype):
            made[str(name)] = {
                "kind": "factor",
                "values": [None if pd.isna(v) else str(v) for v in values],
                "levels": [str(v) for v in values.cat.categories],
                "ordered": bool(values.cat.ordered),
            }
        else:
            kind = {"b": "logical", "i": "integer"}.get(values.dtype.kind, "numeric")
            made[str(name)] = {"kind": kind, "values": values.tolist()}
    return made


def asked_of_r(batch: list[tuple[Made, list[Question]]]) -> str:
    """The models and questions as R reads them."""
    return json.dumps(
        [
            {
                "columns": columns(made.data),
                "new": columns(made.new),
                "call": made.call,
                "others": {} if made.smaller is None else {"m0": smaller_call(made)},
                "questions": [q.code for q in asks],
            }
            for made, asks in batch
        ]
    )


def ask_r(text: str, kept: Path | None, words: list[str]) -> list[dict[str, Any]]:
    """R's answers to the questions of each model; ``kept`` is a folder of earlier answers."""
    scripts = (HERE / "ask.R", HERE.parent.parent / "reference" / "inference" / "answer.R")
    key = hashlib.sha256("".join([text, *words, *(f.read_text("utf-8") for f in scripts)]).encode())
    before = None if kept is None else kept / f"{key.hexdigest()[:24]}.json"
    if before is not None and before.is_file():
        earlier: list[dict[str, Any]] = json.loads(before.read_text("utf-8"))
        return earlier
    with tempfile.TemporaryDirectory(prefix="after-fuzz-") as folder:
        asked, answered = Path(folder) / "asked.json", Path(folder) / "answered.json"
        asked.write_text(text, "utf-8")
        done = subprocess.run(
            [*words, "--vanilla", str(HERE / "ask.R"), str(asked), str(answered)],
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise RuntimeError(done.stderr[-2000:])
        replies = answered.read_text("utf-8")
    if before is not None:
        before.parent.mkdir(parents=True, exist_ok=True)
        before.write_text(replies, "utf-8")
    found: list[dict[str, Any]] = json.loads(replies)
    return found


def smaller_call(made: Made) -> str:
    return "lme4::" + replace(made, formula=str(made.smaller), contrasts={}).call


def ours_of(made: Made, said: dict[str, Any]) -> Asked:
    """The same models here."""
    own = lb.lmer(**made.arguments(), engine="native")
    others = {}
    if made.smaller is not None:
        smaller = replace(made, formula=made.smaller, contrasts={}).arguments()
        m0 = lb.lmer(**smaller, engine="native")
        others["m0"] = at_theta(m0, said["theta"]["m0"])
    return Asked(at_theta(own, said["theta"]["m"]), own, made.new, others)


def shown(value: Any) -> str:
    """Text without what R has not: the engine's line."""
    lines = str(value).split("\n")
    return "\n".join(line for line in lines if not line.startswith("Engine: "))


def judge(question: Question, asked: Asked, r: dict[str, Any]) -> tuple[str | None, Any]:
    """What differs, or ``None``; and our answer."""
    failure = r.get("failure")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            value = question.ours(asked)
            text = shown(value)
        except lb.errors.LmerBridgeError as error:
            if failure is not None:
                return None, error
            return f"refused: {error}", error
        except Exception as error:
            return f"RAISED {type(error).__name__}: {error}", error
    if failure is not None:
        return f"R refuses: {failure}", value
    tolerance = REFITTED if question.refits else NUMBERS
    table = getattr(value, "table", value)
    coefficients = getattr(value, "coefficients", table)
    differs = None
    if question.compared != "text":
        # deletions are compared in units of the largest
        floor = 0.1 if question.area == "influence" else 1e-3
        differs = numbers_differ(coefficients, r["value"], tolerance, floor)
    if differs is None and question.compared != "numbers" and printed_by_r(value):
        r_text = "\n".join(r["text"] if isinstance(r["text"], list) else [r["text"]])
        if question.area == "summary":  # R's optimizer has not ended where ours has
            text, r_text = without_optimizer(text), without_optimizer(r_text)
        differs = text_differs(text, r_text, REFITTED if question.refits else TEXT)
    if differs is None:
        ours_said = " ".join(same_words(str(w.message)) for w in said)
        for words in r["said"] or []:
            if same_words(words) not in ours_said:
                return f"not said: {same_words(words)}", value
    return differs, value


def printed_by_r(value: Any) -> bool:
    """Whether what we return prints itself as R prints it."""
    plain = (pd.DataFrame, pd.Series, np.ndarray, list, bool, dict, np.bool_, float)
    return type(value).__name__ == "RTable" or not isinstance(value, plain)


def batches(
    first: int, models: int, area: str | None, structured: bool
) -> Iterator[list[tuple[Made, list[Question]]]]:
    made = []
    for seed in range(first, first + models):
        model = make_model(seed, structured)
        asks = [q for q in questions(model) if area is None or q.area == area]
        made.append((model, asks))
        if len(made) == BATCH:
            yield made
            made = []
    if made:
        yield made


def main(
    models: int = 300,
    first: int = 1,
    jobs: int = 2,
    area: Annotated[str | None, typer.Option(help="questions of this area alone")] = None,
    out: Annotated[Path | None, typer.Option(help="what differs, a JSON line each")] = None,
    keep: Annotated[Path | None, typer.Option(help="folder that keeps R's answers")] = None,
    r_command: Annotated[
        str | None,
        typer.Option(
            "--r", help="the R that is asked: a command in place of Rscript, which sees our files"
        ),
    ] = None,
    structured: Annotated[
        bool, typer.Option(help="models with covariance structures, of which R needs lme4 2")
    ] = False,
    show: Annotated[bool, typer.Option(help="both answers where they differ")] = False,
) -> None:
    """Ask, compare, and say what differs."""
    warnings.simplefilter("ignore")
    words = r_words(r_command)
    if r_command:
        os.environ["LMERBRIDGE_R"] = r_command  # the rules fit again by the R that is asked
    dialect = dialect_of_r(words)
    lb.options(dialect=dialect)
    counts: Counter[str] = Counter()
    explained: Counter[str] = Counter()
    areas: dict[str, Counter[str]] = {}
    log = None if out is None else out.open("w", encoding="utf-8")
    with ThreadPoolExecutor(jobs) as pool:
        work = list(batches(first, models, area, structured))
        texts = [asked_of_r(batch) for batch in work]
        for batch, replies in zip(
            work, pool.map(ask_r, texts, [keep] * len(texts), [words] * len(texts)), strict=True
        ):
            for (made, asks), reply in zip(batch, replies, strict=True):
                name = f"{made.seed}: {made.call}"
                if "failure" in reply:
                    counts["models that R does not fit"] += 1
                    continue
                try:
                    asked = ours_of(made, reply)
                except lb.errors.LmerBridgeError as error:
                    counts["models that we refuse and R fits"] += 1
                    print(f"{name}\n    REFUSED: {error}")
                    continue
                counts["models"] += 1
                for question, r in zip(asks, reply["answers"], strict=True):
                    counts["questions"] += 1
                    tally = areas.setdefault(question.area, Counter())
                    tally["asked"] += 1
                    differs, value = judge(question, asked, r)
                    if differs is None:
                        continue
                    why = explanation(made, question, differs, value, r, asked)
                    if why is not None:
                        explained[why] += 1
                        tally["explained"] += 1
                        continue
                    tally["unexplained"] += 1
                    counts["unexplained"] += 1
                    print(f"{name}\n    {question.code}\n    {differs}", flush=True)
                    if show:
                        print(shown(value), *(r.get("text") or [r.get("failure")]), sep="\n")
                    if log is not None:
                        line = {"seed": made.seed, "call": made.call, "traits": sorted(made.traits),
                                "area": question.area, "code": question.code, "differs": differs,
                                "ours": shown(value), "r": r.get("text"), "said": r.get("said")}  # fmt: skip
                        log.write(json.dumps(line) + "\n")
                        log.flush()
            print(f"... {counts['models']} models, {counts['questions']} questions, "
                  f"{counts['unexplained']} unexplained", file=sys.stderr, flush=True)  # fmt: skip
    for area_name, tally in areas.items():
        print(f"{area_name:18} {tally['asked']:6} asked, {tally['explained']:5} explained, "
              f"{tally['unexplained']:5} unexplained")  # fmt: skip
    for why, count in explained.most_common():
        print(f"{count:6} x {why}")
    print(", ".join(f"{count:,} {what}" for what, count in counts.items()))
    sys.exit(1 if counts["unexplained"] or counts["models that we refuse and R fits"] else 0)


if __name__ == "__main__":
    typer.run(main)
