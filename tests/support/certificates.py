"""A throw-away certificate authority, for TLS in tests."""

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Certificates:
    """Files in PEM: a CA, a server certificate for localhost and 127.0.0.1, a client certificate."""

    ca: Path
    cert: Path
    key: Path
    client_cert: Path
    client_key: Path


def make_certificates(
    folder: Path, expires_in: datetime.timedelta = _DAY, names: tuple[str, ...] = ("localhost", "127.0.0.1")
) -> Certificates:
    """A CA, and what it signed for `names`; a negative `expires_in` is of certificates that have expired."""
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now(datetime.UTC)
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = _name("tests' authority")

    def certificate(name: x509.Name, key: ec.EllipticCurvePrivateKey, *, ca: bool) -> x509.Certificate:
        alternatives = [_alternative(each) for each in names]
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(ca_name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 30 * _DAY)
            # A CA that expired before them would be the first to be told of.
            .not_valid_after(now + max(expires_in, _DAY) if ca else now + expires_in)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            # Python 3.13 verifies strictly, as RFC 5280 has it.
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
            .add_extension(_usage(ca=ca), critical=True)
            .sign(ca_key, hashes.SHA256())
        )

    ca = folder / "ca.crt"
    ca.write_bytes(certificate(ca_name, ca_key, ca=True).public_bytes(serialization.Encoding.PEM))
    files = []
    for role in ("server", "client"):
        key = ec.generate_private_key(ec.SECP256R1())
        cert_file, key_file = folder / f"{role}.crt", folder / f"{role}.key"
        pem = certificate(_name(role), key, ca=False).public_bytes(serialization.Encoding.PEM)
        cert_file.write_bytes(pem)
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        files += [cert_file, key_file]
    return Certificates(ca, *files)


def _usage(*, ca: bool) -> x509.KeyUsage:
    """A CA signs certificates, everybody else what they say in a handshake."""
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
