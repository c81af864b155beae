"""Does the admission policy match the components and the page?"""

import re

import yaml

from worker_images.files import ROOT
from worker_images.harness import pod_security


def test_policy_admits_the_capabilities_of_the_components() -> None:
    """The policy, the components and the page have the same capabilities."""
    name = r"[A-Z]+(?:_[A-Z]+)+|CHOWN|FOWNER|FSETID|SETUID|SETGID|SETFCAP|SETPCAP|KILL|MKNOD"
    policy = (ROOT / "deploy/policy/policy.yaml").read_text()
    admitted = re.search(r"!\(name in \[(.*?)\]", policy, re.DOTALL)
    assert admitted
    added = "".join(
        line
        for path in (ROOT / "deploy/components").rglob("*.yaml")
        for line in path.read_text().splitlines(keepends=True)
        if re.search(rf"(?:- |value: )(?:{name})\}}?$", line.rstrip())
    )
    expected = set(re.findall(name, added))
    assert len(expected) > 15
    assert set(re.findall(name, admitted[1])) == expected
    page = (ROOT / "docs/kubernetes.md").read_text().partition("## Privileges")[2]
    assert [each for each in sorted(expected) if each not in page] == []


def test_policy_admits_the_settings_of_baseline() -> None:
    """The policy and the rules for manifests have the same lists."""
    policy = (ROOT / "deploy/policy/policy.yaml").read_text()
    settings = re.search(r"!\(s\.name in \[(.*?)\]", policy, re.DOTALL)
    labels = re.search(r"!\(label\.\?type\.orValue\(''\) in\s+\[(.*?)\]", policy, re.DOTALL)
    assert settings
    assert labels
    assert set(re.findall(r"'([^']*)'", settings[1])) == pod_security.SYSCTLS
    assert set(re.findall(r"'([^']*)'", labels[1])) == pod_security.SELINUX


def test_page_quotes_the_messages_of_the_policy() -> None:
    page = (ROOT / "docs/kubernetes.md").read_text()
    policy = yaml.safe_load((ROOT / "deploy/policy/policy.yaml").read_text())
    messages = [each["messageExpression"] for each in policy["spec"]["validations"]]
    assert len(messages) == 5
    for message in messages:
        parts = [part for part in re.findall(r"'([^']+)'", message) if part[0] != ","]
        assert [part for part in parts if part not in page] == []
