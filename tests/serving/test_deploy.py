"""The shipped configurations are what the official programs read.

`models.config` is parsed by TF Serving's own protocol buffers. Those of batching and monitoring are
not in its Python package: their fields are written down here, from session_bundle_config.proto and
monitoring_config.proto of TF Serving, and protobuf's own parser of text reads the files with them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message,
    message_factory,
    text_format,
    wrappers_pb2,
)

from deepcoder_tf.cli import client
from deepcoder_tf.export.client import TIMEOUT
from tests.serving.servables import read_config, read_most

yaml = pytest.importorskip("yaml", reason="the test extra brings PyYAML")
jsonschema = pytest.importorskip("jsonschema", reason="the test extra brings jsonschema")

DEPLOY = Path(__file__).parents[2] / "deploy"
IMAGE = "tensorflow/serving:2.20.0"

Field = descriptor_pb2.FieldDescriptorProto


def message_class(messages: dict[str, dict[str, tuple[int, Any]]]) -> type[message.Message]:
    """The last of some messages, by name: field -> its number and type."""
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{'_'.join(messages)}.proto", package="tensorflow.serving", syntax="proto3"
    )
    file.dependency.append("google/protobuf/wrappers.proto")
    for name, fields in messages.items():
        added = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            repeated = isinstance(kind, list)
            kind = kind[0] if repeated else kind
            label = Field.LABEL_REPEATED if repeated else Field.LABEL_OPTIONAL
            made = added.field.add(name=field, number=number, label=label)
            if isinstance(kind, str):
                made.type, made.type_name = Field.TYPE_MESSAGE, kind
            else:
                made.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    last = pool.FindMessageTypeByName(f"tensorflow.serving.{list(messages)[-1]}")
    return message_factory.GetMessageClass(last)


INT64 = ".google.protobuf.Int64Value"

BATCHING = {
    "BatchingParameters": {
        "max_batch_size": (1, INT64),
        "batch_timeout_micros": (2, INT64),
        "max_enqueued_batches": (3, INT64),
        "num_batch_threads": (4, INT64),
        "thread_pool_name": (5, ".google.protobuf.StringValue"),
        "allowed_batch_sizes": (6, [Field.TYPE_INT64]),
        "pad_variable_length_inputs": (7, Field.TYPE_BOOL),
    }
}

MONITORING = {
    "PrometheusConfig": {"enable": (1, Field.TYPE_BOOL), "path": (2, Field.TYPE_STRING)},
    "MonitoringConfig": {"prometheus_config": (1, ".tensorflow.serving.PrometheusConfig")},
}


def test_models_config_names_its_labels_and_versions():
    (model,) = read_config(DEPLOY / "models.config").model_config_list.config
    assert (model.name, model.model_platform) == ("deepcoder", "tensorflow")
    assert model.base_path == "/models/deepcoder"
    versions = list(model.model_version_policy.specific.versions)
    assert set(model.version_labels) == {"stable", "canary"}
    assert set(model.version_labels.values()) <= set(versions) and len(versions) <= 2


def test_batching_parameters_keep_the_servers_rules():
    kind = message_class(BATCHING)
    text = (DEPLOY / "batching.config").read_text()
    found: Any = text_format.Parse(text, kind())
    sizes = list(found.allowed_batch_sizes)
    assert sizes == sorted(set(sizes)) and sizes[-1] == found.max_batch_size.value
    assert found.max_batch_size.value == read_most(DEPLOY / "batching.config")
    client.FLAGS["batch_size"].unparse()
    assert client.FLAGS["batch_size"].default in sizes
    for name in ("batch_timeout_micros", "max_enqueued_batches", "num_batch_threads"):
        assert getattr(found, name).value >= 1, name
    with pytest.raises(text_format.ParseError):
        text_format.Parse(text.replace("num_batch_threads", "num_batch_treads"), kind())


def test_monitoring_is_on_where_kubernetes_looks_for_it():
    found: Any = text_format.Parse(
        (DEPLOY / "monitoring.config").read_text(), message_class(MONITORING)()
    )
    assert found.prometheus_config.enable
    deployment, _ = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
    notes = deployment["spec"]["template"]["metadata"]["annotations"]
    assert notes["prometheus.io/path"] == found.prometheus_config.path


# YAML ---------------------------------------------------------------------------------------------

TEXT = {"type": "string", "minLength": 1}
WHOLE = {"type": "integer", "minimum": 0}
SECONDS = {"type": "string", "pattern": r"^\d+s$"}


def closed(required: str, optional: str = "", **properties: Any) -> dict[str, Any]:
    """An object with these fields and no others."""
    names = [*required.split(), *optional.split()]
    return {
        "type": "object",
        "required": required.split(),
        "additionalProperties": False,
        "properties": {name: properties.get(name, {}) for name in names},
    }


def listed(of: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": of, "minItems": 1}


COMPOSE = closed(
    "services",
    services=closed(
        "deepcoder",
        deepcoder=closed(
            "image command ports volumes healthcheck restart mem_limit cpus",
            "environment read_only",
            image={"const": IMAGE},
            command=listed({"type": "string", "pattern": r"^--[a-z_]+=\S+$"}),
            ports=listed({"type": "string", "pattern": r"^127\.0\.0\.1:850[01]:850[01]$"}),
            volumes=listed({"type": "string", "pattern": r".+:/(config|models)/.+:ro$"}),
            environment={"type": "object", "additionalProperties": TEXT},
            mem_limit={"type": "string", "pattern": r"^\d+[mg]$"},
            cpus={"type": "number", "exclusiveMinimum": 0},
            restart={"enum": ["no", "always", "on-failure", "unless-stopped"]},
            read_only={"type": "boolean"},
            healthcheck=closed(
                "test interval timeout retries start_period",
                test=listed(TEXT),
                retries=WHOLE,
                interval=SECONDS,
                timeout=SECONDS,
                start_period=SECONDS,
            ),
        ),
    ),
)

QUANTITIES = closed("cpu memory", cpu=TEXT, memory={"type": "string", "pattern": r"^\d+[MG]i$"})
RESOURCES = closed("requests limits", requests=QUANTITIES, limits=QUANTITIES)
METADATA = closed("name", "labels annotations", name=TEXT)
PROBE = closed(
    "httpGet periodSeconds",
    "timeoutSeconds failureThreshold",
    httpGet=closed("path port", path={"pattern": "^/v1/models/deepcoder(/metadata)?$"}),
    **dict.fromkeys(("periodSeconds", "timeoutSeconds", "failureThreshold"), WHOLE),
)

DEPLOYMENT = closed(
    "apiVersion kind metadata spec",
    apiVersion={"const": "apps/v1"},
    kind={"const": "Deployment"},
    metadata=METADATA,
    spec=closed(
        "replicas selector template",
        "strategy",
        replicas=WHOLE,
        selector=closed("matchLabels"),
        strategy=closed("rollingUpdate", rollingUpdate=closed("maxUnavailable maxSurge")),
        template=closed(
            "metadata spec",
            metadata=closed("labels", "annotations"),
            spec=closed(
                "containers volumes",
                "terminationGracePeriodSeconds",
                containers=listed(
                    closed(
                        "name image args ports resources startupProbe readinessProbe "
                        "livenessProbe volumeMounts",
                        "securityContext",
                        image={"const": IMAGE},
                        args=listed({"type": "string", "pattern": r"^--[a-z_]+=\S+$"}),
                        ports=listed(closed("name containerPort", containerPort=WHOLE)),
                        resources=RESOURCES,
                        startupProbe=PROBE,
                        readinessProbe=PROBE,
                        livenessProbe=PROBE,
                        volumeMounts=listed(closed("name mountPath", "readOnly")),
                    )
                ),
                volumes=listed(closed("name", "configMap persistentVolumeClaim")),
            ),
        ),
    ),
)

SERVICE = closed(
    "apiVersion kind metadata spec",
    apiVersion={"const": "v1"},
    kind={"const": "Service"},
    metadata=METADATA,
    spec=closed("selector ports", ports=listed(closed("name port targetPort", port=WHOLE))),
)

INFERENCE_SERVICE = closed(
    "apiVersion kind metadata spec",
    apiVersion={"const": "serving.kserve.io/v1beta1"},
    kind={"const": "InferenceService"},
    metadata=METADATA,
    spec=closed(
        "predictor",
        predictor=closed(
            "model minReplicas maxReplicas",
            "scaleMetric scaleTarget timeout canaryTrafficPercent",
            minReplicas=WHOLE,
            maxReplicas=WHOLE,
            scaleMetric={"enum": ["cpu", "memory", "concurrency", "rps"]},
            scaleTarget=WHOLE,
            timeout=WHOLE,
            model=closed(
                "modelFormat storageUri resources",
                "runtimeVersion protocolVersion",
                modelFormat=closed("name", "version", name={"const": "tensorflow"}),
                runtimeVersion={"const": IMAGE.rpartition(":")[2]},
                protocolVersion={"enum": ["v1", "v2"]},
                storageUri={"pattern": "^(pvc|s3|gs|https)://"},
                resources=RESOURCES,
            ),
        ),
    ),
)

DOCUMENTS = [
    ("docker-compose.yaml", [COMPOSE]),
    ("kubernetes.yaml", [DEPLOYMENT, SERVICE]),
    ("kserve.yaml", [INFERENCE_SERVICE]),
]


@pytest.mark.parametrize(("name", "schemas"), DOCUMENTS, ids=lambda value: str(value)[:12])
def test_yaml_is_what_its_program_reads(name, schemas):
    documents = list(yaml.safe_load_all((DEPLOY / name).read_text()))
    assert len(documents) == len(schemas)
    for document, schema in zip(documents, schemas, strict=True):
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.validate(document, schema)


def test_the_inference_service_is_one_to_kserve():
    kserve = pytest.importorskip("kserve", reason="pip install -e '.[kserve]'")
    document = yaml.safe_load((DEPLOY / "kserve.yaml").read_text())
    model = document["spec"]["predictor"]["model"]
    made = kserve.V1beta1ModelSpec(
        model_format=kserve.V1beta1ModelFormat(**model["modelFormat"]),
        storage_uri=model["storageUri"],
        runtime_version=model["runtimeVersion"],
        protocol_version=model["protocolVersion"],
        resources=model["resources"],
    )
    assert {
        kserve.V1beta1ModelSpec.attribute_map[k] for k, v in made.to_dict().items() if v
    } == set(model)
    known = set(kserve.V1beta1PredictorSpec.attribute_map.values())
    assert set(document["spec"]["predictor"]) <= known


def programs() -> dict[str, tuple[list[str], list[str]]]:
    """Flags and mounted files of both manifests."""
    compose = yaml.safe_load((DEPLOY / "docker-compose.yaml").read_text())["services"]["deepcoder"]
    deployment, _ = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    shipped = sorted(f"/config/{path.name}" for path in DEPLOY.glob("*.config"))
    mounted = sorted(v.split(":")[1] for v in compose["volumes"] if ":/config/" in v)
    return {
        "compose": (compose["command"], mounted),
        "kubernetes": (container["args"], shipped),
    }


@pytest.mark.parametrize("which", ["compose", "kubernetes"])
def test_the_server_is_given_every_configuration(which):
    flags, mounted = programs()[which]
    given = dict(flag.removeprefix("--").split("=", 1) for flag in flags)
    assert given["model_config_file"] == "/config/models.config"
    assert given["batching_parameters_file"] == "/config/batching.config"
    assert given["monitoring_config_file"] == "/config/monitoring.config"
    assert sorted(v for v in given.values() if v.startswith("/config/")) == mounted
    # Without it a server that starts with labels does not start at all.
    assert given["allow_version_labels_for_unavailable_models"] == "true"
    assert given["enable_batching"] == "true"
    assert int(given["rest_api_timeout_in_ms"]) == 1000 * TIMEOUT


NUMBER = re.compile(r"[:=] ?\"?\d+[a-zA-Z]*\"?([,} ]|$)")
NAMES = ("apiVersion", "- {name: ", "image: ")
"""Lines whose numbers are names: versions of interfaces, ports."""


@pytest.mark.parametrize("path", sorted(DEPLOY.glob("*.[cy]*")), ids=lambda path: path.name)
def test_every_number_has_its_reason(path):
    """A comment stands at most five lines above it."""
    lines = [line.strip() for line in path.read_text().splitlines()]
    numbers = [
        i
        for i, line in enumerate(lines)
        if NUMBER.search(line) and not line.startswith(("#", *NAMES))
    ]
    assert numbers or path.name == "monitoring.config"
    for i in numbers:
        assert any(line.startswith("#") for line in lines[max(0, i - 5) : i]), (
            f"{i + 1}: {lines[i]}"
        )
