"""Tables of the documentation, generated from the code and data they describe.

As an MkDocs hook it replaces these marks in a page:

- ``<!-- schema: NAME KIND -->``: a pipeline's schema; KIND is ``inputs``, ``sample``, ``result`` or
  ``outputs``;
- ``<!-- settings: CLASS -->``: the fields of a settings dataclass;
- ``<!-- applications -->``: the registered applications;
- ``<!-- columns: NAME -->``: the columns of an application's results; ``<!-- columns -->``: of
  all applications;
- ``<!-- cves -->``: the vulnerabilities in cves.yaml;
- ``<!-- extras -->``: the extras in pyproject.toml;
- ``<!-- public names -->``: ``naiad.__all__``;
- ``<!-- readme -->``: the beginning of the README;
- ``<!-- example: NAME.py -->``: that file of examples/, as a code block.

As a program it updates the tables stored in pages: the accuracy of the weights of NuGraph2 and
NuGraph3 in their pages, and the tree of packages in architecture.md.
"""

from __future__ import annotations

import ast
import json
import re
import sys
import textwrap
from dataclasses import fields
from functools import partial
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
_COLUMNS = re.compile(r"<!-- columns(?:: (?P<name>\w+))? -->")
_EXAMPLE = re.compile(r"<!-- example: (?P<name>\w+\.py) -->")
_ACCURACY = re.compile(r"(?<=<!-- held-out accuracy -->\n).*?(?=<!-- end -->)", re.DOTALL)
_TREE = re.compile(r"(?<=<!-- tree -->\n```text\n).*?(?=```\n<!-- end -->)", re.DOTALL)

# Purpose of each extra. One that only names another shares its row.
EXTRAS = {
    "nugraph3-client": "reading event files, writing tables and plots",
    "nugraph3": "also simulating events, and serving NuGraph2 and NuGraph3 on a CPU",
    "nugraph3-train": "also training them, and serving them on a GPU",
    "gat": "serving the graph attention network and drawing graphs",
    "gat-train": "also training it",
    "image": "serving, training and drawing image classifiers, including the medical one",
    "text-embedding": "serving sentence vectors and zero-shot classification",
    "movies": "loading, embedding, searching and serving a graph of films",
    "products": "serving and training GraphSAGE, and recommending products",
    "covid-ct": "serving, training and drawing chest CT",
    "bundle-client": "reading scans, including DICOM, and drawing label maps",
    "bundle": "also MONAI, to serve its bundles",
    "simple": "Triton's example, which needs nothing more",
    "heic": "[HEIC pictures](images.md#formats)",
    "dicomweb": "[studies in archives](pacs.md): DICOMweb in, segmentations and reports out",
    "deidentify": "also [without the patient's identity](watching.md#de-identification)",
    "gate": "[serving the network](deployment.md#serve-the-network)",
    "ui": "[the page in the browser](page.md), and [tasks over HTTP](http-api.md)",
    "otlp": "[traces](observability.md#traces) of requests",
    "mcp": "[tools for agents](agents.md): the Model Context Protocol",
    "pyg": "[PyTorch Geometric networks](pyg.md)",
    "torch": "serving TorchScript and `torch.export` files of a "
    "[model repository](model-repositories.md)",
    "onnx": "serving its ONNX files, and ONNX image classifiers; networks by "
    "[ONNX Runtime](tuning.md#runtimes)",
    "openvino": "[networks by OpenVINO](tuning.md#runtimes), and serving its files: 180 MB",
    "tensorflow": "serving its TensorFlow GraphDefs and SavedModels: 1.5 GB",
    "huggingface": "text networks of the transformers library other than BERT",
    "store": "[graph stores](stores.md) in Ladybug",
    "store-approximate": "also an index for a million vectors and more",
    "store-arango": "graph stores in ArangoDB",
    "nifti": "reading and writing NIfTI volumes",
    "parquet": "writing results as Parquet",
    "root": "[ROOT files](nugraph3.md#root) of events and results of NuGraph",
    "plots": "pictures of results",
    "tune": "[`naiad tune`](tuning.md), and the HTML report of `naiad bench`",
    "ray": "[`naiad process`](bulk.md) on a Ray cluster",
    "all": "everything except HEIC, OpenVINO, Ray and TensorFlow",
}
FORMER = {"server", "monai", "monai-client"}
FOR_DEVELOPERS = {"bench", "test", "dev", "docs"}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Insert the tables; called by MkDocs for every page."""
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
    markdown = _COLUMNS.sub(
        lambda place: column_table(place["name"]) if place["name"] else column_tables(), markdown
    )
    markdown = _EXAMPLE.sub(lambda place: example_block(place["name"]), markdown)
    return _SCHEMA.sub(
        lambda place: schema_table(getattr(load_pipeline(place["pipeline"]), place["kind"])),
        markdown,
    )


def example_block(name: str) -> str:
    """Return a file of examples/ as a code block with its name."""
    return f'```python title="{name}"\n{(ROOT / "examples" / name).read_text("utf-8")}```'


def landing_page(readme: str) -> str:
    """Return the README down to its mark, with links relative to this folder."""
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


def column_tables() -> str:
    """Return the columns of the results of all applications that have any."""
    names = [one.name for one in applications() if issubclass(one, Task) and one.columns]
    return "\n\n".join(f"### Columns of `{name}`\n\n{column_table(name)}" for name in names)


def column_table(name: str) -> str:
    """Return the columns of an application's results as a Markdown table."""
    (task,) = (one for one in applications() if one.name == name and issubclass(one, Task))
    lines = ["| column | type | unit | |", "|---|---|---|---|"]
    for column in task.columns:
        about = column.about
        kind = "string" if column.dtype in ("str", "category") else column.dtype
        lines.append(
            f"| `{column.name}` | {kind} | {about.get('unit', '')} | {about.get('doc', '')} |"
        )
    return "\n".join(lines)


