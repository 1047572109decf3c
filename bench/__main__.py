"""Run benches and print their figures: `python -m bench [NAME ...]`.

Tables go to standard output, or one JSON document with `--json`; talk goes to standard error.
The exit status is 0 whatever the figures are: this tells how fast a machine is, it is no test.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

from bench import report
from bench.harness import Figure, Options

BENCHES = (
    "append",
    "durable",
    "pointers",
    "reading",
    "searching",
    "processes",
    "importing",
    "gathering",
    "startup",
    "spans",
    "serving",
    "live",
    "otlp",
    "page",
    "redacting",
    "exporting",
)
PROGRAMS = ("token_error",)
"""Programs of their own, with figures that have no goal."""


def main() -> int:
    """Run what was asked for, everything by default."""
    args = arguments()
    found: dict[str, list[Figure]] = {}
    say(f"machine: {report.machine()}")
    for name in args.names or (*BENCHES, *PROGRAMS):
        if name in PROGRAMS:
            program(name, quiet=args.json)
        else:
            found[name] = bench(name, args)
    print(report.as_json(found) if args.json else f"\n{report.summary(found)}")
    return 0


def arguments() -> argparse.Namespace:
    """The command line."""
    names = (*BENCHES, *PROGRAMS)
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"one or more of {', '.join(names)}"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document, no tables")
    parser.add_argument("--full", action="store_true", help="search over 1,000,000 messages")
    parser.add_argument("--messages", type=int, default=0, help="search over so many messages")
    parser.add_argument("--postgres", metavar="URL", help="search in this empty database as well")
    args = parser.parse_args()
    for name in args.names:
        if name not in names:
            parser.error(f"there is no bench {name!r}: choose from {', '.join(names)}")
    return args


def bench(name: str, args: argparse.Namespace) -> list[Figure]:
    """Run one and print its table."""
    module = importlib.import_module(f"bench.{name}")
    say(f"{module.TITLE} …")
    started = time.perf_counter()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="clew-bench-") as folder:
        options = Options(Path(folder), args.full, args.messages, args.postgres)
        try:
            for figure in module.run(options):
                figures.append(figure)  # noqa: PERF402 - those before a failure count
        except Exception as error:
            traceback.print_exc()
            figures.append(Figure(name=f"{name} broke off", note=repr(error)))
    if not args.json:
        print(f"\n{module.TITLE}\n{report.table(figures)}", flush=True)
    say(f"{name}: {time.perf_counter() - started:.0f} s")
    return figures


def program(name: str, *, quiet: bool) -> None:
    """Run a program that prints its own figures."""
    file = Path(__file__).parent / f"{name}.py"
    if not quiet:
        print(f"\n{name}", flush=True)
        subprocess.run([sys.executable, file], check=False)


def say(text: str) -> None:
    """Talk, beside the data."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
