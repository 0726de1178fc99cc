"""The service of examples/service: a real server on loopback, real clients, under load."""

import asyncio
import contextlib
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pandas as pd
import pytest
from packaging.requirements import Requirement

from skscale import freeze

ROOT = pathlib.Path(__file__).parents[1]
FOLDER = ROOT / "examples" / "service"
SERVICE = [sys.executable, str(FOLDER / "service.py")]
pytestmark = pytest.mark.alone
# Seconds that nothing here takes by far.
LIMIT = 30


def _load(name):
    spec = importlib.util.spec_from_file_location(f"service_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


batching = _load("batching")


class Trained:
    """A pipeline, its frozen file, and rows with what the pipeline says of them."""

    def __init__(self, path):
        train = _load("train")
        frame, labels = train.make_table(400)
        self.pipeline = train.fit(frame, labels)
        self.path = path
        freeze(self.pipeline).save(path)
        unseen, _ = train.make_table(400, seed=1)
        self.labels = self.pipeline.predict(unseen).tolist()
        self.probabilities = self.pipeline.predict_proba(unseen)
        self.rows = [
            {name: None if value != value else value for name, value in row.items()}
            for row in unseen.to_dict("records")
        ]

    def ask(self, post, random):
        """Post some rows; return the status, having checked every answer."""
        start = random.randrange(len(self.rows) - 6)
        some = slice(start, start + random.randrange(1, 6))
        method = random.choice(["predict", "predict_proba"])
        response = post(f"/{method}", json={"rows": self.rows[some]})
        if response.status_code == 200:
            self.check(method, some, response.json())
        return response.status_code

    def check(self, method, some, answer):
        if method == "predict":
            assert answer == {"predictions": self.labels[some]}
        else:
            assert answer["classes"] == self.pipeline.classes_.tolist()
            np.testing.assert_allclose(
                answer["probabilities"], self.probabilities[some], atol=1e-6, rtol=0
            )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return Trained(tmp_path_factory.mktemp("model") / "model.skscale")


class Server:
    """A running service."""

    def __init__(self, process):
        self.process = process
        self.log = []
        self._listening = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        assert self._listening.wait(LIMIT), self.log
        assert process.poll() is None, "".join(self.log)
        self.url = re.search(r"running on (http://[\d.]+:\d+)", "".join(self.log))[1]

    def _read(self):
        for line in self.process.stderr:
            self.log.append(line)
            if "running on" in line:
                self._listening.set()
        self._listening.set()

    def client(self):
        return httpx.Client(base_url=self.url, timeout=LIMIT, trust_env=False, verify=False)

    def counts(self):
        with self.client() as client:
            return client.get("/health").json()["counts"]

    def stop(self):
        """Send SIGTERM; return the exit status."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(LIMIT)
        self._reader.join(LIMIT)
        return code

    def counts_at_the_end(self):
        return json.loads(re.search(r"Stopped: (.*)", "".join(self.log))[1].replace("'", '"'))


def _environment(**settings):
    own = {key: value for key, value in os.environ.items() if not key.startswith("SERVICE_")}
    return own | {
        "PYTHONPATH": str(ROOT),
        "OPENBLAS_NUM_THREADS": "1",
        "SERVICE_PORT": "0",
        **{f"SERVICE_{name.upper()}": str(value) for name, value in settings.items()},
    }


@contextlib.contextmanager
def serving(command=SERVICE, **settings):
    with subprocess.Popen(
        command, env=_environment(**settings), stderr=subprocess.PIPE, text=True
    ) as process:
        server = None
        try:
            server = Server(process)
            yield server
        finally:
            process.kill()
            process.wait(LIMIT)
            if server is not None:
                server._reader.join(LIMIT)


@pytest.fixture(scope="module")
def server(trained):
    with serving(model=trained.path) as running:
        yield running


def run_to_its_end(**settings):
    return subprocess.run(
        SERVICE, env=_environment(**settings), capture_output=True, text=True, check=False,
        timeout=LIMIT,
    )  # fmt: skip


def put_under_load(server, trained, n_requests, n_clients=8):
    """Send requests from several threads; return how often each status came."""

    def work(number):
        rng = random.Random(number)
        with server.client() as client:
            return [trained.ask(client.post, rng) for _ in range(n_requests // n_clients)]

    with ThreadPoolExecutor(n_clients) as pool:
        return [status for statuses in pool.map(work, range(n_clients)) for status in statuses]


def test_under_load_every_answer_is_the_pipelines_own(server, trained):
    before = server.counts()
    statuses = put_under_load(server, trained, 1600)
    assert statuses == [200] * 1600
    after = server.counts()
    n = {
        what: sum(after[m][what] - before[m][what] for m in after)
        for what in ("answered", "refused", "calls")
    }
    assert n["answered"] == 1600
    assert n["refused"] == 0
    assert n["calls"] < 0.95 * n["answered"]  # requests that waited together went together
    assert "Warning" not in "".join(server.log)


@pytest.mark.slow
def test_under_long_load_every_answer_is_the_pipelines_own_and_memory_stays(server, trained):
    def resident_bytes():
        fields = pathlib.Path(f"/proc/{server.process.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    put_under_load(server, trained, 2000, n_clients=32)
    before = resident_bytes()
    assert put_under_load(server, trained, 32_000, n_clients=32) == [200] * 32_000
    assert resident_bytes() < before + (8 << 20)


def test_health_describes_the_served_estimator(server, trained):
    with server.client() as client:
        response = client.get("/health")
        assert client.get("/docs").status_code == 200
        assert client.get("/live").json() == {"status": "alive"}
        schema = client.get("/openapi.json").json()["components"]["schemas"]["Row"]
    assert response.status_code == 200
    said = response.json()
    assert said["status"] == "ready"
    assert said["model"]["sha256"] == hashlib.sha256(trained.path.read_bytes()).hexdigest()
    assert said["model"]["kind"] == "ClassifierPredictor"
    assert said["features"] == list(trained.rows[0]) == schema["required"]


ROW = {"temperature": 20.5, "wind": 3, "riders yesterday": 40, "weekday": "Sa", "town": "Ulm"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"rows": [ROW, {**ROW, "temperature": "mild"}]},
         r"rows\[1\]\['temperature'\]: Input should be a valid number, got 'mild'"),
        ({"rows": [{**ROW, "temperature": "20"}]}, "should be a valid number, got '20'"),
        ({"rows": [{**ROW, "wind": True}]}, r"\['wind'\]: .* a valid number, got True"),
        ({"rows": [{**ROW, "wind": 10**400}]}, "should be a valid number, got 1000"),
        ({"rows": [{**ROW, "wind": float("nan")}]}, "should be a finite number, got nan"),
        ({"rows": [{**ROW, "wind": float("-inf")}]}, "should be a finite number, got -inf"),
        ({"rows": [{**ROW, "wind": 1e300}]}, "value too large for dtype"),
        ({"rows": [{**ROW, "town": ["Ulm"]}]},
         r"\['town'\]: Input should be a string, a finite number or null, got \['Ulm'\]"),
        ({"rows": [{**ROW, "town": float("inf")}]}, "a finite number or null, got inf"),
        ({"rows": [{k: v for k, v in ROW.items() if k != "riders yesterday"}]},
         r"rows\[0\]\['riders yesterday'\] is missing. Expected .* 'weekday', 'town'\]"),
        ({"rows": [{**ROW, "snow": 1}]}, r"\['snow'\] is not known. Expected .*'wind'"),
        ({"rows": [{}] * 3}, r"\['town'\] is missing; and 10 more"),
        ({"rows": []}, "rows: List should have at least 1 item after validation, not 0"),
        ({"rows": [ROW] * 1001}, "rows: List should have at most 1000 items"),
        ({"rows": [[20.5, 3, 40, "Sa", "Ulm"]]}, r"rows\[0\]: .* dictionary, got \[20.5"),
        ({"rows": 7}, "rows: Input should be a valid list, got 7"),
        ({"rows": float("nan")}, "rows: Input should be a valid list, got nan"),
        ({"rows": [ROW], "row": 1}, "row is not known"),
        ({}, "rows is missing"),
        ([], "the body: Input should be .* got \\[\\]"),
        ("", "the body is missing"),
        ('{"rows": [', "the body is no JSON from character 10 on"),
        ("\udcff", "the body cannot be read as JSON. Expected .*'wind'"),
        ('{"rows": ' + "9" * 5_000 + "}", "the body cannot be read as JSON"),
        ("[" * 100_000, "the body cannot be read as JSON"),
    ],
    ids=lambda what: str(what)[:60],
)  # fmt: skip
def test_an_invalid_request_gets_a_message(server, body, message):
    content = body if isinstance(body, str) else json.dumps(body)
    content = content.encode(errors="surrogateescape")
    with server.client() as client:
        response = client.post(
            "/predict", content=content, headers={"content-type": "application/json"}
        )
    assert response.status_code == 422
    detail = response.json()["detail"]
    assert re.search(message, detail), detail
    assert len(detail) < 1000


def test_words_that_are_new_and_values_that_are_missing_are_the_pipelines_to_judge(
    server, trained
):
    changes = {"town": "Linz"}, {"temperature": None}, {"weekday": None}, {"town": None}
    rows = [{**ROW, **change} for change in changes]
    expected = trained.pipeline.predict_proba(pd.DataFrame(rows))
    with server.client() as client:
        answer = client.post("/predict_proba", json={"rows": rows}).json()
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-6)


def test_a_row_that_the_predictor_refuses_harms_no_request_beside_it(server, trained):
    bad = {**ROW, "wind": -1e300}

    async def ask_all():
        limits = httpx.Limits(max_connections=16)
        async with httpx.AsyncClient(
            base_url=server.url, limits=limits, timeout=LIMIT, trust_env=False, verify=False
        ) as client:
            bodies = [{"rows": [bad if i % 4 == 3 else trained.rows[i]]} for i in range(64)]
            return await asyncio.gather(*(client.post("/predict", json=b) for b in bodies))

    for i, response in enumerate(asyncio.run(ask_all())):
        if i % 4 == 3:
            assert response.status_code == 422
            assert "too large" in response.json()["detail"]
        else:
            assert response.json() == {"predictions": [trained.labels[i]]}


def test_more_than_may_wait_is_refused_and_nothing_is_answered_wrongly(trained):
    with serving(model=trained.path, most_waiting=1) as server:

        async def ask_all():
            async with httpx.AsyncClient(
                base_url=server.url, timeout=LIMIT, trust_env=False, verify=False
            ) as client:

                async def ask(first):
                    places = range(first, 320, 16)
                    return [
                        (p, await client.post("/predict", json={"rows": [trained.rows[p]]}))
                        for p in places
                    ]

                return await asyncio.gather(*map(ask, range(16)))

        responses = [pair for pairs in asyncio.run(ask_all()) for pair in pairs]
        refused = [r for _, r in responses if r.status_code == 503]
        answered = [(p, r) for p, r in responses if r.status_code == 200]
        assert len(refused) + len(answered) == 320
        assert refused
        assert answered
        assert all(r.json() == {"predictions": [trained.labels[p]]} for p, r in answered)
        assert all(r.headers["retry-after"] == "1" for r in refused)
        pattern = r"1 rows wait, 1 more came, and at most 1 may wait. Try again later."
        assert all(re.fullmatch(pattern, r.json()["detail"]) for r in refused)
        assert server.counts()["predict"]["refused"] == len(refused)


def test_after_sigterm_under_load_all_that_was_accepted_is_answered(trained):
    with serving(model=trained.path) as server:
        n_answered, many = [0] * 8, threading.Event()

        def work(number):
            rng = random.Random(number)
            with server.client() as client, contextlib.suppress(httpx.TransportError):
                while True:
                    assert trained.ask(client.post, rng) == 200
                    n_answered[number] += 1
                    if sum(n_answered) > 200:
                        many.set()

        with ThreadPoolExecutor(8) as pool:
            futures = [pool.submit(work, number) for number in range(8)]
            assert many.wait(LIMIT)
            assert server.stop() == 0
            for future in futures:
                future.result(LIMIT)
        counts = server.counts_at_the_end()
        assert sum(of["answered"] for of in counts.values()) == sum(n_answered)
        with pytest.raises(httpx.ConnectError), server.client() as client:
            client.get("/health")


_SLOW = f"""
import sys, time
sys.path.insert(0, {str(FOLDER)!r})
import numpy as np
import service

class Slow:
    n_features_in_ = 1
    def predict(self, rows):
        time.sleep(0.3)
        return 2 * np.array(rows)[:, 0]

settings = service.Settings(port=0, most_rows=2)
service.serve(service.make_app(Slow(), settings, {{}}), settings)
"""


def test_after_sigterm_all_that_waits_is_answered():
    with (
        serving([sys.executable, "-c", _SLOW]) as server,
        ThreadPoolExecutor(6) as pool,
        contextlib.ExitStack() as stack,
    ):
        clients = [stack.enter_context(server.client()) for _ in range(6)]
        for client in clients:
            assert client.get("/health").json()["features"] == ["x0"]

        def ask(number):
            rows = [{"x0": number}, {"x0": number + 0.5}]
            return clients[number].post("/predict", json={"rows": rows}).json()

        asked = [pool.submit(ask, number) for number in range(6)]
        # The first is being predicted, the others wait, each to be a call of its own.
        with pytest.raises(TimeoutError):
            asked[0].result(0.15)
        assert server.stop() == 0
        for number, future in enumerate(asked):
            assert future.result(LIMIT) == {"predictions": [2.0 * number, 2.0 * number + 1]}
        assert server.counts_at_the_end()["predict"] == {
            "answered": 6, "refused": 0, "calls": 6,
        }  # fmt: skip


def test_a_model_that_cannot_be_read_is_not_served(trained, tmp_path):
    damaged = bytearray(trained.path.read_bytes())
    damaged[-100] ^= 1
    (tmp_path / "damaged").write_bytes(damaged)
    ended = run_to_its_end(model=tmp_path / "damaged")
    assert ended.returncode == 65
    (line,) = ended.stderr.splitlines()
    assert re.match(r"The service did not start: .*damaged' is damaged: its SHA-256", line)
    ended = run_to_its_end(model=tmp_path / "nothing")
    assert ended.returncode == 66
    assert re.match(r"The service did not start: .*No such file.*nothing'", ended.stderr)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"port": "http"}, r"SERVICE_PORT must be an integer from 0 on, got 'http'\."),
        ({"most_rows": "0"}, r"SERVICE_MOST_ROWS must be an integer from 1 on, got '0'\."),
    ],
    ids=str,
)
def test_a_setting_that_makes_no_sense_is_refused(setting, message):
    ended = run_to_its_end(**setting)
    assert ended.returncode == 78
    assert re.fullmatch(f"The service did not start: {message}", ended.stderr.strip())


def _dockerfile():
    """Return the instructions of the recipe as (word, rest)."""
    text = (FOLDER / "Dockerfile").read_text().replace("\\\n", "")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [tuple(line.split(maxsplit=1)) for line in lines]


def _installed_by_the_recipe():
    """Return the distributions that it installs, with all that they depend on."""
    (names,) = (
        rest.split("constraints.txt ")[1].split()
        for word, rest in _dockerfile()
        if word == "RUN" and "pip install" in rest and "--no-deps" not in rest
    )
    found, asked = set(), list(names)
    while asked:
        requirement = Requirement(asked.pop())
        name = requirement.name.lower().replace("_", "-")
        if name in found or (
            requirement.marker is not None and not requirement.marker.evaluate({"extra": ""})
        ):
            continue
        found.add(name)
        asked += importlib.metadata.requires(name) or []
    return found


_REFUSING = """
import runpy, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {refused}:
            raise ModuleNotFoundError(f"{{name}} is not in the container", name=name)
sys.meta_path.insert(0, Refuse())
sys.path.insert(0, {folder!r})
runpy.run_path({path!r}, run_name="__main__")
"""


def test_the_files_of_the_container_suffice(trained):
    installed = _installed_by_the_recipe()
    assert {"numpy", "fastapi", "uvicorn", "pydantic"} <= installed
    of_module = importlib.metadata.packages_distributions()
    refused = {
        module
        for module, names in of_module.items()
        if not {name.lower().replace("_", "-") for name in names} & {*installed, "skscale"}
    }
    assert {"torch", "sklearn", "scipy", "joblib", "skorch", "pandas"} <= refused
    code = _REFUSING.format(refused=refused, folder=str(FOLDER), path=SERVICE[1])
    with serving([sys.executable, "-c", code], model=trained.path) as server:
        assert put_under_load(server, trained, 40, n_clients=2) == [200] * 40
        # The recipe's own health check, on this port.
        (check,) = (rest for word, rest in _dockerfile() if word == "HEALTHCHECK")
        _, option, program = json.loads(check.split("CMD ", 1)[1])
        check = [sys.executable, option, program]
        of_port = {**os.environ, "SERVICE_PORT": server.url.rpartition(":")[2]}
        subprocess.run(check, check=True, timeout=LIMIT, env=of_port)
        assert server.stop() == 0
        ended = subprocess.run(
            check, check=False, capture_output=True, timeout=LIMIT, env=of_port
        )
        assert ended.returncode == 1


def test_the_container_runs_unprivileged_and_receives_signals():
    recipe = _dockerfile()
    words = [word for word, _ in recipe]
    assert words.index("USER") > len(words) - 1 - words[::-1].index("RUN")
    command = json.loads(dict(recipe)["CMD"])  # a list: no shell in between
    copied = [rest.split() for word, rest in recipe if word == "COPY"]
    files = [part for parts in copied if "--from=build" not in parts for part in parts[:-1]]
    assert all((ROOT / file).exists() for file in files if file != "${MODEL}"), files
    assert command[-1].rpartition("/")[2] in {file.rpartition("/")[2] for file in files}


def test_the_gallery_leaves_the_folder_alone():
    # sphinx-gallery takes a folder with a README or a header as a part of the gallery.
    assert not [p for p in FOLDER.iterdir() if p.stem in ("README", "GALLERY_HEADER", "index")]


def double(rows):
    if any(row[0] < 0 for row in rows):
        raise ValueError("a negative number")
    return 2 * np.array(rows)[:, 0]


def ask_together(requests, **limits):
    """Return a batcher and its answers to requests that come at once."""
    batcher = batching.Batcher(double, **{"most_rows": 10, "most_waiting": 100} | limits)

    async def ask_all():
        asked = (batcher.answer([[value] for value in values]) for values in requests)
        return await asyncio.gather(*asked, return_exceptions=True)

    return batcher, asyncio.run(ask_all())


def test_requests_that_come_at_once_are_one_call():
    batcher, answers = ask_together([[1, 2], [3], [4, 5, 6]])
    assert [answer.tolist() for answer in answers] == [[2, 4], [6], [8, 10, 12]]
    assert batcher.counts == {"answered": 3, "refused": 0, "calls": 1}


def test_a_call_is_of_most_rows_and_a_larger_request_a_call_of_its_own():
    batcher, answers = ask_together([[1] * 4, [2] * 4, [3] * 4, [4] * 25, [5]])
    assert [len(answer) for answer in answers] == [4, 4, 4, 25, 1]
    assert [answer[0] for answer in answers] == [2, 4, 6, 8, 10]
    assert batcher.counts["calls"] == 4  # 8 rows, 4, 25, 1
    assert not batcher.is_full


def test_of_a_batch_that_fails_each_request_is_asked_on_its_own():
    batcher, answers = ask_together([[1], [-1], [2], [-2, 3]])
    assert answers[0].tolist() == [2]
    assert answers[2].tolist() == [4]
    for place in (1, 3):
        assert isinstance(answers[place], ValueError)
        assert str(answers[place]) == "a negative number"
    assert batcher.counts == {"answered": 4, "refused": 0, "calls": 5}


def test_a_request_that_may_not_wait_is_refused_but_not_for_its_size():
    batcher, answers = ask_together([[1] * 7, [2], [3]], most_waiting=5)
    assert len(answers[0]) == 7
    assert all(isinstance(answer, batching.OverloadedError) for answer in answers[1:])
    assert str(answers[1]).startswith("7 rows wait, 1 more came, and at most 5 may wait")
    assert batcher.counts == {"answered": 1, "refused": 2, "calls": 1}


def test_a_cancelled_request_does_not_affect_the_others():
    batcher = batching.Batcher(double, 10, 100)

    async def ask_and_go():
        gone, stays = (asyncio.ensure_future(batcher.answer([[v]])) for v in (1, 2))
        await asyncio.sleep(0)
        gone.cancel()
        return await stays

    assert asyncio.run(ask_and_go()).tolist() == [4]
