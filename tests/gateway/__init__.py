"""Tests of the gateway, against a real broker."""
