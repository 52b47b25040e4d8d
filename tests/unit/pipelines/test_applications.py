"""The list of applications says what is there."""

from __future__ import annotations

from importlib import import_module

import pytest

from naiad.bench.requests import model_name
from naiad.pipeline import load_pipeline
from naiad.pipelines import Application, application, applications

EACH = pytest.mark.parametrize("app", applications(), ids=lambda app: app.name)


@EACH
def test_the_pipeline_has_the_models_name(app: Application) -> None:
    assert load_pipeline(app.name).name == app.model


@EACH
def test_an_application_is_found_by_its_name_and_by_its_models(app: Application) -> None:
    assert application(app.name) is application(app.model) is app
    assert model_name(app.name) == model_name(app.model) == app.model


@EACH
def test_every_part_that_is_named_is_there(app: Application) -> None:
    for part in (app.pipeline, app.client, app.cli, app.requests):
        if part is not None:
            module, _, attribute = part.partition(":")
            assert not attribute or hasattr(import_module(module), attribute)


def test_no_two_share_a_name() -> None:
    names = [name for app in applications() for name in {app.name, app.model}]
    assert len(names) == len(set(names))
