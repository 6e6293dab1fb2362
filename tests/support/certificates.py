"""Throw-away certificates: an authority, a server it vouches for and a client it vouches for."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

VALID = datetime(2020, 1, 1, tzinfo=UTC), datetime(2120, 1, 1, tzinfo=UTC)
KEY_PASSWORD = "opens the key"


def write_certificates(directory: Path) -> None:
    """Write ca, server, client (its key encrypted) and elsewhere (of another host) as PEM."""
    authority = _certificate("authority", None)
    for name, host in (("server", "127.0.0.1"), ("elsewhere", "192.0.2.1"), ("client", None)):
        certificate, key = _certificate(name, authority, host)
        _write(directory / f"{name}.pem", certificate.public_bytes(serialization.Encoding.PEM))
        _write(directory / f"{name}.key", _key_bytes(key, name == "client"))
    _write(directory / "ca.pem", authority[0].public_bytes(serialization.Encoding.PEM))


def _write(file: Path, content: bytes) -> None:
    file.write_bytes(content)


def _key_bytes(key, encrypted: bool) -> bytes:
    encryption = (
        serialization.BestAvailableEncryption(KEY_PASSWORD.encode())
        if encrypted
        else serialization.NoEncryption()
    )
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )


def _certificate(name: str, issuer, host: str | None = None):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(VALID[0])
        .not_valid_after(VALID[1])
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if host:
        address = x509.IPAddress(ipaddress.ip_address(host))
        builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
    return builder.sign(issuer[1] if issuer else key, hashes.SHA256()), key
