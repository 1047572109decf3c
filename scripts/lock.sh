#!/bin/sh
# Pin every dependency, by hash, for all supported Pythons and platforms at once.
# The files name no package index: the installer uses whichever one its user configured.
set -eu
cd "$(dirname "$0")/.."

UV=${UV:-uv}
if ! command -v "$UV" >/dev/null 2>&1; then
    echo "lock: needs uv (python3 -m pip install uv), or say where it is: make requirements UV=…" >&2
    exit 1
fi

lock() { # lock <file> <arguments of uv pip compile…>
    file=$1
    shift
    "$UV" pip compile pyproject.toml "$@" --quiet --universal --python-version 3.11 \
        --generate-hashes --no-emit-index-url --no-header --upgrade -o "$file.new"
    { echo "# Made by \`make requirements\` from pyproject.toml; not edited by hand."; cat "$file.new"; } \
        >"$file"
    rm -f "$file.new"
    echo "lock: $file, $(grep -c '==' "$file") packages"
}

lock requirements/base.txt --group build
lock requirements/dev.txt --all-extras --group dev
