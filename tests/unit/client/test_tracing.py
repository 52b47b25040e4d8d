"""A call carries the span that is current in the program that makes it."""

from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span

from naiad.client.tracing import trace_headers

SPAN = NonRecordingSpan(SpanContext(0xAB, 0xCD, False, TraceFlags(1)))


def test_the_current_span_is_sent_and_nothing_without_one() -> None:
    assert trace_headers() == {}
    with use_span(SPAN):
        assert trace_headers() == {"traceparent": f"00-{0xAB:032x}-{0xCD:016x}-01"}
    assert trace_headers() == {}
