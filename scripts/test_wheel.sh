#!/bin/sh
# Build the wheels and install them into an environment of their own: first that of lmerbridge with no
# extra, for what must work then; after that with all of them, for the suite and the tests.
# There is no rpy2 in it: where there is R, it is used through Rscript.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for folder in . distributions/further; do
  .venv/bin/python -m build --wheel --no-isolation --outdir "$work/dist" $folder >"$work/log" 2>&1 || {
    cat "$work/log"; exit 1
  }
done
wheel=$(echo "$work"/dist/lmerbridge-*.whl)
.venv/bin/python - "$wheel" <<'PY'
import json, lzma, os, sys, zipfile
names = zipfile.ZipFile(sys.argv[1]).namelist()
top = {n.split("/")[0] for n in names}
assert top == {"lmerbridge"} | {t for t in top if t.endswith(".dist-info")}, top
for needed in ("lmerbridge/py.typed", "lmerbridge/rlang/lmerbridge.R",
               "lmerbridge/rlang/serve.R", "lmerbridge/rlang/socket.R",
               "lmerbridge/rlang/worker.py", "lmerbridge/crosscheck/versions.toml",
               "lmerbridge/_data/datasets/packed.xz", "lmerbridge/_data/reference/cases.toml",
               "lmerbridge/_data/reference/golden.xz", "lmerbridge/result/schema.json"):
    assert needed in names, needed
with zipfile.ZipFile(sys.argv[1]) as wheel:
    sets = json.loads(lzma.decompress(wheel.read("lmerbridge/_data/datasets/packed.xz")))
assert "sleepstudy.csv" in sets and "sleepstudy.toml" in sets
assert not any(n.endswith(("bounce.csv", "dragons.csv")) for n in [*names, *sets])
data = [n for n in names if "/_data/reference/" in n]
assert len(data) == 6, data  # tests read the rest, and the scorecard, which has a wheel of its own
size = os.path.getsize(sys.argv[1])
assert size < 1_000_000, size
print(f"wheel: {len(names)} files, {size / 1e6:.2f} MB, lmerbridge alone")
PY
python=$(readlink -f .venv/bin/python)
"$python" -m venv "$work/venv"
# what is imported is compiled then, and nothing else: that is half of the time
install="$work/venv/bin/pip install --no-compile --quiet --disable-pip-version-check"
export PYTHONDONTWRITEBYTECODE=
$install "$wheel"
cp -r tests pyproject.toml "$work/"
# what the tests read there; not published/, the proof of this project's own documents
mkdir "$work/reference"
cp -r reference/cases.toml reference/generalized.toml reference/zoo.toml reference/golden reference/further \
  reference/inference reference/structured "$work/reference/"
without=$PWD/scripts/without_extras.py
cd "$work"
unset PYTHONPATH
"$work/venv/bin/python" "$without"
$install "$wheel[all]" \
  'pytest-xdist>=3.6' 'hypothesis>=6.100' 'jsonschema>=4.20' 'polars>=1.0' 'mpmath>=1.3' \
  'hatchling>=1.26'
"$work/venv/bin/python" -c '
import lmerbridge, pathlib, sys
where = pathlib.Path(lmerbridge.__file__)
assert "site-packages" in where.parts, where
from importlib.util import find_spec
assert find_spec("rpy2") is None
from lmerbridge.rlang import chosen
assert chosen().name == "rscript", chosen()'
if "$work/venv/bin/lmerbridge" check --scorecard 2>"$work/log"; then exit 1; fi
grep -q 'pip install lmerbridge-further' "$work/log" || { cat "$work/log"; exit 1; }
"$work/venv/bin/lmerbridge" check >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
tail -n 3 "$work/log"
$install --no-deps "$work"/dist/lmerbridge_further-*.whl
"$work/venv/bin/lmerbridge" check --scorecard --engine native
"$work/venv/bin/python" -m pytest -q -n auto -p no:cacheprovider "$@"
