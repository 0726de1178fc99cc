"""HTTP service for a frozen predictor with FastAPI, uvicorn and NumPy.

    python examples/service/train.py model.skscale
    SERVICE_MODEL=model.skscale python examples/service/service.py

Settings are environment variables: see `Settings`. `POST /predict` and, for classifiers,
`/predict_proba` take rows as objects keyed by feature name (`x0`, `x1`, ... after a fit on an
array); null is a missing value::

    {"rows": [{"age": 39, "town": "Ulm"}, {"age": null, "town": "Graz"}]}

An invalid request gets a 422 with the reason; with too many waiting rows, a 503.
`GET /health` answers 200 while requests are accepted and 503 otherwise (readiness), with the
SHA-256 of the served file. `GET /live` answers 200 as long as the process runs (liveness: a
busy process needs no restart). `/docs` documents the API.

On SIGTERM the service accepts no further connections, answers all earlier requests and exits
with 0. It exits with 66 for a missing model file, 65 for a damaged one and 78 for an invalid
setting, as in sysexits.h, and prints the reason.

A request is read into memory as a whole: limit its size, and encrypt, in a proxy or the ingress
of a cluster. One process uses one core: start several.
"""

import asyncio
import contextlib
import hashlib
import logging
import math
import os
import reprlib
import signal
import sys
import warnings
from dataclasses import dataclass, fields
from typing import Annotated, Any

import uvicorn
from batching import Batcher, OverloadedError
from fastapi import FastAPI
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, ConfigDict, Field, create_model
from pydantic_core import PydanticCustomError
from starlette.exceptions import HTTPException
from typing_extensions import TypedDict

import skscale

BAD_DATA, NO_INPUT, BAD_SETTING = 65, 66, 78
# Errors listed per invalid request.
_MOST_POINTS = 5
_brief = reprlib.Repr()
_brief.maxlist, _brief.maxstring = 20, 80

logger = logging.getLogger("uvicorn.error")  # the logger of uvicorn: one log, one format


@dataclass(frozen=True)
class Settings:
    """Settings from environment variables: `SERVICE_MODEL`, `SERVICE_HOST` and so on.

    Parameters
    ----------
    model : str
        Path of a file written by `Predictor.save`.
    host : str
        Address to listen on; "0.0.0.0" listens on all addresses of a container.
    port : int
        0 selects a free port and logs it.
    most_rows : int
        Maximum rows of a request and of a batch.
    most_waiting : int
        Maximum rows that wait for prediction.
    stop_seconds : int
        Time limit for open requests after SIGTERM, in seconds.
    """

    model: str = "model.skscale"
    host: str = "127.0.0.1"
    port: int = 8000
    most_rows: int = 1000
    most_waiting: int = 10_000
    stop_seconds: int = 30

    @classmethod
    def from_environment(cls, environment):
        """Return the settings in a dict of environment variables.

        Raises
        ------
        ValueError
            If a number is not an integer or too small.
        """
        found = {}
        for field in fields(cls):
            name = f"SERVICE_{field.name.upper()}"
            if name not in environment:
                continue
            value = found[field.name] = environment[name]
            if field.type is int:
                least = 0 if field.name == "port" else 1
                if not (value.isascii() and value.isdigit() and int(value) >= least):
                    raise ValueError(
                        f"{name} must be an integer from {least} on, got {value!r}."
                    )
                found[field.name] = int(value)
        return cls(**found)


def make_app(predictor, settings, about):
    """Return the application.

    Parameters
    ----------
    predictor : Predictor
        Or an object with `predict`, optionally `predict_proba`, of lists, and their attributes.
    settings : Settings
    about : dict
        Description of the model for `/health`.

    Returns
    -------
    FastAPI
    """
    names = getattr(predictor, "feature_names_in_", None)
    if names is None:
        names = [f"x{place}" for place in range(predictor.n_features_in_)]
    names = [str(name) for name in names]
    is_categorical = getattr(predictor, "is_categorical_", [False] * len(names))
    missing = getattr(predictor, "missing_values_", [None] * len(names))
    columns = list(zip(names, missing, strict=True))
    Body = make_body(names, is_categorical, settings.most_rows)
    batchers = {}

    @contextlib.asynccontextmanager
    async def run(app):
        yield
        logger.info("Stopped: %s", count())

    def count():
        return {method: batcher.counts for method, batcher in batchers.items()}

    app = FastAPI(title="A frozen predictor", version=skscale.__version__, lifespan=run)

    @app.get("/health")
    async def health():
        is_ready = not any(batcher.is_full for batcher in batchers.values())
        said = {
            "status": "ready" if is_ready else "full",
            "model": about,
            "features": names,
            "counts": count(),
        }
        return JSONResponse(said, 200 if is_ready else 503)

    @app.get("/live")
    async def live():
        return JSONResponse({"status": "alive"})

    def add_route(method, key, **more):
        predict = getattr(predictor, method)
        batcher = Batcher(predict, settings.most_rows, settings.most_waiting)
        batchers[method] = batcher

        @app.post(f"/{method}", name=method)
        async def answer(body: Body):
            rows = [
                [none if row[name] is None else row[name] for name, none in columns]
                for row in body.rows
            ]
            try:
                predicted = await batcher.answer(rows)
            except OverloadedError as error:
                return refuse(503, str(error), headers={"Retry-After": "1"})
            except (ValueError, TypeError) as error:  # such as a forbidden missing value
                return refuse(422, str(error))
            return JSONResponse({key: predicted.tolist(), **more})

    add_route("predict", "predictions")
    if hasattr(predictor, "predict_proba"):
        add_route("predict_proba", "probabilities", classes=predictor.classes_.tolist())

    @app.exception_handler(RequestValidationError)
    async def refuse_body(request, error):
        # FastAPI's handler repeats the input, which fails for NaN in JSON.
        return refuse(422, explain(error.errors(), names))

    @app.exception_handler(HTTPException)
    async def refuse_bytes(request, error):
        # Binary or too deeply nested bodies fail before pydantic.
        if error.status_code != 400:
            return await http_exception_handler(request, error)
        return refuse(422, f"the body cannot be read as JSON. {expect_rows(names)}")

    return app


