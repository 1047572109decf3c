"""An export: a file that is whole or not there, its manifest, what it says and what it costs."""

from __future__ import annotations

import hashlib
import io
import json
import stat
from typing import TYPE_CHECKING, Any

import pytest

import clew
from clew.exporters import line
from clew.exporters.shaping import Shaping
from clew.exporting import ExportOptions, Recipe, Redaction, Selection, Splits
from clew.exporting import pack as packing
from clew.redaction import Redactor
from clew.redaction.policy import Policy
from export_kit import RAW, SECRET, exported, garden, ids, lines, names, used, uses

from .talk import bot, user

if TYPE_CHECKING:
    from pathlib import Path

OVER = ExportOptions(overwrite=True)


def told(ledger: clew.Ledger, *texts: str) -> list[clew.Session]:
    """A session for each text."""
    made = []
    for text in texts:
        session = ledger.create()
        session.extend([user(text), bot("noted")])
        made.append(session)
    return made


def manifest(path: Path) -> dict[str, Any]:
    """What stands beside an export."""
    made: dict[str, Any] = json.loads(path.with_name(path.name + ".manifest.json").read_text())
    return made


# --- the file ----------------------------------------------------------------------------


def test_a_file_holds_what_is_said_of_it(ledger: clew.Ledger, tmp_path: Path) -> None:
    target = tmp_path / "deep" / "er" / "out.jsonl"
    a, b = told(ledger, "a", "b")
    ledger.create()
    done = ledger.export(RAW, output=target)
    data = target.read_bytes()
    assert (done.path, done.rows, done.bytes) == (target, 2, len(data))
    assert done.sha256 == hashlib.sha256(data).hexdigest()
    assert (done.redacted, done.redactions, done.dropped) == (False, {}, {"no messages": 1})
    assert ids(lines(data)) == [a.id, b.id]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


@pytest.mark.inside
def test_nothing_is_left_beside_a_file_but_its_manifest(
    ledger: clew.Ledger, tmp_path: Path
) -> None:
    told(ledger, "a")
    done = ledger.export(RAW, output=tmp_path / "out.jsonl")
    assert names(tmp_path) == ["out.jsonl", "out.jsonl.manifest.json"]
    assert not list(tmp_path.glob(".*"))
    assert done.manifest == tmp_path / "out.jsonl.manifest.json"
    (file,) = done.files
    assert (file.file, file.split, file.rows, file.bytes, file.sha256) == (
        *("out.jsonl", None, 1, done.bytes, done.sha256),
    )
    assert done.sessions == 1


@pytest.mark.inside
def test_rows_are_those_of_the_ledger_in_its_order(ledger: clew.Ledger) -> None:
    made = garden(ledger, 5)
    rows = exported(ledger, Recipe(redaction=None, train_shared=True))
    by_plan = ("root_session_id", "subagents")
    for row in rows:
        own = json.loads(line(ledger.trajectory(row["session_id"])))
        assert row == own | {name: row[name] for name in by_plan}
    order = [session.id for session in made]
    roots = [order.index(row["root_session_id"]) for row in rows]
    assert roots == sorted(roots), "families stand in the order of their roots"
    for root in set(roots):
        family = [order.index(id) for id, one in zip(ids(rows), roots, strict=True) if one == root]
        assert family == sorted(family)
    assert len(set(ids(rows))) == len(rows) > 10


def test_the_same_history_gives_the_same_bytes(ledger: clew.Ledger, tmp_path: Path) -> None:
    garden(ledger, 3)
    first, second = io.BytesIO(), io.BytesIO()
    done = ledger.export(output=first)
    ledger.export(output=second)
    ledger.export(output=tmp_path / "out.jsonl")
    assert first.getvalue() == second.getvalue() == (tmp_path / "out.jsonl").read_bytes()
    assert done.path is None
    assert done.sha256 == hashlib.sha256(first.getvalue()).hexdigest()


def test_an_empty_export_is_an_empty_file(ledger: clew.Ledger, tmp_path: Path) -> None:
    done = ledger.export(output=tmp_path / "out.jsonl")
    assert (done.rows, done.bytes, (tmp_path / "out.jsonl").read_bytes()) == (0, 0, b"")


# --- names that are taken ----------------------------------------------------------------


def test_an_existing_file_is_kept_unless_told(ledger: clew.Ledger, tmp_path: Path) -> None:
    told(ledger, "a")
    target = tmp_path / "out.jsonl"
    target.write_text("mine")
    with pytest.raises(clew.Invalid, match="exists"):
        ledger.export(RAW, output=target)
    assert target.read_text() == "mine"
    assert not list(tmp_path.glob(".out*"))
    ledger.export(RAW, output=target, options=OVER)
    assert len(lines(target.read_bytes())) == 1


