"""``covid_ct`` and ``mednist`` through the real Triton, with existing clients' requests."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tritonclient.http as triton_http
from PIL import Image
from tests.support.exported import script
from tests.unit.applications.medical.covid_ct.test_pipeline import Mean
from tests.unit.test_artifacts import running_site
from tritonclient.utils import np_to_triton_dtype
from typer.testing import CliRunner

import naiad
from naiad import artifacts, testing
from naiad.applications.medical import nifti
from naiad.applications.medical.covid_ct import phantoms
from naiad.applications.medical.covid_ct.schema import FOREIGN, NOTICE
from naiad.applications.medical.mednist.phantoms import draw, encode
from naiad.applications.medical.mednist.schema import CLASSES
from naiad.cli.main import app
from naiad.errors import InvalidInput
from naiad.triton.server import Server


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Use an empty cache, so that a developer's downloads are not tested."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("NAIAD_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def server(cache: Path) -> Iterator[Server]:
    with testing.serve("covid_ct", "mednist", instances=1) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[naiad.Client]:
    with naiad.Client(server.grpc_url) as client:
        yield client


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write phantoms in nested folders."""
    folder = tmp_path_factory.mktemp("phantoms")
    rng = np.random.default_rng(9)
    for number, kind in enumerate(("opacities", "clear", "opacities")):
        path = folder / "scans" / f"ward{number}" / f"{kind}.nii.gz"
        path.parent.mkdir(parents=True)
        voxels = phantoms.draw(rng, opacities=kind == "opacities", size=(80, 80, 32))
        path.write_bytes(phantoms.encode(voxels))
    for kind in CLASSES:
        path = folder / "images" / kind / f"{kind}.jpeg"
        path.parent.mkdir(parents=True)
        path.write_bytes(encode(draw(kind, rng)))
    return folder


def scans(folder: Path) -> list[Path]:
    return sorted((folder / "scans").rglob("*.nii.gz"))


def as_the_tutorial_asks(server: Server, model: str, path: Path, dtype: type = np.bytes_) -> str:
    """Send a request like the tutorial's client."""
    with triton_http.InferenceServerClient(server.http_url.removeprefix("http://")) as http:
        data = np.array([[path.read_bytes()]], dtype=dtype)
        given = triton_http.InferInput("INPUT0", [1, 1], np_to_triton_dtype(data.dtype))
        given.set_data_from_numpy(data)
        wanted = [triton_http.InferRequestedOutput("OUTPUT0")]
        answer = http.infer(model, [given], request_id="1", outputs=wanted)
        assert [output["name"] for output in answer.get_response()["outputs"]] == ["OUTPUT0"]
        return answer.as_numpy("OUTPUT0").astype(str)[0]


@pytest.mark.parametrize("dtype", [np.bytes_, object])
def test_the_tutorials_client_gets_its_labels(server: Server, folder: Path, dtype: type) -> None:
    # np.bytes_ drops trailing NUL bytes, which nearly every small gzip file has.
    found = [as_the_tutorial_asks(server, "monai_covid", path, dtype) for path in scans(folder)]
    assert found == ["COVID Positive", "COVID Negative", "COVID Positive"]
    for kind in CLASSES:
        path = folder / "images" / kind / f"{kind}.jpeg"
        assert as_the_tutorial_asks(server, "mednist_class", path, dtype) == kind


def test_the_client_reads_files_and_bytes(client: naiad.Client, folder: Path) -> None:
    paths = scans(folder)
    found = client.covid_ct.infer([paths[0], str(paths[1]), paths[2].read_bytes()])
    assert [verdict.positive for verdict in found] == [True, False, True]
    assert all((verdict.probability >= 0.5) == verdict.positive for verdict in found)
    assert client.covid_ct.notice() == client.mednist.notice() == NOTICE
    with pytest.raises(InvalidInput, match="give a list of scans"):
        client.covid_ct.infer(paths[0])
    with pytest.raises(InvalidInput, match="13 volumes; this model takes at most 12"):
        client.infer("monai_covid", {"INPUT0": [[paths[0].read_bytes()]] * 13})


def test_a_contact_sheet_of_a_thousand_images_is_one_call(client: naiad.Client) -> None:
    rng = np.random.default_rng(2)
    few = {kind: [encode(draw(kind, rng)) for _ in range(5)] for kind in CLASSES}
    kinds = [CLASSES[number] for number in rng.integers(len(CLASSES), size=1000)]
    found = client.mednist.infer([few[kind][int(rng.integers(5))] for kind in kinds])
    assert [kind.label for kind in found] == kinds


def test_images_of_several_sizes_are_one_request(client: naiad.Client) -> None:
    rng = np.random.default_rng(3)
    sizes = (64, 128, 64, 90)
    found = client.mednist.infer([encode(draw("Hand", rng, size=size)) for size in sizes])
    assert [kind.label for kind in found] == ["Hand"] * 4


