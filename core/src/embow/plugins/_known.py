"""Providers, rerankers, commands and kinds of index that have a home even if not installed.

Only hints come from here: an installed plugin is found by its entry point, never by this table.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Known:
    """A provider, a reranker, a command or a kind of index with a plugin of its own.

    Attributes:
        id: Name in the registry, or of the reranker, command or kind.
        extra: Extra of the core; the folder and the distribution are ``embow-<extra>``.
        summary: One line for listings.
        classes: Class names that LanceDB users import.
    """

    id: str
    extra: str
    summary: str
    classes: tuple[str, ...] = ()

    @property
    def distribution(self) -> str:
        """Name of the distribution that holds the plugin."""
        return f"embow-{self.extra}"


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A provider LanceDB has and embow has not.

    Attributes:
        id: Name in LanceDB's registry.
        classes: Class names that LanceDB users import.
        instead: Complete sentence: what does the same here.
    """

    id: str
    classes: tuple[str, ...]
    instead: str


_SERVER = "Use the 'openai' provider with base_url='{url}', and {roles} to tell queries apart."
_BY_FIELD = "extra_body={{'query': {{'{0}': '{1}'}}, 'document': {{'{0}': '{2}'}}}}"
_LOCAL = "Use the 'sentence-transformers' provider with name=... for the model's repository."

KNOWN = (
    Known(
        "bedrock-text",
        "bedrock",
        "Titan, Nova and Cohere text models on AWS Bedrock",
        ("BedRockText",),
    ),
    Known("cohere", "cohere", "Cohere's embedding API", ("CohereEmbeddingFunction",)),
    Known("gemini-text", "gemini", "Google Gemini and Vertex AI text models", ("GeminiText",)),
    Known(
        "huggingface",
        "huggingface",
        "Any transformers encoder, ColBERT included",
        ("TransformersEmbeddingFunction",),
    ),
    Known(
        "imagebind",
        "imagebind",
        "One space for text, image, audio, video, depth, thermal, IMU",
        ("ImageBindEmbeddings",),
    ),
    Known(
        "instructor",
        "instructor",
        "Text models that follow an instruction",
        ("InstructorEmbeddingFunction", "InstuctorEmbeddingFunction"),
    ),
    Known("onnx", "onnx", "Text models through onnxruntime, without torch"),
    Known("open-clip", "open-clip", "CLIP models for images and text", ("OpenClipEmbeddings",)),
    Known("openai", "openai", "OpenAI, Azure and compatible servers", ("OpenAIEmbeddings",)),
    Known(
        "sentence-transformers",
        "sentence-transformers",
        "Text models of the sentence-transformers library",
        ("SentenceTransformerEmbeddings",),
    ),
)

RERANKERS = (
    Known("cohere", "cohere", "Cohere's rerank API", ("CohereReranker",)),
    Known(
        "colbert",
        "huggingface",
        "Late interaction of a ColBERT model",
        ("ColbertReranker", "AnswerdotaiRerankers"),
    ),
    Known(
        "cross-encoder",
        "sentence-transformers",
        "A model that reads query and text together",
        ("CrossEncoderReranker",),
    ),
)

COMMANDS = (
    Known("demo", "onnx", "search the Python standard library by meaning"),
    Known("new-plugin", "testing", "start a distribution for a provider"),
)

INDEXES = (
    Known("fts", "text", "Words of text columns, ranked by BM25"),
    Known("hnsw", "faiss", "A graph over vectors, by faiss"),
)

ELSEWHERE = (
    Elsewhere(
        "colbert",
        ("ColbertEmbeddings",),
        "Use the 'huggingface' provider; its default model is ColBERT.",
    ),
    Elsewhere(
        "colpali",
        ("ColPaliEmbeddings",),
        "For images and text use 'open-clip', or write a plugin: embow new-plugin colpali.",
    ),
    Elsewhere("gte-text", ("GteEmbeddings",), _LOCAL),
    Elsewhere(
        "jina",
        ("JinaEmbeddings",),
        _SERVER.format(
            url="https://api.jina.ai/v1",
            roles=_BY_FIELD.format("task", "retrieval.query", "retrieval.passage"),
        ),
    ),
    Elsewhere(
        "ollama",
        ("OllamaEmbeddings",),
        _SERVER.format(
            url="http://localhost:11434/v1",
            roles="prompts={'query': ..., 'document': ...} where the model wants it",
        ),
    ),
    Elsewhere(
        "siglip",
        ("SigLipEmbeddings",),
        "Use the 'open-clip' provider, which has SigLIP models.",
    ),
    Elsewhere(
        "voyageai",
        ("VoyageAIEmbeddingFunction",),
        _SERVER.format(
            url="https://api.voyageai.com/v1",
            roles=_BY_FIELD.format("input_type", "query", "document"),
        ),
    ),
    Elsewhere(
        "watsonx",
        ("WatsonxEmbeddings",),
        "Use the 'openai' provider with base_url=... of a gateway that speaks OpenAI's protocol, "
        "or write a plugin: embow new-plugin watsonx.",
    ),
)

KNOWN_BY_ID = {known.id: known for known in KNOWN}
ELSEWHERE_BY_ID = {elsewhere.id: elsewhere for elsewhere in ELSEWHERE}


def provider_of_class(class_name: str) -> str | None:
    """Return the id of the provider whose class LanceDB users import by this name."""
    for entry in (*KNOWN, *ELSEWHERE):
        if class_name in entry.classes:
            return entry.id
    return None


def reranker_of_class(class_name: str) -> str | None:
    """Return the id of the reranker whose class LanceDB users import by this name."""
    return next((known.id for known in RERANKERS if class_name in known.classes), None)
