"""The certificate that SMTP listeners show: yours, or one that signs itself until you have one."""

from __future__ import annotations

import fcntl
import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from envol.outbound.route import our_name

log = structlog.get_logger()

LIFETIME = timedelta(days=3650)


def files_of(config: Any) -> tuple[Path, Path]:
    """Certificate (with its chain) and key: of `smtp_cert`, else of `tls_cert`, else one made by us in DATA/tls."""
    if config.smtp_cert:
        return Path(config.smtp_cert), Path(config.smtp_key)
    if config.tls_cert:
        return Path(config.tls_cert), Path(config.tls_key)
    folder = config.data / "tls"
    certificate, key = folder / "self-signed.pem", folder / "self-signed.key"
    if not (certificate.exists() and key.exists()):
        folder.mkdir(mode=0o700, exist_ok=True)
        with (folder / "lock").open("w") as alone:  # several processes start at once, and must show the same
            fcntl.flock(alone, fcntl.LOCK_EX)
            if not (certificate.exists() and key.exists()):
                make_self_signed(our_name(config), certificate, key)
    log.warning(
        "SMTP shows a certificate that signs itself; name yours in smtp_cert and smtp_key",
        file=str(certificate),
    )
    return certificate, key


def make_self_signed(name: str, certificate: Path, key_file: Path) -> None:
    """A P-256 key (0600) and a certificate for this host name and localhost, good for ten years."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    now = datetime.now(UTC)
    names = [x509.DNSName(one) for one in dict.fromkeys((name, "localhost"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with open(os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(secret)
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))


class Kept:
    """A TLS context that follows its files: connections made after `reload` see the new certificate."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self.certificate, self._key = certificate, key
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996, RFC 9325
        self.context.load_cert_chain(certificate, key)
        self._seen = self._stamp()

    def _stamp(self) -> tuple[float, ...]:
        return tuple(file.stat().st_mtime for file in (self.certificate, self._key))

    def reload(self) -> bool:
        """Read the files again when they changed. A pair that does not fit is left until it does."""
        try:
            if (seen := self._stamp()) == self._seen:
                return False
            # Tried apart first: a failure half-way would leave the old certificate with the new key.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.certificate, self._key)
            self.context.load_cert_chain(self.certificate, self._key)
        except (OSError, ssl.SSLError) as error:
            log.warning("the new certificate cannot be used yet", error=str(error))
            return False
        self._seen = seen
        return True
