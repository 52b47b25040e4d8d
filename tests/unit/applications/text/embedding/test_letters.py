"""Letters that an encoder has no words for; texts that have no tokens at all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.unit.applications.text.embedding.tiny import write_tokenizer

from naiad.applications.text.embedding.encoder import Tokenizer
from naiad.errors import InvalidInput


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """A tokenizer of pieces of words, as BERT's, that knows each Cyrillic letter by itself."""
    from tokenizers import Tokenizer as Library
    from tokenizers import models, normalizers, pre_tokenizers

    words = ["[UNK]", "moon", "##light", "日", "本", *"луна", *(f"##{one}" for one in "луна")]
    tokenizer = Library(models.WordPiece({w: n for n, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    path = tmp_path_factory.mktemp("pieces") / "tokenizer.json"
    tokenizer.save(str(path))
    return Tokenizer(path, None)


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("moon", 0.0),
        ("moonlight moon", 0.0),
        ("луна", 1.0),  # letter by letter
        ("moon луна", 0.5),
        ("日本", 0.0),  # each a word
        ("中国", 1.0),  # unknown
        ("😀", 1.0),
    ],
)
def test_letters_without_words_are_counted(pieces: Tokenizer, text: str, share: float) -> None:
    assert pieces.letters_unread([text], "text").tolist() == [share]


def test_letters_of_several_bytes_each_a_token_are_counted(tmp_path: Path) -> None:
    from tokenizers import Tokenizer as Library
    from tokenizers import models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("m", "o"), ("mo", "o"), ("moo", "n"), ("Ġ", "moon")]
    words = [*letters, *("".join(pair) for pair in merges)]
    tokenizer = Library(models.BPE({w: n for n, w in enumerate(words)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    bytewise = Tokenizer(tmp_path / "tokenizer.json", None)
    assert bytewise.letters_unread(["moon", "луна", "日本"], "text").tolist() == [0.0, 1.0, 1.0]


@pytest.mark.parametrize("text", ["", " ", "\u200b", "\0", "\u200b\0\ufeff"])
def test_a_text_without_tokens_is_empty(pieces: Tokenizer, tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape("text[1] is empty; it must have text")):
        pieces.letters_unread(["moon", text], "text")


def test_an_unknown_word_is_not_empty(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    assert Tokenizer(tmp_path / "tokenizer.json", 8).letters_unread(["xyz"], "text") == [1.0]