@pytest.mark.inside
def test_an_existing_manifest_is_kept_unless_told(ledger: clew.Ledger, tmp_path: Path) -> None:
    told(ledger, "a")
    other = tmp_path / "out.jsonl.manifest.json"
    other.write_text("mine")
    with pytest.raises(clew.Invalid, match="exists"):
        ledger.export(RAW, output=tmp_path / "out.jsonl")
    assert (names(tmp_path), other.read_text()) == ([other.name], "mine")
    ledger.export(RAW, output=tmp_path / "out.jsonl", options=OVER)
    assert manifest(tmp_path / "out.jsonl")["rows"] == 1


@pytest.mark.inside
@pytest.mark.parametrize("late", ["out.jsonl", "out.jsonl.manifest.json", "out.b.jsonl"])
def test_a_file_made_in_the_meantime_is_kept(
    ledger: clew.Ledger, tmp_path: Path, late: str
) -> None:
    told(ledger, "a", "b", "c")
    splits = Splits({"a": 1, "b": 1}) if ".b." in late else Splits()

    def meanwhile(_: Any) -> None:
        (tmp_path / late).write_text("theirs")

    with pytest.raises(clew.Invalid, match="exists"):
        ledger.export(
            RAW,
            output=tmp_path / "out.jsonl",
            options=ExportOptions(splits=splits),
            on_progress=meanwhile,
        )
    assert (tmp_path / late).read_text() == "theirs"
    assert names(tmp_path) == [late], "an export is whole or not there"
    assert not list(tmp_path.glob(".*"))


