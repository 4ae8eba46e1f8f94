"""What plugin authors test with: conformance suites, a misbehaving HTTP server, fakes.

Import from the submodules: ``embow.testing.server``, ``embow.testing.faults``,
``embow.testing.protocols``.
"""
