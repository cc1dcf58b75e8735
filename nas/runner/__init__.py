"""Where trials run: Ray Tune, or this process for debugging."""

import os

# Ray reads this when it is imported, and prints the line it skips otherwise: the ledger says which trial died and why.
os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", "^A worker died or was killed while executing a task")
