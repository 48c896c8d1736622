"""Good and bad requests."""

from __future__ import annotations

import functools
import io
import struct
import zlib

import cv2
import numpy as np

from deepcoder_tf.face_model import ACTION_UNITS_KIND, EXPRESSIONS_KIND, KINDS, POINTS, Kind

CROP = (240, 160, 1)


def parts_of(card: dict) -> Kind:
    """What the model of a card calls its parts."""
    return KINDS[card.get("kind", ACTION_UNITS_KIND)]


def shape_of(card: dict) -> tuple[int, int, int]:
    """Rows, columns and channels of what the model of a card takes."""
    rows, columns = card["crop_shape"]
    return rows, columns, card.get("channels", 1)


def crops(count: int, seed: int = 0, shape: tuple[int, int, int] = CROP) -> np.ndarray:
    """Blurred noise, `[count, *shape]` uint8."""
    rows, columns, channels = shape
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 15, 10, channels), np.uint8)
    size = (columns, rows)
    blurred = [cv2.resize(c, size, interpolation=cv2.INTER_CUBIC) for c in coarse]
    return np.reshape(blurred, (count, *shape))


def files(pictures: np.ndarray, ending: str = ".png") -> np.ndarray:
    """Picture files as an array of bytes, of grey levels or of red, green, blue."""
    found = np.empty(len(pictures), object)
    for i, picture in enumerate(pictures):
        # OpenCV takes colours as blue, green, red.
        stored = picture if picture.ndim == 2 else np.ascontiguousarray(picture[..., ::-1])
        found[i] = cv2.imencode(ending, stored)[1].tobytes()
    return found


def inputs_of(signature: str, card: dict, count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """What a signature takes, by the model's card."""
    rng = np.random.default_rng(seed + 1)
    squares = card.get("kind") == EXPRESSIONS_KIND
    shape = shape_of(card)
    drawn = crops(count, seed, shape)
    middle = shape[0] / 2 if squares else np.asarray(card["mean_shape"])
    spread = shape[0] / 8 if squares else 2.0
    registered = (middle + rng.normal(0, spread, (count, POINTS, 2))).astype(np.float32)
    given = {
        parts_of(card).faces: drawn,
        "others": crops(count, seed + 100, shape),
        "landmarks": registered,
        "pictures": files(drawn),
    }
    if signature == "describe":
        given["faces"] = np.zeros(count, np.int32)
    if signature == "from_landmarks":
        given["pictures"] = files(np.stack([cv2.resize(c, (320, 480)) for c in drawn]), ".jpg")
        given["landmarks"] = (2 * registered + [3, 5]).astype(np.float32)
    return {name: given[name] for name in card["signatures"][signature]["inputs"]}


@functools.cache
def bomb_jpeg(side: int = 30_000) -> bytes:
    """A few hundred bytes whose header says that they are `side` x `side` pixels."""
    data = bytearray(cv2.imencode(".jpg", np.zeros((16, 16), np.uint8))[1].tobytes())
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", side, side)
    return bytes(data)


@functools.cache
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
