"""Tables of the documentation that are made from what they describe.

As an MkDocs hook it replaces these marks of a page:

- ``<!-- schema: NAME KIND -->``: a pipeline's schema; KIND is ``inputs``, ``sample``, ``result`` or
  ``outputs``;
- ``<!-- settings: CLASS -->``: the fields of a settings dataclass;
- ``<!-- applications -->``: the registered applications;
- ``<!-- cves -->``: the vulnerabilities in cves.yaml;
- ``<!-- extras -->``: the extras in pyproject.toml;
- ``<!-- public names -->``: ``naiad.__all__``;
- ``<!-- readme -->``: the beginning of the README.

As a program it renews the tables that pages themselves hold: the accuracy of NuGraph3's weights in
nugraph3.md, and the tree of packages in architecture.md.
"""

from __future__ import annotations

import ast
import json
import re
import sys
import textwrap
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement

import naiad
from naiad.application import applications
from naiad.core import settings
from naiad.core.fields import described, option_name
from naiad.core.pipeline import default_weights, load_pipeline
from naiad.core.schema import Schema, Tensor
from naiad.tasks.task import Task

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]

_SCHEMA = re.compile(r"<!-- schema: (?P<pipeline>\S+) (?P<kind>inputs|sample|result|outputs) -->")
_SETTINGS = re.compile(r"<!-- settings: (?P<kind>\w+) -->")
_CVES = "<!-- cves -->"
_EXTRAS = "<!-- extras -->"
_README = "<!-- readme -->"
_NAMES = "<!-- public names -->"
_APPLICATIONS = "<!-- applications -->"
_ACCURACY = re.compile(r"(?<=<!-- held-out accuracy -->\n).*?(?=<!-- end -->)", re.DOTALL)
_TREE = re.compile(r"(?<=<!-- tree -->\n```text\n).*?(?=```\n<!-- end -->)", re.DOTALL)

# Purpose of each extra. One that only names another shares its row.
EXTRAS = {
    "nugraph3-client": "to read event files and to write tables and pictures",
    "nugraph3": "also to simulate events, and to serve NuGraph3 on a CPU",
    "nugraph3-train": "also to train NuGraph3, and to serve it on a GPU",
    "gat": "to serve the graph attention network and to draw graphs",
    "gat-train": "also to train it",
    "image": "to serve, train and draw image classifiers, also that of medical images",
    "text-embedding": "to serve sentence vectors and zero-shot classification",
    "movies": "to load, embed, search and serve a graph of films",
    "products": "to serve and train GraphSAGE, and to recommend products",
    "covid-ct": "to serve, train and draw chest CT",
    "bundle-client": "to read scans, DICOM too, and to draw label maps",
    "bundle": "also MONAI, to serve its bundles",
    "simple": "Triton's example, which needs nothing more",
    "gate": "to [serve the network](deployment.md#showing-it-to-the-network)",
    "torch": "to serve TorchScript and `torch.export` files of a "
    "[model repository](model-repositories.md)",
    "onnx": "to serve its ONNX files, and ONNX image classifiers",
    "huggingface": "text networks of the transformers library other than BERT",
    "store": "[graph stores](stores.md) in Ladybug",
    "store-approximate": "also an index for a million vectors and more",
    "store-arango": "graph stores in ArangoDB",
    "nifti": "to read and write NIfTI volumes",
    "parquet": "to write results as Parquet",
    "plots": "to draw pictures of results",
    "tune": "[`naiad tune`](tuning.md), and the HTML report of `naiad bench`",
    "ray": "[`naiad process`](bulk.md) on a Ray cluster",
    "all": "everything but Ray",
}
FORMER = {"server", "monai", "monai-client"}
FOR_DEVELOPERS = {"bench", "test", "dev", "docs"}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the tables in; called by MkDocs for every page."""
    if _CVES in markdown:
        groups = yaml.safe_load(Path(__file__).with_name("cves.yaml").read_text("utf-8"))
        markdown = markdown.replace(_CVES, cve_table(groups))
    markdown = _SETTINGS.sub(
        lambda place: settings_table(getattr(settings, place["kind"])), markdown
    )
    if _README in markdown:
        markdown = markdown.replace(_README, landing_page((ROOT / "README.md").read_text("utf-8")))
    if _NAMES in markdown:
        names = ", ".join(f"`{name}`" for name in naiad.__all__)
        markdown = markdown.replace(_NAMES, f"{names}.")
    if _EXTRAS in markdown:
        markdown = markdown.replace(_EXTRAS, extras_table(extras()))
    if _APPLICATIONS in markdown:
        markdown = markdown.replace(_APPLICATIONS, application_table())
    return _SCHEMA.sub(
        lambda place: schema_table(getattr(load_pipeline(place["pipeline"]), place["kind"])),
        markdown,
    )


def landing_page(readme: str) -> str:
    """The README down to its mark, its links as they are from this folder."""
    beginning, _, _ = readme.partition("<!-- end of the landing page -->")
    return beginning.replace("](docs/", "](").replace("](#applications)", "](#next)")


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


def settings_table(kind: Any) -> str:
    """The fields of a settings dataclass as a Markdown table."""
    rows = [
        f"| `{one.name}` | `{one.default!r}` | "
        + ("" if one.metadata.get("panel") else f"`{option_name(one)}`".replace("|", r"\|"))
        + f" | {described(one)} |"
        for one in fields(kind)
    ]
    return "\n".join(["| keyword | default | option | |", "|---|---|---|---|", *rows])


def extras() -> dict[str, list[Requirement]]:
    """The extras of pyproject.toml, with what each requires."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return {
        name: [Requirement(text) for text in requirements]
        for name, requirements in project["optional-dependencies"].items()
    }


