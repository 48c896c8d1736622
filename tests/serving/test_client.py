"""deepcoder-client: the CSV of deepcoder-predict, and servers that are not as they should be."""

from __future__ import annotations

import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import grpc
import numpy as np
import pytest

from deepcoder_tf.cli import client, predict
from deepcoder_tf.errors import UserError
from deepcoder_tf.export import CARD, retries
from deepcoder_tf.export.client import RemoteModel
from deepcoder_tf.export.retries import ServerError, with_retries
from deepcoder_tf.prediction.model import ServingModel
from deepcoder_tf.prediction.rows import EXPRESSION_COLUMNS
from tests.serving.conftest import DEPLOY, OUTSIDE, Adapter
from tests.serving.given import crops, inputs_of

pytestmark = pytest.mark.skipif(bool(OUTSIDE), reason="kills and misuses its servers")

FORMS = ["grpc", "rest"]

COLD = "--enable_model_warmup=false"
"""For servers that are asked one thing only: preparing every signature takes longer than that."""


def command(*arguments: object) -> int:
    return client.main(["deepcoder-client", *map(str, arguments)])


def predicted(folder: Path, output: Path, *arguments: object) -> bytes:
    """What deepcoder-predict writes."""
    given = ["deepcoder-predict", f"--model={folder}", f"--output={output}", *arguments]
    assert predict.main(list(map(str, given))) == 0
    return output.read_bytes()


def address(adapter: Adapter, form: str) -> str:
    found = getattr(adapter.server, form)
    assert found is not None
    return found


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["deepcoder", "points", "expressions", "patches"])
def test_the_csv_is_that_of_predict(adapter, exports, photo, video, tmp_path, capsys, form, name):
    version = 2 if name == "deepcoder" else 1
    wanted = predicted(exports / name / str(version), tmp_path / "local.csv", photo, video)
    told = capsys.readouterr().out
    output = tmp_path / "remote.csv"
    server = address(adapter, form)
    arguments = [f"--server={server}", f"--model_name={name}", f"--output={output}"]
    assert command(*arguments, photo, video) == 0
    assert capsys.readouterr().out == told.replace("local.csv", "remote.csv")
    assert output.read_bytes() == wanted
    assert wanted.count(b",ok,") == 12
    if name in ("expressions", "patches"):
        columns = wanted.split(b"\n")[0].decode().split(",")
        assert columns[7:] == EXPRESSION_COLUMNS and len(columns) == 17


@pytest.mark.parametrize("form", FORMS)
def test_versions_and_labels(adapter, exports, form):
    faces = crops(3)
    server = address(adapter, form)
    local = {
        v: ServingModel(exports / "deepcoder" / str(v)).probabilities(faces, 4) for v in (1, 2)
    }
    assert np.abs(local[1] - local[2]).max() > 0.01
    for options, version in (
        ({}, 2),
        ({"version": 1}, 1),
        ({"version": 2}, 2),
        ({"label": "stable"}, 1),
        ({"label": "canary"}, 2),
    ):
        model = RemoteModel(server, "deepcoder", **options)
        np.testing.assert_array_equal(model.probabilities(faces, 4), local[version])
        model.close()
    one, other = (RemoteModel(server, "deepcoder", version=v).identity for v in (1, 2))
    assert one != other


@pytest.mark.parametrize("form", FORMS)
def test_a_model_card_in_place_of_the_question(adapter, points_model, form, monkeypatch):
    """A server that cannot describe its model needs a file; nothing but crops is then asked."""
    server = address(adapter, form)
    monkeypatch.setattr(RemoteModel, "_ask", None)
    model = RemoteModel(server, points_model.name, model_card=points_model.folder / CARD)
    local = ServingModel(points_model.folder)
    given = inputs_of("serving_default", points_model.card, 5)
    faces, points = given[local.description.parts.faces], given["landmarks"]
    np.testing.assert_array_equal(
        model.probabilities(faces, 4, points), local.probabilities(faces, 4, points)
    )
    assert model.needs_landmarks
    with pytest.raises(ValueError, match="wants landmarks"):
        model.probabilities(faces, 4)


