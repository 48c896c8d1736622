"""Good and bad requests."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np

CROP = (240, 160)


def crops(count: int, seed: int = 0) -> np.ndarray:
    """Blurred noise, `[count, 240, 160, 1]` uint8."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 15, 10), np.uint8)
    return np.stack([cv2.resize(c, CROP[::-1], interpolation=cv2.INTER_CUBIC) for c in coarse])[
        ..., None
    ]


def files(pictures: np.ndarray, ending: str = ".png") -> np.ndarray:
    """Picture files as an array of bytes."""
    found = np.empty(len(pictures), object)
    for i, picture in enumerate(pictures):
        found[i] = cv2.imencode(ending, picture)[1].tobytes()
    return found


def inputs_of(signature: str, card: dict, count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """What a signature takes, by the model's card."""
    rng = np.random.default_rng(seed + 1)
    shape = np.asarray(card["mean_shape"])
    registered = (shape + rng.normal(0, 2, (count, 49, 2))).astype(np.float32)
    raw = np.stack([cv2.resize(c, (320, 480)) for c in crops(count, seed)])
    drawn = {
        "crops": crops(count, seed),
        "landmarks": registered,
        "pictures": files(crops(count, seed)),
        "faces": np.zeros(count, np.int32),
    }
    if signature == "from_landmarks":
        drawn["pictures"] = files(raw, ".jpg")
        drawn["landmarks"] = (2 * registered + [3, 5]).astype(np.float32)
    return {name: drawn[name] for name in card["signatures"][signature]["inputs"]}


def bomb_jpeg(side: int = 30_000) -> bytes:
    """A few hundred bytes whose header says that they are `side` x `side` pixels."""
    data = bytearray(cv2.imencode(".jpg", np.zeros((16, 16), np.uint8))[1].tobytes())
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", side, side)
    return bytes(data)


def bomb_png(side: int = 30_000) -> bytes:
    """A true PNG of `side` x `side` black pixels in about 110 kB."""
    out = io.BytesIO(b"\x89PNG\r\n\x1a\n")
    out.seek(8)
    row = bytes(1 + (side + 7) // 8)
    deflate = zlib.compressobj(9)
    data = b"".join(deflate.compress(row) for _ in range(side)) + deflate.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    for kind, content in ((b"IHDR", header), (b"IDAT", data), (b"IEND", b"")):
        checked = kind + content
        out.write(
            struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))
        )
    return out.getvalue()
