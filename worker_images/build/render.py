"""Render a plan to Dockerfile text with the templates in images/."""

import functools
import re
from collections.abc import Mapping
from pathlib import Path

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from worker_images.build.plan import Plan
from worker_images.errors import UsageError
from worker_images.model.tree import Tree

COMMITTED = "Dockerfile.worker"


@functools.cache
def environment(root: Path) -> ImmutableSandboxedEnvironment:
    """Return the templates of a project."""
    return ImmutableSandboxedEnvironment(
        loader=jinja2.FileSystemLoader([each / "images" for each in Tree(root).folders]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )


def dockerfile(plan: Plan, root: Path) -> str:
    """Render a plan's Dockerfile; raises UsageError if a template uses an undefined value."""
    return text("Dockerfile.worker.j2", root, {"plan": plan})


def text(template: str, root: Path, values: Mapping[str, object]) -> str:
    """Render a template in images/; raises UsageError if it is invalid or a value is undefined."""
    try:
        rendered = environment(root).get_template(template).render(values)
    except jinja2.TemplateError as error:
        raise UsageError(
            f"images/{template}: {error}; correct the template, or add the pin to versions.yaml"
        ) from error
    return re.sub(r"\n{3,}", "\n\n", rendered)


def macro(plan: Plan, root: Path, template: str, name: str, *arguments: object) -> str:
    """Render one macro of a template below images/."""
    module = environment(root).get_template(template).make_module({"plan": plan})
    return str(getattr(module, name)(*arguments))
