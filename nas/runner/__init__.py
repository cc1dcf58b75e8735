"""Where trials run: Ray Tune, or this process for debugging."""
