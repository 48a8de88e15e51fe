"""Tests of the tables, the views and the queries."""
