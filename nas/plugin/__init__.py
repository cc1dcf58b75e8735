"""The door: hooks, registry, and how plugins are found."""
