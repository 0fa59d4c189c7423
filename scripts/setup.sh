#!/bin/sh
# Set up what is missing, and say so: .venv with the package and its tools; R with the packages of
# scripts/r_packages.txt from the system's packages; and the rpy2 that fits this R.
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

# the R packages of scripts/r_packages.txt that are marked so ("." for all of them)
listed() { sed -n "s/^\([A-Za-z][A-Za-z0-9.]*\)  *$1.*$/\1/p" scripts/r_packages.txt; }
debian() { for name in "$@"; do printf 'r-cran-%s ' "$(echo "$name" | tr '[:upper:]' '[:lower:]')"; done; }
missing() {  # those of the names given that R does not have; all of them without R
  command -v Rscript >/dev/null 2>&1 || { echo "$@"; return; }
  Rscript --vanilla -e 'cat(setdiff(commandArgs(TRUE), rownames(installed.packages())))' "$@"
}
r_wanted="$(cksum < scripts/r_packages.txt)"

if [ "$(cat $VENV/.setup-r 2>/dev/null || true)" != "$r_wanted" ] ||
    ! command -v Rscript >/dev/null 2>&1; then
  rm -f $VENV/.setup-r
  # names of packages hold no spaces
  # shellcheck disable=SC2046,SC2086
  {
  absent=$(missing $(listed .))
  if [ -n "$absent" ]; then
    say "installing R with" $absent "from the system's packages"
    apt r-base-core $(debian $absent) ||
      for name in $absent; do apt r-base-core $(debian "$name") || true; done
  fi
  absent=$(missing $(listed needed))
  left=$(missing $(listed compared))
  }
  if [ -z "$absent" ]; then
    [ -z "$left" ] || say "R has no $left here: tests that ask for it are left out"
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
    echo "$r_wanted" > $VENV/.setup-r
  else
    say "R with lme4 could not be installed here (no apt, no root); going on without R"
    # shellcheck disable=SC2046
    say "by hand: sudo apt-get install r-base-core $(debian $(listed .))"
  fi
fi
