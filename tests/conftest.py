"""What all tests share: examples drawn the same way every time, and no clock in their judgement."""

from hypothesis import settings

settings.register_profile("steady", derandomize=True, deadline=None)
settings.load_profile("steady")
