"""Campaigns: many jobs, one dataset, one budget."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, Self, cast

from firsthandapi._base.counts import dollars
from firsthandapi._base.methods import public
from firsthandapi._base.nearest import nearest
from firsthandapi._base.paths import bucket_url, is_url, local_path
from firsthandapi._base.specs import read_spec, write_spec
from firsthandapi._core.campaigns.campaign import Spec, check_name, check_spec, fields_of
from firsthandapi._core.campaigns.plan import CampaignPlan as CampaignPlan
from firsthandapi._core.campaigns.plan import LabelPlan as LabelPlan
from firsthandapi._core.campaigns.plan import PlannedOrder as PlannedOrder
from firsthandapi._core.orders.reports import CampaignProgress as CampaignProgress
from firsthandapi._core.orders.reports import LabelProgress as LabelProgress
from firsthandapi.errors import ConfigurationError, InvalidArgumentError
from firsthandapi.types.enums import MediaFormat
from firsthandapi.types.job_arguments import JobOptions

_FIELDS = ("dest", "budget_cents", "defaults", "jobs", "unique", "name", "moved", "replace_excluded")
# A mark in a path: the part after it is as the user wrote it, and identifies the campaign.
_MARK = "/./"
# Maximum number of labels in a campaign's repr.
_MOST_LABELS = 5


class CampaignJob(JobOptions, total=False):
    """The fields of a label, or of all labels in `defaults`: those of `jobs.create`, none of them required."""

    description: str
    """what workers are asked for, 10 to 5,000 characters."""
    files_needed: int
    """number of files that the label should have, 1 to 10,000."""
    accepted_formats: Sequence[MediaFormat]
    """MIME types, at least one, such as `["image/jpeg"]`."""
    price_per_file_cents: int
    """price of one approved file, in US cents, 10 to 50,000."""


class Campaign:
    """The dataset that you want: how many files of each label, and what they may cost together.

        campaign = Campaign(
            dest="signs/",
            budget_cents=50_000,
            defaults={"accepted_formats": ["image/jpeg"], "price_per_file_cents": 50},
            jobs={
                "stop": {"description": "Photos of stop signs in daylight", "files_needed": 300},
                "yield": {"description": "Photos of yield signs in daylight", "files_needed": 300},
            },
        )
        dataset = client.campaigns.run(campaign)

    Change it at any time, and run it again: if it asks for more files, they are ordered; if for fewer, nothing is
    cancelled. Changed texts apply to new orders.

    A campaign is frozen: to change one, create another from `campaign.to_dict()`. Two campaigns are equal if they mean
    the same: the order of formats and the spelling of a path make no difference.

    Args:
        dest: the folder of the dataset; or a bucket, as a URL such as `s3://bucket/signs` (extra `remote`). A relative
            path, as written here, and the texts of the labels identify a campaign without a name; of a path with
            `/./`, such as `/home/ada/./signs`, only the part after it counts.
        budget_cents: the maximum that all orders of the campaign may ever cost, minus refunds, in US cents, at least 1.
        jobs: by label, the fields of `jobs.create`; `files_needed` is the number of files that the label should have.
        defaults: fields for all labels.
        unique: whether files with the same bytes count once, so that replacements are ordered.
        name: 1 to 100 characters that distinguish this campaign, for a folder that may be lost: with a name, an
            empty folder continues the campaign. Or the id of a campaign, as errors and its jobs show it. None
            uses a relative `dest` and the labels with their texts, or the whole path or URL in `dest`.
        moved: by the former name of a label, its new name, which `jobs` contains: the next run moves its files, rows,
            and orders, and pays nothing. Leave the entry in place: without it, a lost folder is ordered again.
        replace_excluded: whether to order replacements, within the budget, for files that `Dataset.exclude` excluded.

    Raises:
        InvalidArgumentError: a value is not allowed; the message names it, as in `jobs.stop.files_needed`.
        ConfigurationError: `dest` is a bucket, and an extra is missing.
    """

    dest: str | os.PathLike[str]
    name: str | None
    _spec: Spec
    _place: str
    _written: str

    @public
    def __init__(
        self,
        *,
        dest: str | os.PathLike[str],
        budget_cents: int,
        jobs: Mapping[str, CampaignJob],
        defaults: CampaignJob | None = None,
        unique: bool = True,
        name: str | None = None,
        moved: Mapping[str, str] | None = None,
        replace_excluded: bool = True,
    ) -> None:
        # Check all arguments here, before anything is read or sent.
        place, text, (_, written) = _place(dest), _text(dest), _parts(dest)
        written = None if written is None else posixpath.normpath(written)
        spec = check_spec(budget_cents, defaults, jobs, unique, moved, written, replace_excluded)
        dest = Path(text) if written is not None and _MARK in text else dest
        self.__dict__.update(dest=dest, name=check_name(name), _spec=spec, _place=place, _written=text)

    @classmethod
    @public
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a campaign from a file: YAML (extra `cli`), TOML, or JSON, by its ending.

            dest: signs
            budget_cents: 50000
            defaults:
              accepted_formats: [image/jpeg]
              price_per_file_cents: 50
            jobs:
              stop:
                description: Photos of stop signs in daylight
                files_needed: 300

        Args:
            path: the file. A relative `dest` in it is relative to the file. A copy of the file in another folder or
                on another machine is the same campaign.

        Returns:
            The campaign.

        Raises:
            ConfigurationError: the file cannot be read, is not valid, or contains an unknown name.
            InvalidArgumentError: a value is not allowed; the message names it, as in `jobs.stop.files_needed`.
        """
        file = _file(path)
        fields = read_spec(file, "budget_cents: 50000")
        for name in fields:
            if name not in _FIELDS:
                like = nearest(name, _FIELDS)
                advice = f"did you mean {like}?" if like else f"use one of: {', '.join(_FIELDS)}"
                raise ConfigurationError(f"{file}: {name[:100]!r} is not a field of a campaign; {advice}")
        for name in ("dest", "budget_cents", "jobs"):
            if fields.get(name) is None:
                raise ConfigurationError(f"{file}: {name} is required")
        dest = fields["dest"]
        if not isinstance(dest, str):
            raise ConfigurationError(f"{file}: dest must be a path or a URL; put it in quotes")
        try:
            arguments: dict[str, Any] = {name: value for name, value in fields.items() if value is not None}
            arguments["dest"] = _from(dest, file.parent)
            return cls(**arguments)
        except InvalidArgumentError as error:
            problem, field = error.message, error.field
        raise InvalidArgumentError(f"{file}: {problem}", field=field)

    @public
    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the campaign to a file that `load` reads: YAML (extra `cli`) or JSON, by its ending.

        Fields that all labels share are written once, as `defaults`. If the file exists, its comments are lost.

        Args:
            path: the file. A relative `dest` is written relative to it, with `/./` before the part that identifies the
                campaign.

        Raises:
            ConfigurationError: the file cannot be written.
            InvalidArgumentError: `path` is not the path of such a file.
        """
        file, fields = _file(path), self.to_dict()
        write_spec(file, {**fields, "dest": _to(self._written, file.parent)})

    def to_dict(self) -> dict[str, Any]:
        """The arguments of an equal campaign, as values that JSON and YAML can represent."""
        return {
            "dest": self._written,
            **fields_of(self._spec),
            **({"name": self.name} if self.name else {}),
        }

    @property
    def budget_cents(self) -> int:
        """The maximum that all orders may ever cost, minus refunds, in US cents."""
        return self._spec.budget_cents

    @property
    def unique(self) -> bool:
        """Whether files with the same bytes count once."""
        return self._spec.unique

    @property
    def replace_excluded(self) -> bool:
        """Whether replacements for excluded files are ordered."""
        return self._spec.replace_excluded

    @property
    def moved(self) -> dict[str, str]:
        """By the former name of a label, its new name in `jobs`."""
        return dict(self._spec.moved)

    @property
    def jobs(self) -> dict[str, dict[str, Any]]:
        """By label, the fields of its job, including the defaults."""
        return {label: dict(request) for label, request in self._spec.jobs.items()}

    def __eq__(self, other: object) -> bool:
        return self._value == other._value if isinstance(other, Campaign) else NotImplemented

    def __hash__(self) -> int:
        return hash(repr(self._value))

    @property
    def _value(self) -> tuple[object, ...]:
        return self._place, self.name, self._spec.comparable()

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(
            f"a Campaign is frozen: make another, as in Campaign(**{{**campaign.to_dict(), {name!r}: …}})"
        )

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a Campaign is frozen: {name} cannot be deleted")

    def __repr__(self) -> str:
        labels = list(self._spec.jobs)
        names = [*labels[:_MOST_LABELS], *([f"{len(labels):,} labels"] if len(labels) > _MOST_LABELS else [])]
        return f"<Campaign [{_text(self.dest)!r}, {', '.join(names)}, {dollars(self.budget_cents)}]>"


def _file(path: object) -> Path:
    file = local_path(os.fspath(path), "path") if isinstance(path, str | os.PathLike) else None
    if file is None:
        raise InvalidArgumentError("path must be the path of a file, as a str or a Path", field="path")
    return file


def _text(dest: object) -> str:
    """The path or URL in `dest`, as a str. `os.fspath` refuses the `UPath` of a bucket."""
    try:
        text: object = os.fspath(cast("os.PathLike[str]", dest))
    except TypeError:
        text = str(dest) if hasattr(dest, "protocol") else None
    if not isinstance(text, str):
        raise InvalidArgumentError("dest must be a path or a URL, as a str or a Path", field="dest")
    return text


def _place(dest: object) -> str:
    """The absolute path or URL of a campaign's folder, independent of its spelling."""
    text = _text(dest)
    path = local_path(text, "dest")
    return bucket_url(text, "dest")[1] if path is None else os.path.abspath(path)  # noqa: PTH100 # a link stays one


