"""Classify chest CT volumes in NIfTI files.

    naiad simulate covid_ct -n 4 -o scans
    python examples/covid_ct.py scans

Needs the extra `covid-ct`. The weights that come with Naiad were trained on synthetic phantoms and
are not for diagnosis.
"""

import sys
from pathlib import Path

import naiad


def main(folder: str) -> None:
    """Print the verdict on each scan."""
    scans = sorted(Path(folder).glob("*.nii.gz"))
    with naiad.serve("covid_ct") as server, server.client() as client:
        for path, verdict in zip(scans, client.covid_ct.infer(scans), strict=True):
            print(f"{path.name}: {verdict.label}")


if __name__ == "__main__":
    main(*sys.argv[1:])
