"""What is kept per user and how it changes: pure rules over NumPy columns."""
