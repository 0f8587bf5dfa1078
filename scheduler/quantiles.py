"""Quantiles that intervals are made of."""

from __future__ import annotations

Z_975 = 1.959964
# Student's t, 0.975 quantile, for 1 to 30 degrees of freedom.
_T_975 = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)


def t_975(freedom: int) -> float:
    """The 0.975 quantile of Student's t; from 31 degrees of ``freedom`` on, the normal one.

    Raises:
        ValueError: ``freedom`` is below 1.
    """
    if freedom < 1:
        raise ValueError(f"Student's t has at least 1 degree of freedom, got {freedom}")
    return _T_975[freedom - 1] if freedom <= len(_T_975) else Z_975
