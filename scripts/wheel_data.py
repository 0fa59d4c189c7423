"""Hatchling's hook for the wheel: which data are in it, under ``lmerbridge/_data``.

What users' code reads is in it, and nothing else; data sets and golden values each packed into
one file. Not: data sets that are kept with gzip, of which ``InstEval``, ``VerbAgg`` and
``Contraception`` are fetched, and two simulated ones are in ``distributions/further``;
``reference/further`` but the file that ``zoo.toml`` names (``distributions/further`` has it);
``reference/inference``, ``structured`` and ``published``, which the tests of a checkout read.
"""

from __future__ import annotations

import json
import lzma
import math
import struct
import tempfile
import tomllib
import zipfile
import zlib
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from zopfli.zlib import compress

FILES = (
    "reference/cases.toml",
    "reference/generalized.toml",
    "reference/zoo.toml",
    "reference/further/data/lmerTest-carrots.*",
)
GOLDEN = "reference/golden"
DATASETS = ("datasets/*.toml", "datasets/*.csv")
FITTED_DECIMALS = 3  # of sigma; they are compared to 5e-3 of it
MODES_DIGITS = 5  # compared to two


def pressed(text: str) -> bytes:
    """Return the text as xz has it."""
    return lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME)


def packed_datasets(root: Path) -> bytes:
    """Return the data sets as ``lmerbridge.datasets`` unpacks them: the texts by file name. Many
    have numbers in common.
    """
    files = [file for pattern in DATASETS for file in sorted(root.glob(pattern))]
    return pressed(json.dumps({file.name: file.read_bytes().decode() for file in files}))


def packed(folder: Path) -> bytes:
    """Return the golden values of a folder as ``lmerbridge.crosscheck.golden`` unpacks them: a line
    of name, tabulator and JSON for each. Together they take two thirds of what they take apart.
    """
    records = {
        file.stem: shortened(json.loads(file.read_text("utf-8")))
        for file in sorted(folder.glob("*.json"))
        if file.stem.partition("@")[0] not in without_data(folder.parent)
    }
    records = {name: record for name, record in records.items() if needed(name, record)}
    lines = [
        f"{name}\t{json.dumps(record, separators=(',', ':'))}\n" for name, record in records.items()
    ]
    return pressed("".join(lines))


def without_data(suite: Path) -> set[str]:
    """Name the generalized models whose data the wheel has not, so that they are skipped there."""
    models = tomllib.loads((suite / "generalized.toml").read_text("utf-8"))["model"]
    datasets = suite.parent / "datasets"
    return {m["name"] for m in models if not (datasets / f"{m['data']}.csv").is_file()}


def needed(name: str, record: dict[str, Any]) -> bool:
    """Say whether users' code needs a record. What a later lme4 mended in generalized models the
    referee says by itself, but where the dispersion is estimated.
    """
    known = ("binomial", "poisson", "negative.binomial")
    return "@" not in name or not record.get("family", "").startswith(known)


def deflated(content: bytes) -> bytes:
    """Return a file's content as a zip archive holds it: zlib's without its two bytes before and
    four behind (RFC 1950).
    """
    return bytes(compress(content, numiterations=5)[2:-4])


def smaller(wheel: Path) -> None:
    """Compress every file of a wheel by zopfli, which saves 3 % beside zlib at its best.

    ``zipfile`` takes no compressed content, so that the archive is written here, as the format's
    description has it (APPNOTE 6.3.3, sections 4.3.7, 4.3.12 and 4.3.16).
    """
    local, central = bytearray(), bytearray()
    with zipfile.ZipFile(wheel) as before:
        files = before.infolist()
        for info in files:
            content, name = before.read(info), info.filename.encode()
            year, month, day, hour, minute, second = info.date_time
            body = deflated(content)
            common = struct.pack(
                "<HHHHHIIIHH",
                20,  # the version that is needed to read it
                0x800,  # names are UTF-8
                zipfile.ZIP_DEFLATED,
                hour << 11 | minute << 5 | second // 2,
                (year - 1980) << 9 | month << 5 | day,
                zlib.crc32(content),
                len(body),
                len(content),
                len(name),
                0,
            )
            place = struct.pack("<HHHII", 0, 0, 0, info.external_attr, len(local))
            central += b"PK\1\2" + struct.pack("<BB", 20, 3) + common + place + name
            local += b"PK\3\4" + common + name + body
    end = struct.pack("<HHHHIIH", 0, 0, len(files), len(files), len(central), len(local), 0)
    wheel.write_bytes(local + central + b"PK\5\6" + end)


def with_digits(value: Any) -> Any:
    """Return what JSON holds with every number of ten digits, of which no more than six count."""
    if isinstance(value, float):
        return float(f"{value:.10g}")
    if isinstance(value, list):
        return [with_digits(one) for one in value]
    if isinstance(value, dict):
        return {key: with_digits(one) for key, one in value.items()}
    return value


def shortened(record: dict[str, Any]) -> dict[str, Any]:
    """Leave out digits of fitted values and modes, which are nine tenths of all and are compared
    to two or three digits.
    """
    short = {key: value for key, value in record.items() if key != "text"}  # for tests alone
    for which in ("default", "polished"):
        if which not in short:
            continue
        fit = short[which] = dict(short[which])
        if "fitted" in fit:
            decimals = FITTED_DECIMALS - math.floor(math.log10(fit["sigma"]))
            fit["fitted"] = [round(value, decimals) for value in fit["fitted"]]
        if "family" in record:  # a third of all modes; a checkout has them
            del fit["ranef"]
            short[which] = with_digits(fit)
            continue
        fit["ranef"] = {
            key: [float(f"{value:.{MODES_DIGITS}g}") for value in values]
            if key in ("condval", "condsd")
            else values
            for key, values in fit["ranef"].items()
        }
    return short


class WheelData(BuildHookInterface[Any]):
    """Adds the files; an editable install has the checkout."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name each file, and write the packed ones."""
        if version == "editable":
            return
        root = Path(self.root)
        self.made = tempfile.TemporaryDirectory()
        include = build_data["force_include"]
        for name, content in (
            (f"{GOLDEN}.xz", packed(root / GOLDEN)),
            ("datasets/packed.xz", packed_datasets(root)),
        ):
            file = Path(self.made.name) / Path(name).name
            file.write_bytes(content)
            include[str(file)] = f"lmerbridge/_data/{name}"
        for pattern in FILES:
            found = sorted(root.glob(pattern))
            if not found:
                raise FileNotFoundError(f"{root} has no {pattern}")
            for file in found:
                include[str(file)] = f"lmerbridge/_data/{file.relative_to(root).as_posix()}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the packed files, and compress the wheel."""
        if version != "editable":
            self.made.cleanup()
            smaller(Path(artifact_path))
