"""The report: every figure as files, one page that needs nothing else, in a real browser too."""

from __future__ import annotations

import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from deepcoder_tf.cli import report as command
from deepcoder_tf.experiment.reporting import report
from tests.experiment.small_bench import ACTION_UNITS, make_bench

FIGURES = {
    "icc_by_system", "icc_differences", "fig3a_image_mse", "fig3b_nlpd", "fig3c_bound", "fig3d_icc",
    "fig3e_z0_subjects", "fig3f_z1_subjects", "fig4_labels", "fig5_iterations", "fig6_levels",
    "fig7_test_subject", "fig8_faces_2dc", "fig8_faces_dcp", "confusion_2dc", "reliability_2dc",
    "confusion_dcp", "reliability_dcp", "confusion_cnn", "reliability_cnn", "confusion_cold <&>",
    "reliability_cold <&>",
}  # fmt: skip

CHROMIUM = shutil.which("chromium")


class Page(HTMLParser):
    """Collects what the tests ask about; raises where tags do not close in order."""

    VOID = ("meta", "img", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.links: list[str] = []
        self.anchors: list[str] = []
        self.words = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.sources += [given["src"]] if "src" in given else []
        self.links += [given["href"]] if "href" in given else []
        self.anchors += [given["id"]] if "id" in given else []
        assert tag != "img" or given["alt"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += data


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """The page of the small bench."""
    folder = tmp_path_factory.mktemp("report")
    return report(make_bench(folder / "bench"))


@pytest.fixture(scope="module")
def page(made) -> Page:
    """The same, parsed."""
    return Page(made.read_text(encoding="utf-8"))


def test_every_figure_is_written_and_named_in_the_page(made, page):
    for kind in ("png", "svg"):
        assert {path.stem for path in made.parent.glob(f"*.{kind}")} == FIGURES
    for name in FIGURES:
        image = cv2.imread(str(made.parent / f"{name}.png"))
        assert image.std() > 5, f"{name} is blank"
        assert ElementTree.parse(made.parent / f"{name}.svg").getroot().tag.endswith("svg")
        assert f"{name}.png, .svg" in page.words
    assert not list(made.parent.glob("*.partial"))


def test_the_page_needs_nothing_beside_it(made, page):
    text = made.read_text(encoding="utf-8")
    assert len(page.sources) == len(FIGURES)
    assert all(source.startswith("data:image/") for source in page.sources)
    assert "http" not in text and "<script" not in text and "url(" not in text
    assert all(link[0] == "#" and link[1:] in page.anchors for link in page.links)
    assert len(page.anchors) == len(set(page.anchors))


def test_captions_say_what_is_seen_and_from_which_cell(page):
    words = " ".join(page.words.split())
    assert "2dc, fold 0, 1, 2, seed 0" in words  # Fig. 3a-d: all runs
    assert "without: cold <&>, fold 0, seed 0" in words
    assert "36 train and 12 validation frames of 4 subjects" in words
    assert "after iteration 3, the chosen model" in words
    assert f"Action units: {', '.join(ACTION_UNITS)}" in words
    assert re.search(r"Test subject SN00\d \(30 frames\) among 3 training subjects in Z1", words)
    assert "frames: train 90, validation 30, test 60" in words  # every subject was tested once
    assert "The difference holds against DCp." in words
    assert "0.500 (0.400 to 0.600)" in words and "tiny <set>" in words


def test_what_is_missing_is_said_in_a_line(page):
    assert "fold 0, seed 0: the bound is <NaN>" in page.words
    assert "not shown" not in page.words


def test_a_bench_that_only_began_is_a_page_too(tmp_path, caplog):
    bench = make_bench(tmp_path / "bench")
    (bench / "table1.json").unlink()
    for name in ("dcp", "cnn", "cold <&>"):
        shutil.rmtree(bench / "cells" / name)
    for fold in (1, 2):
        shutil.rmtree(bench / "cells" / "2dc" / f"fold{fold}")
    cell = bench / "cells" / "2dc" / "fold0" / "seed0"
    (cell / "test" / "predictions.npz").write_bytes(b"damaged")
    (cell / "test" / "latents.npz").unlink()
    shutil.rmtree(cell / "run" / "latents")
    (cell / "run" / "history.jsonl").write_text('{"iteration": 0, "validation/bound": -1}\n{"iter')
    made = report(bench, tmp_path / "out")
    words = " ".join(Page(made.read_text(encoding="utf-8")).words.split())
    for reason in (
        "no table1.json",
        "did not write image_mse",
        "no finished cell of a stack with two coders",
        "no line without warm-up",
        "no finished cell was trained for more than one iteration",
        "no finished cell with saved codes",
        "predictions.npz cannot be read",
    ):
        assert reason in words, reason
    assert {path.stem for path in made.parent.glob("*.png")} == {"fig3c_bound", "fig8_faces_2dc"}


def test_command(tmp_path, capsys):
    assert command.main(["deepcoder-report", f"--bench_dir={tmp_path}"]) == 1
    assert "no bench" in capsys.readouterr().err
    assert command.main(["deepcoder-report"]) == 2
    assert "--bench_dir" in capsys.readouterr().err
    bench = make_bench(tmp_path / "bench")
    shutil.rmtree(bench / "cells")
    arguments = [f"--bench_dir={bench}", f"--output_dir={tmp_path / 'out'}"]
    assert command.main(["deepcoder-report", *arguments]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "report.html", "icc_by_system.png", "icc_by_system.svg", "icc_differences.png",
        "icc_differences.svg",
    }  # fmt: skip
    wrong = ["deepcoder-report", *arguments, f"--data_dir={tmp_path}"]
    assert command.main(wrong) == 1
    assert "no prepared folder" in capsys.readouterr().err


# In a real browser --------------------------------------------------------------------------------


PROBE = """<script>addEventListener("load", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
  const images = [...document.images];
  Promise.allSettled(images.map(image => image.decode())).then(results => {
    const broken = results.filter(one => one.status != "fulfilled").length
      + images.filter(image => !image.naturalWidth || !image.clientWidth).length;
    const page = document.documentElement;
    document.body.dataset.found =
      [images.length, broken, page.scrollWidth - page.clientWidth].join(" ");
  });
});</script></body>"""


def browse(tmp_path: Path, *arguments: str) -> str:
    """Runs chromium without a screen."""
    assert CHROMIUM is not None
    done = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--disable-dev-shm-usage", "--virtual-time-budget=20000",
            f"--user-data-dir={tmp_path / 'profile'}", *arguments,
        ],
        capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-500:]
    return done.stdout


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
@pytest.mark.parametrize("width", [1280, 500])
def test_a_browser_shows_every_image_and_scrolls_only_down(tmp_path, made, width):
    probed = tmp_path / "probed.html"
    probed.write_text(made.read_text(encoding="utf-8").replace("</body>", PROBE), encoding="utf-8")
    tree = browse(tmp_path, f"--window-size={width},900", "--dump-dom", probed.as_uri())
    found = re.search(r'data-found="(\d+) (\d+) (-?\d+)"', tree)
    assert found, "the page did not load"
    images, broken, sideways = map(int, found.groups())
    assert (images, broken, sideways) == (len(FIGURES), 0, 0)


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_a_browser_paints_the_page(tmp_path, made):
    shot = tmp_path / "page.png"
    browse(tmp_path, "--window-size=900,2600", f"--screenshot={shot}", made.as_uri())
    picture = cv2.imread(str(shot)).astype(int)
    assert picture.shape[:2] == (2600, 900)
    # Not blank anywhere from top to bottom, and with the colours of the figures.
    assert all(band.std() > 5 for band in np.array_split(picture, 6))
    blue = np.abs(picture - np.array([0xB2, 0x72, 0x00])).max(-1) < 12
    assert blue.sum() > 200
