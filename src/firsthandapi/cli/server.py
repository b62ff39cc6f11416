"""`firsthandapi server`: what is for the folder of a server of one's own."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from firsthandapi.errors import ConfigurationError

from .options import Since, Until, argument, local_folder, option
from .output import Output, command, moment, print_table
from .pages import group

if TYPE_CHECKING:
    from firsthandapi_server.serve.access import Access, Token

app: typer.Typer = group("Manage the folder of your own server.")
tokens: typer.Typer = group("Create, list, and revoke tokens for the people of your own server.")
app.add_typer(tokens, name="tokens")

Folder = Annotated[Path, argument("DIR", "Folder of the server, as in serve DIR.", parser=local_folder)]


@contextmanager
def _access(folder: Path, *, is_new: bool = False) -> Generator[Access, None, None]:
    from firsthandapi_server.serve.access import FILE, Access
    from firsthandapi_server.sqlite import explained
    from firsthandapi_server.state.keeping import NotKeptError

    if not is_new and not (folder / FILE).is_file():
        raise ConfigurationError(
            f"{folder} is not the folder of a server: it contains no {FILE}; pass the DIR of firsthandapi serve DIR, "
            "or create a new one with: firsthandapi server tokens create --new DIR"
        )
    try:
        access = Access(folder / FILE)
    except OSError as error:
        raise ConfigurationError(
            f"could not use {folder}: {error.strerror or error}; use another DIR"
        ) from None
    try:
        yield access
    except NotKeptError as error:
        raise explained(folder / FILE, error) from None
    finally:
        access.close()


@command(tokens)
def create(
    folder: Folder,
    role: Annotated[
        Literal["worker", "reviewer", "operator"],
        option(
            "ROLE",
            "Role: worker, who submits files; reviewer, who rates them; or operator, who does everything.",
        ),
    ],
    name: Annotated[str, option("NAME", "Person who owns the token.")] = "unnamed",
    new: Annotated[bool, typer.Option("--new", help="Create the folder of a new server in DIR.")] = False,
) -> Output:
    """Create a token, which is shown only once.

    Its owner opens /sign-in on the server and pastes it, or opens a link that ends
    in /sign-in#TOKEN. The server may be running.

    A server for other machines needs tokens before its first start. For that,
    --new creates its folder.

    Example: firsthandapi server tokens create photos --role worker --name Ana
    """
    with _access(folder, is_new=new) as access:
        try:
            token, secret = access.create(role, name, time.time(), "command line")
        except ValueError as error:
            raise ConfigurationError(f"could not use --name: {error}") from None
    text = (
        f"{secret}\n\nThis is the token of {token.name} ({token.role}, {token.id}).\n"
        "Save it now: it is not stored here and not shown again.\n"
        f"As a link, after the address of your server: /sign-in#{secret}"
    )
    return Output({**_as_json(token), "token": secret}, text)


@command(tokens, "list")
def list_tokens(folder: Folder) -> Output:
    """List the tokens of a server, without their secrets.

    Example: firsthandapi server tokens list photos
    """
    with _access(folder) as access:
        listed = access.tokens()
    rows = [
        (
            token.id,
            token.role,
            "never" if token.used_at is None else moment(datetime.fromtimestamp(token.used_at, UTC)),
            "revoked" if token.revoked_at else "active",
            token.name,
        )
        for token in listed
    ]
    return Output(
        [_as_json(token) for token in listed],
        lambda: print_table(("id", "role", "last used", "state", "name"), rows),
    )


@command(tokens)
def revoke(
    folder: Folder,
    token_id: Annotated[str, argument("TOKEN_ID", "Id of the token, not the token itself.")],
) -> None:
    """Revoke a token, and immediately sign out everyone who used it.

    Example: firsthandapi server tokens revoke photos tok_…
    """
    with _access(folder) as access:
        if not access.revoke(token_id, time.time(), "command line"):
            raise ConfigurationError(
                f"no token with this id exists in {folder}; list them with: firsthandapi server tokens list {folder}"
            )
    typer.echo("Revoked.")


@command(app)
def checkpoint(folder: Folder) -> None:
    """Write the journal of a server into its databases, before you copy DIR.

    The server may be running, but your copy lacks everything that it writes later.

    Example: firsthandapi server checkpoint photos
    """
    from firsthandapi_server.serve.access import FILE
    from firsthandapi_server.sqlite import checkpoint as write_all

    write_all(folder, FILE)
    typer.echo(f"Copy {folder} now.")


@command(app)
def erase(
    folder: Folder,
    worker: Annotated[str | None, option("ID", "Worker, wkr_….")] = None,
    file: Annotated[str | None, option("ID", "File, file_….")] = None,
) -> None:
    """Permanently erase a file, or everything that a worker has sent.

    This removes files, names, thumbnails, and the words of reviewers. Payments,
    charges, and the record of consent stay, without a name. Buyers see the files
    as withdrawn. If the server is running, it does the work.

    Example: firsthandapi server erase photos --worker wkr_…
    """
    from firsthandapi_server.serve.erasing import SUBJECT
    from firsthandapi_server.serve.service import erase as erase_in

    subject = worker or file or ""
    kind = "wkr_" if file is None else "file_"
    if not SUBJECT.fullmatch(subject) or not subject.startswith(kind) or None not in (worker, file):
        raise ConfigurationError("nothing was erased: pass one id, as --worker wkr_… or --file file_…")
    with _access(folder) as access:
        is_done = erase_in(folder, access, subject)
    if not is_done:
        raise ConfigurationError(
            f"{subject} is not erased yet: the running server tries again until it is done; look at its log"
        )
    typer.echo(f"Erased {subject}.")


@command(app)
def export(
    folder: Folder,
    worker: Annotated[str, option("ID", "Worker, wkr_….")],
    to: Annotated[Path, option("FILE", "ZIP file to create.")],
) -> None:
    """Write everything that a server knows about a worker to a ZIP file.

    It is the file that workers can download on their own page: their files, and
    their consents, ratings, earnings, and appeals as JSON. The server may be
    running.

    Example: firsthandapi server export photos --worker wkr_… --to ana.zip
    """
    from firsthandapi_server.serve.exporting import Export
    from firsthandapi_server.serve.payouts import Payouts
    from firsthandapi_server.serve.service import kept_storage
    from firsthandapi_server.sqlite import FILES, reading
    from firsthandapi_server.sqlite.traces import is_known
    from firsthandapi_server.state.storage import LocalStorage

    with _access(folder) as access, reading(folder) as query:
        if not access.is_person(worker) and not is_known(query, worker):
            raise ConfigurationError(f"nothing was exported: {folder} has no {worker}; check the id")
        record = Export(query, access.look, worker, is_paid=Payouts(access, folder).is_paid)
        storage = kept_storage(access, folder) or LocalStorage(folder / FILES)
        try:
            # Of a person, and so for its owner alone; "x" never overwrites.
            with open(to, "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
                file.writelines(record.stream(storage))
        except OSError as error:
            raise ConfigurationError(f"could not write {to}: {error.strerror or error}") from None
    typer.echo(f"Wrote {to}.")


@command(app)
def payouts(
    folder: Folder,
    batch: Annotated[
        bool, typer.Option("--batch", help="Put what is owed and in no batch into a new one, and print it.")
    ] = False,
    paid: Annotated[
        str | None, option("REF", "Mark every unpaid batch as paid under this reference, and print them.")
    ] = None,
    since: Since = None,
    until: Until = None,
) -> Output:
    """Print what each worker gets as CSV, and keep account of what is paid.

    The columns are worker_id, name, files, cents, currency, batch, date, and
    reference. A row without a batch is owed. Workers see the reference on their
    page. --batch and --paid can be repeated: nobody is paid twice.

    An approved file stays paid, even if it is withdrawn, excluded, or erased
    later. --since and --until limit the time of approval, and of batches. The
    server may be running.

    Example: firsthandapi server payouts photos --batch > payouts.csv
    """
    from firsthandapi_server.contract.text import parse_iso
    from firsthandapi_server.serve.copies import tell
    from firsthandapi_server.serve.payouts import COLUMNS, Payouts, lines

    if (batch or paid is not None) and (since or until):
        raise ConfigurationError("--batch and --paid take all that is owed: leave out --since and --until")
    try:
        start, end = parse_iso(since or "1970-01-01"), parse_iso(until or "9999-12-31")
    except ValueError as error:
        raise ConfigurationError(f"could not use --since or --until: {error}") from None
    with _access(folder) as access:
        payouts = Payouts(access, folder)
        new = payouts.make(time.time(), "command line") if batch else None
        if paid is not None:
            try:
                payouts.pay(paid, time.time(), "command line")
            except ValueError as error:
                raise ConfigurationError(f"could not use --paid: the reference {error}") from None
        if batch or paid is not None:
            tell(access)
        rows = payouts.rows(start, end)
    advice = None
    if paid is not None:
        rows = [row for row in rows if row.reference == paid.strip()]
        advice = None if rows else "No batch was unpaid; make one with --batch."
    elif batch:
        rows = [row for row in rows if row.batch == new] if new else []
        advice = None if rows else "Nothing is owed that is in no batch."
    text = "".join(lines(rows)).replace("\r\n", "\n").rstrip("\n")  # `print` ends lines as the system does
    return Output([{name: getattr(row, name) for name in COLUMNS} for row in rows], text, advice)


@command(app)
def gold(
    folder: Folder,
    files: Annotated[Path, argument("FILES.csv", "Table with the columns file_id and stars.")],
) -> Output:
    """Bring in files whose rating you know: gold files, which test reviewers.

    FILES.csv has the columns file_id and stars (or gold), 1 to 5; a file that was
    gold before gets the new stars. Nothing is changed if a line is wrong. The share of
    gold files that reviewers get is reviews.gold of the study. The server may be
    running.

    Example: firsthandapi server gold photos known.csv
    """
    from firsthandapi_server.serve.ratings import Ratings, read_gold
    from firsthandapi_server.sqlite import reading

    with _access(folder) as access:
        with reading(folder) as query:
            golden = read_gold(files, query, "command line", time.time())
        Ratings(access).mark(*golden)
    subject = "1 file has" if len(golden) == 1 else f"{len(golden):,} files have"
    return Output({"files": len(golden)}, f"{subject} a known rating now.")


@command(app)
def calibration(folder: Folder) -> Output:
    """Print how far programs agree with people, who rate blind.

    For each program and kind of job: how many files both have rated, the share
    with the same stars, kappa with quadratic weights, and kappa of people among
    themselves. Below, for each number of its stars: how many of these files people
    put on the other side of the stars that are approved, and, with a confidence
    of 95 %, the highest share that is wrong. The server may be running.

    Example: firsthandapi server calibration photos
    """
    from firsthandapi_server.rules.calibration import calibrations
    from firsthandapi_server.serve.ratings import Ratings

    with _access(folder) as access:
        ratings = Ratings(access)
        results = calibrations(ratings.of_programs(), ratings.of_people())

    def share(value: float | None) -> str:
        return "-" if value is None else f"{value:.2f}"

    def show() -> None:
        verdict = {True: "yes", False: "no"}
        if not results:
            typer.echo("No program has rated anything yet.")
        for result in results:
            people = result.people
            typer.echo(
                f"{result.rater}: {result.media}, approved from {result.min_star_rating} stars\n"
                f"{result.pairs} files that people rated too; same stars {share(result.agreement)}, "
                f"kappa {share(result.kappa)}; people among themselves: {people.pairs} pairs, "
                f"same stars {share(people.agreement)}, kappa {share(people.kappa)}"
            )
            rows = [
                (
                    f"{band.stars}",
                    f"{band.pairs}",
                    f"{band.wrong}",
                    f"{band.bound:.3f}",
                    verdict[band.decides],
                )
                for band in result.bands
            ]
            print_table(("stars", "pairs", "wrong", "bound", "decides"), rows)

    return Output([asdict(result) for result in results], show)


def _place(text: str | Path) -> str | Path:
    """A folder, or a URL of a bucket."""
    return str(text) if "://" in str(text) else local_folder(text)


@contextmanager
def _progress(label: str) -> Generator[Callable[[int, int], None], None, None]:
    with typer.progressbar(length=1, label=label, file=sys.stderr) as bar:

        def show(done: int, files: int) -> None:
            bar.length = files
            bar.update(done - bar.pos)

        yield show


@command(app)
def backup(
    folder: Folder,
    dest: Annotated[
        Any, argument("DEST", "Folder, preferably on another disk, or URL of a bucket.", parser=_place)
    ],
    keep_days: Annotated[
        float | None, option("DAYS", "Remove the backups beside DEST that are older than this.", min=0)
    ] = None,
) -> Output:
    """Copy the folder of a server to DEST, and verify the copy.

    The server may be running: the copy shows it at one moment. DEST appears only
    when it is complete; an earlier backup there stays until then. Files that it
    has, or one beside it, are not read again. To restore a folder, run:
    firsthandapi serve DEST. What was erased meanwhile is erased there first.

    Example: firsthandapi server backup photos backups/monday --keep-days 30
    """
    from firsthandapi_server.serve.backup import summary
    from firsthandapi_server.serve.copies import back_up

    if isinstance(dest, str) and keep_days is not None:
        raise ConfigurationError(
            "--keep-days is for folders: a bucket has one backup, which each run replaces"
        )
    with _progress("Copying") as show:
        report = back_up(folder, dest, show, at=time.time(), keep_days=keep_days)
    return Output(asdict(report), summary(report, folder, str(dest)), code=1 if report.lost else 0)


@command(app)
def restore(
    source: Annotated[Any, argument("BACKUP", "Backup: a folder, or the URL of a bucket.", parser=_place)],
    folder: Annotated[Path, argument("DIR", "New folder for the server.", parser=local_folder)],
) -> Output:
    """Copy a backup to a new folder, and verify it.

    Start the server from it with: firsthandapi serve DIR. It first erases what
    was erased after the backup was made.

    Example: firsthandapi server restore s3://backups/photos photos
    """
    from firsthandapi_server.serve import copies
    from firsthandapi_server.serve.backup import summary

    with _progress("Restoring") as show:
        report = copies.restore(source, folder, show)
    return Output(asdict(report), summary(report, source, str(folder)), code=1 if report.lost else 0)


def _as_json(token: Token) -> dict[str, object]:
    return {
        "id": token.id,
        "role": token.role,
        "name": token.name,
        "created_at": _iso(token.created_at),
        "last_used_at": _iso(token.used_at),
        "revoked_at": _iso(token.revoked_at),
    }


def _iso(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
