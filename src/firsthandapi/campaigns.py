"""Campaigns: many jobs, one dataset, one budget."""

from __future__ import annotations

import os
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Self

from firsthandapi._core.campaign import check_name, check_spec
from firsthandapi._core.campaign_plan import CampaignPlan as CampaignPlan
from firsthandapi._core.campaign_plan import LabelPlan as LabelPlan
from firsthandapi._core.campaign_plan import PlannedOrder as PlannedOrder
from firsthandapi._core.reports import CampaignProgress as CampaignProgress
from firsthandapi._core.reports import LabelProgress as LabelProgress
from firsthandapi._methods import public
from firsthandapi._paths import local_path
from firsthandapi._specs import read_spec
from firsthandapi.errors import ConfigurationError, InvalidArgumentError

_FIELDS = ("dest", "budget_cents", "defaults", "jobs", "unique", "name", "moved")


class Campaign:
    """What a dataset should be: how many files of each label, and what they may cost together.

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

    Change it whenever you like, and run it again: more files are ordered, fewer are not, and changed words hold for
    new orders.

    Args:
        dest: the folder of the dataset; or a bucket, as a URL such as `s3://bucket/signs` (extra `remote`).
        budget_cents: the most that all orders of the campaign may ever cost, less refunds, in US cents, at least 1.
        jobs: by label, the fields of `jobs.create`; `files_needed` is the number of files that the label should have.
        defaults: fields for all labels.
        unique: whether files with the same bytes count once, so that replacements are ordered.
        name: 1 to 100 characters that distinguish this campaign, for a folder that may be lost: with it an
            empty folder continues the campaign. None uses the path of the folder.
        moved: by the former name of a label, its new one, which `jobs` has: the next run moves its files, rows, and
            orders, and pays nothing. Leave the entry in place: without it, a lost folder is ordered again.

    Raises:
        InvalidArgumentError: a value is not allowed; the message names it, as in `jobs.stop.files_needed`.
        ConfigurationError: `dest` is a bucket, and an extra is missing.
    """

    @public
    def __init__(
        self,
        *,
        dest: str | os.PathLike[str],
        budget_cents: int,
        jobs: Mapping[str, Mapping[str, Any] | None],
        defaults: Mapping[str, Any] | None = None,
        unique: bool = True,
        name: str | None = None,
        moved: Mapping[str, str] | None = None,
    ) -> None:
        self.name = check_name(name)
        self._spec = check_spec(budget_cents, defaults, jobs, unique, moved)
        self.dest = dest

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
            path: the file. A relative `dest` in it is relative to the file.

        Returns:
            The campaign.

        Raises:
            ConfigurationError: the file cannot be read, is not valid, or contains an unknown name.
            InvalidArgumentError: a value is not allowed; the message names it, as in `jobs.stop.files_needed`.
        """
        file = local_path(os.fspath(path), "path") if isinstance(path, (str, os.PathLike)) else None
        if file is None:
            raise InvalidArgumentError("path must be the path of a file, as a str or a Path", field="path")
        fields = read_spec(file, "budget_cents: 50000")
        for name in fields:
            if name not in _FIELDS:
                like = get_close_matches(name[:100], _FIELDS, n=1)
                advice = f"did you mean {like[0]}?" if like else f"use one of: {', '.join(_FIELDS)}"
                raise ConfigurationError(f"{file}: {name[:100]!r} is not a field of a campaign; {advice}")
        for name in ("dest", "budget_cents", "jobs"):
            if fields.get(name) is None:
                raise ConfigurationError(f"{file}: {name} is required")
        dest = fields["dest"]
        if not isinstance(dest, str):
            raise ConfigurationError(f"{file}: dest must be a path or a URL; put it in quotes")
        try:
            inside = local_path(dest, "dest")
            return cls(
                dest=dest if inside is None else file.parent / inside,
                budget_cents=fields["budget_cents"],
                jobs=fields["jobs"],
                defaults=fields.get("defaults"),
                unique=fields.get("unique", True),
                name=fields.get("name"),
                moved=fields.get("moved"),
            )
        except InvalidArgumentError as error:
            problem, field = error.message, error.field
        raise InvalidArgumentError(f"{file}: {problem}", field=field)

    @property
    def budget_cents(self) -> int:
        """The most that all orders may ever cost, less refunds, in US cents."""
        return self._spec.budget_cents

    @property
    def unique(self) -> bool:
        """Whether files with the same bytes count once."""
        return self._spec.unique

    @property
    def moved(self) -> dict[str, str]:
        """By the former name of a label, the one of `jobs` that it has become."""
        return dict(self._spec.moved)

    @property
    def jobs(self) -> dict[str, dict[str, Any]]:
        """By label, the fields of its job, defaults included."""
        return {label: dict(request) for label, request in self._spec.jobs.items()}

    def __repr__(self) -> str:
        return f"<Campaign [{str(self.dest)!r}, {', '.join(self._spec.jobs)}]>"
