"""Settings are declared once: keywords, checks and config parameters come from their fields."""

from __future__ import annotations

import inspect
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

import naiad
from naiad.core.fields import (
    check,
    choices,
    from_parameters,
    like,
    settings_of,
    to_parameters,
)
from naiad.core.settings import (
    RUNTIMES,
    EngineSettings,
    GateSettings,
    ModelOptions,
    ModelSettings,
    ServeOptions,
    ServerOptions,
    ServeSettings,
    ServiceSettings,
    Supervision,
)
from naiad.errors import EngineError, SchemaError

KINDS = (ModelSettings, ServeSettings, EngineSettings, GateSettings, Supervision)

seconds = st.floats(min_value=1e-9, max_value=1e9)
service = st.builds(
    ServiceSettings,
    instances=st.none() | st.integers(1, 1000),
    watchdog=st.none() | seconds,
    queue_capacity=st.none() | st.integers(1, 10**9),
    max_queue_delay=st.none() | seconds,
    latency_target=st.none() | seconds,
    runtime=st.none() | st.sampled_from(RUNTIMES),
)


@given(service)
def test_settings_of_a_service_survive_a_config(settings: ServiceSettings) -> None:
    assert from_parameters(ServiceSettings, to_parameters(settings)) == settings


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"watchdog": "long"}, "parameter watchdog is 'long'; it must be a number"),
        ({"queue_capacity": "1.5"}, "parameter queue_capacity is '1.5'; it must be a whole"),
    ],
)
def test_a_parameter_that_cannot_be_read_is_named(parameters: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_parameters(ServiceSettings, parameters)


@pytest.mark.parametrize("kind", KINDS)
def test_each_setting_has_help_and_a_default_within_its_bounds(kind: type) -> None:
    check(kind(), AssertionError)
    for one in fields(kind):
        assert one.metadata["help"].endswith("."), one.name
        assert ("unit" in one.metadata) or not one.name.endswith("timeout"), one.name


@pytest.mark.parametrize(
    ("options", "kinds"),
    [
        (ModelOptions, [ModelSettings]),
        (ServerOptions, [ServeSettings]),
        (ServeOptions, [ModelSettings, ServeSettings]),
    ],
)
def test_keywords_are_the_fields_and_take_their_types(options: type, kinds: list[Any]) -> None:
    taken = get_type_hints(options)
    fields_of = {name: hint for kind in kinds for name, hint in get_type_hints(kind).items()}
    assert set(taken) == set(fields_of)
    for name, hint in fields_of.items():
        scalars = {arg for arg in (hint, *get_args(hint)) if arg in (int, float, str, Path)}
        assert scalars <= {taken[name], *get_args(taken[name])}, name
        if choices(hint):
            assert taken[name] == (str | None if type(None) in get_args(hint) else str)


def test_signatures_show_every_setting_with_its_default() -> None:
    for function, kinds in (
        (naiad.serve, [ModelSettings, ServeSettings]),
        (naiad.Server, [ServeSettings]),
        (naiad.export, [ModelSettings]),
    ):
        shown = inspect.signature(function).parameters
        for one in (one for kind in kinds for one in fields(kind)):
            assert shown[one.name].default == one.default
            described = (function if function is not naiad.Server else function.__init__).__doc__
            assert f"{one.name}: {one.metadata['help']}" in described


def test_paths_may_be_text_and_sequences_lists() -> None:
    found = settings_of(ModelSettings, {"weights": "w", "tuning": "t.json", "settings": {"a": 1}})
    assert (found.weights, found.tuning) == (Path("w"), (Path("t.json"),))
    assert settings_of(ModelSettings, {"tuning": None}).tuning == ()
    server = settings_of(ServeSettings, {"load": ["a", "b"], "engine": None, "http_port": None})
    assert (server.load, server.engine, server.http_port) == (("a", "b"), EngineSettings(), None)


def test_an_unknown_keyword_is_named_with_the_nearest() -> None:
    with pytest.raises(TypeError, match="'http_prt'; did you mean http_port"):
        naiad.serve("simple", http_prt=0)  # type: ignore[call-arg]  # ty: ignore
    with pytest.raises(TypeError, match="'watchdo'; did you mean watchdog"):
        naiad.export("simple", Path("x"), watchdo=1)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (ServiceSettings(watchdog=0.0), "watchdog is 0 s; it must be more than 0"),
        (ServiceSettings(max_queue_delay=float("inf")), "max_queue_delay is inf s; .* finite"),
        (ServiceSettings(instances=0), "instances is 0; it must be at least 1"),
        (ServeSettings(http_port=70000), "http_port is 70000; it must be from 0 to 65535"),
        (ServeSettings(response_cache=-1), "response_cache is -1 bytes; it must be 0 or more"),
    ],
)
def test_values_out_of_bounds_are_refused(settings: Any, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        check(settings, SchemaError)


def test_a_server_that_cannot_be_is_refused_before_anything_is_written() -> None:
    with pytest.raises(EngineError, match="exit_timeout is -1 s"):
        naiad.serve("simple", exit_timeout=-1)


def test_a_setting_may_be_declared_again_elsewhere() -> None:
    one: Any = like(ServiceSettings, "instances", default=2, help="Copies.")
    assert (one.default, dict(one.metadata)) == (2, {"help": "Copies.", "min": 1})
    assert not is_dataclass(one)
