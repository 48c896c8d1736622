"""What a server of our exports must do: right numbers, error statuses, and go on after errors."""

from __future__ import annotations

import base64
import threading
import time

import grpc
import numpy as np
import pytest
import requests
import tensorflow as tf

from deepcoder_tf.export.retries import ServerError
from tests.serving.given import (
    bomb_jpeg,
    bomb_png,
    crops,
    files,
    inputs_of,
    parts_of,
    shape_of,
)

ROUTES = ["grpc", "rest"]
SIGNATURES = [
    "serving_default",
    "from_jpeg",
    "from_landmarks",
    "encode",
    "reconstruct",
    "swap",
    "describe",
]

Code = grpc.StatusCode
REFUSED = {Code.INVALID_ARGUMENT, Code.OUT_OF_RANGE, Code.FAILED_PRECONDITION, Code.UNKNOWN}
TOO_MUCH = REFUSED | {Code.RESOURCE_EXHAUSTED}


def expected(model, signature: str, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The SavedModel's own answer, in Python."""
    tensors = {
        name: tf.constant(list(v), tf.string) if v.dtype == object else tf.constant(v)
        for name, v in given.items()
    }
    answer = model.loaded.signatures[signature](**tensors)
    return {name: value.numpy() for name, value in answer.items()}


def check(model, calls, signature: str, count: int, seed: int = 0) -> None:
    """One request, and all of its numbers."""
    given = inputs_of(signature, model.card, count, seed)
    wanted = expected(model, signature, given)
    found = calls.predict(signature, given, list(wanted))
    for name, values in wanted.items():
        assert found[name].shape == values.shape, name
        if values.dtype == object:
            texts = [t.decode() if isinstance(t, bytes) else t for t in found[name].ravel()]
            assert texts == [text.decode() for text in values.ravel()], name
        else:
            np.testing.assert_allclose(found[name], values, atol=1e-5, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("signature", SIGNATURES)
def test_every_signature_gives_the_numbers_of_the_savedmodel(server, model, route, signature):
    if signature not in model.card["signatures"]:
        pytest.skip(f"the model has no signature {signature}")
    calls = server.calls(route, model.name, model.version)
    for count in (1, 3, 5):
        check(model, calls, signature, count, seed=count)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("signature", ["serving_default", "from_jpeg", "from_landmarks", "encode"])
def test_a_model_with_landmarks(server, points_model, route, signature):
    if signature not in points_model.card["signatures"]:
        pytest.skip(f"the model has no signature {signature}")
    calls = server.calls(route, points_model.name, 1)
    for count in (1, 4):
        check(points_model, calls, signature, count, seed=count)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("signature", ["serving_default", "from_jpeg"])
def test_landmarks_that_are_not_those_of_the_faces(server, points_model, route, signature):
    """Too few points, none at all, and by gRPC, whose inputs have rows each, too few faces."""
    calls = server.calls(route, points_model.name, 1)
    given = inputs_of(signature, points_model.card, 3)
    points = given.pop("landmarks")
    wrong = [("landmarks", points[:, :30]), ("landmarks", points[..., :1]), ("points", points)]
    wrong += [("landmarks", points[:1]), ("landmarks", points[:2])] if route == "grpc" else []
    for name, values in wrong:
        with pytest.raises(ServerError) as raised:
            calls.predict(signature, {**given, name: values}, [points_model.answer])
        assert raised.value.status in REFUSED, raised.value
        if len(values) < 3:
            assert "landmarks must be as many" in raised.value.reason
    check(points_model, calls, signature, 1)


@pytest.mark.parametrize("route", ROUTES)
def test_the_metadata_are_those_of_the_card(server, model, route):
    version, found = server.calls(route, model.name, model.version).metadata()
    assert version == model.version
    for name, signature in model.card["signatures"].items():
        assert found[name] == tuple(sorted(signature["inputs"])), name
    assert set(found) - set(model.card["signatures"]) <= {"__saved_model_init_op"}


def test_the_status_says_available(server, model):
    if server.rest is None:
        pytest.skip("the server has no address for rest")
    found = requests.get(f"{server.rest}/v1/models/{model.name}", timeout=10)
    assert found.status_code == 200
    states = [version["state"] for version in found.json()["model_version_status"]]
    assert "AVAILABLE" in states
    assert requests.get(f"{server.rest}/v1/models/gone", timeout=10).status_code == 404


def changed(given: dict[str, np.ndarray], name: str, values: object) -> dict[str, np.ndarray]:
    return {**given, name: np.asarray(values)}


def of_bytes(*contents: bytes) -> np.ndarray:
    found = np.empty(len(contents), object)
    found[:] = contents
    return found


def bad_requests(model) -> dict[str, tuple[str, dict[str, np.ndarray], set[grpc.StatusCode]]]:
    """Name, then signature, inputs and the statuses that will do.

    Signatures that not every model has add some of their own.
    """
    faces, shape = parts_of(model.card).faces, shape_of(model.card)
    default = inputs_of("serving_default", model.card, 2)
    drawn = default[faces]
    jpeg = files(crops(1, shape=shape), ".jpg")[0]
    picture = {"pictures": files(drawn)}
    other_channels = np.repeat(drawn[..., :1], 4 - shape[2], axis=-1)
    return {
        "wrong dtype": (
            "serving_default",
            changed(default, faces, drawn.astype(np.float32) + 0.5),
            REFUSED,
        ),
        "wrong shape": ("serving_default", changed(default, faces, drawn[:, :40]), REFUSED),
        "wrong channels": ("serving_default", changed(default, faces, other_channels), REFUSED),
        "wrong rank": ("serving_default", changed(default, faces, np.uint8([3, 4])), REFUSED),
        "no images": ("serving_default", changed(default, faces, drawn[:0]), REFUSED),
        "no pictures": ("from_jpeg", {"pictures": of_bytes()}, REFUSED),
        "10,000 images": ("from_jpeg", {"pictures": of_bytes(*[jpeg] * 10_000)}, TOO_MUCH),
        "10,000 faces": ("describe", {"faces": np.zeros(10_000, np.int32)}, TOO_MUCH),
        "truncated JPEG": (
            "from_jpeg",
            {"pictures": of_bytes(jpeg, jpeg[: len(jpeg) // 3])},
            REFUSED,
        ),
        "JPEG bomb": ("from_jpeg", {"pictures": of_bytes(bomb_jpeg())}, TOO_MUCH),
        "PNG bomb": ("from_jpeg", {"pictures": of_bytes(bomb_png())}, TOO_MUCH),
        "empty file": ("from_jpeg", {"pictures": of_bytes(b"")}, REFUSED),
        "no picture": ("from_jpeg", {"pictures": of_bytes(b"%PDF-1.7 and so on")}, REFUSED),
        "a picture of another size": ("from_jpeg", {"pictures": files(drawn[:1, 8:])}, REFUSED),
        "an unknown input": ("from_jpeg", {**picture, "colour": np.zeros(2, np.int32)}, REFUSED),
        "an unknown signature": ("from_dreams", default, REFUSED),
        **(bad_photos(model) if "from_landmarks" in model.card["signatures"] else {}),
        **(bad_swaps(model) if "swap" in model.card["signatures"] else {}),
    }


def bad_photos(model) -> dict[str, tuple[str, dict[str, np.ndarray], set[grpc.StatusCode]]]:
    """Of `from_landmarks`; see `bad_requests`."""
    given = inputs_of("from_landmarks", model.card, 2)
    whole, points = given["pictures"][0], given["landmarks"]
    wrong = {
        "truncated JPEG of a photo": changed(given, "pictures", of_bytes(whole, whole[:200])),
        "JPEG bomb as a photo": {"pictures": of_bytes(bomb_jpeg()), "landmarks": points[:1]},
        "fewer landmarks than there are": changed(given, "landmarks", points[:, :30]),
        "a photo without landmarks": {"pictures": given["pictures"]},
    }
    return {name: ("from_landmarks", inputs, TOO_MUCH) for name, inputs in wrong.items()}


def bad_swaps(model) -> dict[str, tuple[str, dict[str, np.ndarray], set[grpc.StatusCode]]]:
    """Of `swap`; see `bad_requests`."""
    given = inputs_of("swap", model.card, 2)
    wrong = {
        "nobody to swap with": {"faces": given["faces"]},
        "others of another size": changed(given, "others", given["others"][:, 8:]),
        "others of another type": changed(given, "others", given["others"] / 255),
    }
    return {name: ("swap", inputs, REFUSED) for name, inputs in wrong.items()}


BAD = [
    "wrong dtype",
    "wrong shape",
    "wrong channels",
    "wrong rank",
    "no images",
    "no pictures",
    "10,000 images",
    "10,000 faces",
    "truncated JPEG",
    "JPEG bomb",
    "PNG bomb",
    "empty file",
    "no picture",
    "a picture of another size",
    "an unknown input",
    "an unknown signature",
]
BAD_PHOTOS = [
    "truncated JPEG of a photo",
    "JPEG bomb as a photo",
    "fewer landmarks than there are",
    "a photo without landmarks",
]
BAD_SWAPS = ["nobody to swap with", "others of another size", "others of another type"]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("which", [*BAD, *BAD_PHOTOS, *BAD_SWAPS])
def test_a_bad_request_gets_an_error_and_the_next_one_its_answer(server, model, route, which):
    requests_of_model = bad_requests(model)
    if which not in requests_of_model:
        pytest.skip("the model has no signature for it")
    signature, given, allowed = requests_of_model[which]
    calls = server.calls(route, model.name, model.version)
    with pytest.raises(ServerError) as raised:
        calls.predict(signature, given, [model.answer])
    assert raised.value.status in allowed, raised.value
    check(model, calls, "serving_default", 1)


def test_there_is_a_name_for_every_bad_request(model):
    signatures = model.card["signatures"]
    photos, swaps = "from_landmarks" in signatures, "swap" in signatures
    assert list(bad_requests(model)) == BAD + BAD_PHOTOS * photos + BAD_SWAPS * swaps


def test_faces_and_others_that_are_not_as_many(server, model):
    """By gRPC: the rows of JSON cannot be so."""
    if "swap" not in model.card["signatures"]:
        pytest.skip("the model has no signature swap")
    calls = server.calls("grpc", model.name, model.version)
    given = inputs_of("swap", model.card, 3)
    for others in (given["others"][:1], given["others"][:2]):
        with pytest.raises(ServerError, match="faces and others must be as many"):
            calls.predict("swap", {**given, "others": others}, ["swapped"])
    check(model, calls, "swap", 1)


@pytest.mark.parametrize("route", ROUTES)
def test_a_model_that_is_not_there(server, model, route):
    given = inputs_of("serving_default", model.card, 1)
    cases = [(("gone",), Code.NOT_FOUND), ((model.name, 77), Code.NOT_FOUND)]
    cases += [((model.name, None, "nobody"), Code.INVALID_ARGUMENT)]
    for which, status in cases:
        with pytest.raises(ServerError) as raised:
            server.calls(route, *which).predict("serving_default", given, [model.answer])
        assert raised.value.status is status, raised.value


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"{}", b'{"instances": 3}', b'{"instances": []}', b'{"inputs": null}'],
)
def test_json_that_is_no_request(server, model, body):
    if server.rest is None:
        pytest.skip("the server has no address for rest")
    url = f"{server.rest}/v1/models/{model.name}/versions/{model.version}:predict"
    answer = requests.post(url, data=body, timeout=30)
    assert answer.status_code == 400 and answer.json()["error"]
    check(model, server.calls("rest", model.name, model.version), "serving_default", 1)


def test_columns_of_json(server, model):
    """The other form of REST, as curl would send it."""
    if server.rest is None:
        pytest.skip("the server has no address for rest")
    given = inputs_of("from_jpeg", model.card, 2)
    if set(given) != {"pictures"}:
        pytest.skip("the model wants landmarks too")
    columns = [{"b64": base64.b64encode(file).decode()} for file in given["pictures"]]
    answer = requests.post(
        f"{server.rest}/v1/models/{model.name}/versions/{model.version}:predict",
        json={"signature_name": "from_jpeg", "inputs": columns},
        timeout=30,
    ).json()["outputs"]
    for name, values in expected(model, "from_jpeg", given).items():
        np.testing.assert_allclose(answer[name], values, atol=1e-5, rtol=1e-5, err_msg=name)


CLIENTS = 32
SECONDS = 6.0


@pytest.mark.parametrize("route", ROUTES)
def test_32_clients_at_once(server, model, route, capsys):
    """Bounded in time; every answer is checked. The percentiles are printed, not judged."""
    given = inputs_of("serving_default", model.card, CLIENTS)
    wanted = expected(model, "serving_default", given)[model.answer]
    signature = "serving_default" if route == "grpc" else "from_jpeg"
    if route == "rest":
        given = inputs_of("from_jpeg", model.card, CLIENTS)
    took: list[float] = []
    errors: list[str] = []
    until = time.monotonic() + SECONDS

    def client(number: int) -> None:
        calls = server.calls(route, model.name, model.version)
        own = {name: values[number : number + 1] for name, values in given.items()}
        answers = 0
        while time.monotonic() < until or not answers:
            start = time.perf_counter()
            try:
                answer = calls.predict(signature, own, [model.answer])
                np.testing.assert_allclose(answer[model.answer][0], wanted[number], atol=1e-5)
            except (ServerError, AssertionError) as error:
                errors.append(f"client {number}: {error}")
                break
            took.append(time.perf_counter() - start)
            answers += 1
        calls.close()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors[:3]
    assert len(took) >= CLIENTS
    spread = np.percentile(took, [50, 90, 99, 100]) * 1000
    with capsys.disabled():
        print(
            f"\n{route}: {CLIENTS} clients, {len(took)} requests in {SECONDS:.0f} s, "
            + ", ".join(
                f"p{p} {ms:.0f} ms" for p, ms in zip((50, 90, 99, 100), spread, strict=True)
            )
        )
