"""Xet storage: chunked, deduplicated large files, as the Hugging Face clients speak it.

Pure, without Django: `hashing`, `index`, `xorb`, `shard`, `terms`, `checking`, `ranges`, `errors`.
On top of them: `content` reads files from the store, `token` signs, `dedup` answers questions,
`views` and `urls` are the service; changes are made by `hub.actions.xorbs` and `.shards`.
"""
