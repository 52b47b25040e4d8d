"""The Helm chart written by ``naiad deploy``, rendered by Helm itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import helm_python
import yaml

from naiad.deploy.kubernetes import Release, write_chart

NAMESPACE = "physics"
RELEASE = Release("nu", "registry.example.org:5000/naiad:0.1.0", ["nugraph3"])


def rendered(
    folder: Path, release: Release = RELEASE, changes: dict[str, Any] | None = None
) -> dict[tuple[str, str], Any]:
    """Return Helm's objects by kind and name; ``changes`` are further values."""
    chart, values = write_chart(release, folder)[:2]
    merged = {**yaml.safe_load(values.read_text()), **(changes or {})}
    made = helm_python.Chart.load(chart).render(merged, name=release.name, namespace=NAMESPACE)
    documents = [
        document
        for path, text in made.items()
        if not path.endswith(".txt")
        for document in yaml.safe_load_all(text)
        if document is not None
    ]
    return {(found["kind"], found["metadata"]["name"]): found for found in documents}
