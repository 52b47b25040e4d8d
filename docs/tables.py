"""Tables of the documentation that are made from what they describe.

As an MkDocs hook it writes a pipeline's schema where a page says ``<!-- schema: NAME KIND -->``,
KIND being ``inputs``, ``sample``, ``result`` or ``outputs``, the vulnerabilities in cves.yaml
where it says ``<!-- cves -->``, and the installed applications where it says
``<!-- applications -->``. Run as a program, it brings the held-out accuracy in nugraph3.md up to
date with the weights that come with Naiad.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from naiad.application import applications
from naiad.core.pipeline import default_weights, load_pipeline
from naiad.core.schema import Schema, Tensor
from naiad.tasks.task import Task

_SCHEMA = re.compile(r"<!-- schema: (?P<pipeline>\S+) (?P<kind>inputs|sample|result|outputs) -->")
_CVES = "<!-- cves -->"
_APPLICATIONS = "<!-- applications -->"
_ACCURACY = re.compile(r"(?<=<!-- held-out accuracy -->\n).*?(?=<!-- end -->)", re.DOTALL)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the tables in; called by MkDocs for every page."""
    if _CVES in markdown:
        groups = yaml.safe_load(Path(__file__).with_name("cves.yaml").read_text("utf-8"))
        markdown = markdown.replace(_CVES, cve_table(groups))
    if _APPLICATIONS in markdown:
        markdown = markdown.replace(_APPLICATIONS, application_table())
    return _SCHEMA.sub(
        lambda place: schema_table(getattr(load_pipeline(place["pipeline"]), place["kind"])),
        markdown,
    )


def application_table() -> str:
    """Return the installed applications with their units and results as a Markdown table."""
    lines = ["| application | takes | columns of results | |", "|---|---|---|---|"]
    for known in applications():
        task = known if issubclass(known, Task) else None
        takes = f"{task.unit} ({', '.join(task.suffixes)})".replace(" ()", "") if task else ""
        columns = [
            f"`{column.name}`" + (f" ({column.unit})" if column.unit else "")
            for column in (task.columns if task else ())
        ]
        summary = known.summary
        lines.append(f"| `{known.name}` | {takes} | {', '.join(columns)} | {summary} |")
    return "\n".join(lines)


def cve_table(groups: list[dict[str, Any]]) -> str:
    """Vulnerabilities and their remedies as a Markdown table."""
    lines = [
        "| CVE | CVSS | fixed in | part | reached by | stopped by | on loopback | test |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for group in groups:
        tests = ", ".join(f"`{test.rpartition('::')[2]}`" for test in group["tests"])
        lines += [
            f"| {cve['id']} | {cve['cvss']} | {cve['fixed']} | {cve['part']} | {group['reach']} | "
            f"{group['remedy']} | {group['loopback']} | {tests} |"
            for cve in group["cves"]
        ]
    return "\n".join(lines)


def schema_table(schema: Schema) -> str:
    """A schema as a Markdown table."""
    rows = [
        f"| `{name}` | {tensor.dtype} | {tensor.shape_text()} | {_values(tensor)} | {tensor.doc} |"
        for name, tensor in schema.items()
    ]
    return "\n".join(["| tensor | dtype | shape | values | |", "|---|---|---|---|---|", *rows])


def _values(tensor: Tensor) -> str:
    facts = [
        f"position in {' and '.join(tensor.index_targets())}" if tensor.index_into else "",
        ", ".join(f"{value} {label}" for value, label in (tensor.categories or {}).items()),
        f"at least {tensor.minimum:g}" if tensor.minimum is not None else "",
        f"at most {tensor.maximum:g}" if tensor.maximum is not None else "",
        "unique" if tensor.unique else "",
        tensor.unit,
        "optional" if tensor.optional else "",
    ]
    return "; ".join(filter(None, facts))


def with_accuracy(page: str) -> str:
    """The page on NuGraph3, with the accuracy of the weights that come with Naiad."""
    weights = default_weights(load_pipeline("nugraph3"))
    assert weights is not None
    facts = json.loads((weights / "metrics.json").read_text("utf-8"))
    table = accuracy_table(facts["metrics"])
    return _ACCURACY.sub(lambda _: f"\n{table}\n\n", page)


def accuracy_table(metrics: dict[str, Any]) -> str:
    """What training found on events it had not seen, as Markdown."""
    lines = [
        f"On {metrics['events']:,} simulated events with {metrics['hits']:,} hits that training "
        "had not seen:",
        "",
        "| | class | recall | precision |",
        "|---|---|---|---|",
    ]
    for kind, what in (("semantic", "hits"), ("event", "events")):
        label = f"{_percent(metrics[f'{kind}_accuracy'])} of {what} right"
        for name, recall in metrics[f"{kind}_recall"].items():
            precision = metrics[f"{kind}_precision"][name]
            lines.append(f"| {label} | {name} | {_percent(recall)} | {_percent(precision)} |")
            label = ""
    label = f"{_percent(metrics['filter_accuracy'])} of hits right"
    recall, precision = metrics["filter_recall"], metrics["filter_precision"]
    lines += [
        f"| {label} | signal, by the filter | {_percent(recall)} | {_percent(precision)} |",
        "",
        f"Half of the vertices are within {metrics['vertex_median_cm']:.0f} cm of the truth, 68 % "
        f"within {metrics['vertex_68_percent_cm']:.0f} cm.",
    ]
    return "\n".join(lines)


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{100 * share:.1f} %"


if __name__ == "__main__":
    path = Path(__file__).with_name("nugraph3.md")
    path.write_text(with_accuracy(path.read_text("utf-8")), "utf-8")
