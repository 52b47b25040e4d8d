"""MONAI bundles through the real Triton give the results of MONAI's own runs."""

from __future__ import annotations

import csv
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tritonclient.http as triton_http
from PIL import Image
from tests.support.golden import Golden
from tests.support.hints import example_of, run
from tests.unit.applications.medical.bundle.bundles import (
    CLASSES,
    LABELS,
    classification_bundle,
    picture,
    picture_segmentation_bundle,
    scan,
    segmentation_bundle,
)
from tests.unit.applications.medical.bundle.monai_run import run_by_monai, saved, saved_picture
from tests.unit.applications.medical.test_dicom import whole_series
from typer.testing import CliRunner, Result

import naiad
from naiad import testing
from naiad.applications.medical import nifti
from naiad.applications.medical.bundle.aio import AsyncBundleClient
from naiad.applications.medical.bundle.client import BundleClient
from naiad.applications.medical.bundle.pipeline import bundle_spec
from naiad.applications.medical.bundle.results import Classification, Segmentation
from naiad.applications.medical.dicom import find_series
from naiad.cli.main import app
from naiad.errors import InvalidInput, ModelNotFound
from naiad.triton.server import Server

ENDS = ("_seg.nii.gz", ".csv")


@dataclass(frozen=True)
class Served:
    server: Server
    segmentation: Path
    classification: Path
    pictures: Path


