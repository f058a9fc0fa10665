"""Suites that any implementation of a contract must pass, third parties' included."""
