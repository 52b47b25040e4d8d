"""Image classification through the real Triton, as people's clients ask for it."""

from __future__ import annotations

import csv
import queue
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from PIL import Image
from tests.unit.applications.image.classifiers import LABELS, expected, write_labels, write_onnx
from tests.unit.applications.image.test_decode import encoded
from tritonclient.grpc import model_config_pb2
from typer.testing import CliRunner

import naiad
from naiad import testing
from naiad.applications.image.schema import SHAPES
from naiad.applications.image.shapes import draw
from naiad.applications.image.task import Classification
from naiad.cli.main import app
from naiad.triton.server import Server

INCEPTION = "inception_graphdef"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with testing.serve("image", INCEPTION, instances=1) as server:
        yield server


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture of each shape, JPEG and PNG in turn."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(5)
    for number, shape in enumerate(SHAPES):
        draw(shape, rng).save(folder / f"{shape}.{('jpg', 'png')[number % 2]}")
    return folder


def shape_of(path: Path) -> str:
    return path.name.partition(".")[0]


# What Triton's example client for images does: it asks for metadata and config, prepares images
# for them, and asks for the best classes.


def scaled(path: Path) -> np.ndarray:
    image = Image.open(path).convert("RGB").resize((299, 299), Image.Resampling.BILINEAR)
    return np.asarray(image).astype(np.float32) / 127.5 - 1


def batches(folder: Path, size: int) -> list[tuple[list[Path], np.ndarray]]:
    """All images, so many at a time, beginning anew to fill the last batch."""
    paths = sorted(folder.iterdir())
    groups = [
        [paths[(start + i) % len(paths)] for i in range(size)]
        for start in range(0, len(paths), size)
    ]
    return [(group, np.stack([scaled(path) for path in group])) for group in groups]


def tensors(library: Any, images: np.ndarray) -> dict[str, Any]:
    given = library.InferInput("input", images.shape, "FP32")
    given.set_data_from_numpy(images)
    wanted = library.InferRequestedOutput("InceptionV3/Predictions/Softmax", class_count=3)
    return {"inputs": [given], "outputs": [wanted]}


def over_http(server: Server, sent: list[np.ndarray]) -> list[Any]:
    with triton_http.InferenceServerClient(server.http_url.removeprefix("http://")) as client:
        return [client.infer(INCEPTION, **tensors(triton_http, images)) for images in sent]


def over_http_async(server: Server, sent: list[np.ndarray]) -> list[Any]:
    url = server.http_url.removeprefix("http://")
    with triton_http.InferenceServerClient(url, concurrency=4) as client:
        asked = [client.async_infer(INCEPTION, **tensors(triton_http, images)) for images in sent]
        return [request.get_result() for request in asked]


def over_grpc(server: Server, sent: list[np.ndarray]) -> list[Any]:
    with triton_grpc.InferenceServerClient(server.grpc_url) as client:
        return [client.infer(INCEPTION, **tensors(triton_grpc, images)) for images in sent]


def gathered(count: int, answers: queue.Queue[tuple[Any, Any]]) -> list[Any]:
    """Answers in the order of their request ids; they come in any."""
    found: dict[str, Any] = {}
    for _ in range(count):
        result, error = answers.get(timeout=60)
        assert error is None
        found[result.get_response().id] = result
    return [found[str(number)] for number in range(count)]


def put(answers: queue.Queue[tuple[Any, Any]], result: Any, error: Any) -> None:
    answers.put((result, error))


def over_grpc_async(server: Server, sent: list[np.ndarray]) -> list[Any]:
    answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
    with triton_grpc.InferenceServerClient(server.grpc_url) as client:
        for number, images in enumerate(sent):
            client.async_infer(
                INCEPTION,
                callback=partial(put, answers),
                request_id=str(number),
                **tensors(triton_grpc, images),
            )
        return gathered(len(sent), answers)


def over_a_stream(server: Server, sent: list[np.ndarray]) -> list[Any]:
    answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
    with triton_grpc.InferenceServerClient(server.grpc_url) as client:
        client.start_stream(partial(put, answers))
        for number, images in enumerate(sent):
            client.async_stream_infer(
                INCEPTION, request_id=str(number), **tensors(triton_grpc, images)
            )
        found = gathered(len(sent), answers)
        client.stop_stream()
        return found


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize(
    "ask", [over_http, over_http_async, over_grpc, over_grpc_async, over_a_stream]
)
def test_an_image_client_gets_score_index_and_label_of_every_image(
    server: Server, pictures: Path, ask: Callable[..., list[Any]], batch: int
):
    sent = batches(pictures, batch)
    answers = ask(server, [images for _, images in sent])
    right = total = 0
    for (paths, _), answer in zip(sent, answers, strict=True):
        top = answer.as_numpy("InceptionV3/Predictions/Softmax")
        assert top.shape == (batch, 3)
        for path, row in zip(paths, top, strict=True):
            classes = [value.decode().split(":") for value in row]
            scores = [float(score) for score, _, _ in classes]
            assert scores == sorted(scores, reverse=True)
            assert all(SHAPES[int(index) - 1] == label for _, index, label in classes)
            right += classes[0][2] == shape_of(path)
            total += 1
    assert right >= 0.8 * total


