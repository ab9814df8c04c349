"""Replay: the recorded training run again, in many lanes at once, as written or treated."""
