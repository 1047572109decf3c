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

lock() { # lock <file> <source> <arguments of uv pip compile…>
    file=$1
    source=$2
    shift 2
    "$UV" pip compile "$source" "$@" --quiet --universal \
        --generate-hashes --no-emit-index-url --no-header --upgrade -o "$file.new"
    { echo "# Made by \`make requirements\` from $source; not edited by hand."; cat "$file.new"; } \
        >"$file"
    rm -f "$file.new"
    echo "lock: $file, $(grep -c '==' "$file") packages"
}

lock requirements/base.txt pyproject.toml --python-version 3.11 --group build
lock requirements/dev.txt pyproject.toml --python-version 3.11 --group dev \
    --extra mcp --extra parquet --extra postgres
# Ray, over what the others hold (scripts/cluster.sh).
lock requirements/cluster.txt pyproject.toml --python-version 3.11 --extra ray \
    --constraint requirements/dev.txt

# The trainers' packages, without PyTorch, and some whose code alone is wanted.
no_torch=$(mktemp)
trap 'rm -f "$no_torch"' EXIT
echo "torch ; python_version < '3'" >"$no_torch"
lock requirements/trainers.txt requirements/trainers.in --python-version 3.11 --overrides "$no_torch"
lock requirements/readers.txt requirements/readers.in --python-version 3.12 --no-deps