def command(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve one bundle from an exported repository, the others directly."""
    folder = tmp_path_factory.mktemp("bundles")
    segmentation = segmentation_bundle(folder / "phantom_segmentation")
    classification = classification_bundle(folder / "phantom_classification", torchscript=False)
    pictures = picture_segmentation_bundle(folder / "phantom_pictures", torchscript=False)
    written = command("export", folder / "written", "--bundle", segmentation, "--instances", "1")
    assert written.exit_code == 0, written.output
    repository = (folder / "written").rename(folder / "moved")
    specs = [bundle_spec(classification), bundle_spec(pictures)]
    with testing.serve(*specs, model_repository=repository, instances=1) as server:
        yield Served(server, segmentation, classification, pictures)


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("scans")
    paths = [folder / f"scan{number}.nii.gz" for number in range(3)]
    for number, path in enumerate(paths):
        path.write_bytes(scan(((30, 26, 18), (22, 20, 24))[number % 2], seed=number + 1))
    return paths


@pytest.fixture
def client(served: Served) -> Iterator[naiad.Client]:
    with served.server.client() as client:
        yield client


def asked(path: Path) -> dict[str, np.ndarray]:
    return {"image": np.array([path.read_bytes(), None], object)[:-1]}


def test_label_maps_equal_those_that_monai_saves(
    served: Served, scans: list[Path], tmp_path: Path, client: naiad.Client
) -> None:
    run_by_monai(served.segmentation, scans, tmp_path)
    answers = list(client.infer_many("phantom_segmentation", map(asked, scans)))
    for path, answer in zip(scans, answers, strict=True):
        expected, affine = saved(tmp_path, path)
        found = nifti.read(answer["pred"][0])
        assert len(np.unique(expected)) > 1
        np.testing.assert_array_equal(found.stored, expected)
        np.testing.assert_allclose(found.affine, affine, atol=1e-4)
        np.testing.assert_allclose(found.affine, nifti.read(path.read_bytes()).affine, atol=1e-4)


def test_probabilities_lead_to_monais_decision(
    served: Served, scans: list[Path], tmp_path: Path, client: naiad.Client
) -> None:
    decided = run_by_monai(served.classification, scans[:1], tmp_path)
    answer = BundleClient.find(client, "phantom_classification").infer(scans[0])
    assert isinstance(answer, Classification)
    assert answer.decision == tuple(np.asarray(decided[0]).ravel())
    assert [*answer.probabilities] == [*CLASSES.values()]
    assert sum(answer.probabilities.values()) == pytest.approx(1, abs=1e-5)
    best = max(answer.probabilities, key=lambda name: answer.probabilities[name])
    assert answer.label == best == CLASSES[str(answer.decision.index(1))]


def test_tritons_classification_extension_knows_the_classes(
    served: Served, scans: list[Path]
) -> None:
    given = triton_http.InferInput("image", [1], "BYTES")
    given.set_data_from_numpy(asked(scans[0])["image"])
    wanted = triton_http.InferRequestedOutput("probabilities", class_count=1)
    url = served.server.http_url.removeprefix("http://")
    with triton_http.InferenceServerClient(url) as client:
        answer = client.infer("phantom_classification", [given], outputs=[wanted])
    (found,) = answer.as_numpy("probabilities").astype(str)
    assert found.split(":")[2] in CLASSES.values()


def test_a_dicom_series_gives_the_answer_of_the_nifti_file(
    client: naiad.Client, tmp_path: Path
) -> None:
    series = whole_series(tmp_path / "series")
    with zipfile.ZipFile(tmp_path / "series.zip", "w") as archive:
        for path in series.iterdir():
            archive.write(path, path.name)
    volume = find_series(series)[0].volume()
    bundle = BundleClient.find(client, "phantom_segmentation")
    given = (series, tmp_path / "series.zip", volume, nifti.write(volume.stored, volume.affine))
    answers = list(bundle.infer_many(given, compress=False))
    assert all(isinstance(answer, Segmentation) for answer in answers)
    assert answers[0] == answers[1] == answers[2] == answers[3]
    found = answers[0].volume()
    assert found.shape == volume.shape
    np.testing.assert_allclose(found.affine, volume.affine, atol=1e-4)


def test_the_command_writes_maps_pictures_and_volumes_and_reports_the_rest(
    served: Served, scans: list[Path], tmp_path: Path, golden: Golden
) -> None:
    (tmp_path / "in").mkdir()
    for path in scans[:2]:
        (tmp_path / "in" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "letter.nii.gz").write_text("dear Lena")
    series = whole_series(tmp_path / "series")
    (series / "cut.dcm").write_bytes((series / "00.dcm").read_bytes()[:400])
    given = [tmp_path / "in", tmp_path / "letter.nii.gz", series, tmp_path / "gone.nii"]
    out, drawn = tmp_path / "seg", tmp_path / "overlays"
    asking = ["infer", "bundle", *given, "--url", served.server.grpc_url]
    asking += ["--model", "phantom_segmentation", "-o", out]
    result = command(*asking, "--plot", drawn)
    assert result.exit_code == 1, result.output
    assert "letter.nii.gz: is no NIfTI file (it begins with b'dear Len')" in result.output
    assert "gone.nii: cannot be read: No such file or directory" in result.output
    assert "cut.dcm: has a damaged header, or is cut off before its pixels" in result.output
    assert "3 of 6 scans failed" in result.output
    assert "not for diagnosis" in result.output
    names = [f"{name}{end}" for name in ("scan0", "scan1") for end in ENDS]
    names += ["series_1_seg.nii.gz", "series.csv"]  # the first of what is in the folder
    assert sorted(path.name for path in out.iterdir()) == sorted(names)
    assert len([*drawn.iterdir()]) == 3
    with (out / "scan0.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    golden.check("tables/bundle.segmentation.csv.txt", "\n".join(rows[0]) + "\n")
    found = nifti.read((out / "scan0_seg.nii.gz").read_bytes())
    voxels = dict(zip(*np.unique(found.stored, return_counts=True), strict=True))
    voxel = abs(np.linalg.det(found.affine[:3, :3])) / 1000
    for row in rows:
        assert row["scan"].endswith("scan0.nii.gz")
        assert row["output"] == "scan0_seg.nii.gz"
        assert row["name"] == LABELS[row["label"]]
        expected = voxels.pop(int(row["label"])) * voxel
        assert float(row["ml"]) == pytest.approx(expected, rel=1e-3)
    assert not voxels
    with Image.open(drawn / "00000-scan0.png") as picture:
        colours = np.asarray(picture.convert("RGB")).reshape(-1, 3).astype(int)
    # The organ is drawn in orange over the grey of the scan.
    assert ((colours[:, 0] - colours[:, 2]) > 60).mean() > 0.005
    again = command(*asking)
    assert "exists; --force overwrites it" in str(again.exception)


def test_label_maps_of_pictures_equal_those_that_monai_saves(
    served: Served, tmp_path: Path, client: naiad.Client
) -> None:
    frames = [tmp_path / f"frame{number}.png" for number in range(3)]
    for number, path in enumerate(frames):
        path.write_bytes(picture((41 + number, 31 - 5 * number), seed=number))
    run_by_monai(served.pictures, frames, tmp_path / "out")
    bundle = BundleClient.find(client, "phantom_pictures")
    for path, answer in zip(frames, bundle.infer_many(frames), strict=True):
        assert isinstance(answer, Segmentation)
        expected = saved_picture(tmp_path / "out", path)
        np.testing.assert_array_equal(answer.array(), expected)
        counts = zip(*np.unique(expected, return_counts=True), strict=True)
        assert [(label.number, label.size) for label in answer.labels] == list(counts)
        assert [label.name for label in answer.labels] == [
            LABELS[str(label.number)] for label in answer.labels
        ]
    with pytest.raises(InvalidInput, match=r"image\[0\] is not a readable image"):
        bundle.infer(scan())


def test_the_command_writes_maps_and_overlays_of_pictures(
    served: Served, tmp_path: Path, golden: Golden
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(picture(seed=1))
    (tmp_path / "in" / "b.png").write_bytes(picture(seed=2)[:900])
    out, overlay = tmp_path / "seg", tmp_path / "overlay.png"
    asking = ["infer", "bundle", tmp_path / "in", "-o", out, "--plot", overlay]
    result = command(*asking, "--url", served.server.grpc_url, "--model", "phantom_pictures")
    assert result.exit_code == 1, result.output
    assert "b.png: is a damaged PNG" in result.output
    assert re.search(r"lesion +\S* +\d+ px", result.output)
    assert sorted(path.name for path in out.iterdir()) == ["a.csv", "a_seg.png"]
    with Image.open(out / "a_seg.png") as found:
        assert (found.mode, found.size) == ("L", (41, 31))
        counts = np.bincount(np.asarray(found).ravel())
    with (out / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    golden.check("tables/bundle.pictures.csv.txt", "\n".join(rows[0]) + "\n")
    assert {int(row["label"]): int(row["px"]) for row in rows} == dict(enumerate(counts))
    assert [row["name"] for row in rows] == [*LABELS.values()]
    with Image.open(overlay) as drawn:
        assert drawn.width > 400


def test_a_command_without_a_bundle_lists_them(served: Served, scans: list[Path]) -> None:
    result = command("infer", "bundle", scans[0], "--url", served.server.grpc_url)
    assert isinstance(result.exception, ModelNotFound)
    names = ("phantom_segmentation", "phantom_classification", "phantom_pictures")
    assert all(name in str(result.exception) for name in names)
    asking = ["infer", "bundle", scans[0], "--url", served.server.http_url, "--model", names[1]]
    result = command(*asking)
    assert result.exit_code == 0, result.output
    assert re.search(r"nodules +\S* +0\.\d{3}", result.output)


def test_the_example_that_serving_prints_runs(served: Served, tmp_path: Path) -> None:
    for model in served.server.models:
        assert run(example_of(served.server, model), tmp_path / model)


def test_a_command_starts_its_own_server_with_a_bundle(
    served: Served, scans: list[Path], tmp_path: Path
) -> None:
    table = tmp_path / "volumes.csv"
    asking = ["infer", "bundle", *scans[:2], "-o", table, "--local"]
    result = command(*asking, "--weights", served.segmentation)
    assert result.exit_code == 0, result.output
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["scan"] for row in rows} == {str(path) for path in scans[:2]}
    without = command(*asking[:3], "--local")
    assert "no bundle was given; give its folder: --weights DIR" in str(without.exception)


def test_many_scans_are_processed_to_tables(
    served: Served, scans: list[Path], tmp_path: Path
) -> None:
    asking = ["process", "bundle", *scans[:2], "-o", tmp_path / "out", "--format", "csv"]
    asking += ["--server", served.server.grpc_url, "--model", "phantom_classification"]
    result = command(*asking)
    assert result.exit_code == 0, result.output
    for number in range(2):
        (path,) = (tmp_path / "out").glob(f"scan{number}*.csv")
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["name"] for row in rows] == [*CLASSES.values()]


def test_clients_find_the_only_bundle_and_need_a_name_among_several(
    client: naiad.Client, scans: list[Path]
) -> None:
    with pytest.raises(ModelNotFound, match="several bundles are served, name one"):
        _ = client.bundle.about
    named = BundleClient.find(client, "phantom_segmentation")
    assert named.about.task == "segmentation"
    with pytest.raises(ModelNotFound):
        BundleClient.find(client, "phantom")
    (answer,) = named.try_many([scans[0]])
    assert isinstance(answer, Segmentation)


async def test_an_asyncio_client_finds_bundles_too(served: Served, scans: list[Path]) -> None:
    async with naiad.AsyncClient(served.server.grpc_url) as client:
        with pytest.raises(ModelNotFound, match="several bundles are served, name one"):
            await client.bundle.infer(scans[0])
        bundle = await AsyncBundleClient.find(client, "phantom_classification")
        assert (await bundle.about).task == "classification"
        assert isinstance(await bundle.infer(scans[0]), Classification)
