"""The page in Chromium: every tab is opened, asked by its example, and read."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

import numpy as np
import pytest
from tests.support.browser import Page, Scheme, open_browser, open_page, shoot
from tests.support.command import WIDE, naiad_serve, shown_when_ready, urls_shown
from tests.support.full import full
from tests.support.gate import eventually
from tests.support.golden import Golden
from tests.support.ports import free_ports
from tests.unit.applications.medical.bundle.bundles import scan, segmentation_bundle
from typer.testing import CliRunner

import naiad
from naiad.application import application, application_in
from naiad.applications.movies.kinds import Likeness
from naiad.cli.main import app
from naiad.errors import NaiadError
from naiad.gate.keys import add_key
from naiad.tasks.calls import TaskCall
from naiad.tasks.task import Task
from naiad.tasks.views import Volumes
from naiad.triton.past_requests import PastRequests, milliseconds
from naiad.ui.cards import card_html
from naiad.ui.examples import Example, find_examples
from naiad.ui.slices import make_slices

pytestmark = full

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "examples" / "argon_clusters"
OWN = ROOT / "src" / "naiad" / "cli" / "templates" / "my_model.py"
TASKS = (
    *("argon_clusters", "covid_ct", "gat", "mednist", "movies_recommend", "movies_search"),
    *("movies_similar", "nugraph3", "products", "zero_shot"),
)


@dataclass(frozen=True)
class Served:
    """A server with several models: its page, health port and gRPC port, and a client of it."""

    url: str
    health: str
    grpc: str
    client: naiad.Client
    folder: Path

    def call(self, name: str) -> TaskCall:
        kind = application(name) or application_in(
            f"{SAMPLE / NAMED / 'task.py'}:ArgonClustersTask"
        )
        assert kind is not None
        assert issubclass(kind, Task)
        return TaskCall(self.client, kind)

    def example(self, name: str) -> Example:
        return find_examples(self.call(name), self.folder / name)[0]


NAMED = "argon_clusters"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    target, folder = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("examples")
    install = ["uv", "pip", "install", "--no-deps", "--no-build-isolation", "--quiet"]
    subprocess.run(
        [sys.executable, "-m", *install, "--python", sys.executable, "--target", target, SAMPLE],
        check=True,
    )
    path = os.pathsep.join(filter(None, [str(target), os.environ.get("PYTHONPATH")]))
    models = [*TASKS, f"{OWN}:MyModel"]
    bundle = segmentation_bundle(folder / "phantom")
    options = ("--bundle", bundle, "--instances", "1", "--ui", "--ui-port", "0")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", path)
        patch.setenv("NAIAD_MOVIES", str(folder / "films"))
        for command in (["load"], ["embed", "--local"]):
            assert CliRunner().invoke(app, ["movies", *command]).exit_code == 0
        with naiad_serve(*models, *options) as server:
            urls = urls_shown(shown_when_ready(server))
            with naiad.Client(urls["gRPC"]) as client:
                yield Served(f"{urls['page']}/ui/", urls["health"], urls["gRPC"], client, folder)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def page(browser: Any, served: Served) -> Iterator[Page]:
    with open_page(browser, served.url) as page:
        yield page
    # Of all tests that follow: nothing was asked of anyone else, and nothing failed.
    assert page.hosts == {urlsplit(served.url).netloc}
    assert page.troubles == []


def test_there_is_a_tab_for_each_model_and_an_overview(page: Page) -> None:
    tasks = sorted([*TASKS, "bundle"])
    shown = [*(name.replace("_", " ") for name in tasks), "my model", "Overview"]
    assert page.tabs() == shown


@pytest.mark.parametrize("name", TASKS)
def test_an_example_is_answered_as_the_client_does(
    name: str, page: Page, served: Served, tmp_path: Path
) -> None:
    call, example = served.call(name), served.example(name)
    panel = page.tab(name.replace("_", " "))
    assert "1 of the" in page.answer(panel, example.name)

    options = call.options(example.options)
    chosen = slice(example.number, example.number + 1)
    typed = (example.typed,) if example.typed else ()
    (answer,) = call.ask(options, files=example.files, typed=typed, chosen=chosen)
    rows = call.rows(answer, options)
    with page.page.expect_download() as download:
        panel.get_by_role("button", name="Table as csv").click()
    saved = tmp_path / "table.csv"
    download.value.save_as(saved)
    with saved.open(newline="") as file:
        found = list(csv.DictReader(file))
    assert len(found) == len(rows)
    for column in call.columns(options):
        if column.fill != "unit":
            values = [row[column.name] for row in rows]
            shown = [row[column.name] for row in found]
            if column.dtype in ("str", "category", "bool"):
                assert shown == [str(value) for value in values]
            else:
                numbers = [float(text) if text else np.nan for text in shown]
                expected = [np.nan if value is None else value for value in values]
                np.testing.assert_allclose(numbers, np.array(expected, float), rtol=2e-5)
    if call.notice:
        assert call.notice in panel.get_by_role("note").inner_text()


def test_the_best_class_is_on_top_of_bars(page: Page, served: Served) -> None:
    panel = page.tab("mednist")
    page.answer(panel, served.example("mednist").name)
    (kind,) = served.client.mednist.infer([served.example("mednist").files[0]])
    shown = panel.get_by_test_id("label-output-value").inner_text()
    assert shown.strip() == kind.label


def test_an_event_is_a_figure_with_the_values_of_its_hits(page: Page, served: Served) -> None:
    panel = page.tab("nugraph3")
    page.answer(panel, served.example("nugraph3").name)
    plot = panel.locator(".js-plotly-plot")
    plot.wait_for()
    titles = [one.text_content() for one in plot.locator(".annotation-text").all()]
    assert titles == ["plane u", "plane v", "plane y"]
    hits = plot.evaluate("e => e.data.map(one => one.hovertemplate)")
    assert any("charge" in text and "signal" in text for text in hits)


def test_slices_of_a_scan_follow_the_slider(page: Page, served: Served) -> None:
    panel = page.tab("covid ct")
    page.answer(panel, served.example("covid_ct").name)
    picture = panel.locator("img.naiad-slice")
    panel.get_by_alt_text("Slice 21 of 40").wait_for()
    before = picture.get_attribute("src")
    panel.get_by_role("spinbutton").fill("5")
    panel.get_by_role("spinbutton").press("Tab")
    panel.get_by_alt_text("Slice 5 of 40").wait_for()
    assert picture.get_attribute("src") != before


def test_a_model_without_a_task_takes_tensors(page: Page, served: Served) -> None:
    panel = page.tab("my model")
    page.answer(panel, None)
    tensors = {"x": np.zeros((3, 8), np.float32), "edge_index": np.zeros((2, 3), np.int64)}
    score = served.client.infer("my_model", tensors)["score"]
    panel.get_by_text(f"{score.item():.6g}").first.wait_for()


def test_an_error_is_shown_as_the_client_says_it(
    page: Page, served: Served, tmp_path: Path
) -> None:
    letter = tmp_path / "letter.jpeg"
    letter.write_text("dear Lena")
    panel = page.tab("mednist")
    panel.locator(".naiad-files input[type=file]").set_input_files(letter)
    panel.get_by_label("letter.jpeg").wait_for()
    panel.get_by_role("button", name="Ask", exact=True).click()
    panel.get_by_role("alert").wait_for()
    with pytest.raises(NaiadError) as error:
        served.client.mednist.infer([letter])
    said = str(error.value).partition("images[0]")[2].lstrip(": ")
    assert f"letter.jpeg: {said}" in panel.get_by_role("alert").inner_text()
    assert "/tmp" not in panel.get_by_role("alert").inner_text()


def test_a_long_question_is_cancelled(page: Page, served: Served) -> None:
    panel = page.tab("zero shot")
    panel.get_by_role("textbox").nth(0).fill(
        "\n".join(f"text number {n}" + " of many words" * 40 for n in range(990))
    )
    panel.get_by_role("textbox").nth(1).fill("a,b")
    panel.get_by_role("button", name="Ask", exact=True).press("Enter")  # by keyboard
    panel.get_by_text(re.compile(r"^[1-9]\d* answered, ")).wait_for()
    panel.get_by_role("button", name="Cancel").click()
    panel.get_by_text("Cancelled.").wait_for()
    assert panel.get_by_role("button", name="Ask", exact=True).is_enabled()


def test_the_overview_has_models_and_calls_to_paste(
    page: Page, served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    panel = page.tab("Overview")
    panel.get_by_text("monai_covid").first.wait_for()
    panel.get_by_label("Call a model").click()
    page.page.get_by_role("option", name="my_model").click()
    panel.get_by_role("button", name="Show how to call it").click()
    codes = panel.locator(".cm-content")
    codes.first.wait_for()
    python, curl, cpp, load = (code.inner_text() for code in codes.all())
    exec(compile(python.replace("\u200b", ""), "snippet", "exec"), {})
    assert "score" in capsys.readouterr().out
    assert "/v2/models/my_model/infer" in curl
    assert "naiad::models::MyModel" in cpp
    assert "perf_analyzer -m my_model" in load


def test_labels_are_laid_over_the_slices_of_a_scan(page: Page, served: Served) -> None:
    path = served.folder / "scan.nii.gz"
    path.write_bytes(scan((30, 26, 18), seed=1))
    panel = page.tab("bundle")
    panel.locator(".naiad-files input[type=file]").set_input_files(path)
    panel.get_by_label("scan.nii.gz").wait_for()
    page.answer(panel, None)
    call = served.call("bundle")
    (answer,) = call.ask(call.options({}), files=[path])
    assert isinstance(call.task, Volumes)
    volume = call.task.volume(answer)
    assert volume is not None
    slices = make_slices(volume)
    assert slices.labels is not None
    for number in (slices.start, 0):
        panel.get_by_role("spinbutton").last.fill(str(number + 1))
        panel.get_by_role("spinbutton").last.press("Tab")
        picture = panel.get_by_alt_text(f"Slice {number + 1} of {slices.count}")
        assert picture.get_attribute("src") in slices.html(number)
    assert panel.locator(".naiad-legend").inner_text().split() == ["organ", "lesion"]
    # An option without a value is not sent as 0.
    assert panel.get_by_label("Position tolerance").input_value() == ""
    with page.page.expect_download() as download:
        panel.get_by_role("link", name="573 B").or_(
            panel.locator("a[download$='.nii.gz']")
        ).last.click()
    assert download.value.suggested_filename == "scan_seg.nii.gz"


def test_films_are_suggested_as_one_types(page: Page, served: Served) -> None:
    panel = page.tab("movies similar")
    film = panel.get_by_role("textbox", name="Films")
    shown = panel.locator(".naiad-suggested button").filter(visible=True)
    film.fill("")
    film.press_sequentially("moon", delay=30)
    begun = served.client.movies_similar.infer("moon", k=8, by="title")
    names = [pick.name for pick in begun]
    assert eventually(lambda: shown.all_inner_texts() == names)
    film.fill("")
    film.press_sequentially("mooon jbo", delay=30)  # misspelt
    assert eventually(lambda: shown.all_inner_texts() == ["The Moon Job (2044)"])
    film.press("Tab")
    shown.press("Enter")  # by keyboard
    assert eventually(lambda: film.input_value() == "The Moon Job (2044)")
    assert eventually(lambda: not shown.count())
    film.press("Enter")
    page.answered(panel)
    first = served.client.movies_similar.infer("The Moon Job")[0]
    panel.get_by_text(first.title, exact=True).first.wait_for()
    # An option with a few allowed values is a list of them.
    panel.get_by_role("combobox", name="By").click()
    assert set(get_args(Likeness)) <= {
        text.strip("\u2713\n ") for text in page.page.get_by_role("option").all_inner_texts()
    }
    page.page.keyboard.press("Escape")


@pytest.mark.parametrize("name", ["nugraph3", "my_model"])
def test_a_click_tells_where_the_time_went(page: Page, served: Served, name: str) -> None:
    panel = page.tab(name.replace("_", " "))
    page.answer(panel, None if name == "my_model" else served.example(name).name)
    panel.get_by_role("button", name="Where did the time go?").click()
    told = panel.locator(".naiad-request")
    told.wait_for()
    request = told.locator("strong").inner_text().partition(" ")[0]
    (one,) = PastRequests(served.grpc).find(request).requests
    rows = [row.split()[0] for row in told.locator("tbody tr").all_inner_texts()]
    assert rows[: len(one.stages)] == [stage.name for stage in one.stages]
    assert f"answered after {milliseconds(one.seconds)}" in told.inner_text()

    panel = page.tab("Overview")
    panel.get_by_role("gridcell").filter(has_text=request).last.click()
    told = panel.locator(".naiad-request")
    told.filter(has_text=request).wait_for()
    assert f"on worker 0 (process {one.batch.pid if one.batch else 0})" in told.inner_text()


def test_the_model_card_is_that_of_the_command_line(page: Page) -> None:
    done = CliRunner().invoke(app, ["weights", "show", "nugraph3", "--card"])
    panel = page.tab("nugraph3")
    panel.get_by_role("button", name="Model card").click()
    card = panel.locator(".naiad-card")
    card.wait_for()
    body = done.output.partition("\n---\n")[2]
    assert card.inner_html().strip() in card_html(body)
    assert re.search("sha256: [0-9a-f]{64}", card.inner_text())


def test_a_server_elsewhere_has_the_same_page_and_nothing_is_left_of_it(
    browser: Any, served: Served, tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    options = ["--url", served.grpc, "--health", served.health, "--port", str(port)]
    command = [sys.executable, "-m", "naiad", "ui", *options, "--max-upload-mb", "1"]
    environment = {**os.environ, **WIDE, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as served_ui:
        try:
            assert "Ctrl-C stops it" in shown_when_ready(served_ui)
            with open_page(browser, f"http://localhost:{port}/ui/") as page:
                panel = page.tab("mednist")
                page.answer(panel, served.example("mednist").name)
                panel.get_by_role("button", name="Where did the time go?").click()
                panel.locator(".naiad-request").get_by_text("forward").wait_for()
                assert page.troubles == []
                upload = f"http://localhost:{port}/ui/gradio_api/upload"
                large = {"name": "a.jpeg", "mimeType": "image/jpeg", "buffer": bytes(1_500_000)}
                answer = page.page.context.request.post(upload, multipart={"files": large})
                assert (answer.status, "larger than" in answer.text()) == (413, True)
            assert list(tmp_path.glob("naiad-ui-*/naiad-page-*/files/*"))
        finally:
            served_ui.send_signal(signal.SIGINT)
        assert served_ui.wait(20) == 0
    assert list(tmp_path.glob("naiad-*")) == []


def test_behind_a_gate_the_key_is_the_password(browser: Any, tmp_path: Path) -> None:
    key = add_key(tmp_path / "keys.json", "alice")
    options = ("--gate", "--api-keys", tmp_path / "keys.json", "--instances", "1", "--ui")
    with naiad_serve("mednist", *options) as server:
        url = f"{urls_shown(shown_when_ready(server))['page']}/ui/"
        context = browser.new_context()  # without the key
        assert context.request.get(url).status == 401
        context.close()
        with open_page(browser, url, password=key) as page:
            panel = page.tab("mednist")
            page.answer(panel, "000-AbdomenCT.jpeg")
            panel.get_by_role("button", name="Where did the time go?").click()
            panel.locator(".naiad-request").get_by_text("forward").wait_for()
            # Others' requests are without the names that they gave them.
            panel = page.tab("Overview")
            panel.get_by_role("gridcell").filter(has_text="mednist_class 1").last.click()
            told = panel.locator(".naiad-request")
            told.wait_for()
            assert "page-" not in panel.inner_text()
            assert page.troubles == []


SHOTS = (
    ("nugraph3", 1280, "light"),
    ("covid_ct", 1280, "dark"),
    ("Overview", 1280, "light"),
    ("zero_shot", 390, "dark"),
    ("mednist", 390, "light"),
)


@pytest.mark.parametrize(("name", "width", "scheme"), SHOTS)
def test_pages_fit_their_window(
    name: str, width: int, scheme: Scheme, browser: Any, served: Served, golden: Golden
) -> None:
    if width != 390 and not golden.update:
        pytest.skip("screenshots for the documentation are made with --update-golden")
    with open_page(browser, served.url, width=width, height=844, scheme=scheme) as page:
        panel = page.tab(name.replace("_", " "))
        if name in TASKS:
            page.answer(panel, served.example(name).name)
        else:
            panel.locator(".js-plotly-plot").last.wait_for()
        assert page.page.evaluate("document.documentElement.scrollWidth") <= width
        if golden.update:
            page.page.wait_for_timeout(1500)
            kind = "narrow" if width == 390 else scheme
            shoot(page, ROOT / "docs" / "images" / f"page-{name.lower()}-{kind}.webp")
