"""`firsthandapi serve`: a server of one's own until Ctrl-C."""

from __future__ import annotations

import errno
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firsthandapi._base.host import descriptors
from firsthandapi._base.version import __version__
from firsthandapi.errors import ConfigurationError

from .mock_server import Lines
from .options import Log, Port, argument, cents, local_folder, option
from .output import can_show, command
from .pages import group
from .settings import PREFIX, set_defaults
from .stopping import stoppable, wait_for_stop

if TYPE_CHECKING:
    from firsthandapi_server.serve.service import FirstKeys, Service

FIRST_KEYS = "first-keys.txt"
_SAVE = "Save what this file contains, and delete it."
_CONSOLE = "Jobs with their links, people, webhooks, money"
app: typer.Typer = group()

Folder = Annotated[
    Path, argument("DIR", "Folder that contains everything.", parser=local_folder, is_eager=True)
]
_LIMITS = "Limits"
# Of its extra.
_NEEDED = ("starlette", "uvicorn", "h11", "jinja2", "python_multipart", "PIL")
# A crafted picture makes older ones write over memory. The extra takes them: packages beside it may allow no newer one.
_SAFE_PILLOW = 13


def _limit(metavar: str, most: int, help: str) -> Any:
    return option(metavar, help, min=1, max=most, rich_help_panel=_LIMITS)


def _megabytes(help: str) -> Any:
    return _limit("MB", 100_000, help)


