"""`clew doctor`: the agents on this machine, and what of their histories is in danger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from clew.cli import output
from clew.cli.options import Setup, setup

if TYPE_CHECKING:
    from clew.doctor import Broken, Checkup
    from clew.importers.lifetimes import Lifetime

SHOWN = 5


@click.command()
@setup
@click.option("--agent", "agents", multiple=True, metavar="NAME", help="This agent's only.")
@click.option("--quick", is_flag=True, help="Open no history: leave out the broken pairs.")
@click.option("--all", "everything", is_flag=True, help="Show every broken history.")
def doctor(setup: Setup, agents: tuple[str, ...], quick: bool, everything: bool) -> None:
    """See what agents are here, what they will delete, and what is not in the ledger yet.

    Also tool calls without a result, results without a call, and damaged records in the agents'
    own histories. Nothing is changed, neither there nor in the ledger.
    """
    setup.expect_here("histories are examined")
    found = _examined(setup, agents, quick)
    if setup.json:
        import msgspec

        output.document({"agents": msgspec.to_builtins(found)})
        return
    if not found:
        output.text("No agent that Clew knows keeps histories where it usually does.")
        return
    for one in found:
        _tell(one, everything)
    if any(one.new or one.grown for one in found):
        output.hint("next: clew import, or clew watch --install to have it done for good")


def _examined(setup: Setup, agents: tuple[str, ...], quick: bool) -> list[Checkup]:
    from clew.doctor import diagnose
    from clew.errors import NotFound

    def run(ledger: Any) -> list[Checkup]:
        with output.progress("reading") as advance:
            done = 0

            def on_history(_path: str) -> None:
                nonlocal done
                done += 1
                advance(done, done)

            return diagnose(ledger, agents=agents or None, deep=not quick, on_history=on_history)

    try:
        ledger = setup.open()
    except NotFound:
        output.say("There is no ledger yet: nothing of what follows is in one.")
        return run(None)
    with ledger:
        return run(ledger)


def _tell(one: Checkup, everything: bool) -> None:
    plural, clean = output.plural, output.clean
    output.text(output.paint(clean(one.agent), "bold"))
    for root, rule in zip(one.roots, one.lifetimes, strict=True):
        output.text(clean(f"  {root}: {_rule(rule)}"))
    output.text(f"  {plural(one.histories, 'history')}, {output.size(one.bytes)}")
    if one.new or one.grown:
        output.text(
            f"  not in the ledger: {one.new:,} new, {one.grown:,} changed since "
            f"({output.size(one.bytes_left)})"
        )
    elif not one.unread:
        output.text("  all of it is in the ledger")
    if one.unsaid:
        output.text(f"  nothing is said yet in {one.unsaid:,}: read when there is")
    if one.unread:
        output.text(f"  there, but cannot be read: {one.unread:,} (why stands below)")
    if one.next_ms is not None:
        lost = f", {one.lost:,} of them not in the ledger" if one.lost else ""
        output.text(
            f"  will be deleted within a week: {one.going:,}{lost}; "
            f"the first at {output.moment(one.next_ms)}"
        )
    _tell_broken(one, everything)
    for note in one.notes:
        output.text(output.paint(f"  {output.one_line(note)}", "dim"))


def _tell_broken(one: Checkup, everything: bool) -> None:
    plural = output.plural
    if not one.deep or (one.unread and not one.broken):
        return
    if not one.broken:
        output.text("  every call has its result, and every record can be read")
        return
    calls = sum(each.open_calls for each in one.broken)
    results = sum(each.orphan_results for each in one.broken)
    unread = sum(each.unread for each in one.broken)
    output.text(
        f"  in {plural(len(one.broken), 'history')}: {plural(calls, 'call')} without a result, "
        f"{plural(results, 'result')} without a call, {plural(unread, 'damaged record')}"
    )
    shown = one.broken if everything else sorted(one.broken, key=_weight)[:SHOWN]
    for each in shown:
        facts = f"{each.open_calls} / {each.orphan_results} / {each.unread}"
        output.text(output.paint(f"    {facts}  {output.one_line(each.path)}", "dim"))
    if len(shown) < len(one.broken):
        output.hint(f"  {len(one.broken) - len(shown):,} more: run it with --all")


def _weight(each: Broken) -> int:
    return -(each.open_calls + each.orphan_results + each.unread)


def _rule(rule: Lifetime | None) -> str:
    if rule is None:
        return "whether it deletes histories is not known"
    by = f" ({rule.told_by})" if rule.told_by else " (its default)"
    if rule.days is None:
        return "deletes nothing by itself" + (by if rule.told_by else "")
    return f"deletes what did not change for {rule.days:g} days{by}"
