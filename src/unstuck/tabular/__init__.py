"""The trainer for tables (`unstuck fit`), the scaling law, and the founding studies."""
