"""Databases, tables and queries: where providers and engines meet."""
