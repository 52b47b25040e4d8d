"""Options are the fields of dataclasses, and what is typed arrives in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import Field, dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from tests.support.command import subcommands
from typer.testing import CliRunner

from naiad.cli.fields import build, options, reshaped, with_fields
from naiad.cli.main import app
from naiad.cli.units import amount, duration
from naiad.core.fields import choices, option_name, setting
from naiad.core.settings import GateSettings, ModelSettings, ServeSettings, Supervision

COMMAND: Any = subcommands(typer.main.get_command(app))["serve"]


def parsed(*words: str) -> tuple[ModelSettings, ServeSettings]:
    """What `naiad serve` makes of its options."""
    values = dict(COMMAND.make_context("serve", ["simple", *words]).params)
    values["weights"] = None  # of several models
    return build(ModelSettings, values), build(ServeSettings, values)


def settings(kind: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Field[Any]]]:
    """Every setting of a dataclass and its parts, by where it is."""
    for one in fields(kind):
        hint = get_type_hints(kind)[one.name]
        part = next((arg for arg in (hint, *get_args(hint)) if is_dataclass(arg)), None)
        if part is None:
            yield (*path, one.name), one
        else:
            yield from settings(part, (*path, one.name))


ALL = [
    (kind, *found)
    for kind in (ModelSettings, ServeSettings)
    for found in settings(kind)
    if found[0] != ("weights",)  # of several models; see test_weights_choice
]


def typed(kind: Any, path: tuple[str, ...], one: Field[Any]) -> st.SearchStrategy[Any]:
    """Values of a setting, each with the words that are typed for it."""
    for name in path[:-1]:
        hint = get_type_hints(kind)[name]
        kind = next(arg for arg in (hint, *get_args(hint)) if is_dataclass(arg))
    hint, option, about = get_type_hints(kind)[one.name], option_name(one), one.metadata
    kinds = [arg for arg in (*get_args(hint), hint) if arg is not type(None)]
    texts = st.text("abcXYZ019._", min_size=1)

    def option_for(shown: Any) -> Any:
        return lambda value: (value, [f"{option}={shown(value)}"])

    if options := choices(hint):
        return st.sampled_from(options).map(option_for(str))
    if any(get_origin(arg) is tuple for arg in kinds):
        made = Path if "Path" in str(hint) else str
        values = st.lists(texts.map(made), min_size=1, max_size=3).map(tuple)
        return values.map(lambda value: (value, [f"{option}={one}" for one in value]))
    if one.name == "settings":
        values = st.dictionaries(texts, st.text("abc=1 ", max_size=4), min_size=1)
        return values.map(lambda v: (v, [w for k, t in v.items() for w in (option, f"{k}={t}")]))
    if about.get("unit") == "bool":
        return st.booleans().map(option_for(lambda value: str(value).lower()))
    if bool in kinds:
        return st.just((True, [option]))
    low = about.get("min", about.get("above", 0))
    if about.get("unit") == "octal":
        return st.integers(0, 0o777).map(option_for("{:o}".format))
    if int in kinds:
        values = st.integers(low, about.get("max", 10**6))
        unit = {"s": duration, "bytes": amount}.get(about.get("unit", ""), str)
        return values.map(option_for(unit))
    if float in kinds:
        above = "above" in about
        high = about.get("max", 1e6)
        values = st.floats(low, high, exclude_min=above, allow_subnormal=False)
        plain = values.map(option_for(repr))
        return values.map(option_for(duration)) | plain if about.get("unit") == "s" else plain
    return texts.map(Path if Path in kinds else str).map(option_for(str))


@pytest.mark.parametrize(("kind", "path", "one"), ALL, ids=[".".join(path) for _, path, _ in ALL])
@given(data=st.data())
def test_every_setting_given_on_the_command_line_arrives(
    kind: Any, path: tuple[str, ...], one: Field[Any], data: st.DataObject
) -> None:
    value, words = data.draw(typed(kind, path, one))
    found: Any = parsed(*words)[0 if kind is ModelSettings else 1]
    for name in path:
        found = getattr(found, name)
        if found is None:  # a part whose every field has its default
            assert value == one.default
            return
    assert found == value


def test_without_options_the_defaults_hold() -> None:
    assert parsed() == (ModelSettings(), ServeSettings(health_port=8003))


def test_a_part_is_there_when_it_is_asked_for_or_one_of_its_options_is() -> None:
    assert parsed("--gate")[1].gate == GateSettings()
    assert parsed("--insecure")[1].gate == GateSettings(insecure=True)
    assert parsed("--memory-limit", "4GB")[1].supervision == Supervision(memory_limit=4 * 10**9)


@pytest.mark.parametrize(
    ("former", "now"),
    [
        (["--latency-target-ms", "50"], ["--latency-target", "50ms"]),
        (["--max-queue-delay-ms", "2"], ["--max-queue-delay", "2ms"]),
        (["--memory-limit-mb", "4000"], ["--memory-limit", "4GB"]),
        (["--response-cache", "64"], ["--response-cache", "64MiB"]),
        (["--exit-timeout", "20"], ["--exit-timeout", "20s"]),
    ],
)
def test_what_was_typed_before_means_what_it_did(former: list[str], now: list[str]) -> None:
    assert parsed(*former) == parsed(*now) != parsed()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--latency-target", "5", "--latency-target-ms", "5"], "are the same; give one"),
        (["--watchdog", "0"], "0 is out of range; it must be more than 0"),
        (["--watchdog", "soon"], "'soon' is not a time such as 250ms"),
        (["--exit-timeout", "1.5s"], "'1.5s' is not a whole number of seconds"),
        (["--memory-limit", "0MB"], "it must be at least 1"),
        (["--http-port", "70000"], "65535"),
        (["--socket-mode", "9"], "'9' is not an octal number, such as 660"),
        (["--set", "threshold"], "--set threshold: expected NAME=VALUE"),
    ],
)
def test_values_that_cannot_be_are_usage_errors(words: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["serve", "simple", *words], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert message in " ".join(result.output.replace("│", " ").split())


@dataclass(frozen=True)
class Inner:
    """A part."""

    depth: int = setting(3, "How deep.", min=1)


@dataclass(frozen=True)
class Options:
    """What a command of somebody's takes."""

    pace: Literal["slow", "fast"] = setting("slow", "The pace.")
    patience: float = setting(60.0, "Time to wait.", unit="s", above=0)
    names: tuple[str, ...] = setting((), "Names.", metavar="NAME")
    loud: bool = setting(True, "Say more.")
    output: Path | None = setting(None, "Where.", short=("-o",))
    inner: Inner = setting(Inner(), "The part.", panel="Inner")