@command(app)
def serve(
    folder: Folder,
    host: Annotated[
        str, option("HOST", "Address to listen on; beyond this machine, people need tokens.")
    ] = "127.0.0.1",
    port: Port = 8080,
    public_url: Annotated[
        str | None, option("URL", "URL by which people reach the server, such as that of a proxy.")
    ] = None,
    credit_cents: Annotated[
        int, cents("Balance of the organization in a new folder.", min=0, max=10**12)
    ] = 100_000,
    storage: Annotated[
        str | None, option("URL", "Bucket for the files, such as s3://photos/files, set at the first start.")
    ] = None,
    scorer: Annotated[
        str | None,
        option("NAME", "Scorer that rates files before the reviewers do: an entry point, or MODULE:NAME."),
    ] = None,
    scorer_seconds: Annotated[
        float, option("SECONDS", "Maximum time for the scorer per file.", min=0.1, max=3600)
    ] = 60.0,
    ai: Annotated[
        str | None,
        option(
            "MODEL", "Model that describes files, and rates them beside people, such as openai:gpt-5-mini."
        ),
    ] = None,
    ai_url: Annotated[
        str | None, option("URL", "URL of the server that is asked, such as http://127.0.0.1:11434/v1.")
    ] = None,
    speech: Annotated[
        str | None, option("MODEL", "Model that transcribes sounds for it, such as openai:gpt-4o-transcribe.")
    ] = None,
    ai_max_cents_a_day: Annotated[
        float | None, option("N", "Maximum cost of the models per day (UTC), in US cents.", min=0)
    ] = None,
    ai_decides: Annotated[
        bool,
        typer.Option(
            "--ai-decides",
            help="Let the model decide alone, for each number of its stars that people who rated blind found right.",
        ),
    ] = False,
    smtp: Annotated[
        str | None,
        option("URL", "Server of mail, such as smtp://user:password@mail.example.org:587, or smtps://."),
    ] = None,
    mail_from: Annotated[
        str | None, option("ADDRESS", "Address that mail comes from, such as study@example.org.")
    ] = None,
    notify: Annotated[
        str | None,
        option(
            "ADDRESSES", "Who is told that work waits for reviewers: addresses and URLs, separated by commas."
        ),
    ] = None,
    private_webhooks: Annotated[
        bool, typer.Option("--private-webhooks", help="Allow webhook endpoints with private addresses.")
    ] = False,
    lan: Annotated[
        bool,
        typer.Option(
            "--lan", help="Serve the local network without TLS or a proxy, and print a link for each role."
        ),
    ] = False,
    study: Annotated[
        Path | None,
        option("FILE", "Study that people join by a link: who asks, for what, and under which license."),
    ] = None,
    log: Log = True,
    config: Annotated[
        Path | None,
        option(
            "FILE",
            "File with these options, such as port: 8080; by default, serve.yaml or serve.toml in DIR.",
            envvar=f"{PREFIX}CONFIG",
            is_eager=True,
            callback=set_defaults,
        ),
    ] = None,
    max_picture_mb: Annotated[int, _megabytes("Maximum size of a picture.")] = 50,
    max_recording_mb: Annotated[int, _megabytes("Maximum size of a sound recording.")] = 200,
    max_video_mb: Annotated[int, _megabytes("Maximum size of a video.")] = 500,
    max_upload_mb: Annotated[int, _megabytes("Maximum size of all files of a form together.")] = 512,
    spare_mb: Annotated[int, _megabytes("Disk space that stays free.")] = 1024,
    max_uploads: Annotated[int, _limit("N", 10_000, "Maximum number of uploads at the same time.")] = 200,
    upload_seconds: Annotated[float, _limit("SECONDS", 3600, "Silence after which an upload ends.")] = 30.0,
) -> None:
    """Serve the API for your own people, and keep everything in DIR.

    Post a job with any client, send its link to your people, and rate their
    files. The first start creates an organization and prints its API key. Without
    a terminal, such as in a log, it writes the key to first-keys.txt.

    For phones in the same network, add --lan: it prints a link for each role, and
    for an open study the QR code to join. On the internet, people need tokens, and a proxy adds
    TLS. See: firsthandapi server tokens --help

    You can also set an option by a variable, such as FIRSTHAND_SERVE_PORT, or in
    a file. Options override variables, and variables override the file.

    Example: firsthandapi serve photos
    """
    try:
        from firsthandapi_server.media import LIMITS
        from firsthandapi_server.mock.workers import SandboxWorkers
        from firsthandapi_server.serve.bounds import BOUNDS
        from firsthandapi_server.serve.service import Service
        from firsthandapi_server.state.keeping import NotKeptError
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _NEEDED:
            raise
        message = 'a server of your own needs an extra: pip install "firsthandapi[serve]"'
        raise ConfigurationError(message) from None

    if int((pillow := version("pillow")).partition(".")[0]) < _SAFE_PILLOW:
        raise ConfigurationError(
            f"Pillow {pillow} is not safe for pictures of strangers: a crafted one can write over memory; run pip "
            f"install 'pillow>={_SAFE_PILLOW}', in an environment of its own if another package forbids that version"
        )
    for kind, most in (("image", max_picture_mb), ("audio", max_recording_mb), ("video", max_video_mb)):
        LIMITS[kind] = most << 20
    BOUNDS.upload_bytes, BOUNDS.spare_bytes = max_upload_mb << 20, spare_mb << 20
    BOUNDS.uploads, BOUNDS.upload_seconds = max_uploads, upload_seconds
    descriptors.raise_limit()
    other_hosts: list[str] = []
    if lan:
        host, *other_hosts = _in_the_network(host, public_url)
    try:
        started = Service(
            folder,
            host=host,
            port=port,
            public_url=public_url,
            credit_cents=credit_cents,
            storage=storage,
            scorer=scorer,
            scorer_seconds=scorer_seconds,
            ai=ai,
            ai_url=ai_url,
            speech=speech,
            ai_max_cents_a_day=ai_max_cents_a_day,
            ai_decides=ai_decides,
            smtp=smtp,
            mail_from=mail_from,
            notify=notify,
            private_webhooks=private_webhooks,
            study=study,
            lan=lan,
            # What is no terminal is often a log, which others read.
            keys_file=None if sys.stdout.isatty() else folder / FIRST_KEYS,
            sandbox=SandboxWorkers,
            on_request=Lines().add if log else None,
        )
    except OSError as error:
        where, advice = f"--port {port}", "pass another one, or 0 to use any free port"
        if error.filename is not None:
            where, advice = error.filename, "use another DIR"
        elif error.errno == errno.EADDRNOTAVAIL:
            where, advice = f"--host {host}", "pass an address of this machine"
        raise ConfigurationError(f"could not use {where}: {error.strerror or error}; {advice}") from None
    with stoppable(), started as service:
        try:
            service.access.note("server.started", service.clock.now(), "command line", version=__version__)
        except NotKeptError as error:  # such as on a full disk, where people still see their pages
            typer.echo(f"{error.message} See {service.url}/healthz.", err=True)
        if config is not None:
            typer.echo(f"Settings: {config}")
        if lan:
            _introduce_to_network(service, folder, other_hosts)
        else:
            _introduce(service, folder)
        typer.echo("Press Ctrl-C to stop it.")
        _compare_notice(service)
        sys.stdout.flush()
        wait_for_stop()


