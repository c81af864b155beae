"""Results of layers, as a release publishes them."""

from dataclasses import replace

from worker_images.model.results import FAILED, NOT_RUN, PASSED
from worker_images.release.tested import LayerResults, Row

PASSED_LAYER = LayerResults(
    "image",
    (
        Row("tests/image/test_a.py::test_one", PASSED),
        Row("tests/image/test_a.py::test_two", PASSED),
    ),
    suite="a" * 64,
    report="b" * 64,
    at="2026-11-23 14:37Z",
)
POD = LayerResults("pod", reason="no tests/pod exists")
WORKLOAD = LayerResults("workload", reason="no results were passed with --results")
GPU = LayerResults(
    "workload",
    (Row("tests/workload/test_a.py::test_cuda", PASSED),),
    suite="c" * 64,
    report="d" * 64,
    at="2026-11-23 14:37Z",
)
NO_GPU = LayerResults(
    "workload",
    (*GPU.rows, Row("tests/workload/test_a.py::test_kernel", NOT_RUN, "no NVIDIA driver")),
    suite="c" * 64,
)
ONE_GPU = replace(
    GPU,
    rows=(
        *GPU.rows,
        Row("tests/workload/test_several_gpus.py::test_nccl", NOT_RUN, "this machine has one GPU"),
    ),
)
LIMITED = LayerResults(
    "image",
    (*PASSED_LAYER.rows, Row("tests/image/test_a.py::test_runc", NOT_RUN, "no user namespaces")),
    suite="a" * 64,
)
ONLY_SKIPS = LayerResults("image", LIMITED.rows[2:], suite="a" * 64)
FAILING = LayerResults(
    "workload",
    (*GPU.rows, Row("tests/workload/test_a.py::test_kernel", FAILED, "AssertionError")),
    suite="c" * 64,
)
