"""Commands for the workload layer: workload, proof."""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from worker_images.errors import EngineError
from worker_images.files import PROBES
from worker_images.model import seal
from worker_images.model.results import ResultsError
from worker_images.node import node, place, run_pytest, trust
from worker_images.node.command import CHECK_FAILED, OK, USAGE, Command, Log
from worker_images.node.measure import benchmark, metrics, proof
from worker_images.node.options import add_python
from worker_images.node.place import PlaceError
from worker_images.node.pod import options as pods
from worker_images.node.pod import place as pod_place
from worker_images.node.pod.kubectl import Pod
from worker_images.node.unpack import open_root

POD = "pod"


def _add_workload_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--variant", help="the image's variant: slim or full; default: every variant"
    )
    parser.add_argument(
        "--image", help="an image archive or its unpacked root; default: out/VARIANT/image.tar"
    )
    parser.add_argument(
        "--place",
        default="unpacked",
        choices=("unpacked", "engine", POD),
        help="where runsc runs: in the unpacked root, in a container of worker:VARIANT, or in a pod"
        " of this machine that has the machine's root",
    )
    pods.add_arguments(parser)
    add_python(parser, "; some checks need torch in it")
    parser.add_argument("--other-runsc", type=Path, help="an older runsc for the negative controls")
    trust.add_argument(parser)
    trust.add_project(parser)
    _add_run_arguments(parser)


def _add_run_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--require",
        action="append",
        default=[],
        choices=("workload", "gpus"),
        help="fail checks that this machine cannot run: all but those of several GPUs, or those;"
        " may be repeated",
    )
    parser.add_argument(
        "--benchmark",
        action="store_true",
        help="also measure the cost of the sandbox; this empties the page cache of the machine",
    )
    parser.add_argument(
        "--results",
        type=Path,
        metavar="FOLDER",
        help="the folder for the results; default: out/VARIANT",
    )


def _workload(arguments: argparse.Namespace, root: Path, log: Log) -> tuple[int, str]:
    folders = {root, arguments.project or root}
    found = (path for folder in folders for path in folder.glob("images/*/variant.yaml"))
    variants = sorted({path.parent.name for path in found})
    if problem := _usage_problem(arguments, variants):
        return USAGE, problem
    outcomes = [
        _run_variant(arguments, root, variant, log)
        for variant in ([arguments.variant] if arguments.variant else variants)
    ]
    return max((status for status, _ in outcomes), default=USAGE), "\n".join(
        text for _, text in outcomes if text
    )


def _usage_problem(arguments: argparse.Namespace, variants: Sequence[str]) -> str:
    """Return the first problem of the options, or an empty string."""
    problems = {
        "no python3 on PATH for the user's program; name one with --python": not arguments.python,
        f"no variant {arguments.variant}; known variants: {', '.join(variants)}": (
            arguments.variant and variants and arguments.variant not in variants
        ),
        f"no file {arguments.other_runsc}": (
            arguments.other_runsc and not arguments.other_runsc.is_file()
        ),
        "--benchmark needs the unpacked root or a pod; remove --place": (
            arguments.benchmark and arguments.place == "engine"
        ),
        "--place pod needs a pod; name one with --context CTX --namespace N --pod P": (
            arguments.place == POD and not arguments.context
        ),
        "--benchmark measures one variant in a pod; name it with --variant": (
            arguments.benchmark and arguments.place == POD and not arguments.variant
        ),
    }
    return next((problem for problem, applies in problems.items() if applies), "")


def _run_variant(
    arguments: argparse.Namespace, root: Path, variant: str, log: Log
) -> tuple[int, str]:
    home: Path = arguments.project or root
    results = (arguments.results or home / "out" / variant).resolve()
    image = Path(arguments.image or home / "out" / variant / "image.tar").resolve()
    for name, identity in _runs_as_root(arguments, image, variant):
        trust.require(home, name, identity, trust=arguments.trust)
        log(f"programs of {name} run as root on this machine")
    key = seal.key_of(root)
    for name in (proof.RUN, proof.BENCHMARK):
        (results / name).unlink(missing_ok=True)
    log(f"running the workload layer of {variant}")
    failed = run_pytest.run(
        root, ["tests/workload"], _options(arguments, image, variant), results / proof.CHECKS
    )
    if failed in run_pytest.COMPLETE:
        seal.write(results / proof.CHECKS, key)
    table = ""
    if arguments.benchmark:
        table = _measure(arguments, root, image, results, log)
    if failed == EngineError.exit_code:
        return failed, table
    return CHECK_FAILED if failed else OK, table


