"""The README and the documentation agree with the code."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer.main
import yaml
from packaging.utils import canonicalize_name
from tests.support.command import subcommands
from tests.support.doc_tables import tables
from tests.support.markdown import EXAMPLES, PAGES, ROOT, Block, blocks, page_id

from naiad.application import applications
from naiad.applications.nugraph.schema import INPUTS, OUTPUTS
from naiad.cli.main import app
from naiad.core.schema import validate
from naiad.errors import InvalidInput
from naiad.tasks.task import Task

ALL_BLOCKS = [block for page in PAGES for block in blocks(page)]


def block_id(block: Block) -> str:
    return f"{page_id(block.page)}:{block.line}"


def commands() -> Iterator[tuple[str, list[str]]]:
    """Return every ``naiad`` command that a page shows, and its place."""
    for block in ALL_BLOCKS:
        if block.language == "bash":
            for number, line in enumerate(joined(block.text).splitlines()):
                if line.startswith("naiad "):
                    yield (
                        f"{page_id(block.page)}:{block.line + number}",
                        shlex.split(line, comments=True)[1:],
                    )


def joined(text: str) -> str:
    """Join continued lines into one, keeping the positions of the others."""
    return re.sub(
        r"(?:.*\\\n)+.*",
        lambda lines: lines[0].replace("\\\n", " ") + "\n" * lines[0].count("\\\n"),
        text,
    )


def test_continued_lines_are_read_as_one() -> None:
    assert joined("a\nb \\\n  c \\\n  d\ne\n").splitlines() == ["a", "b    c    d", "", "", "e"]


def test_blocks_are_found_with_their_attributes(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "Text.\n```python\na = 1\n```\n"
        '\n```python title="b.py"\nb\n```\n<!-- no test: long -->\n```bash\nc\n```\n'
    )
    first, second, third = blocks(page)
    assert (first.text, first.line, first.title) == ("a = 1\n", 3, None)
    assert (second.title, second.skipped) == ("b.py", False)
    assert (third.language, third.skipped) == ("bash", True)


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_fence_is_seen(page: Path) -> None:
    text = page.read_text("utf-8")
    fences, examples = re.findall("^ *```", text, re.M), re.findall("<!-- example: ", text)
    assert 2 * (len(list(blocks(page))) - len(examples)) == len(fences)


@pytest.mark.parametrize("block", [b for b in ALL_BLOCKS if b.language == "python"], ids=block_id)
def test_python_is_valid(block: Block) -> None:
    # As cells of notebooks, in which `await` needs no function.
    compile(block.text, block.page, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize(("place", "words"), [pytest.param(*c, id=c[0]) for c in commands()])
def test_every_command_and_option_shown_exists(
    place: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for block in ALL_BLOCKS:
        if block.title and page_id(block.page) == place.partition(":")[0]:
            Path(block.title).write_text(block.text, "utf-8")
    check_command(place, words)


def check_command(place: str, words: list[str]) -> None:
    """Assert that the command in ``words`` and its options exist."""
    command: Any = typer.main.get_command(app)
    rest = iter(words)
    for word in rest:
        if word.startswith("-"):
            known = {option for param in command.params for option in param.opts}
            option = word.partition("=")[0]
            assert option in known, f"{place}: {command.name} has no {option}"
        elif below := subcommands(command):
            # FILE.py:CLASS, and a model on a server, are not in the list of commands.
            command = below.get(word) or command.get_command(None, word)
            assert command, f"{place}: no command {word}"


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_between_pages_resolve(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#[^)]*)?\)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


def test_the_pages_are_those_of_the_navigation() -> None:
    listed = re.findall(r"^ +- .+: (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    docs = ROOT / "docs"
    there = {page.relative_to(docs).as_posix() for page in PAGES if page.is_relative_to(docs)}
    assert sorted(listed) == sorted(there)


LISTED = [
    page
    for page in PAGES
    if page.parent.name in {"recipes", "examples"} and page.name != "index.md"
]


@pytest.mark.parametrize("page", LISTED, ids=page_id)
def test_a_page_of_a_folder_is_in_its_table(page: Path) -> None:
    assert f"]({page.name}) |" in (page.parent / "index.md").read_text("utf-8")


def test_an_example_that_a_page_names_is_shown_and_is_a_file_to_its_reader(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Links\n\n<!-- example: link_prediction.py -->\n\nText.\n")
    source = (ROOT / "examples" / "link_prediction.py").read_text("utf-8")
    [block] = blocks(page)
    assert (block.title, block.text, block.line) == ("link_prediction.py", source, 3)
    page.write_text(tables.on_page_markdown(page.read_text("utf-8")))
    [shown] = blocks(page)
    assert (shown.title, shown.text) == (block.title, block.text)


EVENT = {
    "hit_table_hit_id": np.array([10, 11, 12, 13, 14, 15], np.int32),
    "hit_table_local_plane": np.array([0, 0, 1, 1, 2, 2], np.int32),
    "hit_table_local_time": np.arange(6, dtype=np.float32),
    "hit_table_local_wire": np.arange(6, dtype=np.int32),
    "hit_table_integral": np.full(6, 100, np.float32),
    "hit_table_rms": np.full(6, 3, np.float32),
    "spacepoint_table_spacepoint_id": np.array([0], np.int32),
    "spacepoint_table_hit_id_u": np.array([10], np.int32),
    "spacepoint_table_hit_id_v": np.array([12], np.int32),
    "spacepoint_table_hit_id_y": np.array([-1], np.int32),
}


def put(name: str, at: int, value: float) -> Callable[[dict[str, Any]], None]:
    def change(event: dict[str, Any]) -> None:
        event[name] = event[name].copy()
        event[name][at] = value

    return change


def shorten(event: dict[str, Any]) -> None:
    event["hit_table_rms"] = event["hit_table_rms"][:5]


@pytest.mark.parametrize(
    "damage",
    [
        shorten,
        put("hit_table_local_plane", 2, 3),
        put("hit_table_integral", 0, np.nan),
        put("hit_table_hit_id", 4, 11),
        put("hit_table_integral", 3, 2e6),
        put("spacepoint_table_hit_id_v", 0, -7),
    ],
)
def test_the_messages_for_bad_events_are_those_documented(
    damage: Callable[[dict[str, Any]], None],
) -> None:
    event = dict(EVENT)
    validate(INPUTS, event)
    damage(event)
    with pytest.raises(InvalidInput) as caught:
        validate(INPUTS, event)
    assert f"| `{caught.value}` |" in (ROOT / "docs" / "nugraph3.md").read_text("utf-8")


def test_the_wire_contract_shown_is_the_one_served() -> None:
    page = (ROOT / "docs" / "nugraph3.md").read_text("utf-8")
    table = page[page.index("## The wire contract") : page.index("With nothing but NVIDIA")]
    shown: dict[str, str] = {}
    for names, datatype in re.findall(r"^\| (?:in|out) \| (.+?) \| (\w+) \|", table, re.MULTILINE):
        full = ""
        for name in re.findall(r"`(\w+)`", names):
            # `_v` after `x_filter_u` is short for `x_filter_v`.
            full = full[:-2] + name if name.startswith("_") else name
            shown[full] = datatype
    assert shown == {name: tensor.triton for name, tensor in {**INPUTS, **OUTPUTS}.items()}


def test_the_reference_has_every_public_name() -> None:
    import naiad

    page = (ROOT / "docs" / "reference.md").read_text("utf-8")
    errors = {"NaiadError", "InvalidInput", "PipelineError", "Unavailable"}
    for name in {*naiad.__all__} - errors - {"__version__"}:
        assert f"::: naiad.{name}\n" in page
    assert "::: naiad.errors\n" in page


def test_the_table_of_errors_is_complete() -> None:
    from naiad import errors

    page = (ROOT / "docs" / "errors.md").read_text("utf-8")
    shown = dict(re.findall(r"^\| `(\w+)` \| (?:`(\w+)`)?", page, re.MULTILINE))
    there = {
        name: kind.__dict__.get("code", "")
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.NaiadError)
    }
    there["PipelineError"] = there.pop("NaiadError")
    assert shown == there


def test_schema_tables_are_written_from_the_schema() -> None:
    page = tables.on_page_markdown((ROOT / "docs" / "reference.md").read_text("utf-8"))
    assert "<!-- schema" not in page
    for name, tensor in {**INPUTS, **OUTPUTS}.items():
        assert f"| `{name}` | {tensor.dtype} | {tensor.shape_text()} |" in page
    assert "0 u, 1 v, 2 y" in page


def test_settings_tables_are_written_from_the_fields() -> None:
    page = tables.on_page_markdown((ROOT / "docs" / "reference.md").read_text("utf-8"))
    assert "<!-- settings" not in page
    assert "| `exit_timeout` | `8` | `--exit-timeout` | Maximum time for in-flight" in page
    assert "| `settings` | `None` | `--set` |" in page


def test_every_vulnerability_is_in_the_table_with_its_tests() -> None:
    page = tables.on_page_markdown((ROOT / "docs" / "security.md").read_text("utf-8"))
    assert "<!-- cves" not in page
    for group in yaml.safe_load((ROOT / "docs" / "cves.yaml").read_text("utf-8")):
        for cve in group["cves"]:
            (row,) = re.findall(rf"^\| {cve['id']} \|.+$", page, re.MULTILINE)
            assert row.count("|") == 9
            assert all(f"`{test.rpartition('::')[2]}`" in row for test in group["tests"])


def test_the_accuracy_shown_is_that_of_the_weights() -> None:
    page = (ROOT / "docs" / "nugraph3.md").read_text("utf-8")
    assert tables.with_accuracy(page) == page, "run: python docs/tables.py"
    assert " of hits right | pion |" in page
    page = (ROOT / "docs" / "nugraph2.md").read_text("utf-8")
    assert tables.with_accuracy(page, "nugraph2") == page, "run: python docs/tables.py"
    assert " of hits right | MIP |" in page


def test_the_tree_drawn_is_that_of_the_package() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    assert tables.with_tree(page) == page, "run: python docs/tables.py"
    for path in (ROOT / "src" / "naiad").iterdir():
        if path.suffix == ".py" and path.stem != "__init__":
            assert f"\n  {path.name} " in page
        elif (path / "__init__.py").is_file():
            assert f"\n  {path.name}/ " in page


def test_the_landing_page_is_the_beginning_of_the_readme() -> None:
    page = tables.on_page_markdown((ROOT / "docs" / "index.md").read_text("utf-8"))
    assert page.startswith("# Naiad\n")
    assert "| LitServe |" in page
    assert "## Applications" not in page
    for target in re.findall(r"\]\((?!https?:)([^)#\s]+)", page):
        assert (ROOT / "docs" / target).is_file(), target


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_a_page_begins_with_its_readers(page: Path) -> None:
    if page.name not in {"README.md", "index.md"}:  # for everyone
        assert re.match(r"# .+\n\n\*For .+?\.\*\n\n", page.read_text("utf-8"), re.DOTALL)


def test_the_public_names_are_on_the_page_on_stability() -> None:
    import naiad

    page = tables.on_page_markdown((ROOT / "docs" / "stability.md").read_text("utf-8"))
    assert all(f"`{name}`" in page for name in naiad.__all__)


@pytest.mark.parametrize("name", [application.name for application in applications()])
def test_every_application_has_an_example(name: str) -> None:
    alias = tables.alias_of(canonicalize_name(name), tables.extras()) or name
    text = "".join(example.read_text("utf-8") for example in EXAMPLES)
    stems = {example.stem for example in EXAMPLES}
    assert {name, alias.replace("-", "_")} & stems or f"naiad serve {name}\n" in text


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_says_how_to_run_it_and_is_listed(example: Path) -> None:
    text = example.read_text("utf-8")
    assert re.match(rf'""".+\n\n(?:    .+\n)*    python examples/{example.name}.*\n', text)
    assert f"[{example.stem}]({example.name})" in (example.parent / "README.md").read_text("utf-8")
    for line in re.findall(r"^    (naiad .+)$", text.partition('"""\n\n')[0], re.MULTILINE):
        check_command(example.name, shlex.split(line, comments=True)[1:])


def test_the_columns_of_results_are_in_the_reference_with_their_units() -> None:
    page = tables.on_page_markdown((ROOT / "docs" / "reference.md").read_text("utf-8"))
    assert "<!-- columns" not in page
    for application in applications():
        if not issubclass(application, Task):
            continue
        for column in application.columns:
            assert column.about["doc"], f"{application.name}: {column.name}"
        if application.columns:
            part = page.partition(f"### Columns of `{application.name}`\n")[2].partition("\n### ")[
                0
            ]
            named = re.findall(r"^\| `(.+?)` \| \w+ \| (.*?) \| \S.* \|$", part, re.MULTILINE)
            assert named == [(column.name, column.unit) for column in application.columns]
    page = tables.on_page_markdown((ROOT / "docs" / "nugraph3.md").read_text("utf-8"))
    assert "| `vertex_x` | float32 | cm | x of the vertex |" in page
