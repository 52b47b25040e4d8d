"""The list of applications: each is there, and says what it needs."""

from __future__ import annotations

import pytest

from naiad.application import Application, application, applications
from naiad.core.pipeline import load_pipeline


@pytest.mark.parametrize("app", applications(), ids=lambda app: app.name)
def test_each_is_found_by_name_and_by_its_model(app: type[Application]) -> None:
    assert application(app.name) is app
    assert application(app.model) is not None
    assert load_pipeline(app.name).name == app.model


def test_an_application_with_missing_packages_is_not_installed() -> None:
    class Lost(Application):
        name, packages = "lost", ("json", "no_such_package")

    assert not Lost.installed()
    Lost.packages = ("json",)
    assert Lost.installed()
