"""Checkpoints from strangers: what is checked before anything is loaded, and the loading itself.

`checkpoint`, `config` and `weights` read headers and JSON only and need no torch; `model`,
`tokenizer` and `images` load. Only safetensors are loaded, and no code of a checkpoint is run.
"""
