"""Find addresses that mean nothing to anyone else: package indexes, file URLs, one machine's paths.

A lock file or a fixture that names the index or the folder of the machine it was made on works
there and nowhere else. Every file that git tracks, or would add, is read; the answer is a line
per finding, and the exit status says whether there was one.

    python scripts/check_hosts.py [repository]
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

# Written in pieces, or this file would find itself.
HOSTS = (
    ("pypi", "org"),
    ("pythonhosted", "org"),
    ("piwheels", "org"),
    ("anaconda", "org"),
    ("npmjs", "org"),
    ("yarnpkg", "com"),
    ("arti" + "factory", ""),
)
PATHS = ("work", "root")

WHICH = ("--cached", "--others", "--exclude-standard")

FORBIDDEN = re.compile(
    "|".join(
        [
            *(r"\b" + name + (r"\." + domain if domain else "") + r"\b" for name, domain in HOSTS),
            "file:" + "///",
            *(r"(?<![\w.~*-])/" + folder + "/" for folder in PATHS),
        ]
    ),
    re.IGNORECASE,
)


def findings(repository: Path) -> list[str]:
    """`file:line: what` for every forbidden address in `repository`. Binary files are read too."""
    found = []
    for name in _files(repository):
        path = repository / name
        if not path.is_file():  # deleted but not yet committed, or a submodule
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        for number, line in enumerate(text.splitlines(), 1):
            found += [f"{name}:{number}: {match[0]}" for match in FORBIDDEN.finditer(line)]
    return found


def _files(repository: Path) -> list[str]:
    listing = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", *WHICH],
        cwd=repository,
        check=True,
        capture_output=True,
        text=True,
    )
    return sorted(filter(None, set(listing.stdout.split("\0"))))


def main() -> int:
    repository = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent)
    found = findings(repository)
    for line in found:
        print(line)
    if found:
        print(f"{len(found)} addresses that only one machine knows", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
