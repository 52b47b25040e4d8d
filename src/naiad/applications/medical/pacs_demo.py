"""``naiad demo pacs``: phantoms in an archive, answered, and the results back in the archive."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from naiad.applications.medical.covid_ct import phantoms
from naiad.applications.medical.covid_ct.task import CovidCtTask
from naiad.client import Client
from naiad.console import errors, say
from naiad.dicom.orthanc import Orthanc
from naiad.dicom.simulate import POSITIONS, Patient, series
from naiad.dicom.source import Query
from naiad.tasks.inference import Inference, infer
from naiad.tasks.study_options import StudyOptions

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_SIZE: Final = (96, 96, 40)


def run(directory: Path) -> None:
    """Start an archive, fill it, answer each study, store the results, and stop.

    Raises:
        EngineError: Orthanc is not installed, or Triton cannot run here; says what to do.
    """
    from naiad.dicom.archive import Archive
    from naiad.triton.serving import serve

    with Orthanc() as archive:
        directory.mkdir(parents=True, exist_ok=True)
        access = archive.access()
        stored = Archive(archive.url, access)
        for study in studies():
            stored.send(study)
        say(f"stored {len(POSITIONS)} phantoms in ", (archive.url, "bold"))
        with errors.status("starting Triton"):
            server = serve(CovidCtTask.name, http_port=0, grpc_port=0, metrics_port=0)
        what = Inference(
            task=CovidCtTask(),
            options=CovidCtTask.Options(),
            output=directory / "results.csv",
            plot=directory / "results.png",
            drawing=CovidCtTask.DrawOptions(),
            concurrency=1,
            timeout=CovidCtTask.timeout,
            force=True,
            studies=StudyOptions(source=archive.url, to=archive.url, access=access),
        )
        with server, Client(server.grpc_url, timeout=what.timeout) as client:
            infer(what, client, what.inputs())
        for study in stored.studies(Query()):
            say(f"study {study.uid}: ", ", ".join(map(str, stored.series(study))))
        stored.close()


def studies(size: tuple[int, int, int] = _SIZE, seed: int = 7) -> Iterator[list[Dataset]]:
    """Yield a study of a phantom in each position."""
    rng = np.random.default_rng(seed)
    for number, position in enumerate(POSITIONS):
        voxels = phantoms.draw(rng, opacities=number % 2 == 0, size=size)
        x, y, z = (extent / count for extent, count in zip(phantoms.FIELD, size, strict=True))
        patient = Patient(f"Phantom^{position.title()}", f"NAIAD{number}", f"{seed}-{position}")
        yield list(series(voxels, (x, y, z), patient, position))
