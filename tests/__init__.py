"""The test suite: the product's promises against real servers, its rules as functions."""
