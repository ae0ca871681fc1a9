"""One transfer by the official client, in a process of its own: prints the seconds it took.

`python -m benchmarks.client upload REPO_ID FILE` or `download REPO_ID NAME FOLDER`; endpoint, token
and home come from the environment. Imports are not timed.
"""

from __future__ import annotations

import sys
import time

from huggingface_hub import HfApi, hf_hub_download


def main(verb: str, repo_id: str, name: str, folder: str = "") -> None:
    api = HfApi()
    started = time.perf_counter()
    if verb == "upload":
        api.upload_file(path_or_fileobj=name, path_in_repo="model.safetensors", repo_id=repo_id)
    else:
        hf_hub_download(repo_id, name, local_dir=folder)
    print(time.perf_counter() - started)


if __name__ == "__main__":
    main(*sys.argv[1:])
