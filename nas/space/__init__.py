"""Search spaces and architectures as graphs; no torch."""
