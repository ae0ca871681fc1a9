"""Xet storage: chunked, deduplicated large files, as the Hugging Face clients speak it.

The modules `hashing`, `xorb`, `shard` and `terms` are pure: bytes in, values out, no Django.
"""
