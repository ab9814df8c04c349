"""Explain a fitted model: what it uses and how, where it errs, and what is odd about its rows and columns."""