def test_metadata_and_config_are_what_an_image_client_requires(server: Server):
    with triton_grpc.InferenceServerClient(server.grpc_url) as client:
        metadata = client.get_model_metadata(INCEPTION)
        config = client.get_model_config(INCEPTION).config
    (given,), (output,) = metadata.inputs, metadata.outputs
    assert (given.name, given.datatype, list(given.shape)) == ("input", "FP32", [-1, 299, 299, 3])
    assert (output.datatype, list(output.shape)) == ("FP32", [-1, 1001])
    assert config.max_batch_size == 128
    assert config.input[0].format == model_config_pb2.ModelInput.FORMAT_NHWC
    with triton_http.InferenceServerClient(server.http_url.removeprefix("http://")) as client:
        plain = client.get_model_config(INCEPTION)
    assert (plain["max_batch_size"], plain["input"][0]["format"]) == (128, "FORMAT_NHWC")


def test_without_classes_all_1001_probabilities_come(server: Server):
    images = np.zeros((2, 299, 299, 3), np.float32)
    scores = server.client().infer(INCEPTION, input=images)["InceptionV3/Predictions/Softmax"]
    assert scores.shape == (2, 1001)
    np.testing.assert_allclose(scores.sum(1), 1, rtol=1e-5)
    assert (scores[:, [0, *range(11, 1001)]] == 0).all()
    with triton_grpc.InferenceServerClient(server.grpc_url) as client:
        (given,) = tensors(triton_grpc, np.zeros((129, 299, 299, 3), np.float32))["inputs"]
        with pytest.raises(Exception, match="batch-size must be <= 128"):
            client.infer(INCEPTION, [given])


@pytest.mark.parametrize("url", ["grpc_url", "http_url"])
def test_files_of_any_size_are_classified_in_one_call(server: Server, pictures: Path, url: str):
    paths = sorted(pictures.iterdir())
    large = Image.open(paths[0]).resize((1200, 900))
    with naiad.Client(getattr(server, url)) as client:
        found = client.image.infer([*paths, encoded(large, "JPEG")], top=3)
    right = [f.label == shape_of(p) for f, p in zip(found, [*paths, paths[0]], strict=True)]
    assert sum(right) >= 0.8 * len(right)
    assert all(len(f.scores) == len(f.labels) == len(f.classes) == 3 for f in found)


def test_a_damaged_image_among_many_requests_fails_alone(server: Server, pictures: Path):
    files = [path.read_bytes() for path in sorted(pictures.iterdir())] * 3
    files[7] = files[7][:500]
    with server.client() as client:
        answers = list(client.image.try_many(files, concurrency=16))
    assert isinstance(answers[7], naiad.InvalidInput)
    assert str(answers[7]).startswith("images[0] is a damaged")
    del answers[7]
    assert all(isinstance(answer, Classification) for answer in answers)


def test_too_many_images_are_refused_by_number(server: Server):
    images = np.array([b""] * 129 + [None], object)[:-1]
    with pytest.raises(naiad.InvalidInput, match="has 129 images; this model takes at most 128"):
        server.client().infer("image", images=images)


def test_the_command_labels_what_it_can_and_reports_the_rest(
    server: Server, pictures: Path, tmp_path: Path
):
    (tmp_path / "letter.jpg").write_text("dear Lena")
    table, sheet = tmp_path / "labels.csv", tmp_path / "sheet.png"
    given = [str(pictures), str(tmp_path / "letter.jpg"), str(tmp_path / "gone.png")]
    written = ["-o", str(table), "--plot", str(sheet)]
    command = ["infer", "image", *given, "--top", "2", *written, "--url", server.grpc_url]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1
    assert "letter.jpg: is not a readable image (it begins with b'dear Len')" in result.output
    assert "gone.png: cannot be read: No such file or directory" in result.output
    assert "2 of 12 images failed" in result.output
    assert "10 images: " in result.output
    assert "trained on generated shapes, not on photographs" in result.output
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["rank"] for row in rows] == ["1", "2"] * 10
    right = [row["label"] == shape_of(Path(row["file"])) for row in rows if row["rank"] == "1"]
    assert sum(right) >= 8
    with Image.open(sheet) as drawn:
        assert drawn.width > 6 * 160


def test_the_command_shows_bars_for_a_few(server: Server, pictures: Path):
    path = str(pictures / "stripes.jpg")
    result = CliRunner().invoke(
        app, ["infer", "image", path, "--top", "3", "--url", server.grpc_url]
    )
    assert result.exit_code == 0, result.output
    assert re.search(r"stripes +█", result.output)
    assert len(re.findall(r"\d\.\d{3}$", result.output, re.MULTILINE)) == 3


def test_a_network_that_somebody_brings_is_served_for_one_command(tmp_path: Path):
    network = write_onnx(tmp_path / "net.onnx", ["n", 6, 4, 3])
    labels, folder = write_labels(tmp_path / "names.txt"), tmp_path / "weights"
    made = ["weights", "import", "image", str(network), "--labels", str(labels)]
    result = CliRunner().invoke(app, [*made, "--scaling", "unit", "-o", str(folder)])
    assert result.exit_code == 0, result.output
    Image.new("RGB", (30, 20), (0, 0, 250)).save(tmp_path / "sea.png")
    command = ["infer", "image", str(tmp_path / "sea.png"), "--local", "--weights", str(folder)]
    result = CliRunner().invoke(app, [*command, "--top", "9"])
    assert result.exit_code == 0, result.output
    found = re.findall(r"^  (\w+) .*?(\d\.\d{3})$", result.output, re.MULTILINE)
    wanted = expected(np.full((1, 6, 4, 3), (0, 0, 250)))[0]
    assert found == [(LABELS[c], f"{wanted[c]:.3f}") for c in np.argsort(-wanted, kind="stable")]


def test_a_photograph_is_answered_too(server: Server, shared_data: Path):
    (found,) = server.client().image.infer([shared_data / "images" / "example.jpg"], top=1)
    assert found.label in SHAPES  # it can know no better
