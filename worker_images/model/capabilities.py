"""Capabilities of workers and of users' containers."""

# Docker's default, which users' containers get.
DOCKER = (
    *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD"),
    *("NET_BIND_SERVICE", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
)
# What the Pod Security level baseline admits.
BASELINE = frozenset(DOCKER) - {"NET_RAW"}
# The least that runsc needs without --rootless, and what it needs for networks in addition.
SANDBOX = ("SYS_ADMIN", "SETUID", "SETGID", "SETFCAP")
RUNSC = (*SANDBOX, "NET_ADMIN", "NET_RAW")
# What runc needs in addition. It gives users' containers only capabilities that the worker has, and
# traces them for their mounts.
RUNC = (*(name for name in DOCKER if name not in RUNSC), "SYS_PTRACE")
# Numbers of linux/capability.h.
BITS = {"SETGID": 6, "SETUID": 7, "SYS_ADMIN": 21, "SETFCAP": 31}


def mask(*names: str) -> int:
    """The bits of capabilities, as in CapEff of /proc/self/status."""
    return sum(1 << BITS[name] for name in names)
