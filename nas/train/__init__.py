"""Training: tasks, recipe, data, the loop, and the worker that runs it. `recipe` and `task` load no torch."""
