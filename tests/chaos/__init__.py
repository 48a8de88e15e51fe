"""Tests of the chaos suite itself."""
