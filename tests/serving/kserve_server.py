"""KServe's own model server around an export; its predictor is ours, as KServe wants it.

    python -m tests.serving.kserve_server NAME FOLDER PORT

In a cluster `deploy/kserve.yaml` takes KServe's TensorFlow runtime instead, which is TF Serving.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import kserve
from kserve.errors import InvalidInput

from tests.serving.rest_adapter import plain, unpacked
from tests.serving.servables import RefusedError, Servable, as_tensor


class ExportedModel(kserve.Model):
    """Rows of JSON to a signature and back."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name)
        self.servable = Servable(folder)
        self.ready = True

    def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> Any:
        """One request of the V1 protocol."""
        del headers, response_headers
        try:
            signature = payload.get("signature_name", "serving_default")
            wanted, rows = self.servable.definition(signature).inputs, payload["instances"]
            if set(rows[0]) != set(wanted) or len({frozenset(row) for row in rows}) > 1:
                raise InvalidInput(f"instances must have {sorted(wanted)}")
            inputs = {
                name: as_tensor(unpacked([row[name] for row in rows]), info)
                for name, info in wanted.items()
            }
            outputs = self.servable.predict(signature, inputs)
        except RefusedError as error:
            raise InvalidInput(error.message) from error
        except (IndexError, KeyError, TypeError) as error:
            raise InvalidInput(f"{type(error).__name__} {error}") from error
        columns = {name: plain(tensor) for name, tensor in outputs.items()}
        return {
            "predictions": [
                dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
            ]
        }


if __name__ == "__main__":
    model_name, path, port = sys.argv[1:]
    server = kserve.ModelServer(http_port=int(port), enable_grpc=False, workers=1)
    server.start([ExportedModel(model_name, Path(path))])
