"""Parts of Envoy's configuration that depend on files, each in a file that Envoy watches.

Envoy applies a file that is moved into place to new requests and connections; open ones continue
unchanged.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from naiad.core.settings import GateSettings
from naiad.gate.keys import Key, bucket, parse_keys
from naiad.gate.limits import JSON_BYTES

AUTHORISE: Final = "naiad.authorise"
RATES: Final = "naiad.rates"
TOKENS: Final = "naiad.tokens"
CERTIFICATE: Final = "naiad.certificate"
AUTHORITIES: Final = "naiad.authorities"
JWKS_CLUSTER: Final = "jwks"

LUA: Final = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"
_FILTERS = "type.googleapis.com/envoy.extensions.filters.http"
LOCAL_RATE_LIMIT: Final = f"{_FILTERS}.local_ratelimit.v3.LocalRateLimit"
JWT: Final = f"{_FILTERS}.jwt_authn.v3.JwtAuthentication"
_EXTENSION = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"
_SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"


def inputs(settings: GateSettings) -> list[Path]:
    """Return the files that the resources depend on."""
    given = (settings.api_keys, settings.tls_cert, settings.tls_key, settings.tls_client_ca)
    jwks = Path(settings.jwt_jwks) if settings.jwt_jwks and not is_url(settings.jwt_jwks) else None
    return [path for path in (*given, jwks) if path is not None]


def resources(
    settings: GateSettings, content: Mapping[Path, bytes], control_key: str, *, ui: bool = False
) -> dict[str, dict[str, Any]]:
    """Return the resources by name; ``content`` is that of :func:`inputs`, already checked.

    With ``ui`` the paths of the page and of the tasks are served.
    """
    keys = parse_keys(content[settings.api_keys], settings.api_keys) if settings.api_keys else []
    made: dict[str, dict[str, Any]] = {
        AUTHORISE: {"@type": LUA, "default_source_code": {"inline_string": ""}}
    }
    text = authorise(settings, keys, control_key, ui=ui)
    made[AUTHORISE]["default_source_code"]["inline_string"] = text
    if settings.api_keys:
        made[RATES] = _rates(keys)
    if settings.jwt_issuer:
        made[TOKENS] = _tokens(settings, content)
    if settings.tls_cert and settings.tls_key:
        made[CERTIFICATE] = {
            "tls_certificate": {
                "certificate_chain": _inline(content[settings.tls_cert]),
                "private_key": _inline(content[settings.tls_key]),
            }
        }
    if settings.tls_client_ca:
        made[AUTHORITIES] = {
            "validation_context": {"trusted_ca": _inline(content[settings.tls_client_ca])}
        }
    return {name: _response(name, value) for name, value in made.items()}


def resource_path(directory: Path, name: str) -> Path:
    """Return the path of a resource."""
    return directory / f"{name}.json"


def authorise(
    settings: GateSettings, keys: list[Key], control_key: str, *, ui: bool = False
) -> str:
    """Return the script that checks keys."""
    accepts = f"keys = {_lua(bool(settings.api_keys))}, tokens = {_lua(bool(settings.jwt_issuer))}"
    known = "".join(f"  [{_lua(key.sha256)}] = {_client(key)},\n" for key in keys)
    return "\n".join(
        [
            script("sha256"),
            f"local CONTROL_KEY = {_lua(control_key)}",
            f"local CONTROL_HASH = {_lua(hashlib.sha256(control_key.encode()).hexdigest())}",
            f"local ACCEPTS = {{ {accepts} }}",
            f"local WITH_UI = {_lua(ui)}",
            script("base64"),
            f"local KEYS = {{\n{known}}}",
            script("authorise"),
        ]
    )


def inspect(max_request_bytes: int, control_key: str) -> str:
    """Return the script that checks bodies."""
    given = f"{max_request_bytes}, {JSON_BYTES}, {_lua(control_key)}"
    values = f"local MAX_BYTES, MAX_JSON, CONTROL_KEY = {given}"
    return "\n".join([script("json"), values, script("inspect")])


def script(name: str) -> str:
    """Return one of this package's Lua files."""
    return (files("naiad.gate") / "lua" / f"{name}.lua").read_text("utf-8")


