#!/bin/sh
# Build the wheel, install it into an environment of its own, run the suite and the tests against that.
# There is no rpy2 in it: where there is R, it is used through Rscript.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
.venv/bin/python -m build --wheel --no-isolation --outdir "$work/dist" . >"$work/log" 2>&1 || {
  cat "$work/log"; exit 1
}
.venv/bin/python - "$work"/dist/*.whl <<'PY'
import sys, zipfile
names = zipfile.ZipFile(sys.argv[1]).namelist()
top = {n.split("/")[0] for n in names}
assert top == {"lmerbridge"} | {t for t in top if t.endswith(".dist-info")}, top
for needed in ("lmerbridge/py.typed", "lmerbridge/rlang/lmerbridge.R",
               "lmerbridge/rlang/serve.R", "lmerbridge/rlang/socket.R",
               "lmerbridge/rlang/worker.py", "lmerbridge/crosscheck/versions.toml",
               "lmerbridge/_data/datasets/sleepstudy.csv", "lmerbridge/_data/reference/cases.toml",
               "lmerbridge/result/schema.json"):
    assert needed in names, needed
assert not any(n.endswith(("bounce.csv", "dragons.csv")) for n in names)
assert not any("published" in n for n in names)  # the proof of the project's own documents
print(f"wheel: {len(names)} files, lmerbridge alone")
PY
python=$(readlink -f .venv/bin/python)
"$python" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check "$work"/dist/*.whl \
  'pytest>=8.2' 'pytest-xdist>=3.6' 'hypothesis>=6.100' 'jsonschema>=4.20' 'polars>=1.0' \
  'mpmath>=1.3' 'matplotlib>=3.8' 'hatchling>=1.26'
cp -r tests pyproject.toml "$work/"
cd "$work"
"$work/venv/bin/python" -c '
import lmerbridge, pathlib, sys
where = pathlib.Path(lmerbridge.__file__)
assert "site-packages" in where.parts, where
from importlib.util import find_spec
assert find_spec("rpy2") is None
from lmerbridge.rlang import chosen
assert chosen().name == "rscript", chosen()'
"$work/venv/bin/lmerbridge" check >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
tail -n 3 "$work/log"
"$work/venv/bin/python" -m pytest -q -n auto -p no:cacheprovider "$@"
