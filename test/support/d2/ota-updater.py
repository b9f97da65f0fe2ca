#!/usr/bin/env python3
"""D2's updater as its document describes it: what it asks the server, and in which order.

Written for the tests of the panel. The verifier is the one of the document too: every file of the
signed manifest is hashed again. Nothing here knows rel. It asks with `requests`, whose handling of
an address with a password in it is what lets an unchanged updater show its licence.
"""

import argparse
import hashlib
import json
import os
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

import requests


class VerificationError(Exception):
    pass


class Updater:
    def __init__(self, base_dir, server):
        self.base = Path(base_dir).resolve()
        self.server = server.rstrip("/")
        self.versions = self.base / "versions"
        self.current = self.base / "current"
        self.previous = self.base / "previous"

    def local_version(self):
        manifest = self.current / "manifest.json"
        if not manifest.is_file():
            return "0.0.0"
        return json.loads(manifest.read_text())["manifest"]["version"]

    def channel(self):
        file = self.base / "channel"
        return file.read_text().strip() if file.is_file() else "stable"

    def download(self, version, dest):
        url = f"{self.server}/bundles/{version}.tar.gz"
        resp = requests.get(url, stream=True, timeout=120)
        resp.raise_for_status()
        dest.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(delete=False, dir=dest.parent) as tmp:
            for chunk in resp.iter_content(chunk_size=8192):
                tmp.write(chunk)
        try:
            expected = resp.headers.get("X-Bundle-Hash")
            if not expected:
                raise VerificationError("the server told no hash")
            if hashlib.sha256(Path(tmp.name).read_bytes()).hexdigest() != expected:
                raise VerificationError("Download hash mismatch")
            # the document lets shutil guess the format from a name that has no ending
            with tarfile.open(tmp.name, "r:gz") as archive:
                archive.extractall(dest)
        finally:
            os.unlink(tmp.name)

    def verify(self, staging):
        manifest = json.loads((staging / "manifest.json").read_text())["manifest"]
        if not manifest["files"]:
            raise VerificationError("nothing is listed")
        for path, digest in manifest["files"].items():
            file = staging / path
            if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != digest:
                raise VerificationError(f"Hash mismatch for {path}")

    def swap(self, version):
        if self.current.is_symlink():
            self.link(self.previous, os.readlink(self.current))
        self.link(self.current, str(self.versions / version))

    def link(self, link, target):
        temporary = self.base / f".{link.name}.tmp"
        temporary.symlink_to(target)
        os.replace(temporary, link)

    def run(self):
        current, channel = self.local_version(), self.channel()
        print(f"Current version: {current} Channel: {channel}")
        resp = requests.get(
            f"{self.server}/check",
            params={"version": current, "channel": channel},
            timeout=30,
        )
        resp.raise_for_status()
        info = resp.json()
        if not info.get("available"):
            print("No update available.")
            return 0
        version = info["version"]
        print(f"Update available: {version}")
        hash_line = requests.get(f"{self.server}{info['hash_url']}", timeout=30)
        hash_line.raise_for_status()
        staging = self.versions / version
        if staging.exists():
            shutil.rmtree(staging)
        self.download(version, staging)
        try:
            self.verify(staging)
        except VerificationError as error:
            print(f"Bundle verification failed: {error}")
            shutil.rmtree(staging)
            return 1
        self.swap(version)
        print(f"Swapped to {version}.")
        return 0


def main():
    parser = argparse.ArgumentParser(description="D2's updater")
    parser.add_argument("--base-dir", required=True)
    parser.add_argument("--server", required=True)
    args = parser.parse_args()
    return Updater(args.base_dir, args.server).run()


if __name__ == "__main__":
    sys.exit(main())
