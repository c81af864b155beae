"""The options that name a pod of a cluster."""

import argparse

from worker_images.node.pod import kubectl


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a pod of a cluster."""
    parser.add_argument(
        "--context",
        metavar="CTX",
        help="check a pod in the cluster of this kubectl context",
    )
    parser.add_argument(
        "--namespace", default="default", metavar="N", help="the pod's namespace; default: default"
    )
    parser.add_argument(
        "--pod",
        default="worker",
        metavar="P",
        help="the pod, or what creates it, such as deployment/worker; default: worker",
    )
    parser.add_argument(
        "--container",
        default="",
        metavar="C",
        help="the container; default: the one that requests a GPU",
    )
    parser.add_argument(
        "--kubeconfig", default="", metavar="FILE", help="the file with the context"
    )
    parser.add_argument(
        "--kubectl",
        default="kubectl",
        metavar="PATH",
        help="the kubectl binary; default: kubectl on PATH",
    )


def given(arguments: argparse.Namespace) -> list[str]:
    """The options that name the pod, as they were given."""
    values = vars(arguments)
    return [f"--{name}={values[name]}" for name in kubectl.OPTIONS if values[name]]