def test_rest_without_pictures_sends_numbers(adapter, exports, tmp_path):
    """For exports that lack `from_jpeg`."""
    card = json.loads((exports / "deepcoder" / "2" / CARD).read_text())
    del card["signatures"]["from_jpeg"]
    path = tmp_path / "deepcoder.json"
    path.write_text(json.dumps(card))
    model = RemoteModel(address(adapter, "rest"), "deepcoder", model_card=path)
    local = ServingModel(exports / "deepcoder" / "2")
    np.testing.assert_array_equal(
        model.probabilities(crops(2), 2), local.probabilities(crops(2), 2)
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("name", "card"), [("deepcoder", "expressions"), ("expressions", "deepcoder")]
)
def test_a_model_card_of_another_model(adapter, exports, photo, tmp_path, capsys, form, name, card):
    """Of the other kind: its faces are refused, in one line."""
    output, server = tmp_path / "out.csv", address(adapter, form)
    where = [f"--server={server}", f"--model_name={name}", f"--output={output}"]
    assert command(*where, f"--model_card={exports / card / '1' / CARD}", photo) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error: " in line]
    signature = "serving_default" if form == "grpc" else "from_jpeg"
    assert f"{server} refused {signature} of {name}: INVALID_ARGUMENT" in line
    assert f"is --model_card={exports / card / '1' / CARD} that of" in line and not output.exists()


# A server that goes away --------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_a_killed_server_loses_no_row_and_the_same_command_goes_on(
    adapter, models_config, exports, video, tmp_path, capsys, monkeypatch, form
):
    wanted = predicted(exports / "deepcoder" / "2", tmp_path / "local.csv", "--batch_size=2", video)
    doomed = Adapter(COLD, f"--model_config_file={models_config}")
    server = address(doomed, form)
    answer, answered = RemoteModel.answer, 0

    def killing(self, faces):
        nonlocal answered
        if answered == 3:
            doomed.kill()
        answered += 1
        return answer(self, faces)

    monkeypatch.setattr(RemoteModel, "answer", killing)
    monkeypatch.setattr(retries, "FIRST_WAIT", 0.01)
    output = tmp_path / "out.csv"
    arguments = ["--model_name=deepcoder", f"--output={output}", "--batch_size=2", video]
    capsys.readouterr()
    assert command(f"--server={server}", "--retries=2", *arguments) == 1
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(error) == 1 and f"{server} cannot be reached (" in error[0]
    assert "3 tries" in error[0] and f"6 finished frames are in {output}.partial" in error[0]
    assert not output.exists()
    partial = (tmp_path / "out.csv.partial").read_bytes()
    assert partial.count(b"\n") == 7 and wanted.startswith(partial)
    # Another port: where the server is does not matter, what it serves does.
    monkeypatch.setattr(RemoteModel, "answer", answer)
    assert command(f"--server={address(adapter, form)}", *arguments) == 0
    assert output.read_bytes() == wanted
    assert not list(tmp_path.glob("out.csv.*"))


@pytest.mark.slow
def test_a_server_that_comes_back_is_not_noticed(models_config, exports, photo, tmp_path):
    """Requests wait for a server that is being started again."""
    first = Adapter(COLD, f"--model_config_file={models_config}")
    assert first.server.grpc is not None
    model = RemoteModel(first.server.grpc, "deepcoder", version=2, retries=60)
    wanted = ServingModel(exports / "deepcoder" / "2").probabilities(crops(2), 2)
    np.testing.assert_array_equal(model.probabilities(crops(2), 2), wanted)
    first.kill()
    answers: list[np.ndarray] = []
    waiting = threading.Thread(target=lambda: answers.append(model.probabilities(crops(2), 2)))
    waiting.start()
    port = first.server.grpc.rpartition(":")[2]
    second = Adapter(COLD, f"--model_config_file={models_config}", f"--port={port}")
    waiting.join()
    second.kill()
    np.testing.assert_array_equal(answers[0], wanted)


class Moody(BaseHTTPRequestHandler):
    """Answers with the statuses of a list, the last one for ever."""

    statuses: list[int]
    seen: list[str]
    body = b'{"error": "The batch scheduling queue is full"}'

    def do_GET(self) -> None:
        self.seen.append(self.path)
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        self.send_response(status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def moody():
    """A web server that answers as it is told; gives its address and what was asked."""
    servers = []

    def start(*statuses: int, body: bytes = Moody.body) -> tuple[str, list[str]]:
        kind = type("Told", (Moody,), {"statuses": list(statuses), "seen": [], "body": body})
        server = HTTPServer(("127.0.0.1", 0), kind)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}", kind.seen

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_busy_gateways_are_asked_again_and_refusals_are_not(moody, monkeypatch):
    monkeypatch.setattr(retries, "FIRST_WAIT", 0.001)
    server, seen = moody(503, 502, 429, 400)
    with pytest.raises(
        UserError, match="refused describe of demo label a/b: INVALID_ARGUMENT HTTP"
    ):
        RemoteModel(server, "demo", label="a/b")
    assert seen == ["/v1/models/demo/labels/a%2Fb/metadata"] * 4
    server, seen = moody(503)
    with pytest.raises(UserError, match=r"cannot be reached \(HTTP 503: The batch .*; 3 tries\)"):
        RemoteModel(server, "demo", retries=2)
    assert len(seen) == 3


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"metadata": 3}'])
def test_an_answer_that_is_none(moody, body):
    server, _ = moody(200, body=body)
    with pytest.raises(UserError, match="refused describe of demo: INTERNAL") as raised:
        RemoteModel(server, "demo")
    assert "\n" not in str(raised.value)


