"""``naiad simulate image`` and ``naiad weights import|show image``, as a user runs them.

``naiad infer image`` is run against the real server, in tests/e2e/test_image.py.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image
from tests.unit.applications.image.classifiers import write_labels, write_onnx
from typer.testing import CliRunner, Result

from naiad.applications.image.card import SCALINGS, read_folder
from naiad.applications.image.schema import MAX_BYTES, SHAPES
from naiad.applications.image.task import ImageTask
from naiad.cli.main import app
from naiad.errors import InvalidInput, NaiadError, Unavailable
from naiad.tasks.sources import find_inputs


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


def test_pictures_are_named_by_what_they_show(tmp_path):
    result = run("simulate", "image", "-n", 11, "-o", tmp_path / "pictures")
    assert result.exit_code == 0, result.output
    names = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert len(names) == 11
    for number, name in enumerate(names):
        found = re.fullmatch(r"(\d\d)-(\w+)\.jpg", name)
        assert found is not None
        assert (int(found[1]), found[2] in SHAPES) == (number, True)
    with Image.open(tmp_path / "pictures" / names[0]) as picture:
        assert picture.size == (299, 299)
    again = run("simulate", "image", "-n", 1, "-o", tmp_path / "pictures")
    assert isinstance(again.exception, NaiadError)
    assert "--force overwrites it" in str(again.exception)


def test_a_network_becomes_a_folder_to_serve(tmp_path):
    network = write_onnx(tmp_path / "net.onnx", ["n", 3, 6, 4])
    labels = write_labels(tmp_path / "names.txt")
    folder = tmp_path / "weights"
    command = ("weights", "import", "image", network, "--labels", labels, "-o", folder)
    result = run(*command, "--scaling", "imagenet", "--crop", "0.875", "--notice", "a toy")
    assert result.exit_code == 0, result.output
    assert "4 classes, 4 x 6 pixels, NCHW, gives logits" in result.output
    assert f"naiad serve image --weights {folder}" in result.output
    card, _ = read_folder(folder)
    assert card.preprocessing.scaling == SCALINGS["imagenet"]
    assert (card.preprocessing.crop, card.notice) == (0.875, "a toy")
    shown = run("weights", "show", folder)
    assert shown.exit_code == 0, shown.output
    assert re.search(r"model\.onnx +\d+ bytes", shown.output)
    (folder / "model.onnx").write_bytes(b"another")
    assert "do not belong together" in str(run("weights", "show", folder).exception)
    (folder / "model.onnx").unlink()
    assert "no such file" in str(run("weights", "show", folder).exception)


def test_the_names_on_the_command_line_are_those_of_the_library(tmp_path):
    for name in SCALINGS:
        options = ("--labels", "none.txt", "--scaling", name, "-o", tmp_path / "w")
        result = run("weights", "import", "image", "none.onnx", *options)
        assert "none.onnx: no such file" in str(result.exception)
    result = run("weights", "import", "image", "none.onnx", *options[:3], "other", *options[4:])
    assert result.exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (("photo.jpg", "--url", "localhost:1"), Unavailable, "`naiad serve image`, or add --local"),
        (("empty",), InvalidInput, r"has no images \(\.avif, "),
        (("photo.jpg", "-o", "there.csv"), NaiadError, r"there\.csv exists; --force"),
        (("photo.jpg", "-o", "labels.txt"), NaiadError, r"results are written as \.csv, \.parquet"),
        (("photo.jpg", "--plot", "there.png"), NaiadError, r"there\.png exists; --force"),
        (("photo.jpg", "--plot", "there.csv"), NaiadError, r"pictures are written as \.png"),
    ],
)
def test_what_cannot_be_done_is_found_before_anything_is_sent(
    tmp_path, monkeypatch, arguments, kind, message
):
    monkeypatch.chdir(tmp_path)
    for name in ("photo.jpg", "there.csv", "there.png"):
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    result = run("infer", "image", *arguments)
    assert isinstance(result.exception, kind)
    assert re.search(message, str(result.exception))


def test_weights_are_for_a_server_that_this_command_starts():
    result = run("infer", "image", "photo.jpg", "--weights", "w")
    assert result.exit_code == 2
    assert "--local" in result.output


def test_folders_give_their_images_by_name(tmp_path):
    for name in ("b.JPG", "a.png", "c.txt", "deep/d.jpeg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    found = find_inputs(ImageTask(), [tmp_path / "c.txt", tmp_path])
    names = [str(given.path.relative_to(tmp_path)) for given in found]
    assert names == ["c.txt", "a.png", "b.JPG", "deep/d.jpeg"]
    requests = list(ImageTask.requests_in(tmp_path) or ())
    assert [request["images"].tolist() for request in requests] == [
        [b"a.png"],
        [b"b.JPG"],
        [b"deep/d.jpeg"],
    ]


def test_files_that_cannot_be_read_or_sent_are_refused_here(tmp_path):
    with pytest.raises(InvalidInput, match=r"gone\.jpg cannot be read: No such file"):
        ImageTask().read(tmp_path / "gone.jpg")
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(InvalidInput, match="has 20,971,521 bytes; the server takes 20,971,520"):
        ImageTask().read(tmp_path / "huge.jpg")
