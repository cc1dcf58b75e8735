"""What is tried next, and the record of what was."""
