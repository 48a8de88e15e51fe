"""Replay of recordings: reading them, and the bundled ones of real people."""
