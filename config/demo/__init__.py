"""The demo a new site starts with: real models and data that pip has already installed.

Everything is sent by the official client, as a contributor would; scores are left to the worker.
"""