def cve_table(groups: list[dict[str, Any]]) -> str:
    """Return vulnerabilities and their remedies as a Markdown table."""
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
    """Return the fields of a settings dataclass as a Markdown table."""
    rows = [
        f"| `{one.name}` | `{one.default!r}` | "
        + ("" if one.metadata.get("panel") else f"`{option_name(one)}`".replace("|", r"\|"))
        + f" | {described(one)} |"
        for one in fields(kind)
    ]
    return "\n".join(["| keyword | default | option | |", "|---|---|---|---|", *rows])


def extras() -> dict[str, list[Requirement]]:
    """Return the extras in pyproject.toml, with the requirements of each."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return {
        name: [Requirement(text) for text in requirements]
        for name, requirements in project["optional-dependencies"].items()
    }


def packages(extra: str, extras: dict[str, list[Requirement]]) -> set[str]:
    """Return the distributions that an extra installs, including those of nested extras."""
    found: set[str] = set()
    for requirement in extras[extra]:
        if requirement.name == "naiad":
            found.update(*(packages(inner, extras) for inner in requirement.extras))
        else:
            found.add(requirement.name)
    return found


def alias_of(extra: str, extras: dict[str, list[Requirement]]) -> str | None:
    """Return the extra that ``extra`` is another name of, or None."""
    match extras[extra]:
        case [Requirement(name="naiad", extras=inner)] if len(inner) == 1:
            return alias_of(*inner, extras) or next(iter(inner))
    return None


def extras_table(extras: dict[str, list[Requirement]]) -> str:
    """Return a Markdown table of the extras, without former names and developers' extras."""
    lines = ["| extra | for | installs |", "|---|---|---|"]
    for name, purpose in EXTRAS.items():
        same = [other for other in extras if alias_of(other, extras) == name]
        names = ", ".join(f"`{other}`" for other in [name, *same] if other not in FORMER)
        brought = sorted(packages(name, extras), key=str.lower) if name != "all" else ()
        lines.append(f"| {names} | {purpose} | {', '.join(brought)} |")
    return "\n".join(lines)


def schema_table(schema: Schema) -> str:
    """Return a schema as a Markdown table."""
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
    """Update the tree in the page on the architecture."""
    return _TREE.sub(lambda _: f"{tree(ROOT / 'src' / 'naiad')}\n", page)


def tree(package: Path) -> str:
    """List the packages and modules directly in ``package`` with their docstrings' first lines."""
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


def with_accuracy(page: str, model: str = "nugraph3") -> str:
    """Update the accuracy of a model's weights in the page on it."""
    weights = default_weights(load_pipeline(model))
    assert weights is not None
    facts = json.loads((weights / "metrics.json").read_text("utf-8"))
    table = accuracy_table(facts["metrics"])
    return _ACCURACY.sub(lambda _: f"\n{table}\n\n", page)


def accuracy_table(metrics: dict[str, Any]) -> str:
    """Return the accuracy on held-out events as Markdown."""
    lines = [
        f"On {metrics['events']:,} simulated events with {metrics['hits']:,} hits that were not "
        "used for training:",
        "",
        "| | class | recall | precision |",
        "|---|---|---|---|",
    ]
    for kind, what in (("semantic", "hits"), ("event", "events")):
        if f"{kind}_accuracy" not in metrics:
            continue
        label = f"{_percent(metrics[f'{kind}_accuracy'])} of {what} right"
        for name, recall in metrics[f"{kind}_recall"].items():
            precision = metrics[f"{kind}_precision"][name]
            lines.append(f"| {label} | {name} | {_percent(recall)} | {_percent(precision)} |")
            label = ""
    label = f"{_percent(metrics['filter_accuracy'])} of hits right"
    recall, precision = metrics["filter_recall"], metrics["filter_precision"]
    lines.append(
        f"| {label} | signal, by the filter | {_percent(recall)} | {_percent(precision)} |"
    )
    if "vertex_median_cm" in metrics:
        lines += [
            "",
            f"Half of the vertices are within {metrics['vertex_median_cm']:.0f} cm of the truth, "
            f"68 % within {metrics['vertex_68_percent_cm']:.0f} cm.",
        ]
    return "\n".join(lines)


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{100 * share:.1f} %"


if __name__ == "__main__":
    for name, renewed in (
        ("nugraph2.md", partial(with_accuracy, model="nugraph2")),
        ("nugraph3.md", with_accuracy),
        ("architecture.md", with_tree),
    ):
        path = Path(__file__).with_name(name)
        path.write_text(renewed(path.read_text("utf-8")), "utf-8")