def packages(extra: str, extras: dict[str, list[Requirement]]) -> set[str]:
    """The distributions that an extra brings, those of the extras within it included."""
    found: set[str] = set()
    for requirement in extras[extra]:
        if requirement.name == "naiad":
            found.update(*(packages(inner, extras) for inner in requirement.extras))
        else:
            found.add(requirement.name)
    return found


def alias_of(extra: str, extras: dict[str, list[Requirement]]) -> str | None:
    """The one extra that ``extra`` is another name of, or None."""
    match extras[extra]:
        case [Requirement(name="naiad", extras=inner)] if len(inner) == 1:
            return alias_of(*inner, extras) or next(iter(inner))
    return None


def extras_table(extras: dict[str, list[Requirement]]) -> str:
    """The extras that are not former names or developers', as a Markdown table."""
    lines = ["| extra | for | brings |", "|---|---|---|"]
    for name, purpose in EXTRAS.items():
        same = [other for other in extras if alias_of(other, extras) == name]
        names = ", ".join(f"`{other}`" for other in [name, *same] if other not in FORMER)
        brought = sorted(packages(name, extras), key=str.lower) if name != "all" else ()
        lines.append(f"| {names} | {purpose} | {', '.join(brought)} |")
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


def with_tree(page: str) -> str:
    """The page on the architecture, with the packages and modules that there are."""
    return _TREE.sub(lambda _: f"{tree(ROOT / 'src' / 'naiad')}\n", page)


def tree(package: Path) -> str:
    """The packages and modules directly in ``package``, each with its docstring's first line."""
    folders = [path for path in package.iterdir() if (path / "__init__.py").is_file()]
    files = [path for path in package.glob("*.py") if path.name != "__init__.py"]
    lines = [f"{package.name}/"]
    for path in [*sorted(folders), *sorted(files)]:
        source = path / "__init__.py" if path.is_dir() else path
        first = (ast.get_docstring(ast.parse(source.read_text("utf-8"))) or "").partition("\n")[0]
        name = f"{path.name}/" if path.is_dir() else path.name
        margin = f"  {name:<20}"
        indent = " " * len(margin)
        text = first.replace("``", "").replace("`", "")
        lines += textwrap.wrap(text, 98, initial_indent=margin, subsequent_indent=indent)
    return "\n".join(lines)


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
    for name, renewed in (("nugraph3.md", with_accuracy), ("architecture.md", with_tree)):
        path = Path(__file__).with_name(name)
        path.write_text(renewed(path.read_text("utf-8")), "utf-8")
