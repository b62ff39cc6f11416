"""`read_files`: the driver lists, workers download and verify."""

# Ray is an extra, so type checkers may not find it.
# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from firsthandapi._base.masking import secret_or_none
from firsthandapi._core.calls.request import check_id
from firsthandapi._sync.client import FirstHandClient
from firsthandapi.errors import InvalidArgumentError

from ._cluster import ray_data
from ._urls import Keeper

if TYPE_CHECKING:
    import ray.data


def read_files(
    job_ids: str | Iterable[str],
    *,
    api_key: str | None = None,
    base_url: str | None = None,
    min_score: int = 1,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
) -> ray.data.Dataset:
    """The approved files of jobs as a Ray dataset: a row for each file, with its bytes and the manifest's columns.

        photos = firsthandapi.ray.read_files(["job_01JP…"])
        photos.map_batches(features, batch_size=32).write_parquet("s3://bucket/features")

    The files are listed now, by one actor, which holds the API key and the request budget. They are downloaded by
    Ray's workers when the dataset is read, and each byte is verified by size and SHA-256. Workers get no key: they ask
    the actor for the URLs of their files, which it refreshes when they expire. If a worker is killed, Ray starts its
    task again on another: at most 16 files are downloaded twice.

    Each use of the dataset downloads its files again; `dataset.materialize()` keeps them in Ray's memory. Selected
    columns and filters reach the read: `photos.select_columns(["file_id", "width"])` downloads no file, and
    `photos.filter(expr=col("ai_star_rating") == 5)` only those that pass. A filter by a Python function downloads all.

    Args:
        job_ids: the ids of the jobs (`job_…`), or one id.
        api_key: else `FIRSTHAND_API_KEY` of the driver.
        base_url: else `FIRSTHAND_BASE_URL` of the driver, else the public service.
        min_score: lowest rating to read, 1 to 5 stars.
        concurrency: the most tasks that download at once; None leaves it to Ray. A task downloads up to 16 files at
            once.
        override_num_blocks: the least number of read tasks; None leaves it to Ray.

    Returns:
        The dataset. `bytes` is the file; `file_name` is where `write_dataset` puts it. A job that is still in progress
        gives the files that are approved by now.

    Raises:
        ConfigurationError: the extra `ray` is missing, or there is no API key.
        InvalidArgumentError: an argument is wrong.
        FirstHandApiError: the service returned an error, such as NotFoundError for an unknown job.
        DownloadError: while the dataset is read: a file could not be downloaded. Ray wraps the error.
    """
    key, url = secret_or_none(api_key), secret_or_none(base_url)
    del api_key, base_url
    ids = _ids(job_ids)
    if type(min_score) is not int or not 1 <= min_score <= 5:
        raise InvalidArgumentError("min_score must be an int from 1 to 5", field="min_score")
    for name, value in (("concurrency", concurrency), ("override_num_blocks", override_num_blocks)):
        if value is not None and (type(value) is not int or value < 1):
            raise InvalidArgumentError(f"{name} must be an int from 1, or None", field=name)
    data = ray_data()
    from ._sources import FilesDatasource

    with FirstHandClient(
        None if key is None else key.reveal(), None if url is None else url.reveal()
    ) as client:
        config = client._config  # pyright: ignore[reportPrivateUsage] # of one house
    assert config.api_key is not None  # noqa: S101 # a client without a key is for signup alone
    keeper = Keeper.start(config.api_key, config.base_url)
    source = FilesDatasource(keeper.files(ids, min_score), keeper)
    return data.read_datasource(source, concurrency=concurrency, override_num_blocks=override_num_blocks)


def _ids(job_ids: object) -> list[str]:
    if isinstance(job_ids, str):
        job_ids = [job_ids]
    if not isinstance(job_ids, Iterable):
        raise InvalidArgumentError(
            f"job_ids must be ids, as a list of str, not a value of type {type(job_ids).__name__}",
            field="job_ids",
        )
    ids = list(dict.fromkeys(check_id(job_id, "job_ids") for job_id in cast("Any", job_ids)))
    if not ids:
        raise InvalidArgumentError("job_ids is empty; pass the id of a job", field="job_ids")
    return ids