def test_waits_grow_and_are_cut_at_random():
    waits: list[float] = []

    def never() -> None:
        raise ServerError(grpc.StatusCode.UNAVAILABLE, "down")

    with pytest.raises(ServerError, match="down"):
        with_retries(never, 8, waits.append)
    longest = [0.5, 1, 2, 4, 8, 8, 8, 8]
    assert len(waits) == 8
    for wait, most in zip(waits, longest, strict=True):
        assert most / 2 <= wait <= most
    assert len(set(waits)) == 8


@pytest.mark.parametrize("status", ["INVALID_ARGUMENT", "NOT_FOUND", "DEADLINE_EXCEEDED"])
def test_what_another_try_would_only_repeat(status):
    calls = []

    def refused() -> None:
        calls.append(1)
        raise ServerError(grpc.StatusCode[status], "no\nbecause of this trace")

    with pytest.raises(ServerError, match=f"{status}: no$"):
        with_retries(refused, 5, lambda seconds: None)
    assert calls == [1]


# Mistakes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--model_name=gone"],
            "serves no gone (",
        ),
        (["--model_name=deepcoder", "--version=7"], "serves no deepcoder version 7 ("),
        (["--model_name=deepcoder", "--label=beta"], "serves no deepcoder label beta ("),
        (["--model_name=deepcoder", "--batch_size=64"], "larger than maximum input batch size 32"),
        (["--model_name=deepcoder", "--model_card=gone.json"], "reading gone.json failed"),
    ],
)
def test_a_wrong_name_is_one_line(adapter, photo, tmp_path, capsys, form, flags, message):
    server = address(adapter, form)
    output = tmp_path / "out.csv"
    assert command(f"--server={server}", f"--output={output}", *flags, photo) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if "error: " in line]
    assert len(lines) == 1 and message in lines[0], lines
    assert not output.exists()


