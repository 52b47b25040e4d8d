import pytest

from naiad.errors import EngineError
from naiad.otlp import Collector


@pytest.mark.parametrize(
    "url", ["x", "localhost:4317", "ftp://a", "http://", "http://a:x", "http://a:0"]
)
def test_a_collector_is_a_url(url: str) -> None:
    with pytest.raises(EngineError, match=r"must be a URL .*, such as http://localhost:4318"):
        Collector(url).check()


@pytest.mark.parametrize(
    ("url", "traces"),
    [
        ("http://localhost:4318", "http://localhost:4318/v1/traces"),
        ("https://a/", "https://a/v1/traces"),
        ("https://a/otlp/v1/traces", "https://a/otlp/v1/traces"),
    ],
)
def test_spans_go_to_the_usual_path_unless_there_is_one(url: str, traces: str) -> None:
    Collector(url).check()
    assert Collector(url).traces.geturl() == traces
