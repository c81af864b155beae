"""Is the pod's runsc the gVisor release that it reports?"""

from tests.support.runsc_checks import (  # noqa: F401 - pytest collects them here
    test_nvproxy_flags_are_accepted,
    test_runsc_drivers_match_the_release,
    test_runsc_flags_match_the_release,
    test_unknown_flag_is_refused,
)
