"""A record as a build writes it."""

from worker_images.build.record import Record

RECORD = Record(
    variant="slim",
    source="packages",
    versions={"gvisor": "1"},
    key={"a": "1", "b": "2"},
    image_id="sha256:c",
    manifest_digest="sha256:d",
    size=2,
    compressed_size=1,
    engine="Docker 0",
    engine_id="sha256:d",
    resolved="",
    seconds=1.0,
    revision="r",
    architecture="amd64",
)
