"""Files with Content Credentials, signed by a camera that no list knows."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest

SOURCES = "http://cv.iptc.org/newscodes/digitalsourcetype/"


@cache
def _chain() -> tuple[bytes, bytes, str]:
    """The camera's certificates, its key, and the root that a list would contain."""
    x509: Any = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("Root", "Camera 1")}
    certificates: dict[str, bytes] = {}
    now = datetime.now(UTC)
    for name, key in keys.items():
        is_root = name == "Root"
        unused = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only"),
            False,
        )
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=is_root, crl_sign=is_root, decipher_only=False, **unused
        )
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(x509, name))
            .issuer_name(_name(x509, "Root"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=100))
            .add_extension(x509.BasicConstraints(ca=is_root, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(keys["Root"].public_key()), critical=False
            )
            .add_extension(usage, critical=True)
        )
        if not is_root:
            purpose = x509.oid.ExtendedKeyUsageOID.EMAIL_PROTECTION
            builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        certificate = builder.sign(keys["Root"], hashes.SHA256())
        certificates[name] = certificate.public_bytes(serialization.Encoding.PEM)
    key = keys["Camera 1"].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificates["Camera 1"] + certificates["Root"], key, certificates["Root"].decode()


def _name(x509: Any, name: str) -> Any:
    kinds = x509.oid.NameOID
    return x509.Name(
        [
            x509.NameAttribute(kinds.ORGANIZATION_NAME, "Example Cameras"),
            x509.NameAttribute(kinds.COMMON_NAME, name),
        ]
    )


def root() -> str:
    """The list of certificates that trusts the camera, as PEM."""
    return _chain()[2]


def sign(content: bytes, content_type: str, source: str, *, remote: str | None = None) -> bytes:
    """A file with credentials that say what it was made by; `remote`: where they are instead."""
    c2pa: Any = pytest.importorskip("c2pa", reason="c2pa-python is not installed (make test)")
    certificates, key, _ = _chain()
    signer = c2pa.Signer.from_info(
        c2pa.C2paSignerInfo(alg=b"es256", sign_cert=certificates, private_key=key, ta_url=None)
    )
    action = {"action": "c2pa.created", "digitalSourceType": SOURCES + source}
    builder = c2pa.Builder(
        {
            "claim_generator_info": [{"name": "phone", "version": "1"}],
            "title": "x",
            "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [action]}}],
        }
    )
    if remote is not None:
        builder.set_no_embed()
        builder.set_remote_url(remote)
    target = io.BytesIO()
    builder.sign(signer, content_type, io.BytesIO(content), target)
    return target.getvalue()


def broken(content: bytes) -> bytes:
    """The same with another pixel."""
    return content[:-2000] + bytes([content[-2000] ^ 0xFF]) + content[-1999:]
