from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# On CI every run tries the same examples, so that a red run is about the change.
settings.register_profile(
    "here", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=bool(os.environ.get("CI"))
)
settings.load_profile("here")
