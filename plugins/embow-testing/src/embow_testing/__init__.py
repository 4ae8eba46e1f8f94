"""What plugin authors test with: conformance suites, a misbehaving HTTP server, fakes.

Import from the submodules: ``embow_testing.server``, ``embow_testing.faults``,
``embow_testing.protocols``.
"""
