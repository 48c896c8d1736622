"""Pictures from disk as 8-bit BGR arrays, converted correctly or refused with a reason.

| in the file                  | what is returned                                              |
|------------------------------|---------------------------------------------------------------|
| EXIF orientation             | applied, so that faces stand upright                          |
| palette, CMYK, LA, YCbCr     | converted to BGR                                              |
| transparency                 | laid over white                                               |
| 16 bits a channel            | the full range 0..65535 maps to 0..255                        |
| truncated, corrupt, empty    | `UserError`                                                   |
| several pictures (GIF, TIFF) | `UserError`: that is a video                                  |
| floating point               | `UserError`: its range is not known                           |
"""

from __future__ import annotations

import warnings
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from deepcoder_tf.errors import UserError

__all__ = ["IMAGE_SUFFIXES", "is_image", "read_image", "to_grey"]

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""File name endings, in lower case, that are taken for pictures."""

UINT16_TO_UINT8 = 257
"""65535 / 255: scales the full 16-bit range onto the full 8-bit range."""


def is_image(path: Path) -> bool:
    """Whether the file's name is that of a picture."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def read_image(path: str | Path) -> np.ndarray:
    """Reads one picture.

    Args:
      path: any format that Pillow reads; see the table above.

    Returns:
      `[height, width, 3]` uint8 in OpenCV's order (blue, green, red).

    Raises:
      UserError: no such file, not a picture, damaged, or of a kind that has no safe conversion.
    """
    path = Path(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                check_single(path, image)
                image.load()
                return to_bgr(path, ImageOps.exif_transpose(image))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; check the path") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UserError(f"{path}: {error}; scale the picture down first") from error
    except UnidentifiedImageError as error:
        what = "is empty (0 bytes)" if path.stat().st_size == 0 else "is not a picture we can read"
        raise UserError(f"{path}: {what}; copy it again or leave it out") from error
    except PermissionError as error:
        raise UserError(f"{path}: no permission to read it; change its mode") from error
    except (OSError, SyntaxError, ValueError) as error:
        # Pillow tells damage in all three of these, depending on the format.
        raise UserError(
            f"{path}: the picture is damaged ({error}); copy it again or leave it out"
        ) from error


def check_single(path: Path, image: Image.Image) -> None:
    """Refuses animations; an MPO is one photograph with its thumbnails, and is fine."""
    pictures = getattr(image, "n_frames", 1)
    if pictures > 1 and image.format != "MPO":
        raise UserError(
            f"{path}: holds {pictures} pictures, one was wanted; "
            "convert it to a video or to single pictures"
        )


def to_bgr(path: Path, image: Image.Image) -> np.ndarray:
    """Converts any Pillow mode to `[height, width, 3]` uint8 BGR."""
    if image.mode.startswith("I"):
        # Pillow opens 16-bit grey as I;16 (or I for PGM); its own conversion would clip at 255.
        levels = np.asarray(image).astype(np.int64)
        if levels.min(initial=0) < 0 or levels.max(initial=0) > np.iinfo(np.uint16).max:
            raise UserError(f"{path}: holds 32-bit integers; save it with 8 or 16 bits a channel")
        grey = np.round(levels / UINT16_TO_UINT8).astype(np.uint8)
        return cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    if image.mode == "F":
        raise UserError(f"{path}: holds floating point; save it with 8 or 16 bits a channel")
    if "A" in image.mode or "transparency" in image.info:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return cv2.cvtColor(np.asarray(image.convert("RGB")), cv2.COLOR_RGB2BGR)


def to_grey(image: np.ndarray) -> np.ndarray:
    """Luma of a picture.

    Args:
      image: uint8, `[H, W]`, `[H, W, 1]` or `[H, W, 3]` (BGR).

    Returns:
      `[H, W]` uint8.

    Raises:
      ValueError: another shape or type.
    """
    if image.dtype != np.uint8 or image.ndim not in (2, 3):
        raise ValueError(f"expected uint8 [H, W] or [H, W, 3], got {image.dtype} {image.shape}")
    if image.ndim == 2:
        return image
    if image.shape[2] == 1:
        return image[:, :, 0]
    if image.shape[2] != 3:
        raise ValueError(f"expected 1 or 3 channels (BGR), got {image.shape[2]}")
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
