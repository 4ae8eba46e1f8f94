"""Spans and metrics of embedding requests, by OpenTelemetry's conventions for generative AI.

Needs ``opentelemetry-api`` (``pip install "embow[otel]"``) and, to see anything, an SDK that
your program has set up. One span and one duration are recorded for each provider request, by
the pipeline alone, so that nothing is counted twice. Inputs are never recorded.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from embow.errors import MissingSdkError

try:
    from opentelemetry import metrics, trace
except ImportError as exc:  # pragma: no cover - depends on what is installed
    raise MissingSdkError(
        "OpenTelemetryObserver needs opentelemetry-api. Install it with: "
        'pip install "opentelemetry-api>=1.30"'
    ) from exc

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from embow.pipeline._types import RequestEvent

_PROVIDERS = {
    "openai": "openai",
    "cohere": "cohere",
    "gemini-text": "gcp.gemini",
    "bedrock-text": "aws.bedrock",
}
"""Names the conventions give to providers; others keep their own."""


class OpenTelemetryObserver:
    """Records each provider request as a client span and in two histograms.

    Args:
        tracer_provider: Where spans go; the global one by default.
        meter_provider: Where metrics go; the global one by default.

    Example:
        >>> import embow
        >>> from embow.pipeline._otel import OpenTelemetryObserver
        >>> db = embow.connect("./mydb", observers=[OpenTelemetryObserver()])
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        self._tracer = trace.get_tracer("embow", tracer_provider=tracer_provider)
        meter = metrics.get_meter("embow", meter_provider=meter_provider)
        self._duration = meter.create_histogram(
            "gen_ai.client.operation.duration", unit="s", description="Duration of a request."
        )
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage", unit="{token}", description="Tokens of a request."
        )

    def __call__(self, event: RequestEvent) -> None:
        """Record one request that has ended."""
        common = _common(event)
        end = time.time_ns()
        span = self._tracer.start_span(
            f"{_operation(event)} {event.model}" if event.model else _operation(event),
            kind=trace.SpanKind.CLIENT,
            start_time=end - int(event.seconds * 1e9),
            attributes={**common, **_span_only(event)},
        )
        if event.outcome != "ok":
            span.set_status(trace.StatusCode.ERROR, event.outcome)
        span.end(end)
        self._duration.record(event.seconds, common)
        if event.outcome == "ok":
            self._tokens.record(event.tokens, {**common, "gen_ai.token.type": "input"})


def _operation(event: RequestEvent) -> str:
    return "rerank" if event.role == "rerank" else "embeddings"


def _common(event: RequestEvent) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": _operation(event),
        "gen_ai.provider.name": _PROVIDERS.get(event.provider, event.provider),
    }
    if event.model:
        attributes["gen_ai.request.model"] = event.model
    if event.server:
        attributes["server.address"] = event.server
    if event.outcome != "ok":
        attributes["error.type"] = event.outcome
    return attributes


def _span_only(event: RequestEvent) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "embow.role": event.role,
        "embow.items": event.items,
        "embow.attempt": event.attempt,
    }
    if event.ndims is not None:
        attributes["gen_ai.embeddings.dimension.count"] = event.ndims
    if event.outcome == "ok":
        attributes["gen_ai.usage.input_tokens"] = event.tokens
    return attributes
