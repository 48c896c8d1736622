"""Pictures: every kind of file converts to the right pixels or is refused with its name."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from deepcoder_tf.errors import UserError
from deepcoder_tf.faces.images import is_image, read_image, to_grey


@pytest.fixture
def pixels() -> np.ndarray:
    """`[5, 7, 3]` uint8 RGB, no two alike."""
    return np.random.default_rng(0).permutation(210)[: 5 * 7 * 3].reshape(5, 7, 3).astype(np.uint8)


def test_rgb_comes_back_as_bgr(tmp_path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), pixels[..., ::-1])
    np.testing.assert_array_equal(
        read_image(str(tmp_path / "a.png")), cv2.imread(tmp_path / "a.png")
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, pixels: np.ndarray, orientation: int) -> None:
    stored = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.transpose(1, 0, 2),
        6: np.rot90(pixels, 1),
        7: pixels[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(pixels, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), pixels[..., ::-1])


def test_transparency_lies_over_white(tmp_path: Path, pixels: np.ndarray) -> None:
    alpha = np.full((5, 7, 1), 255, np.uint8)
    alpha[0] = 0
    Image.fromarray(np.concatenate([pixels, alpha], axis=2)).save(tmp_path / "a.png")
    found = read_image(tmp_path / "a.png")
    assert (found[0] == 255).all()
    np.testing.assert_array_equal(found[1:], pixels[1:, :, ::-1])


@pytest.mark.parametrize("mode", ["P", "L", "1", "LA", "CMYK", "YCbCr"])
def test_other_modes_equal_their_rgb(tmp_path: Path, pixels: np.ndarray, mode: str) -> None:
    image = Image.fromarray(pixels).convert(mode)
    path = tmp_path / ("a.tif" if mode in ("CMYK", "YCbCr") else "a.png")
    image.save(path)
    expected = np.asarray(image.convert("RGB"))[..., ::-1]
    np.testing.assert_allclose(read_image(path).astype(int), expected.astype(int), atol=2)


def test_16_bit_keeps_its_range(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 256).round().astype(np.uint16).reshape(16, 16)
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    cv2.imwrite(str(tmp_path / "grey.png"), ramp)
    cv2.imwrite(str(tmp_path / "grey.tif"), ramp)
    cv2.imwrite(str(tmp_path / "colour.png"), np.stack([ramp] * 3, axis=-1))
    for name in ("grey.png", "grey.tif", "colour.png"):
        found = read_image(tmp_path / name)
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found[..., 1], grey, err_msg=name)


def test_one_pixel(tmp_path: Path) -> None:
    Image.new("RGB", (1, 1), (1, 2, 3)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), [[[3, 2, 1]]])


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_truncated_is_refused(tmp_path: Path, photo: np.ndarray, suffix: str) -> None:
    whole = cv2.imencode(f".{suffix}", photo)[1].tobytes()
    path = tmp_path / f"half.{suffix}"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=rf"half\.{suffix}: the picture is damaged .*copy it again"):
        read_image(path)


def test_corrupt_jpeg_is_refused(tmp_path: Path, photo: np.ndarray) -> None:
    whole = bytearray(cv2.imencode(".jpg", photo)[1].tobytes())
    rng = np.random.default_rng(0)
    for at in rng.integers(1000, len(whole) - 100, 50):
        whole[at] = rng.integers(256)
    (tmp_path / "bad.jpg").write_bytes(whole)
    with pytest.raises(UserError, match=r"bad\.jpg: the picture is damaged"):
        read_image(tmp_path / "bad.jpg")


def test_empty_missing_and_foreign_files_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("not a picture")
    with pytest.raises(UserError, match=r"empty\.jpg: is empty \(0 bytes\)"):
        read_image(tmp_path / "empty.jpg")
    with pytest.raises(UserError, match=r"text\.jpg: is not a picture we can read"):
        read_image(tmp_path / "text.jpg")
    with pytest.raises(UserError, match=r"none\.jpg: no such file"):
        read_image(tmp_path / "none.jpg")


def test_kinds_without_a_safe_conversion_are_refused(tmp_path: Path) -> None:
    pages = [Image.new("L", (4, 4), k) for k in (0, 200)]
    pages[0].save(tmp_path / "two.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(UserError, match=r"two\.tif: holds 2 pictures, one was wanted"):
        read_image(tmp_path / "two.tif")
    Image.fromarray(np.ones((4, 4), np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(UserError, match=r"float\.tif: holds floating point"):
        read_image(tmp_path / "float.tif")
    Image.fromarray(np.full((4, 4), 70000, np.int32)).save(tmp_path / "int.tif")
    with pytest.raises(UserError, match=r"int\.tif: holds 32-bit integers"):
        read_image(tmp_path / "int.tif")


def test_huge_pictures_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (40, 40)).save(tmp_path / "huge.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(UserError, match=r"huge\.png: .*scale the picture down first"):
        read_image(tmp_path / "huge.png")


def test_to_grey(photo: np.ndarray) -> None:
    grey = to_grey(photo)
    luma = photo @ np.array([0.114, 0.587, 0.299])
    assert np.abs(grey - luma).max() <= 1
    np.testing.assert_array_equal(to_grey(grey), grey)
    np.testing.assert_array_equal(to_grey(grey[..., None]), grey)
    for wrong in (photo.astype(np.float32), np.zeros((4, 4, 4), np.uint8), np.zeros(4, np.uint8)):
        with pytest.raises(ValueError, match="expected"):
            to_grey(wrong)


def test_names() -> None:
    assert is_image(Path("a/B.JPEG"))
    assert not is_image(Path("a.avi"))
