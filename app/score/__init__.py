"""Scoring a recording row by row with a detector: how unusual is each row, given those before."""

from app.score.run import Summary, score_file
from app.score.scorers import DETECTORS

__all__ = ["DETECTORS", "Summary", "score_file"]