def _parts(dest: object) -> tuple[Path, str | None]:
    """Split a path: into its beginning on this machine, and the rest as written, which is the same on every machine.

    The rest is None for an absolute path without `/./` or a bucket. A relative path begins in the current folder; in
    other paths, `/./` separates the two, as in rsync.
    """
    text = _text(dest)
    path = local_path(text, "dest")
    if path is None or is_url(text):
        return Path(), None
    head, mark, tail = text.rpartition(_MARK)
    if mark and tail.strip("/"):
        return local_path(head or "/", "dest") or Path(), Path(tail.strip("/")).as_posix()
    return Path(), None if path.anchor else path.as_posix()


def _from(dest: str, folder: Path) -> str | Path:
    """Resolve the `dest` in a file of `folder`."""
    (begin, written), path = _parts(dest), local_path(dest, "dest")
    if written is None:
        return dest if path is None else folder / path
    begin = folder / begin
    return Path(written) if begin == Path() else f"{begin.as_posix()}{_MARK}{written}"


def _to(dest: str, folder: Path) -> str:
    """The `dest` to write into a file of `folder`: it names the same folder and the same campaign."""
    begin, written = _parts(dest)
    if written is None:
        return dest
    if os.path.abspath(begin) == os.path.abspath(folder):  # noqa: PTH100 # a link stays one
        return written
    if begin.is_absolute():
        return dest
    try:
        return f"{Path(os.path.relpath(begin, folder)).as_posix()}{_MARK}{written}"
    except ValueError:  # another drive of Windows
        return str((begin / written).absolute())
