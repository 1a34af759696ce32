"""JSON Web Tokens: with a shared secret, and with an issuer's key set."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from api.auth import tokens
from common import ids, jobs
from common.errors import Unauthenticated, Unavailable
from common.settings import Settings
from dev.postgres import Postgres
from dev.valkey import Valkey
from tests.api.api_cases import Api, problem_of, shared_api
from tests.servers import HttpServer, send_file

SECRET = "s" * 40
ISSUER, AUDIENCE = "https://login.example.com", "paraqueue"
RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
OTHER = rsa.generate_private_key(65537, 2048)


def claims(**changes: Any) -> dict[str, Any]:
    defaults = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "anna",
        "exp": time.time() + 60,
        "tenant": "acme",
        "scope": "openid submit read",
    }
    return {name: value for name, value in (defaults | changes).items() if value is not None}


def ask(api: Api, token: str, path: str = "/v1/transcriptions") -> httpx.Response:
    return api.client.get(path, headers={"Authorization": f"Bearer {token}"})


@pytest.fixture(scope="module")
def shared(postgres: Postgres, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    more = {"jwt_secret": SECRET, "jwt_issuer": ISSUER, "jwt_audience": AUDIENCE}
    with shared_api(postgres, valkey, tmp_path_factory.mktemp("api"), **more) as api:
        yield api


def test_a_token_stands_for_its_tenant_and_scopes(api: Api) -> None:
    token = jwt.encode(claims(), SECRET, "HS256")
    headers = {"Authorization": f"Bearer {token}"}
    answer = api.client.post("/v1/transcriptions", json={"audio_url": "https://e.com/a.mp3"}, headers=headers)
    assert answer.status_code == 202, answer.text
    job = jobs.get(api.database, ids.parsed(ids.JOB, answer.json()["id"]))
    assert job.tenant == "acme"
    again = jwt.encode(claims(exp=time.time() + 90), SECRET, "HS256")
    assert [item["id"] for item in ask(api, again).json()["data"]] == [job.public_id]
    assert job.key_id == api.service.authenticator._tokens.bearer(again).key_id, "one subject, one key id"
    problem_of(ask(api, token, "/v1/keys"), 403, "forbidden")
    listed = jwt.encode(claims(scope=["admin"]), SECRET, "HS256")
    assert ask(api, listed, "/v1/keys").status_code == 200
    problem_of(ask(api, listed), 403, "forbidden")


@pytest.mark.parametrize(
    "wrong",
    [
        {"exp": 1},
        {"exp": None},
        {"nbf": 4_000_000_000},
        {"iss": "https://evil.example.com"},
        {"iss": None},
        {"aud": "another"},
        {"aud": None},
        {"sub": None},
        {"tenant": None},
        {"tenant": "Not A Tenant"},
        {"tenant": 7},
    ],
    ids=str,
)
def test_a_token_with_a_wrong_claim_is_401(api: Api, wrong: dict[str, Any]) -> None:
    problem_of(ask(api, jwt.encode(claims(**wrong), SECRET, "HS256")), 401, "unauthenticated")


def test_a_token_with_a_wrong_signature_or_algorithm_is_401(api: Api) -> None:
    whole = jwt.encode(claims(), SECRET, "HS256")
    head, body, _ = whole.split(".")
    for token in (
        jwt.encode(claims(), "x" * 40, "HS256"),
        jwt.encode(claims(), SECRET, "HS512"),
        jwt.encode(claims(), "", "none"),
        jwt.encode(claims(), RSA, "RS256"),
        f"{head}.{body}.",
        whole[:-4],
        "a.b.c",
        "nonsense",
    ):
        answer = ask(api, token)
        problem_of(answer, 401, "unauthenticated")
        assert token not in answer.text


def jwk(key: Any, kid: str) -> dict[str, Any]:
    algorithm = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    return {**json.loads(algorithm.to_jwk(key.public_key())), "kid": kid, "use": "sig"}


def key_set(server: HttpServer, *keys: dict[str, Any]) -> None:
    (server.directory / "jwks.json").write_text(json.dumps({"keys": list(keys)}))


@contextmanager
def checking(server: HttpServer) -> Iterator[tokens.Tokens]:
    yield tokens.Tokens(
        Settings(jwt_jwks_url=server.url("jwks.json"), jwt_issuer=ISSUER, jwt_audience=AUDIENCE, jwt_secret=None)
    )


def test_the_key_set_of_an_issuer(http_server: HttpServer) -> None:
    key_set(http_server, jwk(RSA, "r"), jwk(EC, "e"))
    with checking(http_server) as checker:
        for key, algorithm, kid in ((RSA, "RS256", "r"), (EC, "ES256", "e")):
            bearer = checker.bearer(jwt.encode(claims(), key, algorithm, headers={"kid": kid}))
            assert (bearer.tenant, sorted(bearer.scopes)) == ("acme", ["read", "submit"])
        assert len(http_server.requests) == 1, "kept"
        public = RSA.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        forged = _hs256_with(public)
        for token in (
            forged,
            jwt.encode(claims(), OTHER, "RS256", headers={"kid": "r"}),
            jwt.encode(claims(), RSA, "RS256", headers={"kid": "e"}),
            jwt.encode(claims(), RSA, "RS512", headers={"kid": "r"}),
            jwt.encode(claims(), RSA, "RS256"),
        ):
            with pytest.raises(Unauthenticated):
                checker.bearer(token)


def _hs256_with(secret: bytes) -> str:
    """Signed with the public key as if it were a secret; PyJWT itself refuses to make such a token."""
    import base64
    import hashlib
    import hmac

    def encoded(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).decode().rstrip("=")

    head = encoded(json.dumps({"alg": "HS256", "typ": "JWT", "kid": "r"}).encode())
    body = encoded(json.dumps(claims()).encode())
    return f"{head}.{body}.{encoded(hmac.new(secret, f'{head}.{body}'.encode(), hashlib.sha256).digest())}"


def test_a_new_key_is_fetched_but_not_at_every_call(http_server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "REFRESH_SECONDS", 3600.0)
    key_set(http_server, jwk(RSA, "r"))
    with checking(http_server) as checker:
        checker.bearer(jwt.encode(claims(), RSA, "RS256", headers={"kid": "r"}))
        key_set(http_server, jwk(RSA, "r"), jwk(EC, "new"))
        token = jwt.encode(claims(), EC, "ES256", headers={"kid": "new"})
        for _ in range(10):
            with pytest.raises(Unauthenticated):
                checker.bearer(token)
        assert len(http_server.requests) == 1
    monkeypatch.setattr(tokens, "REFRESH_SECONDS", 0.0)
    key_set(http_server, jwk(RSA, "r"))
    with checking(http_server) as checker:
        checker.bearer(jwt.encode(claims(), RSA, "RS256", headers={"kid": "r"}))
        key_set(http_server, jwk(RSA, "r"), jwk(EC, "new"))
        assert checker.bearer(token).tenant == "acme"
        assert len(http_server.requests) == 3


def test_an_issuer_that_is_away_is_503_and_a_redirect_is_not_followed(http_server: HttpServer) -> None:
    token = jwt.encode(claims(), RSA, "RS256", headers={"kid": "r"})
    key_set(http_server, jwk(RSA, "r"))
    (http_server.directory / "real.json").write_text((http_server.directory / "jwks.json").read_text())

    def elsewhere(handler: Any) -> None:
        handler.send_response(302)
        handler.send_header("Location", http_server.url("real.json"))
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    http_server.routes["/jwks.json"] = elsewhere
    with checking(http_server) as checker:
        with pytest.raises(Unavailable):
            checker.bearer(token)
        assert "/real.json" not in {request.path for request in http_server.requests}
        http_server.routes["/jwks.json"] = lambda handler: send_file(handler, http_server.directory / "real.json")
        assert checker.bearer(token).tenant == "acme"


@pytest.mark.parametrize(
    "wrong",
    [
        {"jwt_secret": SECRET},
        {"jwt_secret": "short", "jwt_issuer": ISSUER, "jwt_audience": AUDIENCE},
        {"jwt_jwks_url": "http://login.example.com/jwks", "jwt_issuer": ISSUER, "jwt_audience": AUDIENCE},
        {"jwt_jwks_url": "file:///etc/passwd", "jwt_issuer": ISSUER, "jwt_audience": AUDIENCE},
        {"auth": "off", "host": "0.0.0.0"},
        {"auth": "off", "host": "example.com"},
        {"admin_key": "pq_live_short"},
    ],
    ids=str,
)
def test_settings_that_would_let_strangers_in(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"PARAQUEUE_|pq_live_"):
        Settings(**wrong)
    assert Settings(auth="off", host="127.0.0.1").auth == Settings(auth="off", host="::1").auth == "off"
