"""Every route, on a tiny model: the right numbers pass, wrong ones are told."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from tools.parity import servers
from tools.parity.__main__ import main
from tools.parity.measure import measure
from tools.parity.route import Limit, Route, UnavailableError
from tools.parity.routes import ROUTES, c_api

PACKAGES = {
    "onnxruntime": ("tf2onnx", "onnxruntime"),
    "openvino": ("openvino",),
    "kserve": ("kserve",),
}
"""What a route needs beside what the package itself installs."""

SIGNATURES = ["serving_default", "encode", "from_jpeg", "from_landmarks", "reconstruct"]
ASKED_OF_PROGRAMS = ["serving_default", "from_landmarks"]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_the_route_gives_the_same_number(run, export, reference, route):
    for package in PACKAGES.get(route.name, ()):
        pytest.importorskip(package)
    if route.name.startswith("tflite"):
        assert [
            row.skipped for row in measure(run, export, reference, [route], SIGNATURES[:1])
        ] == [f"exported without --tflite={route.name.split()[1]}"]
        return
    # Programs take seconds to start: crops and the bytes of pictures are enough for them.
    asked = SIGNATURES if route.name == "saved_model" else ASKED_OF_PROGRAMS
    rows = list(measure(run, export, reference, [route], asked))
    if rows[0].skipped:
        pytest.skip(rows[0].skipped)
    wanted = asked if route.every_signature else asked[:1]
    assert [(row.signature, row.verdict, row.wrong) for row in rows] == [
        (name, "passed", "") for name in wanted
    ]
    for row in rows:
        assert row.differences is not None
        assert all(np.isfinite(v) for v in row.differences.largest.values())


@pytest.mark.parametrize("variant", ["float32", "float16"])
def test_the_variants_for_tflite_give_the_same_number(run, lite_export, reference, variant):
    (route,) = [route for route in ROUTES if route.name == f"tflite {variant}"]
    (row,) = measure(run, lite_export, reference, [route], SIGNATURES[:1])
    assert (row.verdict, row.wrong) == ("passed", "")
    assert row.differences is not None and row.differences.largest["intensity"] > 0


def test_int8_is_judged_by_its_mean():
    (route,) = [route for route in ROUTES if route.name == "tflite int8"]
    assert route.limit == Limit(np.inf, 0.05)


def test_the_c_program_says_what_is_wrong(export, tmp_path):
    try:
        program = c_api.build(tmp_path)
    except UnavailableError as reason:
        pytest.skip(str(reason))
    (tmp_path / "short").write_bytes(b"1")
    for arguments, message in {
        (str(tmp_path), "out:x:0:y"): "usage",
        (str(tmp_path), "out:x:0:y", "out:x:0:y"): "Could not find SavedModel",
        (str(export), "out:x:0:y", "out:x:0:y"): "x: no such operation in the graph",
        (
            str(export),
            f"in:serving_default_crops:0:uint8:1,240,160,1:{tmp_path / 'short'}",
            "out:x:0:y",
        ): "has another size than its tensor",
        (str(export), "in:serving_default_crops:0:half:1:x", "out:x:0:y"): "half: is no type",
        (str(export), "side:x:0", "out:x:0:y"): "is neither in nor out",
    }.items():
        with pytest.raises(RuntimeError, match=message):
            c_api.run_program([str(program), *arguments])


def test_without_a_compiler_the_c_route_is_skipped(run, export, monkeypatch, capsys):
    monkeypatch.setenv("CC", "no-such-compiler")
    assert command(run, export, "--routes=c_api") == 0
    printed = capsys.readouterr().out
    assert "skipped; no C compiler here" in printed
    assert "0 of 2 passed, 2 could not run here" in printed


def command(run, export, *flags: str) -> int:
    """The exit code of the program, which is asked about two signatures."""
    asked = "--signatures=serving_default,encode"
    return main(["parity", f"--model_dir={run}", f"--export={export}", asked, *flags])


def test_the_table_passes_a_right_export(run, export, tmp_path, capsys):
    result = tmp_path / "parity.json"
    assert command(run, export, "--routes=saved_model", f"--json={result}") == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[0].startswith("route")
    assert "2 of 2 passed, 0 could not run here" in printed
    document = json.loads(result.read_text())
    assert document["versions"]["tensorflow"] and document["fingerprint"]
    assert [row["verdict"] for row in document["rows"]] == ["passed"] * 2
    largest = document["rows"][0]["differences"]["largest"]
    assert set(largest) == {"intensity", "standard_deviation", "level_probabilities"}


def test_the_table_catches_a_wrong_export(run, wrong_export, tmp_path, capsys):
    result = tmp_path / "parity.json"
    flags = ["--routes=saved_model,xla", f"--json={result}"]
    assert command(run, wrong_export, *flags) == 1
    told = capsys.readouterr()
    assert told.err.startswith("error: not the same number everywhere: saved_model/serving_default")
    assert told.out.count("FAILED; intensity by") == 2
    verdicts = {
        (r["route"], r["signature"]): r["verdict"] for r in json.loads(result.read_text())["rows"]
    }
    assert verdicts["xla", "serving_default"] == "FAILED"
    # The weight that was changed reads levels off codes: the codes are right.
    assert verdicts["saved_model", "encode"] == "passed"


def test_a_damaged_export_is_told_in_one_line(run, export, tmp_path, capsys):
    cut = shutil.copytree(export, tmp_path / "1")
    (cut / "assets.extra" / "deepcoder.json").unlink()
    assert command(run, cut) == 1
    assert "has no assets.extra" in capsys.readouterr().err
    assert command(run, export, "--signatures=fax") == 1
    assert "has no signature fax; it has serving_default," in capsys.readouterr().err
    assert command(run, export, "--routes=fax") == 1
    assert "--routes: no route fax; there are saved_model," in capsys.readouterr().err


def test_a_route_that_breaks_does_not_stop_the_others(run, export, reference):
    def breaks(question):
        raise RuntimeError("it broke\nand said a lot")

    broken = Route("broken", "", Limit(1.0), breaks)
    rows = list(measure(run, export, reference, [broken], SIGNATURES[:1]))
    assert [(row.verdict, row.wrong) for row in rows] == [("FAILED", "RuntimeError: it broke")]


@pytest.mark.parametrize("name", sorted({p for needed in PACKAGES.values() for p in needed}))
def test_a_missing_package_is_a_reason(run, export, reference, name, monkeypatch):
    import builtins
    import importlib.util

    real_import, real_find = builtins.__import__, importlib.util.find_spec

    def refuse(module, *rest, **more):
        if module.split(".")[0] == name:
            raise ImportError(name)
        return real_import(module, *rest, **more)

    servers.kserve.cache_clear()  # another test may have started it
    monkeypatch.setattr(builtins, "__import__", refuse)
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n, *rest: None if n == name else real_find(n, *rest)
    )
    (route,) = [r for r in ROUTES if name in PACKAGES.get(r.name, ())]
    (row,) = measure(run, export, reference, [route], SIGNATURES[:1])
    assert row.verdict == "skipped" and "not installed" in row.skipped