def bad_scans() -> dict[str, tuple[bytes, str]]:
    good = phantoms.draw(np.random.default_rng(1), opacities=False, size=(40, 40, 20))
    whole, header = nifti.write(good, np.eye(4)), nibabel.Nifti1Header()
    header.set_data_shape((32767, 32767, 4000))
    header["vox_offset"], header["magic"] = 352, b"n+1"
    nan = good.astype(np.float32)
    nan[1, 2, 3] = np.nan
    return {
        "empty": (b"", "is empty"),
        "text": (b"no scan", "is no NIfTI file"),
        "truncated": (whole[:2000], "is a truncated gzip file (2,000 bytes); send the whole file"),
        "2D": (nibabel.Nifti1Image(good[0], np.eye(4)).to_bytes(), "is 2D [40, 20]"),
        "4D": (
            nibabel.Nifti1Image(np.stack([good] * 2, -1), np.eye(4)).to_bytes(),
            "is 4D [40, 40, 20, 2]; it must be one 3D volume",
        ),
        "NaN": (nifti.write(nan, np.eye(4)), "voxel [1, 2, 3] is nan; it must be finite"),
        "terabytes": (header.binaryblock + bytes(4), "claims 32,767 x 32,767 x 4,000 voxels"),
        "air": (nifti.write(np.full_like(good, -1024), np.eye(4)), "it has only air"),
    }


def test_bad_scans_get_the_reason_and_good_ones_answers(client: naiad.Client, folder: Path) -> None:
    bad = bad_scans()
    good = scans(folder)[0].read_bytes()
    sent = [data for broken, _ in bad.values() for data in (broken, good)]
    answers = list(client.covid_ct.try_many(sent, concurrency=8))
    for (case, (_, message)), answer, neighbour in zip(
        bad.items(), answers[::2], answers[1::2], strict=True
    ):
        assert isinstance(answer, InvalidInput), case
        assert str(answer).startswith("INPUT0[0, 0]"), case
        assert message in str(answer), case
        assert neighbour.label == "COVID Positive"


def run(*arguments: str | Path):
    return CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)


def test_the_command_for_scans_reports_a_bad_file_and_goes_on(
    server: Server, folder: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.nii.gz"
    bad.write_bytes(b"no scan")
    table, picture = tmp_path / "out.csv", tmp_path / "slices.png"
    files = (folder / "scans", bad, tmp_path / "missing.nii")
    result = run(
        *("infer", "covid_ct", *files, "--url", server.grpc_url, "-o", table, "--plot", picture)
    )
    assert result.exit_code == 1
    assert len(re.findall("(?m)^COVID (?:Positive|Negative) .*nii.gz$", result.stdout)) == 3
    assert "3 scans: COVID Positive 2, COVID Negative 1" in result.stdout
    assert NOTICE in result.stdout
    assert f"{bad}: is no NIfTI file" in result.stderr
    assert "missing.nii: cannot be read: No such file or directory" in result.stderr
    assert "2 of 5 scans failed" in result.stderr
    rows = list(csv.DictReader(table.read_text().splitlines()))
    verdicts = ["COVID Positive", "COVID Negative", "COVID Positive"]
    assert [row["verdict"] for row in rows] == verdicts
    with Image.open(picture) as drawn:
        assert drawn.width > 600
        assert len(drawn.getcolors(1 << 24)) > 50


def test_the_command_for_images_writes_a_table_and_a_sheet(
    server: Server, folder: Path, tmp_path: Path
) -> None:
    table, picture = tmp_path / "out.csv", tmp_path / "sheet.png"
    asked = ("infer", "mednist", folder / "images", "--url", server.grpc_url)
    result = run(*asked, "-o", table, "--plot", picture)
    assert result.exit_code == 0, result.stderr
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [row["label"] for row in rows] == list(CLASSES)
    assert all(float(row[row["label"]]) > 0.5 for row in rows)
    with Image.open(picture) as drawn:
        assert drawn.width > 500
    assert NOTICE in result.stdout


def test_downloaded_weights_are_served_without_further_steps(
    cache: Path, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The archive is like the tutorial's, with another network, from a local server."""
    network = script(Mean(), tmp_path / "covid19_model.ts").read_bytes()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        entry = tarfile.TarInfo("covid19_model.ts")
        entry.size = len(network)
        archive.addfile(entry, io.BytesIO(network))
    known = next(a for a in artifacts.known() if a.name == "covid_ct")
    with running_site("127.0.0.1") as site:
        here = replace(
            known,
            url=site.serve(f"/{known.filename}", packed.getvalue()),
            md5=hashlib.md5(packed.getvalue(), usedforsecurity=False).hexdigest(),
        )
        monkeypatch.setattr(artifacts, "known", lambda: (here,))
        got = run("artifacts", "get", "covid_ct")
    assert got.exit_code == 0
    assert [path.name for path in Path(got.stdout.strip()).iterdir()] == ["covid19_model.ts"]
    with (
        testing.serve("covid_ct", instances=1) as server,
        naiad.Client(server.grpc_url) as client,
    ):
        (verdict,) = client.covid_ct.infer(scans(folder)[:1])
        # A phantom's mean is below one half, which the phantoms' weights call positive.
        assert not verdict.positive
        assert client.covid_ct.notice() == FOREIGN


def test_neither_server_nor_client_imports_monai() -> None:
    program = (
        "import sys, naiad.cli.main, naiad.applications.medical.covid_ct.task\n"
        "print(sys.modules.keys() & {'monai', 'torch'})\n"
        "from naiad.applications.medical.covid_ct import model, pipeline, volumes\n"
        "from naiad.applications.medical.mednist import model, pipeline, pixels\n"
        "print(sys.modules.keys() & {'monai'})"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=os.environ
    )
    assert found.stdout == "set()\nset()\n"
