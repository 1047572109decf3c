"""`clew export`: sessions as training data. `clew source`: the files they were imported from."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from clew.cli import output
from clew.cli.options import Setup, setup

if TYPE_CHECKING:
    from clew.exporting import Exported, ExportOptions, Recipe, Redaction, Splits
    from clew.ledger import Ledger

F = Callable[..., Any]


def _together(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator, shown in this order."""

    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


_SELECTION = _together(
    click.option("--since", metavar="WHEN", help="Sessions changed since 30d, 12h or a date."),
    click.option("--until", metavar="WHEN", help="Sessions changed before."),
    click.option("--session", "names", multiple=True, metavar="SESSION", help="Only this; repeat."),
    click.option("--agent", metavar="NAME", help="Only what this agent did."),
    click.option("--label", metavar="NAME", help="Only sessions with a checkpoint of this name."),
    click.option("--query", metavar="WORDS", help="Only sessions that this search finds."),
    click.option("--tier", "tiers", multiple=True, help="Only this tier; repeat."),
    click.option("--complexity", metavar="LOW-HIGH", help="Only scores in this range (0-100)."),
    click.option("--outcome", "outcomes", multiple=True, help="Only what ended so; repeat."),
    click.option("--model", "models", multiple=True, help="Only this model; repeat."),
    click.option("--provider", "providers", multiple=True, help="Only this provider; repeat."),
    click.option("--tool", "tools", multiple=True, help="Only sessions that called it; repeat."),
    click.option("--tokens", metavar="LOW-HIGH", help="Only so many tokens (1000-, 1000-50000)."),
)
_SHAPING = _together(
    click.option("--segments", help="whole, or split: a row for each compaction."),
    click.option("--reasoning", help="keep, last, drop or explode."),
    click.option("--parallel", help="keep, serialise or drop calls made at once."),
    click.option("--explode", help="none, turn or step: a row for each, with all before it."),
    click.option("--max-tokens", type=int, help="Compress rows that are longer."),
    click.option("--keep-steps", type=int, help="So many last answers stay whatever is cut."),
    click.option("--result-tokens", type=int, help="Cut tool results that are longer."),
    click.option("--turn-tier", "turn_tiers", multiple=True, help="Learn from its turns alone."),
    click.option("--turn-model", "turn_models", multiple=True, help="Learn from its turns alone."),
    click.option("--turn-provider", "turn_providers", multiple=True, help="The same."),
    click.option("--recorded-tools", is_flag=True, help="Leave out rows with inferred schemas."),
    click.option("--near", type=float, metavar="0-1", help="Leave out sessions as alike as this."),
    click.option("--train-shared", is_flag=True, help="Learn what branches share in each."),
    click.option("--branches", is_flag=True, help="Also what was rewound or undone."),
    click.option("--verifier", metavar="MODULE:NAME", help="A function that judges a row."),
    click.option("--summarise", metavar="MODULE:NAME", help="A function for --max-tokens."),
)
_REDACTION = _together(
    click.option("--redact/--raw", default=True, help="Replace secrets and names (the default)."),
    click.option("--policy", multiple=True, metavar="RULE=ACTION", help="See docs/redaction.md."),
    click.option("--names", "name_lists", multiple=True, type=click.Path(exists=True),
                 help="A file of names to replace, one a line."),
    click.option("--known", "known_lists", multiple=True, type=click.Path(exists=True),
                 help="A file of secrets to replace, one a line."),
    click.option("--known-from-env", is_flag=True, help="Secrets in this environment, too."),
    click.option("--independent", is_flag=True, help="Have Kingfisher look at the file, too."),
)  # fmt: skip
_WAY = _together(
    click.option("--split", "splits", multiple=True, metavar="NAME=WEIGHT",
                 help="Into parts, by root session: train=90; repeat."),
    click.option("--seed", default="", help="Of the draw of --split."),
    click.option("--since-export", type=click.Path(), metavar="FILE",
                 help="Only what changed since the export that wrote FILE."),
    click.option("--workers", type=int, default=1, help="So many processes (the same bytes)."),
    click.option("--engine", type=click.Choice(["local", "ray"]), default="local"),
    click.option("--resume", is_flag=True, help="Go on with an export that was broken off."),
    click.option("--overwrite", is_flag=True, help="Replace what is there."),
    click.option("--license", help="What the manifest and the card say of it."),
    click.option("--card", is_flag=True, help="Write a dataset card (README.md) beside it."),
    click.option("--count", is_flag=True, help="Only say how many there are."),
)  # fmt: skip


