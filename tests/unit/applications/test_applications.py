"""The list of applications: each is there, and says what it needs."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module

import pytest

from naiad.applications import Application, application, applications
from naiad.core.pipeline import load_pipeline


@pytest.mark.parametrize("app", applications(), ids=lambda app: app.name)
def test_each_is_found_by_name_with_all_its_parts(app: Application) -> None:
    assert application(app.name) is app
    assert load_pipeline(app.name).name == app.model
    for part in (app.client, app.requests, app.simulated):
        if part is not None:
            module, _, name = part.partition(":")
            assert callable(getattr(import_module(module), name))


def test_one_whose_packages_are_not_all_there_is_not_installed() -> None:
    app = applications()[0]
    assert app.packages
    assert app.installed()
    assert not replace(app, packages=("json", "no_such_package")).installed()
