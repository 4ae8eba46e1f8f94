"""The settings of the ``openai`` provider."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from embow.embeddings import Role, TextEmbeddingFunction, external, operational
from embow.embeddings.remote import PerMinute, ServerAddress, Timeout
from embow_openai import models

_OWN_FIELDS = {"model", "input", "dimensions", "encoding_format", "user"}


class OpenAISettings(TextEmbeddingFunction):
    """What ``create()`` takes."""

    name: str = Field(default=models.ADA_002, description="Model.")
    dim: int | None = Field(
        default=None,
        gt=0,
        description="Length of the vectors, where the model can shorten them. Default: its own.",
    )
    base_url: ServerAddress = Field(
        default=None, description="Address of an OpenAI-compatible server, /v1 included."
    )
    api_key: SecretStr | None = Field(
        default=None, description="Key. Default: OPENAI_API_KEY, with Azure AZURE_OPENAI_API_KEY."
    )
    organization: Annotated[str | None, operational] = Field(
        default=None, description="Organization that is billed."
    )
    default_headers: Annotated[dict[str, SecretStr] | None, external] = Field(
        default=None, description="Headers sent with every request. Treated as secrets."
    )
    use_azure: Annotated[bool, operational] = Field(
        default=False, description="Call Azure OpenAI instead of OpenAI."
    )
    azure_endpoint: ServerAddress = Field(
        default=None, description="Azure resource. Default: base_url, AZURE_OPENAI_ENDPOINT."
    )
    api_version: Annotated[str | None, operational] = Field(
        default=None, description="Azure API version. Default: OPENAI_API_VERSION."
    )
    azure_deployment: Annotated[str | None, operational] = Field(
        default=None, description="Azure deployment of the model. Default: name."
    )
    azure_ad_token: SecretStr | None = Field(
        default=None, description="Microsoft Entra token, in place of a key."
    )
    timeout: Timeout = 120.0
    user: Annotated[str | None, operational] = Field(
        default=None, description="Your end user, for OpenAI's abuse monitoring."
    )
    batch_size: Annotated[int, operational] = Field(
        default=models.MAX_ITEMS,
        gt=0,
        le=models.MAX_ITEMS,
        description="Inputs in one request. Lower it for servers that take fewer.",
    )
    encoding_format: Annotated[Literal["base64", "float"], operational] = Field(
        default="base64", description="How vectors travel; float for servers that refuse base64."
    )
    prompts: dict[Role, str] | None = Field(
        default=None,
        description="Text put before each input, by role: {'query': '...', 'document': '...'}.",
    )
    extra_body: Annotated[dict[Role, dict[str, Any]] | None, external] = Field(
        default=None,
        description="Fields added to each request, by role: {'query': {'input_type': 'query'}}.",
    )
    max_input_tokens: Annotated[int | None, operational] = Field(
        default=None,
        gt=0,
        description="Tokens of one input, for servers that cut longer ones without a word.",
    )
    requests_per_minute: PerMinute = Field(
        default=None, description="Limit of your account. Default: as the server reports."
    )
    tokens_per_minute: PerMinute = Field(
        default=None, description="Limit of your account. Default: as the server reports."
    )

    @field_validator("extra_body")
    @classmethod
    def _leave_own_fields(cls, value: dict[Role, dict[str, Any]] | None) -> Any:
        taken = sorted({name for fields in (value or {}).values() for name in fields} & _OWN_FIELDS)
        if taken:
            raise ValueError(
                f"{', '.join(taken)} cannot be set here; create() has arguments for it"
            )
        return value

    @model_validator(mode="after")
    def _check_dim(self) -> Self:
        native = models.NATIVE_DIMS.get(self.name)
        if self.dim is None or native is None:
            return self
        if self.name == models.ADA_002 and self.dim != native:
            raise ValueError(
                f"{self.name} always has {native} dimensions; leave dim out, or use "
                "name='text-embedding-3-small'"
            )
        if self.dim > native:
            raise ValueError(f"{self.name} has at most {native} dimensions, not {self.dim}")
        return self
