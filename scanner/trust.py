"""What the user trusts and distrusts before a scan: pinned keys and identities, hashes known to be good or bad."""

from __future__ import annotations

from pathlib import Path

import msgspec

from scanner.errors import ScanError
from scanner.files.text import printable


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing in it comes from the adapter, except that `signature` may point into its folder."""

    signature: Path | None = None
    """An OpenSSF model signature; `model.sig` in the adapter's folder where a key or identity is pinned and none is named."""
    public_keys: tuple[Path, ...] = ()
    """PEM files; one of them must have made the signature."""
    identity: str = ""
    """The signer's address as the certificate names it, for a Sigstore signature."""
    issuer: str = ""
    """Who vouches for `identity`: the address of an OpenID Connect provider."""
    network: bool = False
    """Whether Sigstore's roots of trust may be fetched, which checking `identity` needs."""
    known_bad: tuple[Path, ...] = ()
    """Lists of SHA-256 sums; a file, or a folder as a whole, that is on one is refused."""
    known_good: tuple[Path, ...] = ()
    """Lists of SHA-256 sums; what is on none of them is a finding."""

    @property
    def pinned(self) -> bool:
        """Whether a signature can be trusted at all."""
        return bool(self.public_keys or self.identity)

    def check(self) -> None:
        """Raise ScanError when the parts do not belong together or a file is not there."""
        if bool(self.identity) != bool(self.issuer):
            raise ScanError("--identity and --issuer belong together: an identity means nothing without who vouches for it")
        if self.identity and self.public_keys:
            raise ScanError("--public-key and --identity are two ways to sign: give the one the signature was made with")
        for path in (*self.public_keys, *self.known_bad, *self.known_good, *((self.signature,) if self.signature else ())):
            if not path.is_file():
                raise ScanError(f"{printable(path)}: no such file")