def test_impossible_targets_are_refused(ledger: clew.Ledger, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(clew.Invalid, match="folder"):
        ledger.export(RAW, output=tmp_path)
    with pytest.raises(clew.Invalid, match="cannot be made"):
        ledger.export(RAW, output=tmp_path / "file" / "x" / "out.jsonl")
    assert names(tmp_path) == ["file"]


@pytest.mark.inside
def test_a_folder_is_taken_only_when_it_is_empty(ledger: clew.Ledger, tmp_path: Path) -> None:
    told(ledger, "a")
    recipe = Recipe(format="markdown")
    target = tmp_path / "out"
    target.mkdir()
    (target / "diary").write_text("mine")
    for options in (ExportOptions(), OVER):
        with pytest.raises(clew.Invalid, match="with files in it"):
            ledger.export(recipe, output=target, options=options)
    assert names(tmp_path) == ["out/diary"]
    (target / "diary").unlink()
    first = ledger.export(recipe, output=target, options=OVER)
    assert len(list(target.iterdir())) == first.rows == 1
    told(ledger, "b")
    for options in (ExportOptions(), OVER):
        with pytest.raises(clew.Invalid, match="with files in it"):
            ledger.export(recipe, output=target, options=options)
    assert len(list(target.iterdir())) == 1


@pytest.mark.inside
def test_a_file_does_not_become_a_folder_unless_told(ledger: clew.Ledger, tmp_path: Path) -> None:
    told(ledger, "a")
    (tmp_path / "out").write_text("mine")
    for options in (ExportOptions(), OVER):
        with pytest.raises(clew.Invalid, match="is a file"):
            ledger.export(Recipe(format="markdown"), output=tmp_path / "out", options=options)
    assert names(tmp_path) == ["out"]


@pytest.mark.inside
def test_a_link_is_replaced_and_not_what_it_leads_to(ledger: clew.Ledger, tmp_path: Path) -> None:
    told(ledger, "a")
    (tmp_path / "theirs").write_text("theirs")
    target = tmp_path / "out.jsonl"
    target.symlink_to(tmp_path / "theirs")
    with pytest.raises(clew.Invalid, match="exists"):
        ledger.export(RAW, output=target)
    ledger.export(RAW, output=target, options=OVER)
    assert (tmp_path / "theirs").read_text() == "theirs"
    assert not target.is_symlink()


# --- streams -----------------------------------------------------------------------------


@pytest.mark.inside
@pytest.mark.parametrize(
    ("recipe", "options"),
    [
        (Recipe(format="parquet"), ExportOptions()),
        (Recipe(format="markdown"), ExportOptions()),
        (RAW, ExportOptions(splits=Splits({"train": 1}))),
        (RAW, ExportOptions(resume=True)),
        (RAW, ExportOptions(card=True)),
        (Recipe(), ExportOptions(independent=True)),
    ],
)
def test_what_needs_a_file_is_refused_for_a_stream(
    ledger: clew.Ledger, recipe: Recipe, options: ExportOptions
) -> None:
    told(ledger, "a")
    stream = io.BytesIO()
    with pytest.raises(clew.Invalid, match="name a file"):
        ledger.export(recipe, output=stream, options=options)
    assert stream.getvalue() == b""


def test_a_stream_whose_reader_went_away_is_their_error(ledger: clew.Ledger) -> None:
    told(ledger, "a")

    class Gone(io.BytesIO):
        def write(self, _: Any) -> int:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        ledger.export(RAW, output=Gone())
    told(ledger, "b")
    assert len(exported(ledger)) == 2


# --- redaction ---------------------------------------------------------------------------


def test_redaction_is_counted_and_said(ledger: clew.Ledger, tmp_path: Path) -> None:
    told(ledger, "to ann@corp.com", "clean")
    target = tmp_path / "out.jsonl"
    done = ledger.export(output=target)
    first, second = lines(target.read_bytes())
    assert done.redactions == {"email": 1}
    assert first["redaction"]["n"] == 1
    assert second["redaction"] == {**first["redaction"], "n": 0}
    assert b"corp.com" not in target.read_bytes()


def test_a_secret_found_late_goes_from_earlier_rows(ledger: clew.Ledger, tmp_path: Path) -> None:
    told(ledger, "plain q8Zx71bbTr", "API_KEY=q8Zx71bbTr in it", "q8Zx71bbTr")
    target, stream = tmp_path / "out.jsonl", io.BytesIO()
    done = ledger.export(output=target)
    again = ledger.export(output=stream)
    assert target.read_bytes() == stream.getvalue()
    assert (done.sha256, done.rows) == (again.sha256, 3)
    assert hashlib.sha256(target.read_bytes()).hexdigest() == done.sha256
    assert b"q8Zx71bbTr" not in stream.getvalue()
    assert [row["redaction"]["n"] for row in lines(stream.getvalue())] == [1, 1, 1]


def _blinded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is replaced, so that the second look has something to find."""
    whole = Redactor.redact_row

    def blind(self: Redactor, value: Any) -> Any:
        done = whole(self, value)
        return type(done)(value, done.rules, done.action)

    monkeypatch.setattr(Redactor, "redact_row", blind)


@pytest.mark.inside
@pytest.mark.parametrize("form", ["native", "trl", "parquet", "markdown"])
def test_the_second_look_fails_closed(
    ledger: clew.Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    told(ledger, "clean", "to ann@corp.com")
    _blinded(monkeypatch)
    with pytest.raises(clew.RedactionFailed) as raised:
        ledger.export(Recipe(format=form), output=tmp_path / "out")
    assert "ann@" not in str(raised.value)
    assert names(tmp_path) == []
    assert not list(tmp_path.glob(".*"))
    assert ledger.audit(action="export") == []


@pytest.mark.inside
def test_the_second_look_fails_closed_for_a_stream(
    ledger: clew.Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(ledger, "clean", "to ann@corp.com")
    _blinded(monkeypatch)
    stream = io.BytesIO()
    with pytest.raises(clew.RedactionFailed):
        ledger.export(output=stream)
    assert stream.getvalue() == b""


@pytest.mark.inside
@pytest.mark.parametrize("form", ["parquet", "markdown", "html"])
def test_what_a_package_brings_to_light_fails_closed(
    ledger: clew.Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """What is no lines is read back as its readers will read it, and looked at again."""
    if form == "parquet":
        pytest.importorskip("pyarrow")
    told(ledger, "clean")
    seen: list[Any] = []

    def finding(self: Redactor, value: Any) -> list[Any]:
        seen.append(value)
        return ["it"]

    def found_in_package(*_: Any, **__: Any) -> None:
        monkeypatch.setattr(Redactor, "scan", finding)

    whole = packing.pack

    def packed(*args: Any) -> Any:
        found_in_package()
        return whole(*args)

    monkeypatch.setattr("clew.exporting.job.pack", packed)
    with pytest.raises(clew.RedactionFailed, match="nothing was exported"):
        ledger.export(Recipe(format=form), output=tmp_path / "out")
    assert "clean" in str(seen[0])
    assert names(tmp_path) == []


@pytest.mark.inside
def test_a_policy_says_what_happens_to_a_find(ledger: clew.Ledger, tmp_path: Path) -> None:
    mail, token, clean = told(ledger, "to ann@corp.com", f"the token is {SECRET}", "clean")

    def export(**actions: str) -> tuple[clew.exporting.Exported, list[dict[str, Any]]]:
        recipe = Recipe(redaction=Redaction(Policy.of(actions)))
        done = ledger.export(recipe, output=tmp_path / "out.jsonl", options=OVER)
        return done, lines((tmp_path / "out.jsonl").read_bytes())

    done, rows = export(EMAIL="warn")
    assert ids(rows) == [mail.id, token.id, clean.id]
    assert "ann@corp.com" in json.dumps(rows[0])
    assert done.left == {"email": 1}
    assert "email" not in done.redactions
    about = manifest(tmp_path / "out.jsonl")["redaction"]
    assert (about["left"], about["not_spread"]) == ({"email": 1}, 0)
    done, rows = export(EMAIL="block")
    assert ids(rows) == [token.id, clean.id]
    assert done.dropped == {"blocked: email": 1}
    done, rows = export(EMAIL="review")
    assert (len(rows), done.review) == (3, (mail.id,))
    assert "ann@corp.com" not in json.dumps(rows)
    about = manifest(tmp_path / "out.jsonl")["redaction"]
    assert (about["policy"], about["review"]) == ({"EMAIL": "review"}, [mail.id])


@pytest.mark.inside
def test_names_known_secrets_and_detectors_of_ones_own(ledger: clew.Ledger) -> None:
    told(ledger, "Wilhelmina says open-sesame at gate 17")
    chosen = Redaction(names=("Wilhelmina",), known=("open-sesame",), detectors=(gates,))
    (row,) = exported(ledger, Recipe(redaction=chosen))
    text = row["messages"][0]["content"]
    assert not {"Wilhelmina", "open-sesame", "gate"}.intersection(text.split())
    assert "says <SECRET_" in text


def gates(text: str) -> list[tuple[int, int, str]]:
    """A detector."""
    at = text.find("gate 17")
    return [(at, at + 7, "SECRET")] if at >= 0 else []


# --- the manifest ------------------------------------------------------------------------


@pytest.mark.inside
def test_a_manifest_says_what_an_export_was(ledger: clew.Ledger, tmp_path: Path) -> None:
    session, *_ = told(ledger, "to ann@corp.com", "b")
    ledger.create()
    target = tmp_path / "out.jsonl"
    done = ledger.export(
        Recipe(selection=Selection(outcomes=("unknown",))),
        output=target,
        options=ExportOptions(license="MIT"),
    )
    made = manifest(target)
    assert (made["schema"], made["format"], made["clew"]) == (
        *("clew-export/1", "native", clew.__version__),
    )
    assert (made["sessions"], made["rows"], made["dropped"]) == (3, 2, {"no messages": 1})
    assert made["files"] == [
        {
            "file": "out.jsonl",
            "split": None,
            "rows": 2,
            "bytes": target.stat().st_size,
            "sha256": hashlib.sha256(target.read_bytes()).hexdigest(),
        }
    ]
    assert made["selection"] == {"outcomes": ["unknown"]}
    assert (made["outcomes"], made["agents"]) == ({"unknown": 2}, {"unknown": 2})
    assert made["license"] == "MIT"
    assert made["redaction"]["counts"] == done.redactions == {"email": 1}
    assert made["redaction"]["verified"] is True
    assert made["position"].startswith("sha256:")
    assert session.id not in target.with_name("out.jsonl.manifest.json").read_text()
    assert len(made["marks"]) == 2


@pytest.mark.inside
def test_a_manifest_tells_no_secret_that_was_asked_for(ledger: clew.Ledger, tmp_path: Path) -> None:
    told(ledger, f"the token is {SECRET}", "plain words")
    chosen = Redaction(known=("open-sesame",), names=("Wilhelmina",))
    recipe = Recipe(selection=Selection(query=SECRET), redaction=chosen)
    ledger.export(recipe, output=tmp_path / "out.jsonl")
    text = (tmp_path / "out.jsonl.manifest.json").read_text()
    for secret in (SECRET, "open-sesame", "Wilhelmina"):
        assert secret not in text


@pytest.mark.inside
def test_a_raw_export_has_a_manifest_that_says_so(ledger: clew.Ledger, tmp_path: Path) -> None:
    told(ledger, "a")
    ledger.export(RAW, output=tmp_path / "out.jsonl")
    assert manifest(tmp_path / "out.jsonl")["redaction"] is None


# --- on record ---------------------------------------------------------------------------


def test_every_export_is_on_record(ledger: clew.Ledger, tmp_path: Path) -> None:
    told(ledger, "a")
    done = ledger.export(output=tmp_path / "a.jsonl")
    ledger.export(RAW, output=io.BytesIO())
    raw, redacted = ledger.audit(action="export")
    assert redacted.facts["sha256"] == done.sha256
    assert [(one.facts["rows"], one.facts["redacted"]) for one in (raw, redacted)] == [
        *[(1, False), (1, True)]
    ]
    assert redacted.facts["format"] == "native"


@pytest.mark.inside
def test_a_reader_exports_too(url: str, ledger: clew.Ledger, tmp_path: Path) -> None:
    told(ledger, "a")
    ledger.export(output=io.BytesIO())
    if ":memory:" in url:
        with pytest.raises(clew.ClewError):
            clew.open(url, read_only=True)
        return
    with clew.open(url, read_only=True) as reader:
        assert reader.export(RAW, output=tmp_path / "out.jsonl").rows == 1
    assert len(ledger.audit(action="export")) == 1


# --- formats -----------------------------------------------------------------------------


@pytest.mark.inside
def test_every_format_writes_a_file_that_holds_its_rows(
    ledger: clew.Ledger, tmp_path: Path
) -> None:
    from clew.exporters.formats import FORMATS

    session = ledger.create(agent="gardener")
    session.append(user("which jars are open?"))
    aside = session.branch()
    session.extend([uses("c1"), used("c1"), bot("plum")])
    aside.extend([uses("c2"), used("c2", failed=True), bot("no idea")])
    for name, form in FORMATS.items():
        if form.table is not None:
            pytest.importorskip("pyarrow")
        done = ledger.export(Recipe(format=name), output=tmp_path / name)
        assert done.rows > 0, name
        if (tmp_path / name).is_dir():
            assert len(list((tmp_path / name).iterdir())) == done.rows > 0
        elif form.table is None:
            assert len(lines((tmp_path / name).read_bytes())) == done.rows
        else:
            assert len(list(form.table.values(tmp_path / name))) > 0
        assert manifest(tmp_path / name)["rows"] == done.rows


@pytest.mark.inside
@pytest.mark.parametrize("form", ["markdown", "html"])
def test_one_session_may_be_a_file_of_its_own(
    ledger: clew.Ledger, tmp_path: Path, form: str
) -> None:
    suffix = {"markdown": ".md", "html": ".html"}[form]
    one, _ = told(ledger, "the pump leaks", "another")
    target = tmp_path / f"out{suffix}"
    with pytest.raises(clew.Invalid, match="2 sessions are to go into one file"):
        ledger.export(Recipe(format=form), output=target)
    assert names(tmp_path) == []
    chosen = Recipe(format=form, selection=Selection(sessions=(one.id,)))
    done = ledger.export(chosen, output=target)
    assert "the pump leaks" in target.read_text()
    assert done.sha256 == hashlib.sha256(target.read_bytes()).hexdigest()


def test_an_unknown_format_is_an_error() -> None:
    with pytest.raises(clew.Invalid, match="native"):
        Recipe(format="nativ")


def test_a_format_a_shape_and_a_policy_together(ledger: clew.Ledger) -> None:
    told(ledger, "to ann@corp.com", f"the token is {SECRET}")
    ledger.get(ledger.sessions(limit=1)[0].id).extend([user("and now?"), bot("done")])
    recipe = Recipe(
        format="trl",
        shaping=Shaping(explode="turn"),
        redaction=Redaction(Policy.of({"EMAIL": "warn"})),
    )
    rows = exported(ledger, recipe)
    assert len(rows) == 3
    text = json.dumps(rows)
    assert "ann@corp.com" in text
    assert SECRET not in text
    assert ledger.export_count(recipe)["rows"] == 3


def test_a_server_refuses_what_is_for_its_own_machine(server_url: str, tmp_path: Path) -> None:
    with clew.open(server_url) as far:
        told(far, "a")
        for options in (
            ExportOptions(splits=Splits({"a": 1})),
            ExportOptions(workers=2),
            ExportOptions(resume=True),
            ExportOptions(branches=True),
            ExportOptions(card=True),
        ):
            with pytest.raises(clew.Invalid, match="server"):
                far.export(output=tmp_path / "out.jsonl", options=options)
        with pytest.raises(clew.Invalid, match="server"):
            far.export(Recipe(verifier=gates), output=tmp_path / "out.jsonl")  # type: ignore[arg-type]
        assert not (tmp_path / "out.jsonl").exists()
        assert far.export(output=tmp_path / "out.jsonl").rows == 1