def test_nobody_there(photo, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(retries, "FIRST_WAIT", 0.001)
    rest = [f"--output={tmp_path / 'out.csv'}", "--model_name=demo", "--retries=1", photo]
    for server in ("127.0.0.1:1", "http://127.0.0.1:1"):
        assert command(f"--server={server}", *rest) == 1
        error = capsys.readouterr().err
        assert f"error: {server} cannot be reached (" in error and "refused" in error.lower()
    for server in ("localhost", "ftp://localhost:21", "http://", "localhost:port"):
        assert command(f"--server={server}", *rest) == 1
        assert f"error: --server={server} is no address; give HOST:8500" in capsys.readouterr().err


def test_the_port_of_the_other_protocol(adapter, photo, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(retries, "FIRST_WAIT", 0.001)
    grpc_port, rest = adapter.server.grpc, adapter.server.rest
    arguments = [f"--output={tmp_path / 'out.csv'}", "--model_name=deepcoder", "--retries=1", photo]
    for server in (f"http://{grpc_port}", rest.removeprefix("http://")):
        assert command(f"--server={server}", *arguments) == 1
        lines = capsys.readouterr().err.splitlines()
        assert sum(line.startswith("error: ") for line in lines) == 1


def test_an_export_without_the_signature(exports, tmp_path):
    """An older export, and a model of somebody else."""
    import tensorflow as tf

    module = tf.Module()
    specs = [tf.TensorSpec([None, 240, 160, 1], tf.uint8, name="crops")]
    module.serve = tf.function(
        lambda crops: {"level_probabilities": tf.zeros([tf.shape(crops)[0], 2, 6])}, specs
    )
    tf.saved_model.save(module, str(tmp_path / "old" / "1"), {"serving_default": module.serve})
    tf.saved_model.save(module, str(tmp_path / "other" / "1"), {"classify": module.serve})
    config = tmp_path / "models.config"
    config.write_text(
        "model_config_list {"
        + "".join(
            f' config {{ name: "{name}" base_path: "{tmp_path / name}" }}'
            for name in ("old", "other")
        )
        + "}"
    )
    adapter = Adapter(COLD, f"--model_config_file={config}")
    try:
        for form in FORMS:
            check_missing_signatures(address(adapter, form), form, exports / "deepcoder/1" / CARD)
    finally:
        adapter.kill()


def check_missing_signatures(server: str, form: str, card: Path) -> None:
    """Each is named, with what to do."""
    with pytest.raises(
        UserError, match=r"old version 1 has no signature describe .*; give --model_card="
    ):
        RemoteModel(server, "old")
    with pytest.raises(
        UserError, match=r"other version 1 has no signature serving_default .*; export"
    ):
        RemoteModel(server, "other")
    model = RemoteModel(server, "other", model_card=card)
    wanted = "from_jpeg" if form == "rest" else "serving_default"
    with pytest.raises(UserError, match=f"other has no signature {wanted}"):
        model.probabilities(crops(1), 1)
    if form == "grpc":
        old = RemoteModel(server, "old", model_card=card)
        assert (old.probabilities(crops(1), 1) == 0).all()


@pytest.mark.parametrize(
    "options",
    [{"version": 1, "label": "stable"}, {"timeout": 0}, {"retries": -1}],
)
def test_misuse_of_the_library_is_a_valueerror(options):
    with pytest.raises(ValueError, match=r"version|timeout"):
        RemoteModel("localhost:8500", "demo", **options)


@pytest.mark.parametrize(
    "wrong",
    ["--version=0", "--timeout=0", "--retries=-1", "--batch_size=0", "--label=a --version=1"],
)
def test_wrong_flags_are_exit_code_2(photo, tmp_path, wrong, capsys):
    output = f"--output={tmp_path / 'out.csv'}"
    assert command("--server=h:1", "--model_name=m", output, *wrong.split(), photo) == 2
    assert wrong.split("=")[0].strip("-") in capsys.readouterr().err


# Rolling forward and back -------------------------------------------------------------------------


@pytest.mark.slow
def test_labels_move_while_clients_ask(exports, tmp_path):
    """The steps of deploy/README.md, on a server that has only version 1 at first."""
    from google.protobuf import text_format
    from tensorflow_serving.apis import model_management_pb2, model_service_pb2_grpc

    from tests.serving.servables import read_config

    base = tmp_path / "deepcoder"
    shutil.copytree(exports / "deepcoder" / "1", base / "1")
    config = read_config(DEPLOY / "models.config")
    (model,) = config.model_config_list.config
    model.base_path = str(base)
    path = tmp_path / "models.config"
    path.write_text(text_format.MessageToString(config))
    adapter = Adapter(COLD, f"--model_config_file={path}")
    try:
        server = adapter.server.grpc
        service = model_service_pb2_grpc.ModelServiceStub(grpc.insecure_channel(server))

        def reload() -> None:
            service.HandleReloadConfigRequest(
                model_management_pb2.ReloadConfigRequest(config=config), timeout=60
            )

        faces = crops(2)
        local = [
            ServingModel(exports / "deepcoder" / v).probabilities(faces, 2) for v in ("1", "2")
        ]

        def heard(client: RemoteModel) -> int:
            """Which version answers."""
            return 1 + int(np.array_equal(client.probabilities(faces, 2), local[1]))

        def answers() -> list[int]:
            """What clients hear that begin now."""
            return [
                heard(RemoteModel(server, "deepcoder", label=name)) for name in ("stable", "canary")
            ]

        early = RemoteModel(server, "deepcoder", label="canary")

        assert answers() == [1, 1]
        # A label on a version that is not loaded is refused, and nothing has changed.
        model.version_labels["canary"] = 2
        with pytest.raises(grpc.RpcError, match="not currently available"):
            reload()
        assert answers() == [1, 1]
        shutil.copytree(exports / "deepcoder" / "2", base / "2")
        model.version_labels["canary"] = 1
        model.model_version_policy.specific.versions.append(2)
        reload()
        assert answers() == [1, 1]
        model.version_labels["canary"] = 2
        reload()
        assert answers() == [1, 2]
        # A client that began before stays with its version.
        assert heard(early) == 1 and heard(RemoteModel(server, "deepcoder")) == 2
        model.version_labels["stable"] = 2
        reload()
        assert answers() == [2, 2]
        for label in ("stable", "canary"):
            model.version_labels[label] = 1
        reload()
        assert answers() == [1, 1]
    finally:
        adapter.kill()
