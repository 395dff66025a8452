"""Logits to slopes: sigmoid and loss, many numbers at once."""

from __future__ import annotations

from typing import Any

from numba import float32

from trainer.cpu_kernels.arrays import Floats
from trainer.cpu_kernels.compilation import compiled

_ZERO, _HALF, _ONE = float32(0), float32(0.5), float32(1)


@compiled
def _sigmoid(x: Any) -> Any:
    """Returns 1 / (1 + e ** -x), to 3e-7.

    Half of 1 + tanh(x / 2), that one by the quotient of polynomials that Eigen uses: unlike an
    exponential it is computed for 16 numbers at once.
    """
    y = min(max(_HALF * x, float32(-7.9)), float32(7.9))
    z = y * y
    p = float32(-2.76076847742355e-16)
    p = p * z + float32(2.00018790482477e-13)
    p = p * z + float32(-8.60467152213735e-11)
    p = p * z + float32(5.12229709037114e-08)
    p = p * z + float32(1.48572235717979e-05)
    p = p * z + float32(6.37261928875436e-04)
    p = p * z + float32(4.89352455891786e-03)
    q = float32(1.19825839466702e-06)
    q = q * z + float32(1.18534705686654e-04)
    q = q * z + float32(2.26843463243900e-03)
    q = q * z + float32(4.89352518554385e-03)
    return _HALF + _HALF * (y * p / q)


@compiled
def _softplus(x: Any, sigmoid: Any) -> Any:
    """Returns log(1 + e ** x), to 2e-7; not finite where x is not.

    It is x, or 0, and -log(1 - r) for the smaller one, r, of sigmoid and 1 - sigmoid: r times a
    polynomial that was fitted at Chebyshev's points between 0 and 1 / 2. No quotient is needed.
    """
    r = min(sigmoid, _ONE - sigmoid)
    p = float32(1.1863941)
    p = p * r - float32(1.0841025)
    p = p * r + float32(0.78719475)
    p = p * r + float32(0.037416168)
    p = p * r + float32(0.27235588)
    p = p * r + float32(0.33185387)
    p = p * r + float32(0.50003684)
    p = p * r + float32(0.99999988)
    return (x if x > _ZERO else _ZERO * x) + r * p


@compiled
def noise_slopes(logits: Floats, count: int, pairs: Floats, share: Any) -> Any:
    """Turns the logits of `count` negatives into slopes, all others into 0; returns their loss."""
    loss = 0.0
    logits[:, count:] = _ZERO
    for i in range(len(logits)):
        of_target = _ZERO
        for k in range(count):
            x = logits[i, k]
            sigmoid = _sigmoid(x)
            of_target += _softplus(x, sigmoid)
            logits[i, k] = pairs[i] * share * sigmoid
        loss += pairs[i] * share * of_target
    return loss


@compiled
def pair_slopes(logits: Floats, mask: Floats) -> Any:
    """Turns logits into slopes where the mask is 1, into 0 where it is 0; returns the loss.

    Over a whole block at once: a target alone has too few for the machine's wide registers.
    """
    loss = _ZERO
    for at in range(len(logits)):
        x = -logits[at]
        sigmoid = _sigmoid(x)
        loss += mask[at] * _softplus(x, sigmoid)
        logits[at] = -mask[at] * sigmoid
    return loss