def _options(arguments: argparse.Namespace, image: Path, variant: str) -> list[str]:
    """Return the options for pytest."""
    options = [
        "--variant",
        variant,
        "--image",
        str(image),
        "--place",
        arguments.place,
        "--python",
        arguments.python,
    ]
    if arguments.place == POD:
        options += pods.given(arguments)
    if arguments.other_runsc:
        options += ["--other-runsc", str(arguments.other_runsc.resolve())]
    options += [f"--require={layer}" for layer in arguments.require]
    if arguments.trust:
        options.append("--trust")
    if arguments.project:
        options += ["--project", str(arguments.project)]
    return options


def _runs_as_root(
    arguments: argparse.Namespace, image: Path, variant: str
) -> Iterator[tuple[str, str]]:
    """Yield the name and the ID of each image whose programs the workload layer runs."""
    yield str(image), trust.image_id(image)
    if arguments.place == "engine":
        reference = f"worker:{variant}"
        yield reference, trust.engine_id(reference, os.environ.get("WORKER_DOCKER", "docker"))


def _measure(
    arguments: argparse.Namespace, root: Path, image: Path, results: Path, log: Log
) -> str:
    """Write the benchmark's results and a description of the machine; return the table."""
    this_node = node.read()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "image").mkdir()
        image_root, image_id = open_root(image, folder / "image")
        home: Path = arguments.project or root
        trust.require(home, str(image), image_id, trust=arguments.trust)
        host = place.Host(f"{image_root}{place.RUNSC}", f"{folder}/host-mounts")
        where = _place(arguments, image_root, folder)
        # The user of a pod may not read the checkout.
        probes = shutil.copytree(root / PROBES, folder / "probes")
        measurements = benchmark.measure(
            where, host, this_node, arguments.python, probes, folder, log
        )
        run = proof.machine(
            this_node,
            arguments.python,
            host.runsc,
            ["python3", "-m", "worker_images.node", *sys.argv[1:]],
        )
    gpus = len(this_node.gpus) if this_node.driver else 0
    (results / proof.BENCHMARK).write_text(metrics.as_json(measurements, gpus))
    (results / proof.RUN).write_text(json.dumps(run, indent=1) + "\n")
    return metrics.text(measurements, gpus)


def _place(arguments: argparse.Namespace, image_root: Path, folder: Path) -> place.Place:
    """The place of the benchmark; raises PlaceError."""
    if arguments.place != POD:
        return place.Chroot(image_root)
    # Another user reads the bundles.
    folder.chmod(0o711)
    return pod_place.of(Pod.of(vars(arguments).__getitem__), folder)


def _add_proof_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "results",
        nargs="+",
        type=Path,
        help="folders written by workload, restores, tests/pod and verify --json"
        " FOLDER/verify.json, and out/tests with the results of tests/layers",
    )


def _proof(arguments: argparse.Namespace, root: Path, _: Log) -> tuple[int, str]:
    try:
        return OK, proof.page(arguments.results, root)
    except (ResultsError, KeyError, ValueError) as error:
        raise PlaceError(
            f"{', '.join(map(str, arguments.results))}: results are incomplete: {error!r}"
        ) from error


COMMANDS = (
    Command(
        "workload",
        "run the workload layer on this machine: CUDA in the image's own runsc",
        "--variant slim --require workload",
        _add_workload_arguments,
        _workload,
    ),
    Command(
        "proof",
        "print the results of the workload layer as one page of Markdown",
        "out/slim out/full",
        _add_proof_arguments,
        _proof,
    ),
)
