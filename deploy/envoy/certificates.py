"""Whether the certificate, key and authority that deploy/edge is given can be used, said in words that name the file.

Envoy itself starts with files that it cannot use, and then closes every connection. What these checks let pass and
Envoy does not (a short RSA key, say) its own validation finds, see run.py."""

import re
import ssl
import time

MOST_BYTES = 1 << 20
BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
EXPIRED, NOT_YET_VALID = 10, 9  # OpenSSL's X509_V_ERR_...


class Unusable(Exception):
    pass


def blocks(flag, path):
    """The PEM blocks of a file: what each is, and its text."""
    try:
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise Unusable(f"{flag} {path} cannot be read: {error.strerror}") from None
    if not data.strip():
        raise Unusable(f"{flag} {path} is empty")
    if len(data) > MOST_BYTES:
        raise Unusable(f"{flag} {path} has more than {MOST_BYTES} bytes")
    found = [(block[1], block[0]) for block in BLOCK.finditer(data.decode("latin-1"))]
    if not found:
        raise Unusable(f"{flag} {path} is no PEM file")
    return found


def certificates(flag, path):
    """The certificates of a file, as text, each of which can be parsed."""
    found = blocks(flag, path)
    texts = [text for kind, text in found if kind == "CERTIFICATE"]
    if not texts:
        raise Unusable(f"{flag} {path} holds no certificate, but: {found[0][0].lower()}")
    for number, text in enumerate(texts, 1):
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
        except (ssl.SSLError, ValueError):
            raise Unusable(f"{flag} {path}: certificate {number} of {len(texts)} in it cannot be parsed") from None
    return texts


def key(flag, path):
    found = blocks(flag, path)
    keys = [(kind, text) for kind, text in found if kind.endswith("PRIVATE KEY")]
    if not keys:
        raise Unusable(f"{flag} {path} holds no private key, but: {found[0][0].lower()}")
    kind, text = keys[0]
    if "ENCRYPTED" in kind or "Proc-Type: 4,ENCRYPTED" in text:
        raise Unusable(f"{flag} {path} is protected by a password; a key without one is needed")


def shake_hands(server, client):
    """A TLS handshake in memory. Raises ssl.SSLError."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [client.wrap_bio(to_client, to_server), server.wrap_bio(to_server, to_client, server_side=True)]
    for _ in range(4):
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                pass


def check(certificate_path, key_path, client_ca_path=None):
    """Warnings. Raises Unusable."""
    warnings = []
    chain = certificates("--tls-cert", certificate_path)
    key("--tls-key", key_path)
    if client_ca_path:
        authorities = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        for text in certificates("--client-ca", client_ca_path):
            authorities.load_verify_locations(cadata=text)
        for authority in authorities.get_ca_certs():
            if ssl.cert_time_to_seconds(authority["notAfter"]) < time.time():
                warnings.append(f"--client-ca {client_ca_path}: an authority in it expired on {authority['notAfter']}")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        server.load_cert_chain(certificate_path, key_path, password=lambda: b"")
    except (ssl.SSLError, OSError) as error:
        reason = getattr(error, "reason", None) or error.strerror or str(error)
        if "MISMATCH" in reason:
            raise Unusable(f"--tls-key {key_path} is not the key of the first certificate in {certificate_path}") from None
        if reason.startswith(("EE_", "CA_")):  # too weak for this OpenSSL; Envoy has rules of its own
            return [*warnings, f"--tls-cert {certificate_path}: clients with OpenSSL will refuse it: {reason}"]
        raise Unusable(f"--tls-key {key_path} cannot be parsed: {reason}") from None
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the certificate itself is looked at, not who signed it
    client.load_verify_locations(cadata=chain[0])
    try:
        shake_hands(server, client)
    except ssl.SSLCertVerificationError as error:
        why = {EXPIRED: "it has expired", NOT_YET_VALID: "it is not valid yet"}.get(error.verify_code, error.verify_message)
        warnings.append(f"--tls-cert {certificate_path}: clients will refuse it: {why}")
    except ssl.SSLError as error:
        warnings.append(f"--tls-cert {certificate_path}: clients will refuse it: {error.reason}")
    return warnings
