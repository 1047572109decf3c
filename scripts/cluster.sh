#!/bin/sh
# Run the tests of `clew export --engine ray` on clusters of this machine. Ray is big (300 MB) and
# has nothing to do in the ordinary set: it stands in .venv-cluster, over what .venv holds.
# Called by make; safe to repeat. Arguments go to pytest.
set -eu
cd "$(dirname "$0")/.."
venv=.venv-cluster

if ! [ "$venv/ready" -nt requirements/cluster.txt ] || ! [ "$venv/ready" -nt .venv/dev.ready ]; then
    echo "cluster: installing Ray into $venv (once; a minute)" >&2
    .venv/bin/python -m venv --clear "$venv"
    below=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    above=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    # `site.addsitedir`, and not the bare folder: Clew itself is in there by such a line.
    echo "import site; site.addsitedir('$below')" >"$above/below.pth"
    "$venv/bin/python" -m pip install --quiet --quiet --no-input --disable-pip-version-check \
        --require-hashes -r requirements/cluster.txt ||
        { echo "cluster: pip could not install requirements/cluster.txt (why is above)" >&2; exit 1; }
    touch "$venv/ready"
fi
exec "$venv/bin/python" -m pytest tests/cluster tests/test_export_ray.py "$@"
