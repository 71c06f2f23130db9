"""A certificate of one's own, made by the ``openssl`` command when a test wants one."""

import shutil
import subprocess
from pathlib import Path

from tests.require import require


def certificate(folder: Path) -> tuple[Path, Path]:
    """One for 127.0.0.1 that signs itself, and its key."""
    if shutil.which("openssl") is None:
        require("openssl", "it makes the certificates")
    cert, key = folder / "cert.pem", folder / "key.pem"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    words += ["-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-keyout", str(key)]
    words += ["-out", str(cert), "-addext", "subjectAltName=IP:127.0.0.1"]
    words += ["-addext", "keyUsage=critical,digitalSignature,keyCertSign"]
    subprocess.run(words, check=True, capture_output=True)
    return cert, key
