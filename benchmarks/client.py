"""One transfer by the official client, in a process of its own: prints the seconds it took, on the
clock and of the processor.

`python -m benchmarks.client upload REPO_ID FILE` (or a folder) or `download REPO_ID NAME FOLDER`;
endpoint, token and home come from the environment. Imports are not timed: it says when it is ready,
and waits for a line.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from huggingface_hub import HfApi, hf_hub_download


def main(verb: str, repo_id: str, name: str, folder: str = "") -> None:
    api = HfApi()
    print("ready", flush=True)
    sys.stdin.readline()
    started, worked = time.perf_counter(), time.process_time()
    if verb == "upload" and Path(name).is_dir():
        api.upload_folder(folder_path=name, repo_id=repo_id)
    elif verb == "upload":
        api.upload_file(path_or_fileobj=name, path_in_repo="model.safetensors", repo_id=repo_id)
    else:
        hf_hub_download(repo_id, name, local_dir=folder)
    print(time.perf_counter() - started, time.process_time() - worked)


if __name__ == "__main__":
    main(*sys.argv[1:])
