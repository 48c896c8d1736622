"""Losses and layers of other papers' rows by loops over pictures, classes and pixels."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["gated_patches", "locality", "observed", "patch"]


def locality(codes, classes, k: int) -> list[float]:
    """||x_i - 1/k sum of the k nearest others of its class||^2; 0 where it has no other."""
    found = []
    for i, x in enumerate(codes):
        others = [j for j in range(len(codes)) if j != i and classes[j] == classes[i]]
        others.sort(key=lambda j: math.dist(x, codes[j]))
        nearest = [codes[j] for j in others[:k]]
        mean = [math.fsum(column) / len(nearest) for column in zip(*nearest, strict=True)]
        found.append(math.dist(x, mean) ** 2 if nearest else 0.0)
    return found


def observed(shares, truth, T) -> list[float]:
    """-sum_y share_y log sum_z T_zy p(z|x); what nobody said is not asked for."""
    found = []
    for row, p in zip(shares, truth, strict=True):
        loss = 0.0
        for y, share in enumerate(row):
            if share > 0:
                loss -= share * math.log(math.fsum(T[z][y] * p[z] for z in range(len(p))))
        found.append(loss)
    return found


def patch(features, x: float, y: float, side: float, places: int, share: float, grid):
    """Bilinear values of one map around a point that is moved inside the picture.

    Args:
      features: `[H, W, C]`.
      x: pixels of the picture.
      y: likewise.
      side: of the picture, pixels.
      places: along a side of the patch.
      share: of the picture's side that the patch takes.
      grid: pixel of the map's first place, and pixels from place to place.
    """
    first, step = grid
    height, width, _ = features.shape
    half = share * side / 2
    x, y = (min(max(v, half - 0.5), side - 0.5 - half) for v in (x, y))
    out = np.zeros((places, places, features.shape[-1]))
    # Places of the outermost parts, on the map; between them they are equally far apart.
    ends = [
        [(v + s * half * (places - 1) / places - first) / step for s in (-1, 1)] for v in (y, x)
    ]
    for axis, last in ((0, height - 1), (1, width - 1)):
        ends[axis] = [min(max(v, 0.0), last) for v in ends[axis]]
    for row in range(places):
        for column in range(places):
            v, u = (
                low + (high - low) * at / (places - 1)
                for (low, high), at in zip(ends, (row, column), strict=True)
            )
            top, left = min(int(v), height - 2), min(int(u), width - 2)
            down, right = v - top, u - left
            out[row, column] = (
                (1 - down) * (1 - right) * features[top, left]
                + (1 - down) * right * features[top, left + 1]
                + down * (1 - right) * features[top + 1, left]
                + down * right * features[top + 1, left + 1]
            )
    return out


def gated_patches(patches, weights):
    """relu(W relu(conv(patch)) + c) times its gate, patch by patch and pixel by pixel.

    Args:
      patches: `[B, N, P, P, C]`.
      weights: arrays by name, as `GatedPatches` has them.

    Returns:
      Codes `[B, N, F]` and gates `[B, N]`.
    """
    batch, count, side, _, _ = patches.shape
    filters = weights["kernel"].shape[-1]
    codes, gates = np.zeros((batch, count, filters)), np.zeros((batch, count))
    for b in range(batch):
        for n in range(count):
            u = np.zeros((side, side, filters))
            for row in range(side):
                for column in range(side):
                    z = weights["bias"][n].astype(float)
                    for i in range(3):
                        for j in range(3):
                            y, x = row + i - 1, column + j - 1
                            if 0 <= y < side and 0 <= x < side:
                                z = z + patches[b, n, y, x] @ weights["kernel"][n, i, j]
                    u[row, column] = np.maximum(z, 0)
            hidden = u.mean(axis=(0, 1)) @ weights["gate/W1"][n] + weights["gate/bias1"][n]
            told = np.maximum(hidden, 0) @ weights["gate/W2"][n] + weights["gate/bias2"][n]
            gates[b, n] = 1 / (1 + math.exp(-told.item()))
            z = u.ravel() @ weights["W"][n] + weights["code_bias"][n]
            codes[b, n] = np.maximum(z, 0) * gates[b, n]
    return codes, gates
