"""IP addresses: one spelling for each, and which networks they are in."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from hunt.eql.literals import invalid
from hunt.eql.syntax import Place

_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_V4 = rf"^{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}$"


def canonical(text: str) -> str:
    """The spelling that texts are compared by: ::1 for 0:0:0:0:0:0:0:1; what is no address stays."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text
    return str(getattr(address, "ipv4_mapped", None) or address)


def spelt(values: pl.Series) -> pl.Series:
    """`canonical` of each; one of IPv4 has one spelling, and of the others each different one is looked at once."""
    long = values.filter(values.str.contains(":", literal=True)).unique()
    changed = {text: plain for text in long if text is not None and (plain := canonical(text)) != text}
    return values.replace(changed) if changed else values


@dataclass(frozen=True, slots=True)
class Networks:
    """Some networks in CIDR notation."""

    v4: tuple[tuple[int, int], ...]  # number of the network, mask
    v6: tuple[ipaddress.IPv6Network, ...]

    @staticmethod
    def of(texts: Sequence[str], place: Place) -> Networks:
        """Bits behind the prefix are of no account. Raises RuleError for what is no network."""
        v4, v6 = [], []
        for text in texts:
            try:
                network = ipaddress.ip_network(text.strip(), strict=False)
            except ValueError:
                raise invalid(f"{text[:60]!r} is no network (as 10.0.0.0/8)", place) from None
            if isinstance(network, ipaddress.IPv4Network):
                v4.append((int(network.network_address), int(network.netmask)))
            else:
                v6.append(network)
        return Networks(tuple(dict.fromkeys(v4)), tuple(dict.fromkeys(v6)))

    def has(self, values: pl.Series) -> pl.Series:
        """Whether each address is in one of them; null for null, false for what is no address."""
        plain = spelt(values.alias("text"))
        octets = plain.str.extract_groups(rf"^({_OCTET})\.({_OCTET})\.({_OCTET})\.({_OCTET})$").struct.unnest()
        number = octets.select(
            sum(
                (pl.col(c).cast(pl.UInt32) * 256 ** (3 - i) for i, c in enumerate(octets.columns)), pl.lit(0, pl.UInt32)
            )
        ).to_series()
        inside = pl.Series([False]).new_from_index(0, len(values))
        for network, mask in self.v4:
            inside |= ((number & mask) == network).fill_null(value=False)
        long = plain.filter(plain.str.contains(":", literal=True)).unique() if self.v6 else plain.clear()
        met = [text for text in long if text is not None and self._has_v6(text)]
        if met:
            inside |= plain.is_in(met).fill_null(value=False)
        return pl.select(pl.when(values.is_not_null()).then(inside)).to_series().alias(values.name)

    def _has_v6(self, text: str) -> bool:
        try:
            address = ipaddress.IPv6Address(text)
        except ValueError:
            return False
        return any(address in network for network in self.v6)
