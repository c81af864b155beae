"""The compression of an archive is one of its inputs, and a part of its summary."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.records import RECORD
from worker_images.build import bake, pipeline, plan
from worker_images.build.jobs import BuildJob, Request
from worker_images.build.record import Outcome, changed
from worker_images.cli import main
from worker_images.engine.builder import Engine
from worker_images.errors import UsageError
from worker_images.fetch.store import Store
from worker_images.model.lock import Lock
from worker_images.model.project import Project


@pytest.fixture
def job(project: Project, locked: Lock, no_engine: Engine, tmp_path: Path) -> BuildJob:
    """A build of slim."""
    planned = plan.make(project, locked, "slim")
    return BuildJob(
        Request("slim"), project, planned, "", tmp_path, no_engine, Store(), print, source_digest=""
    )


def test_other_compression_is_another_build(job: BuildJob) -> None:
    other = replace(job, request=Request("slim", compression="zstd"))
    record = replace(RECORD, key=pipeline.key_of(job.plan, "", "gzip"))
    assert changed(pipeline.key_of(job.plan, "", "gzip"), record) == ()
    assert changed(pipeline.key_of(job.plan, "", "zstd"), record) == ("compression",)
    assert job.depends_on_files_only
    assert not other.depends_on_files_only


@pytest.mark.parametrize(
    ("key", "size"),
    [
        ({}, "0.0 MB, 0.0 MB compressed\n"),
        ({"compression": "zstd"}, "0.0 MB, 0.0 MB compressed with zstd\n"),
    ],
)
def test_summary_names_the_compression(key: dict[str, str], size: str) -> None:
    outcome = Outcome(replace(RECORD, key=key), None, built=True, seconds=1)
    assert f"size      {size}" in main.summary(outcome)


def test_bake_file_with_zstd_is_refused(project: Project) -> None:
    """BuildKit itself would compress the archive of a bake file."""
    with pytest.raises(UsageError, match="omit --compression"):
        bake.bake_file([Request("slim", compression="zstd")], project, print)
