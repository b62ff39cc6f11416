# What the two gates share: `run`, which every landing must pass, and `full`, which runs everything. Both source it in a
# fresh clone, and install what they need.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# What tests write is kept in memory where there is room for it: a disk that is busy with something else fails none.
room=$(df --output=avail -k /dev/shm 2>/dev/null | tail -n 1 || true)
if [ -w /dev/shm ] && [ "${room:-0}" -gt 4000000 ]; then
  PYTEST_DEBUG_TEMPROOT=$(mktemp -d /dev/shm/firsthandapi.XXXXXX)
  export PYTEST_DEBUG_TEMPROOT
fi
log=$(mktemp)
running=
# tests/second_try.py writes here the names of tests that failed once and then passed alone, and allows five of them.
FIRSTHAND_UNSTEADY=$(mktemp)
export FIRSTHAND_UNSTEADY

at_exit() {
  kill ${running:+"$running"} 2>/dev/null || true
  if [ -s "$FIRSTHAND_UNSTEADY" ]; then
    printf '\n== unsteady: failed once, and passed alone ==\n'
    cat "$FIRSTHAND_UNSTEADY"
  fi
  rm -rf "$log" "$FIRSTHAND_UNSTEADY" ${PYTEST_DEBUG_TEMPROOT:+"$PYTEST_DEBUG_TEMPROOT"}
}
trap at_exit EXIT

step() { printf '\n== %s == %s s\n' "$*" "$SECONDS"; }

# A package of the system, unless one of its commands is there.
installed() {
  local package=$1 root=
  shift
  [ "$(id -u)" = 0 ] || root=sudo
  PATH=$PATH:/usr/sbin command -v "$@" >/dev/null ||
    sh scripts/thrice.sh $root sh -c "apt-get update -q && apt-get install -y -q --no-install-recommends $package" >/dev/null
}

# A pythonX.Y that really starts: a version manager leaves a shim for versions it does not select. X.Yt is one without a
# global lock, and X.Y is none.
python_of() {
  local version=$1 candidate is_one='import sys, sysconfig, venv; sys.exit(bool(sysconfig.get_config_var("Py_GIL_DISABLED")) != (sys.argv[1][-1] == "t"))'
  for candidate in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"${version%t}".*/bin/python "$(command -v "python$version" || true)"; do
    if [ -x "$candidate" ] && "$candidate" -c "$is_one" "$version" 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
}

# The Pythons here that .venv does not have, the oldest first. It runs every test, they run what may differ from one to
# the next.
other_versions() {
  local version covered
  covered=$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  for version in 3.11 3.12 3.13 3.14; do
    [ "$version" = "$covered" ] || [ -z "$(python_of "$version")" ] || echo "$version"
  done
}

# One command that runs while others do, and what it has printed, once it has ended.
beside() {
  "$@" >"$log" 2>&1 &
  running=$!
}
joined() {
  wait "$running" || { running=; cat "$log"; exit 1; }
  running=
  cat "$log"
}

oldest=$(python_of 3.11) # the lowest versions, and those of the pipelines, have no wheels for the newest Pythons

lowest_environment() { make .venv-lowest/.test ${oldest:+PYTHON="$oldest"}; }
environment_of() { make ".venv-$1/.test" VENV=".venv-$1" PYTHON="$(python_of "$1")"; }

test_core_on() {
  step "the tests of the client, the datasets and the server on Python $1"
  make test-core VENV=".venv-$1" PYTHON="$(python_of "$1")"
}

test_lowest() {
  step "the client on the lowest versions that are declared"
  make test-lowest ${oldest:+PYTHON="$oldest"} "$@"
}
