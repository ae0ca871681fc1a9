"""Reads strangers' data files, in a process of its own that can reach nothing but the bytes of
those files. pyarrow and numpy; no Django.

`zygote.py` is that process, `work.py` what it does, `wire.py` how the two sides talk.
"""
