"""Matrices of the linear algebra behind a fit: Z, Lambda and their relatives, sparse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmerbridge.design import ModelFrame, templates, term_matrix

if TYPE_CHECKING:
    from scipy import sparse

__all__ = ["relative_factor", "z_matrix"]


def z_matrix(frame: ModelFrame) -> sparse.csc_array:
    """Z, shape (n, q); terms in lme4's order."""
    from scipy import sparse

    return sparse.csc_array(sparse.hstack([term_matrix(b) for b in frame.random]))


def relative_factor(theta: Any, frame: ModelFrame) -> sparse.csc_array:
    """Lambda_theta, shape (q, q) (Bates et al. 2015, equation 4)."""
    from scipy import sparse

    parts = [
        sparse.kron(sparse.eye_array(len(b.levels)), t)
        for b, t in zip(
            frame.random, templates(theta, [len(b.names) for b in frame.random]), strict=True
        )
    ]
    return sparse.csc_array(sparse.block_diag(parts))
