"""The console prints texts of users as they are."""

from __future__ import annotations

import io

import pytest
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from naiad.console import PlainConsole, complain, print_bars, say, say_notice, styled, tell

NAMES = ["[red]a[/].jpg", ":smile:.nii.gz", "[/]", "a[1].h5", r"\[bold]", "100 %", "[link=x]y"]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_neither_markup_nor_emoji(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    say(name)
    say("wrote ", (name, "bold"), f" and {name}")
    say_notice(name)
    print_bars([name], [0.5])
    assert capsys.readouterr().out.count(name) == 5
    complain(name)
    tell("failed: ", (name, "red"))
    assert capsys.readouterr().err.count(name) == 2


@pytest.mark.parametrize("name", NAMES)
def test_tables_and_trees_show_names_as_they_are(name: str) -> None:
    page = PlainConsole(file=io.StringIO(), width=200)
    table = Table(name, title=name, caption=name)
    table.add_row(name)
    tree = Tree(name)
    tree.add(name).add(styled(name, (name, "red")))
    for one in (table, tree, name):
        page.print(one)
    assert isinstance(page.file, io.StringIO)
    assert page.file.getvalue().count(name) == 9


def test_bytes_that_are_no_text_are_escaped() -> None:
    name = b"caf\xe9\x1b]0;title.jpg".decode("utf-8", "surrogateescape")
    page = PlainConsole(file=io.TextIOWrapper(io.BytesIO(), "utf-8"), width=200)
    page.print(name)
    page.print(Text(name, "bold"))
    page.file.flush()
    assert isinstance(page.file, io.TextIOWrapper)
    assert page.file.buffer.getvalue().count(rb"caf\udce9\x1b]0;title.jpg") == 2
