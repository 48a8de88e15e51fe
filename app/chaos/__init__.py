"""The chaos suite: seeded load and faults against a running system, and a comparison at the end."""
