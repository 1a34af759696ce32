"""int8 layers on every instruction set: this process has the machine's own, a child process has AVX2.

Kernels for AVX2 have one bit of activation less than those for VNNI, and with it twice the rounding error.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from common.errors import ConfigurationError
from tests.engine.avx2 import WITH_AVX2, output_with_avx2
from worker.engine.recognition import linear
from worker.engine.recognition.linear import Int8Linear, max_magnitude, quantised

# The largest relative error of a row of 64 normal values, over 2000 seeds: 0.016 with 127 levels, 0.024 with 63.
LARGEST_ERROR = {127: 0.02, 63: 0.03}


def test_a_loud_row_makes_no_other_row_coarser() -> None:
    torch.manual_seed(7)
    rows = torch.cat([torch.randn(5, 64), 1000 * torch.randn(1, 64)])
    layer = torch.nn.Linear(64, 48)
    exact, approximate = layer(rows), Int8Linear(layer)(quantised(rows))
    error = (approximate - exact).norm(dim=1) / exact.norm(dim=1)
    assert error.max() < LARGEST_ERROR[max_magnitude()]
    np.testing.assert_array_equal(approximate[:5].numpy(), Int8Linear(layer)(quantised(rows[:5])).numpy())


def test_products_of_the_largest_values_are_exact() -> None:
    """All weights and inputs at their limits, where 16 bits overflow if the range is too wide for the kernel."""
    layer = torch.nn.Linear(512, 32, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.ones(32, 512))
        layer.weight[::2] *= -1
    rows = torch.stack([torch.ones(512), -torch.ones(512)])
    np.testing.assert_allclose(Int8Linear(layer)(quantised(rows)).numpy(), layer(rows).detach().numpy(), rtol=1e-5)


def test_rows_of_zeros_stay_zeros() -> None:
    torch.manual_seed(7)
    rows = quantised(torch.zeros(2, 16))
    assert torch.isfinite(rows.scales).all()
    assert len(set(rows.bytes.flatten().tolist())) == 1
    layer = torch.nn.Linear(16, 4)
    np.testing.assert_allclose(Int8Linear(layer)(rows).numpy(), layer.bias.expand(2, 4).detach().numpy(), atol=1e-6)


def test_a_processor_that_multiplies_wrongly_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "_is_exact", lambda _magnitude, _width: False)
    max_magnitude.cache_clear()
    try:
        with pytest.raises(ConfigurationError, match="fp32"):
            Int8Linear(torch.nn.Linear(16, 4))
    finally:
        max_magnitude.cache_clear()


@pytest.mark.skipif(WITH_AVX2, reason="this is the child process")
def test_the_same_on_a_processor_with_avx2_only() -> None:
    assert "5 passed, 1 skipped" in output_with_avx2(__file__)


@pytest.mark.skipif(not WITH_AVX2, reason="only with AVX2's kernels")
def test_avx2_has_one_bit_less() -> None:
    assert max_magnitude() == 63