@click.command()
@setup
@click.option("-o", "--output", "target", metavar="FILE", help="A file, a folder, or -.")
@click.option("--as", "form", default="native", metavar="FORMAT", help="One of --formats.")
@click.option("--formats", is_flag=True, help="List the formats.")
@_SELECTION
@_SHAPING
@_REDACTION
@_WAY
def export(setup: Setup, target: str | None, formats: bool, count: bool, **told: Any) -> None:
    """Write sessions as training data: redacted, validated, with a manifest beside them.

    Redacted unless --raw. What was written is looked at once more before it gets its name; when
    anything is found there, exit code 6 and no file. An export that was interrupted goes on with
    --resume.
    """
    if formats:
        _list_formats(setup)
        return
    if not told["redact"] and not count:
        output.say("--raw: secrets and names are written as they are")
    with setup.open(write=not count) as ledger:
        recipe, options = _recipe(ledger, told), _options(told)
        _warn(recipe)
        if count:
            _say_counts(setup, ledger.export_count(recipe, options=options))
            return
        if target is None:
            raise click.UsageError("say where to: -o FILE, or -o - for standard output")
        stream = sys.stdout.buffer if target == "-" else None
        done = _run(ledger, recipe, stream or str(target), options)
    if setup.json and target != "-":
        output.document(done)
    _tell(done)


def _warn(recipe: Recipe) -> None:
    """Some trainers learn all that the model says in a row, whatever the row says of it."""
    shaping = recipe.shaping
    if shaping.selects and shaping.exploded == "none" and not recipe.shape.masks:
        output.say(
            f"{recipe.format} tells few trainers which turns to learn: they learn the other turns "
            "of the rows, too; --explode turn makes a row of each"
        )


def _run(
    ledger: Ledger, recipe: Recipe, target: str | BinaryIO, options: ExportOptions
) -> Exported:
    try:
        # What functions of one's own print is talk, and no row.
        with output.export_progress() as advance, redirect_stdout(sys.stderr):
            return ledger.export(recipe, output=target, options=options, on_progress=advance)
    except KeyboardInterrupt:
        if isinstance(target, str):
            output.say("broken off; the same command with --resume goes on with it")
        raise


def _list_formats(setup: Setup) -> None:
    from clew.exporters.formats import FORMATS

    if setup.json:
        output.documents([{"format": one.name, "about": one.about} for one in FORMATS.values()])
        return
    for one in FORMATS.values():
        output.text(f"{one.name:18} {one.about}")


_LISTS = {
    "tiers": "tier",
    "outcomes": "outcome",
    "models": "model",
    "providers": "provider",
    "tools": "tool",
    "turn_tiers": "turn_tier",
    "turn_models": "turn_model",
    "turn_providers": "turn_provider",
}


def _recipe(ledger: Ledger, told: dict[str, Any]) -> Recipe:
    from clew.cli import find
    from clew.exporting import asked

    for name in ("since", "until", "agent", "label", "query", "complexity", "tokens"):
        if told[name] == "":  # such as an unset variable of a script: it must not mean everything
            raise click.UsageError(f"--{name} is empty: leave it out")
    names = set(asked.Asked.__struct_fields__) - {"session", "format", "policy", "raw", "project"}
    said = {name: told[name] for name in names if name in told}
    said |= {field: list(told[name]) for name, field in _LISTS.items()}
    recipe = asked.recipe(
        asked.Asked(
            **said,
            session=[find.session(ledger, name).id for name in told["names"]],
            format=told["form"],
            raw=not told["redact"],
        )
    )
    return replace(
        recipe,
        redaction=_redaction(told) if told["redact"] else None,
        verifier=_function(told["verifier"]),
        summarise=_function(told["summarise"]),
    )


def _redaction(told: dict[str, Any]) -> Redaction:
    from clew.exporting import Redaction
    from clew.redaction.policy import Policy

    names, secrets = _lists(told)
    return Redaction(policy=Policy.parse(told["policy"]), names=names, known=secrets)


