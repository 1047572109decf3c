#!/bin/sh
# Run `tests/trainers`: exports against the programs that read them. Called by make, with .venv
# ready; safe to repeat. Builds .venv-trainers once; nothing but packages is downloaded.
set -eu
cd "$(dirname "$0")/.."

VENV=.venv-trainers
READY=$VENV/ready
TORCH_VERSION=2.13.0

fail() {
    echo "trainers: $1" >&2
    exit 1
}

pip_install() {
    "$VENV/bin/python" -m pip install --quiet --quiet --no-input --disable-pip-version-check "$@"
}

# On Linux an index may give a build for CUDA: gigabytes that nothing here uses. What the wheel
# requires tells which it is, before it is fetched.
cpu_build() {
    "$VENV/bin/python" -m pip install --quiet --dry-run --no-deps --ignore-installed --no-input \
        --disable-pip-version-check --report - "torch==$TORCH_VERSION" 2>/dev/null |
        "$VENV/bin/python" -c '
import json, platform, sys
told = json.load(sys.stdin)["install"][0]["metadata"].get("requires_dist", [])
cuda = any(one.lower().startswith(("nvidia", "cuda")) for one in told)
sys.exit(cuda and platform.system() == "Linux")'
}

install_torch() {
    if [ "${TORCH:-cpu}" = any ]; then
        pip_install "torch==$TORCH_VERSION" || fail "pip could not install torch (why is above)"
        return 0
    fi
    cpu_build || fail "the package index gives a CUDA build of PyTorch $TORCH_VERSION (gigabytes), or none. Name an index of CPU builds in pip's configuration (docs/validation.md), or take it all the same: make trainers TORCH=any"
    pip_install --no-deps "torch==$TORCH_VERSION" || fail "pip could not install torch (why is above)"
}

install() {
    echo "trainers: installing the trainers' packages into $VENV (once; a few minutes)" >&2
    .venv/bin/python -m venv --clear "$VENV" || fail "could not create $VENV"
    # Each file names all that is needed but PyTorch, so pip has nothing to look for by itself.
    pip_install --require-hashes --no-deps -r requirements/trainers.txt ||
        fail "pip could not install requirements/trainers.txt (why is above)"
    install_torch
    # Of these only the code that reads data is run; harbor asks for a newer Python than that needs.
    pip_install --require-hashes --no-deps --ignore-requires-python -r requirements/readers.txt ||
        fail "pip could not install requirements/readers.txt (why is above)"
    cksum requirements/trainers.txt requirements/readers.txt scripts/trainers.sh >"$READY"
}

if ! cksum requirements/trainers.txt requirements/readers.txt scripts/trainers.sh |
    cmp -s - "$READY" 2>/dev/null; then
    install
fi

exports=$(mktemp -d)
trap 'rm -rf "$exports"' EXIT
.venv/bin/python tests/trainers/make_exports.py "$exports"
CLEW_EXPORTS=$exports "$VENV/bin/python" -m pytest -c tests/trainers/pytest.ini \
    --rootdir tests/trainers --confcutdir tests/trainers -p no:cacheprovider tests/trainers "$@"