def make_body(names, is_categorical, most_rows):
    """Return the pydantic model of a request from feature names and kinds."""
    kinds = {
        name: Annotated[Any, AfterValidator(_check_category)] if categorical else float | None
        for name, categorical in zip(names, is_categorical, strict=True)
    }
    Row = TypedDict("Row", kinds)
    # Strict: a quoted number is not accepted as a number.
    Row.__pydantic_config__ = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    rows = Annotated[list[Row], Field(min_length=1, max_length=most_rows)]
    return create_model("Rows", __config__=ConfigDict(extra="forbid"), rows=rows)


def _check_category(value):
    is_finite = not isinstance(value, float) or math.isfinite(value)
    if isinstance(value, str | float | int | None) and is_finite:
        return value
    raise PydanticCustomError("category", "Input should be a string, a finite number or null")


def explain(errors, names):
    """Return a message for the errors that pydantic found in a request."""
    points = []
    for error in errors[:_MOST_POINTS]:
        first, *rest = error["loc"][1:] or ["the body"]
        where = str(first) + "".join(f"[{part!r}]" for part in rest)
        if error["type"] == "missing":
            points.append(f"{where} is missing")
        elif error["type"] == "extra_forbidden":
            points.append(f"{where} is not known")
        elif error["type"] == "json_invalid":
            points.append(f"the body is no JSON from character {where} on")
        elif error["type"] in ("too_short", "too_long"):
            points.append(f"{where}: {error['msg']}")
        else:
            # Python clients send NaN for missing values.
            null = " (null is a missing value)" if error["type"] == "finite_number" else ""
            points.append(f"{where}: {error['msg']}, got {_brief.repr(error['input'])}{null}")
    if len(errors) > _MOST_POINTS:
        points.append(f"and {len(errors) - _MOST_POINTS} more")
    return f"{'; '.join(points)}. {expect_rows(names)}"


def expect_rows(names):
    """Return a description of a valid body."""
    features = _brief.repr(names)
    return f'Expected {{"rows": [...]}}, each row an object with the features {features}.'


def refuse(status, detail, **more):
    """Return an error response with its reason."""
    return JSONResponse({"detail": detail}, status, **more)


def read_model(path):
    """Return the predictor of a file and its description for `/health`."""
    predictor = skscale.load_frozen(path)
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return predictor, {
        "file": os.path.basename(path),
        "sha256": digest,
        "kind": type(predictor).__name__,
        "skscale": skscale.__version__,
    }


class Server(uvicorn.Server):
    """Server that reads pending requests before it closes idle connections."""

    async def shutdown(self, sockets=None):
        """Stop accepting connections, answer pending requests, exit."""
        for server in self.servers:
            server.close()
        # Nothing is read during a prediction, so a connection with a pending request may look
        # idle and its request be lost. The pause lets the loop read it.
        await asyncio.sleep(0.05)
        await super().shutdown(sockets)


def serve(app, settings):
    """Serve until SIGTERM or Ctrl-C, and answer all requests until then."""
    server = Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            timeout_graceful_shutdown=settings.stop_seconds,
            access_log=False,
        )
    )
    # After its shutdown uvicorn raises the signal again for the previous handler.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with contextlib.suppress(KeyboardInterrupt):
        server.run()


def main():
    """Serve with the settings of the environment."""
    try:
        settings = Settings.from_environment(os.environ)
    except ValueError as error:
        return _fail(BAD_SETTING, error)
    try:
        predictor, about = read_model(settings.model)
    except OSError as error:
        return _fail(NO_INPUT, error)
    except skscale.InvalidFileError as error:
        return _fail(BAD_DATA, error)
    # Rows are lists in the order of the names; the body was validated for the names.
    warnings.filterwarnings("ignore", "X does not have valid feature names", UserWarning)
    serve(make_app(predictor, settings, about), settings)
    return 0


def _fail(code, error):
    print(f"The service did not start: {error}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