def is_url(jwks: str) -> bool:
    """Return True if the tokens' public keys are a URL."""
    return "://" in jwks


def _client(key: Key) -> str:
    fields = [f"name = {_lua(key.name)}", *(f"{verb} = true" for verb in sorted(set(key.may)))]
    if key.models is not None:
        models = [_lua(model) for model in sorted(set(key.models))]
        fields.append(f"models = {{ {', '.join(f'[{model}] = true' for model in models)} }}")
        fields.append(f"listed = {{ {', '.join(models)} }}")
    return f"{{ {', '.join(fields)} }}"


def _lua(value: str | bool) -> str:
    """Return a Lua literal; in texts, all but letters and digits is escaped."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return (
        '"'
        + "".join(
            chr(byte) if chr(byte).isalnum() and byte < 128 else f"\\{byte:03}"
            for byte in value.encode()
        )
        + '"'
    )


def _rates(keys: list[Key]) -> dict[str, Any]:
    limits: list[dict[str, Any]] = []
    for key in keys:
        if key.rate is not None:
            requests, seconds = bucket(key.rate)
            limits.append(
                {
                    "entries": [{"key": "client", "value": key.name}],
                    "token_bucket": {
                        "max_tokens": requests,
                        "tokens_per_fill": requests,
                        "fill_interval": f"{seconds}s",
                    },
                }
            )
    everything = {"numerator": 100, "denominator": "HUNDRED"}
    return {
        "@type": LOCAL_RATE_LIMIT,
        "stat_prefix": "naiad",
        "filter_enabled": {"default_value": everything},
        "filter_enforced": {"default_value": everything},
        "rate_limited_as_resource_exhausted": True,
        # Required for clients without a bucket; effectively unlimited.
        "token_bucket": {
            "max_tokens": 4_000_000_000,
            "tokens_per_fill": 4_000_000_000,
            "fill_interval": "1s",
        },
        "always_consume_default_token_bucket": False,
        "descriptors": limits,
        "rate_limits": [
            {
                "actions": [
                    {
                        "metadata": {
                            "descriptor_key": "client",
                            "metadata_key": {"key": "naiad", "path": [{"key": "client"}]},
                            "source": "DYNAMIC",
                            "skip_if_absent": True,
                        }
                    }
                ]
            }
        ],
    }


def _tokens(settings: GateSettings, content: Mapping[Path, bytes]) -> dict[str, Any]:
    jwks: dict[str, Any]
    if is_url(settings.jwt_jwks):
        jwks = {
            "remote_jwks": {
                "http_uri": {"uri": settings.jwt_jwks, "cluster": JWKS_CLUSTER, "timeout": "5s"},
                "cache_duration": "300s",
                # Fetched before the first request; the gate starts even if that fails.
                "async_fetch": {"fast_listener": True},
                "retry_policy": {"num_retries": 2},
            }
        }
    else:
        jwks = {"local_jwks": _inline(content[Path(settings.jwt_jwks)])}
    provider: dict[str, Any] = {
        "issuer": settings.jwt_issuer,
        **jwks,
        # Not from the query, which is written to logs.
        "from_headers": [{"name": "authorization", "value_prefix": "Bearer "}],
        "require_expiration": True,
        "payload_in_metadata": "claims",
        "failed_status_in_metadata": "failed",
    }
    if settings.jwt_audience:
        provider["audiences"] = [settings.jwt_audience]
    needs = {
        "requires_any": {
            "requirements": [{"provider_name": "naiad"}, {"allow_missing_or_failed": {}}]
        }
    }
    return {
        "@type": JWT,
        "providers": {"naiad": provider},
        # The script refuses: it also knows API keys, and words all refusals alike.
        "rules": [{"match": {"prefix": "/"}, "requires": needs}],
    }


def _inline(data: bytes) -> dict[str, str]:
    return {"inline_string": data.decode("utf-8")}


def _response(name: str, value: dict[str, Any]) -> dict[str, Any]:
    if "@type" in value:
        resource = {"@type": _EXTENSION, "name": name, "typed_config": value}
    else:
        resource = {"@type": _SECRET, "name": name, **value}
    version = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
    return {"version_info": version, "resources": [resource]}
