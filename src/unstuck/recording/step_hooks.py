"""The recorder's hooks around every optimizer's step, which keep away while a compiled function runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

Hook = Callable[[Any, Any, Any], Any]


class StepHooks:
    """`place` says which there are."""

    def __init__(self) -> None:
        self.before: Hook | None = None
        self.after: Hook | None = None
        self._aside = False
        self._before = _Registered(register_optimizer_step_pre_hook)
        self._after = _Registered(register_optimizer_step_post_hook)

    def place(self, before: Hook | None, after: Hook | None) -> None:
        """From now on these, in the place of those before (None for none)."""
        self.before, self.after = before, after
        self._settle()

    def aside(self, aside: bool) -> None:
        """Take them away for a while, or put them back."""
        self._aside = aside
        self._settle()

    def _settle(self) -> None:
        self._before.change(None if self._aside else self.before)
        self._after.change(None if self._aside else self.after)


class _Registered:
    """One hook and its handle. One that stays is not touched: torch may be going through its hooks just now."""

    def __init__(self, register: Callable[[Any], Any]) -> None:
        self._register = register
        self._hook: Hook | None = None
        self._handle: Any = None

    def change(self, hook: Hook | None) -> None:
        if hook == self._hook:
            return
        if self._handle is not None:
            self._handle.remove()
        self._hook, self._handle = hook, None if hook is None else self._register(hook)