def _introduce(service: Service, folder: Path) -> None:
    say, url = typer.echo, service.url
    say(f"Serving {folder} at {url}\n")
    if service.first is not None and sys.stdout.isatty():
        say("This is the first start. Save these now: they are not shown again.\n")
        say(f"  Buyer's API key    {service.first.live}")
        say(f"  Sandbox API key    {service.first.sandbox}")
        say(f"  Operator's token   {service.first.operator}\n")
        say(f"Sign in as the operator: {url}/sign-in#{service.first.operator}")
        say(f"Post a job from another terminal:\n\n  {_variables(url, service.first)}")
        say("  firsthandapi jobs create --help\n")
    elif service.first is not None:
        say("This is the first start. The API keys and a link that signs you in as the operator are in")
        say(f"\n  {(folder / FIRST_KEYS).absolute()}\n\n{_SAVE}\n")
    say(f"{_CONSOLE}: {url}/console")
    say(f"Review files: {url}/review")
    if service.study is not None:
        say(f"People join the study: {url}/join")
    if not service.is_local and url.startswith("http:"):
        say(
            "\nThere is no TLS: anyone on the network can read tokens and files. Add a proxy with TLS, and pass "
            "its URL as --public-url.",
            err=True,
        )


def _compare_notice(service: Service) -> None:
    consents = service.site.reception.consents
    if consents is None and service.access.has_value("notice"):
        typer.echo(
            "A study was served from here: pass --study FILE, or its people cannot open /me.", err=True
        )
    elif consents is not None and (people := consents.of_other_words()):
        typer.echo(
            f"{people} of the people who agreed to this version of the notice read a different text. To ask them "
            "again, increase version of consent in the study.",
            err=True,
        )


def _in_the_network(host: str, public_url: str | None) -> list[str]:
    """The address to listen on, and the others that this machine has in local networks."""
    from firsthandapi._base.host.lan import is_local_network, lan_addresses
    from firsthandapi._base.host.loopback import is_loopback

    if public_url is not None:
        raise ConfigurationError("--lan and --public-url exclude each other: leave one out")
    addresses = lan_addresses()
    if not is_loopback(host):
        if not is_local_network(host):
            raise ConfigurationError(
                f"--lan serves a local network, and {host} is not an address in one: pass an address of this machine"
                f"{' (' + ', '.join(addresses) + ')' if addresses else ''}, or leave --host out"
            )
        return [host]
    if not addresses:
        raise ConfigurationError(
            "--lan found no address of this machine in a local network: connect to one, such as Wi-Fi, or pass its "
            "address as --host"
        )
    return addresses


def _introduce_to_network(service: Service, folder: Path, other_hosts: list[str]) -> None:
    from firsthandapi_server.serve.access import ROLES

    say, url, is_shown = typer.echo, service.url, sys.stdout.isatty()
    say(f"Serving {folder} in the local network at {url}\n")
    if other_hosts:
        say(f"To use another address of this machine, pass it as --host: {', '.join(other_hosts)}\n")
    is_open = service.study is not None and service.study.join == "open"
    for role in ROLES:
        link = f"{url}/join" if role == "worker" and is_open else f"{url}/sign-in"
        if is_shown and role in service.tokens:
            link += f"#{service.tokens[role]}"
        say(f"  {role.capitalize():9} {link}")
        if role == "worker" and is_open and is_shown:
            _draw(link)
    if service.tokens and is_shown:
        say("\nSave the links that contain a token (after #) now: they are not shown again.")
    elif service.tokens:
        say(f"\nThe links with tokens are in\n\n  {(folder / FIRST_KEYS).absolute()}\n\n{_SAVE}")
    if service.first is not None and is_shown:
        variables = _variables(f"http://127.0.0.1:{service.port}", service.first)
        say(f"\nTo post jobs by a program on this machine:\n\n  {variables}\n")
    if is_open:
        say("\nA token is for one person. For another person, or to replace a lost one:\n")
        say(f"  firsthandapi server tokens create {folder} --role reviewer\n")
    else:
        say(f"\nEach worker needs a token of their own. Create it on {url}/console/people, which shows")
        say("a QR code for that person's phone, or run:\n")
        say(f"  firsthandapi server tokens create {folder} --role worker --name NAME\n")
    say(f"Post a job in a browser: {url}/console/jobs/new")
    say(f"{_CONSOLE}: {url}/console")
    say(
        "\nThere is no TLS: everyone in this network can read tokens and files, so use a network that you trust. "
        "Phones block the recorder of the page here; their camera app works.",
        err=True,
    )


def _draw(url: str) -> None:
    """The QR code of a link, where the terminal has the characters."""
    from firsthandapi_server.serve.links import terminal_code

    if can_show(sys.stdout, drawn := terminal_code(url)):
        typer.echo(f"\n{drawn}")


def _variables(url: str, keys: FirstKeys) -> str:
    return f"export FIRSTHAND_BASE_URL={url}\n  export FIRSTHAND_API_KEY={keys.live}"