def _lists(told: dict[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names and secrets of the user's own."""
    if not (told["known_from_env"] or told["known_lists"] or told["name_lists"]):
        return (), ()
    from clew.redaction import known

    secrets = [one for path in told["known_lists"] for one in known.from_file(path)]
    if told["known_from_env"]:
        secrets += known.from_environment()
    names = [one for path in told["name_lists"] for one in known.names_from_file(path)]
    return tuple(dict.fromkeys(names)), tuple(dict.fromkeys(secrets))


def _function(named: str | None) -> Any:
    """A function of one's own. What is imported is code that runs: only from who is trusted."""
    if named is None:
        return None
    module, _, name = named.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # for good: other processes look there, too
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError, SyntaxError) as error:
        raise click.UsageError(f"{named!r} cannot be had: {error}; write module:function") from None
    if not callable(found):
        raise click.UsageError(f"{named!r} is no function; write module:function")
    return found


def _options(told: dict[str, Any]) -> ExportOptions:
    from clew.exporting import ExportOptions

    return ExportOptions(
        splits=_splits(told["splits"], told["seed"]),
        branches=told["branches"],
        since_export=Path(told["since_export"]) if told["since_export"] else None,
        workers=told["workers"],
        engine=told["engine"],
        resume=told["resume"],
        overwrite=told["overwrite"],
        license=told["license"],
        card=told["card"],
        independent=told["independent"],
    )


def _splits(texts: tuple[str, ...], seed: str) -> Splits:
    from clew.exporting import Splits

    weights: dict[str, float] = {}
    for text in texts:
        name, _, weight = text.partition("=")
        try:
            weights[name] = float(weight)
        except ValueError:
            raise click.UsageError(f"--split {text!r}: write NAME=WEIGHT, like train=90") from None
    return Splits(weights, seed)


def _say_counts(setup: Setup, counts: dict[str, int]) -> None:
    if setup.json:
        output.document(counts)
        return
    for what, number in counts.items():
        output.text(f"{number:>9,}  {what}")


def _tell(done: Exported) -> None:
    where = done.path or "standard output"
    output.say(f"{output.plural(done.rows, 'row')}, {output.size(done.bytes)} to {where}")
    for one in done.files if len(done.files) > 1 else ():
        output.say(f"  {one.split}: {output.plural(one.rows, 'row')} in {one.file}")
    if done.sessions and not done.rows:
        output.say("  not one row was written: every session was left out, for these reasons")
    for reason, count in done.dropped.items():
        output.say(f"  {count:,} left out: {reason}")
    if done.redacted:
        total = sum(done.redactions.values())
        rules = ", ".join(f"{rule} {count:,}" for rule, count in done.redactions.items())
        output.say(f"  {output.plural(total, 'replacement')}{f': {rules}' if rules else ''}")
    if done.left:
        rules = ", ".join(f"{rule} {count:,}" for rule, count in done.left.items())
        output.say(f"  left as they are, as the policy says: {rules}")
    if done.not_spread:
        output.say(
            f"  {output.plural(done.not_spread, 'value')} beyond the limit: replaced where a rule "
            "finds them, and nowhere else"
        )
    if done.review:
        output.say(f"  look at these before you hand it on: {', '.join(done.review)}")
    if done.manifest is not None:
        output.say(f"  manifest: {done.manifest}")


@click.command()
@setup
@click.argument("session")
@click.option("-o", "--output", "folder", required=True, metavar="FOLDER", help="Made anew.")
def source(setup: Setup, session: str, folder: str) -> None:
    """Give back the files that SESSION was imported from, byte for byte, not redacted.

    They go into FOLDER under their own names; no file there is ever replaced.
    """
    from clew.cli import find

    target = Path(folder)
    with setup.open() as ledger:
        files = ledger.source_bytes(find.session(ledger, session).id)
    target.mkdir(parents=True, exist_ok=True)
    written = [
        (name, _give_back(target / Path(name).name, raw), raw) for name, raw in files.items()
    ]
    if setup.json:
        output.documents(
            [{"from": name, "to": str(file), "bytes": len(raw)} for name, file, raw in written]
        )
    for name, file, raw in written:
        output.say(f"{file}: {output.size(len(raw))} as they stood in {name}")


def _give_back(file: Path, raw: bytes) -> Path:
    from clew.errors import Invalid

    try:
        with file.open("xb") as stream:
            stream.write(raw)
    except FileExistsError:
        raise Invalid(f"{file} is there already: name another folder") from None
    file.chmod(0o600)
    return file
