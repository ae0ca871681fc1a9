"""Webhooks: which addresses may be reached, how news is signed and sent, and what it says."""