def test_a_command_of_ones_own_takes_a_dataclass() -> None:
    seen: list[Any] = []
    own = typer.Typer()

    @own.command()
    @with_fields
    def go(what: str, *, options: Options) -> None:
        """Go."""
        seen.append((what, options))

    run = CliRunner().invoke
    assert run(own, ["x"]).exit_code == 0
    words = ["y", "--pace", "fast", "--patience", "2m", "--names", "a", "--names", "b"]
    assert run(own, [*words, "--no-loud", "-o", "out", "--depth", "5"]).exit_code == 0
    given = Options("fast", 120.0, ("a", "b"), False, Path("out"), Inner(5))
    assert seen == [("x", Options()), ("y", given)]
    text = run(own, ["--help"]).output
    assert "[default: 60s]" in text
    assert "Inner" in text


def test_options_and_build_are_each_others_inverse() -> None:
    def command(**values: Any) -> None: ...

    own = typer.Typer()
    own.command()(reshaped(command, options(Options)))
    made: Any = typer.main.get_command(own)
    values = dict(made.make_context("go", ["--depth", "9"]).params)
    assert build(Options, values) == replace(Options(), inner=Inner(9))
    assert values == {}


def test_flags_are_shown_without_a_type() -> None:
    for words in ([], ["serve"], ["process", "nugraph3"], ["gate", "key"], ["gate", "key", "add"]):
        text = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "200"}).output
        assert "--help" in text
        assert "<bool>" not in text
