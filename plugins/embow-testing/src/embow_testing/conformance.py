"""The checks every embedding provider must pass, for a plugin's own test suite.

Subclass :class:`ProviderConformance` in a pytest file, give it ``provider`` and ``make()``, and
pytest collects one test for each promise::

    class TestAcme(ProviderConformance):
        provider = "acme"
        normalized = True

        def make(self):
            return get_registry().get("acme").create(base_url=self.server.url, api_key="k")

A check that does not apply, such as that of a missing key for a provider without keys, is
skipped and says why.
"""

from __future__ import annotations

from embow_testing._calls import CallChecks
from embow_testing._contract import ContractChecks
from embow_testing._secrecy import SecrecyChecks

__all__ = ["ProviderConformance"]


class ProviderConformance(ContractChecks, CallChecks, SecrecyChecks):
    """One test method for each promise of a provider. Attributes are documented in the bases."""
