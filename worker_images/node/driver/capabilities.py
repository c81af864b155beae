"""The driver's capabilities, by the names that runsc knows, and the flag that allows them.

gVisor release-20260622.0: pkg/sentry/devices/nvproxy/nvconf/caps.go.
"""

ALLOWED = "nvproxy-allowed-driver-capabilities"
DEFAULT = ("compute", "utility")
# Those of "all". Others reach more of the node's driver, or do not exist in runsc.
ALL = (*DEFAULT, "graphics", "video")
PRIVILEGED = ("profiling", "fabric-imex-mgmt")
SUPPORTED = (*ALL, *PRIVILEGED)
UNSUPPORTED = ("display", "ngx", "compat32")
