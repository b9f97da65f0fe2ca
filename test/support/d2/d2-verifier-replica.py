#!/usr/bin/env python3
"""A replica of D2's BundleVerifier.verify_at_runtime, as its text gives it.

usage: d2-verifier-replica.py BUNDLE_DIR [PUBLIC_KEY_HEX]

With a key it also verifies the D2 signature, over the canonical manifest, with Python's own
cryptography package; D2's text promises that check and its code leaves it out.
Prints one word: accepted, or the reason of the refusal; exits 0 or 1.
"""

import base64
import hashlib
import json
import sys
from pathlib import Path


def verify_at_runtime(bundle_dir: str) -> None:
    bundle_path = Path(bundle_dir).resolve()
    manifest_path = bundle_path / "manifest.json"
    if not manifest_path.is_file():
        raise ValueError("Manifest not found")
    with open(manifest_path, "r", encoding="utf-8") as f:
        signed_manifest = json.load(f)
    manifest = signed_manifest.get("manifest")
    if manifest is None:
        raise ValueError("Malformed manifest: missing manifest block")
    for relative_path, expected_hash in manifest.get("files", {}).items():
        file_path = bundle_path / relative_path
        if not file_path.is_file():
            raise ValueError("Missing file")
        if hashlib.sha256(file_path.read_bytes()).hexdigest() != expected_hash:
            raise ValueError("Hash mismatch")


def verify_signature(bundle_dir: str, public_key: bytes) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    with open(Path(bundle_dir) / "manifest.json", "r", encoding="utf-8") as f:
        signed = json.load(f)
    canonical = json.dumps(signed["manifest"], sort_keys=True, separators=(",", ":"))
    signature = base64.b64decode(signed["signature"], validate=True)
    Ed25519PublicKey.from_public_bytes(public_key).verify(signature, canonical.encode("utf-8"))


def main() -> int:
    try:
        verify_at_runtime(sys.argv[1])
        if len(sys.argv) > 2:
            verify_signature(sys.argv[1], bytes.fromhex(sys.argv[2]))
    except Exception as error:  # the replica answers with any reason at all
        print(f"{type(error).__name__}: {error}")
        return 1
    print("accepted")
    return 0


if __name__ == "__main__":
    sys.exit(main())
