"""The commands: each loads when it is used."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any

import typer

from firsthandapi._base.version import __version__

from .output import ready_output
from .pages import Group

# By heading of --help: the name of a command or of a group, its module, and what it does.
COMMANDS = {
    "Getting started": {
        "demo": ("demo", "Run a whole job on this machine, without an account."),
        "signup": ("account", "Create an organization and its first API key."),
        "whoami": ("account", "Show the organization and scopes of your API key."),
        "doctor": ("doctor", "Check everything that a call depends on."),
    },
    "Jobs and files": {
        "collect": ("collecting", "Post a job, wait for it, and download its files."),
        "campaign": ("campaign", "Collect files of several labels under one budget."),
        "jobs": ("jobs", "Post jobs, read them, and wait for them."),
        "files": ("files", "List and download approved files."),
        "submissions": ("submissions", "Read what workers submitted."),
    },
    "Datasets": {
        "verify": ("collecting", "Verify every file in a folder."),
        "repair": ("folders", "Download missing and mismatched files again."),
        "review": ("review", "Look at the files of a folder in a browser."),
        "annotate": ("annotating", "Have a model describe the files."),
        "summary": ("summary", "Show a folder's files, stars, and cost as Markdown."),
        "accept": ("deciding", "Keep files, and mark them as reviewed."),
        "exclude": ("deciding", "Exclude files, so that no loader sees them."),
        "include": ("deciding", "Include excluded files again."),
        "relabel": ("deciding", "Give files another label."),
        "accept-edits": ("deciding", "Accept rows that were edited by hand."),
        "duplicates": ("folders", "Find files with the same content."),
        "split": ("folders", "Split a folder into train and test, without leaks."),
        "merge": ("folders", "Copy several folders into one."),
        "card": ("folders", "Write a dataset card and Croissant metadata."),
        "reconcile": ("folders", "Remove the files that the service has withdrawn."),
        "lock": ("versions", "Write dataset.lock, which records a version."),
        "diff": ("versions", "Show what differs between two versions."),
        "publish": ("publishing", "Publish a folder to the Hub, a bucket, or a folder."),
        "content-credentials": ("credentials", "Read the Content Credentials (C2PA) of files."),
    },
    "Account": {
        "credits": ("account", "Show the available credits."),
        "purchase": ("account", "Purchase credits."),
        "transactions": ("account", "List credit transactions."),
        "orders": ("orders", "List orders, and check what they cost."),
        "audit": ("account", "List who changed what."),
        "settings": ("account", "Show and change the settings of the organization."),
        "keys": ("keys", "Create, rotate, and revoke API keys."),
    },
    "Tools": {
        "webhooks": ("webhooks", "Manage webhook endpoints, and receive events here."),
        "mock-server": ("mock_server", "Serve the API on this machine, for tests."),
        "serve": ("serve", "Serve the API for your own people."),
        "server": ("server", "Manage the folder of your own server."),
        "mcp": ("agents", "Serve the API to agents."),
        "skill": ("agents", "Print the instructions for agents."),
    },
}
# Another name of `credits`, for scripts.
_HIDDEN = {"balance": "account"}
_MODULES = {name: module for rows in COMMANDS.values() for name, (module, _) in rows.items()} | _HIDDEN


class Root(Group):
    """The command `firsthandapi`."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        # Typer looks here for what somebody meant who wrote another name.
        self.commands: Any = dict.fromkeys(_MODULES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in _MODULES and self.commands[cmd_name] is None:
            root = typer.main.get_command(import_module(f".{_MODULES[cmd_name]}", __package__).app)
            # A module has one command, or several, or a group, which is called like its module.
            command = getattr(root, "commands", {}).get(cmd_name, root)
            command.name = cmd_name
            self.commands[cmd_name] = command
        return super().get_command(ctx, cmd_name)

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 # the parent's signature
        return [name for name in self.commands if name not in _HIDDEN]

    def listed(self, context: Any) -> dict[str, list[tuple[str, str]]]:  # noqa: ARG002 # the parent's signature
        return {title: [(name, text) for name, (_, text) in rows.items()] for title, rows in COMMANDS.items()}


app: typer.Typer = typer.Typer(
    cls=Root,
    name="firsthandapi",
    help="Post a job, and get a folder of verified, annotated, human-made files.\n\n"
    "To try it on this machine, without an account: firsthandapi demo\n\n"
    "Commands read the API key from FIRSTHAND_API_KEY, and the address of another\n"
    "server from FIRSTHAND_BASE_URL.\n\n"
    "Exit codes: 0 done, 1 failed, 2 usage, 3 timed out, 4 out of credits,\n"
    "5 failed after a job was posted.",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"firsthandapi {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[  # Typer calls _version itself
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None: ...


def run() -> None:
    """Run the command line. Turn our errors and usage errors into one line and an exit code."""
    ready_output()
    try:
        code = typer.main.get_command(app)(prog_name="firsthandapi", standalone_mode=False)
    except Exception as error:  # others are raised again
        from .failures import fail

        fail(error)
    raise SystemExit(code if isinstance(code, int) else 0)
