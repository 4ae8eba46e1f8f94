"""OpenTelemetry sees each provider request once."""

from __future__ import annotations

import logging

import pytest

from embow.embeddings.types import Usage, record_usage
from embow.pipeline import Pipeline
from scripted import NDIMS, FakeClock, embed, scripted, vectors_of

pytest.importorskip("opentelemetry.sdk", reason="opentelemetry-sdk is not installed")


@pytest.fixture
def telemetry():
    """Return an observer with readers of its spans and metrics."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from embow.pipeline._otel import OpenTelemetryObserver

    spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    meters = MeterProvider(metric_readers=[reader])
    yield OpenTelemetryObserver(tracers, meters), tracers, spans, reader
    meters.shutdown()


def answer_with_usage(texts):
    """Answer and report three tokens a text."""
    record_usage(Usage(3 * len(texts)))
    return vectors_of(texts)


def test_a_request_is_one_span_with_the_attributes_of_the_conventions(telemetry):
    """Operation, provider, model, tokens and dimension; no input."""
    observer, _, spans, _ = telemetry
    function = scripted(answer_with_usage)
    embed(function, ["secret text", "b"], pipeline=Pipeline(None, observers=[observer]))
    (span,) = spans.get_finished_spans()
    assert span.name == f"embeddings {function.name}"
    expected = {
        "gen_ai.operation.name": "embeddings",
        "gen_ai.provider.name": "scripted",
        "gen_ai.request.model": function.name,
        "gen_ai.usage.input_tokens": 6,
        "gen_ai.embeddings.dimension.count": NDIMS,
    }
    assert expected.items() <= dict(span.attributes).items()
    assert "secret text" not in str(span.attributes)


def test_a_failed_attempt_is_a_span_of_its_own_with_its_class(telemetry, caplog):
    """Attempts are requests: two spans, the first an error."""
    observer, _, spans, _ = telemetry
    failures = iter([ConnectionError()])

    def answer(texts):
        for error in failures:
            raise error
        return vectors_of(texts)

    pipeline = Pipeline(None, observers=[observer], clock=FakeClock())
    with caplog.at_level(logging.ERROR):
        embed(scripted(answer), ["a"], pipeline=pipeline)
    first, second = spans.get_finished_spans()
    assert first.attributes["error.type"] == "transient"
    assert "error.type" not in second.attributes


def test_spans_belong_to_the_span_that_was_open_in_the_caller(telemetry):
    """The threads of the pipeline keep the caller's context."""
    observer, tracers, spans, _ = telemetry
    with tracers.get_tracer("test").start_as_current_span("mine") as mine:
        embed(scripted(), ["a"], pipeline=Pipeline(None, observers=[observer]))
    request = spans.get_finished_spans()[0]
    assert request.parent.span_id == mine.get_span_context().span_id


def test_tokens_and_durations_are_counted_once(telemetry):
    """The sum of the token histogram is what the provider reported."""
    observer, _, _, reader = telemetry
    function = scripted(answer_with_usage, max_items=1)
    embed(function, ["a", "b"], pipeline=Pipeline(None, observers=[observer]))
    metrics = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics
    points = {metric.name: metric.data.data_points[0] for metric in metrics}
    assert points["gen_ai.client.token.usage"].sum == 6
    assert points["gen_ai.client.operation.duration"].count == 2
