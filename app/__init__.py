"""Vitalstream's processes: settings, gateway, sink, embedded servers, pages and command line."""

__version__ = "0.1.0"
