"""Tests of reading and replaying recordings."""
