#!/bin/sh
# Build .venv from the pinned requirements. `setup.sh base` is enough to run Clew,
# `setup.sh dev` adds the test tools, a PostgreSQL server and, where it may, a browser.
# Called by make; safe to repeat.
set -eu
cd "$(dirname "$0")/.."
stage=$1

fail() {
    echo "setup: $1" >&2
    exit 1
}

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

# A name on PATH proves little (version managers leave shims for Pythons that are not active),
# so each candidate has to run.
find_python() {
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 python}; do
        if new_enough "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    fail "needs Python 3.11 or newer; found none. Install one, or name it: make PYTHON=/path/to/python3.12"
}

make_venv() {
    python=$(find_python)
    "$python" -c 'import ensurepip, venv' >/dev/null 2>&1 ||
        fail "$python has no venv module. On Debian and Ubuntu: apt-get install python3-venv"
    "$python" -m venv --clear .venv || fail "could not create .venv with $python"
}

pip_install() {
    .venv/bin/python -m pip install --quiet --quiet --no-input --disable-pip-version-check "$@"
}

# The page is tested in Chromium. Only Debian's root is given one here; elsewhere one that is there
# is used, and without any those tests are skipped and say so (in CI they fail).
have_browser() {
    for candidate in "${CLEW_TEST_BROWSER:-chromium}" chromium-browser google-chrome; do
        if command -v "$candidate" >/dev/null 2>&1; then return 0; fi
    done
    return 1
}

install_browser() {
    if ! command -v apt-get >/dev/null 2>&1 || [ "$(id -u)" != 0 ]; then return 0; fi
    echo "setup: installing Debian's chromium for the tests of the page (once)" >&2
    log=$(mktemp)
    for _ in 1 2; do
        if { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install \
            --no-install-recommends chromium fonts-dejavu-core; } >"$log" 2>&1 </dev/null; then
            rm -f "$log"
            return 0
        fi
    done
    tail -n 3 "$log" >&2
    rm -f "$log"
    echo "setup: chromium could not be installed (why is above); the rest goes on without it" >&2
}

echo "setup: installing what '$stage' needs into .venv (once; seconds to a minute)" >&2
if ! new_enough .venv/bin/python || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    make_venv
fi
pip_install --require-hashes -r "requirements/$stage.txt" ||
    fail "pip could not install requirements/$stage.txt (why is above); is a package index reachable?"
pip_install --no-deps --no-build-isolation --editable . ||
    fail "pip could not install Clew itself from this folder (why is above)"
if [ "$stage" = dev ]; then
    touch .venv/base.ready # dev holds everything that base holds
    have_browser || install_browser
fi
touch ".venv/$stage.ready"
