"""What the tests of the API share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from api.auth import rate_limits


@pytest.fixture(scope="session", autouse=True)
def patient_rate_limits() -> Iterator[None]:
    """On a busy machine Redis takes longer than a service should wait for it; then nothing would be counted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rate_limits, "PATIENCE_SECONDS", 3.0)
        yield
