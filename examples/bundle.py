"""Segment a scan with a MONAI bundle, and write its label map.

    naiad serve --bundle DIR  # a bundle is a program: serve only bundles that you trust
    python examples/bundle.py scan.nii.gz scan_seg.nii.gz

Needs the extra `bundle-client`; the server needs `bundle`.
"""

import sys

import naiad
from naiad.applications.medical.bundle.client import BundleClient


def main(scan: str, written: str) -> None:
    """Print the size of each label."""
    with naiad.Client("localhost:8001") as client:
        answer = BundleClient.find(client).infer(scan)
        answer.save(written)
        for label in answer.labels:
            print(f"{label.name}: {label.size:.1f} {answer.unit}")


if __name__ == "__main__":
    main(*sys.argv[1:])
