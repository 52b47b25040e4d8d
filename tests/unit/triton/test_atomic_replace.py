import threading
from pathlib import Path

import pytest

from naiad.triton import atomic_replace
from naiad.triton.atomic_replace import draft_of


def write(target: Path, text: str) -> None:
    with draft_of(target) as draft:
        (draft / "1").mkdir()
        (draft / "1" / "file").write_text(text)


@pytest.mark.parametrize("exchanges", [True, False])
def test_a_folder_takes_the_place_of_another_and_nothing_else_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchanges: bool
):
    if not exchanges:
        monkeypatch.setattr(atomic_replace, "_exchange", lambda one, other: False)
    target = tmp_path / "models" / "m"
    for text in ("one", "two"):
        write(target, text)
        assert (target / "1" / "file").read_text() == text
    assert list(tmp_path.iterdir()) == [tmp_path / "models"]
    assert list((tmp_path / "models").iterdir()) == [target]


def test_a_draft_that_fails_changes_nothing(tmp_path: Path):
    target = tmp_path / "models" / "m"
    write(target, "one")
    with pytest.raises(KeyError), draft_of(target):
        raise KeyError
    assert (target / "1" / "file").read_text() == "one"
    assert [path.name for path in tmp_path.iterdir()] == ["models"]


def test_a_folder_that_is_replaced_is_there_at_any_time(tmp_path: Path):
    target = tmp_path / "models" / "m"
    write(target, "0")
    over, seen = threading.Event(), set[tuple[str, ...]]()

    def look() -> None:
        while not over.is_set():
            seen.add(tuple(path.name for path in target.parent.iterdir()))

    reader = threading.Thread(target=look)
    reader.start()
    for number in range(200):
        write(target, str(number))
    over.set()
    reader.join()
    assert seen == {("m",)}
