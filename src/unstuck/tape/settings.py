"""Which files hold settings rather than code, by the ending of their name, and how a number is written in one."""

from __future__ import annotations

import re

ENDINGS = (".json", ".jsonc", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".conf", ".env", ".properties")
NUMBER = re.compile(r"[-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


def is_settings(path: str) -> bool:
    """Whether a file is one of settings."""
    return path.lower().endswith(ENDINGS)
