#!/bin/sh
# Set up what is missing, and say so: .venv with the package and its tools; R with lme4, lmerTest,
# pbkrtest and emmeans from the system's packages; and the rpy2 that fits this R.
# R=no leaves R out. A second run does nothing that is already done.
set -eu
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
VENV=.venv
say() { echo "setup: $*"; }

root() {  # run as root, directly or by sudo; fails where neither is possible
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null 2>&1; then sudo "$@"
  else return 1
  fi
}

apt() {
  command -v apt-get >/dev/null 2>&1 || return 1
  if [ ! -e "${TMPDIR:-/tmp}/.lmerbridge-apt-updated-$(id -u)" ]; then
    root apt-get update -qq || return 1
    touch "${TMPDIR:-/tmp}/.lmerbridge-apt-updated-$(id -u)"
  fi
  root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" \
    >/dev/null
}

"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  say "Python 3.11 or newer is needed; $PYTHON is $("$PYTHON" -V 2>&1). Name another: make PYTHON=..."
  exit 1
}

if [ ! -x $VENV/bin/pip ]; then
  say "making $VENV"
  "$PYTHON" -c 'import ensurepip' 2>/dev/null || {
    say "installing python3-venv"
    apt python3-venv || { say "cannot: install python3-venv and run this again"; exit 1; }
  }
  rm -rf $VENV
  "$PYTHON" -m venv $VENV
fi

# what the stamps depend on: a changed pyproject.toml or another Python sets up again
wanted="$(cat pyproject.toml scripts/setup.sh | cksum) $($VENV/bin/python -V)"
if [ "$(cat $VENV/.setup-python 2>/dev/null || true)" != "$wanted" ]; then
  say "installing lmerbridge and its tools into $VENV"
  $VENV/bin/pip install --quiet --disable-pip-version-check -e '.[dev,plots]'
  # other packages to compare with; everything works without them
  $VENV/bin/pip install --quiet --disable-pip-version-check -e '.[rivals]' >/dev/null 2>&1 ||
    say "mixedlm and gpboost cannot be installed here; their comparisons are left out"
  echo "$wanted" > $VENV/.setup-python
fi

if [ "${R:-yes}" = no ]; then
  say "R is left out (R=no)"
  exit 0
fi

packages_there() {
  command -v Rscript >/dev/null 2>&1 && Rscript --vanilla -e \
    'q(status = !all(c("lme4", "lmerTest", "pbkrtest", "emmeans", "jsonlite") %in% rownames(installed.packages())))' \
    >/dev/null 2>&1
}

if [ ! -e $VENV/.setup-r ] || ! command -v Rscript >/dev/null 2>&1; then
  rm -f $VENV/.setup-r
  if ! packages_there; then
    say "installing R with lme4, lmerTest, pbkrtest and emmeans from the system's packages"
    apt r-base-core r-cran-lme4 r-cran-lmertest r-cran-pbkrtest r-cran-emmeans r-cran-jsonlite || true
    # to compare with; everything works without it
    apt r-cran-glmmtmb || true
  fi
  if packages_there; then
    requirement=$($VENV/bin/python -c '
from lmerbridge.rlang import RInstallation, find_r, rpy2_problem, rpy2_requirement
r = find_r(())
if isinstance(r, RInstallation) and rpy2_problem(r) is not None:
    print(rpy2_requirement(r.number))')
    if [ "${RPY2:-yes}" = no ]; then
      say "leaving rpy2 out: R is used through Rscript"
    elif [ -n "$requirement" ]; then
      say "installing $requirement, which fits $(Rscript --version 2>&1)"
      # ABI mode needs neither a compiler nor R's development files
      RPY2_CFFI_MODE=ABI $VENV/bin/pip install --quiet --disable-pip-version-check "$requirement" ||
        say "rpy2 could not be installed: R is used through Rscript"
    fi
    touch $VENV/.setup-r
  else
    say "R with lme4 could not be installed here (no apt, no root); going on without R"
    say "by hand: sudo apt-get install r-base-core r-cran-lme4 r-cran-lmertest r-cran-pbkrtest r-cran-emmeans"
  fi
fi
