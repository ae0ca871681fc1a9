"""transformers and datasets, unmodified, pushing to the site and loading from it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.client import Machine

pytestmark = pytest.mark.pure

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_transformers_pushes_and_loads(machine: Machine) -> None:
    result = machine.python(
        f"""
        import sys
        sys.path.insert(0, {str(ROOT)!r})
        from tests.support.tiny_models import save_text_classifier
        from transformers import (AutoConfig, AutoModelForSequenceClassification, AutoTokenizer,
                                  pipeline)
        import torch
        save_text_classifier(pathlib.Path("ckpt"))
        model = AutoModelForSequenceClassification.from_pretrained("ckpt")
        tokenizer = AutoTokenizer.from_pretrained("ckpt")
        repo = f"{{me}}/tiny-bert"
        model.push_to_hub("tiny-bert")
        tokenizer.push_to_hub(repo, private=None)
        again = AutoModelForSequenceClassification.from_pretrained(repo)
        same = all(torch.equal(a, b) for a, b in zip(model.state_dict().values(),
                                                     again.state_dict().values()))
        text = "a good film"
        answer = pipeline("text-classification", repo)(text)[0]
        local = pipeline("text-classification", model=model, tokenizer=tokenizer)(text)[0]
        at = api.model_info(repo).sha
        pinned = AutoConfig.from_pretrained(repo, revision=at).model_type
        info = api.model_info(repo)
        result = dict(same=same, answer=answer, local=local, pinned=pinned,
                      files=sorted(api.list_repo_files(repo)), pipeline=info.pipeline_tag,
                      library=info.library_name, total=info.safetensors.total,
                      count=sum(p.numel() for p in model.state_dict().values()),
                      auto=info.transformers_info.auto_model)
        """,
        OMP_NUM_THREADS="1",
    )
    assert result["same"]
    assert result["answer"] == pytest.approx(result["local"])
    assert result["pinned"] == "bert"
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(result["files"])
    assert result["pipeline"] == "text-classification"
    assert result["library"] == "transformers"
    assert result["total"] == result["count"]
    assert result["auto"] == "AutoModelForSequenceClassification"


@pytest.mark.slow
def test_transformers_loads_offline_after_the_first_time(xet_machine: Machine) -> None:
    code = f"""
        import sys
        sys.path.insert(0, {str(ROOT)!r})
        from transformers import AutoModelForSequenceClassification, AutoTokenizer
        repo = f"{{me}}/cached"
        if os.environ.get("FIRST"):
            from tests.support.tiny_models import save_text_classifier
            save_text_classifier(pathlib.Path("ckpt"))
            api.create_repo(repo)
            api.upload_folder(repo_id=repo, folder_path="ckpt")
        AutoModelForSequenceClassification.from_pretrained(repo)
        AutoTokenizer.from_pretrained(repo)
        result = True
        """
    assert xet_machine.python(code, FIRST="1", OMP_NUM_THREADS="1")
    assert xet_machine.python(code, HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1")


@pytest.mark.slow
def test_datasets_push_load_and_stream(machine: Machine) -> None:
    result = machine.python(
        """
        from datasets import Dataset, DatasetDict, load_dataset, get_dataset_config_names
        import datasets
        rows = lambda start, n: {"text": [f"row {i}" for i in range(start, start + n)],
                                 "label": [i % 3 for i in range(start, start + n)]}
        made = DatasetDict({"train": Dataset.from_dict(rows(0, 500)),
                            "test": Dataset.from_dict(rows(500, 100))})
        repo = f"{me}/rows"
        made.push_to_hub(repo, num_shards={"train": 3, "test": 1})
        loaded = load_dataset(repo)
        same = loaded["train"].to_dict() == made["train"].to_dict()
        streamed = [row["text"] for row in
                    load_dataset(repo, split="test", streaming=True).take(3)]
        Dataset.from_dict(rows(0, 7)).push_to_hub(repo, config_name="small", split="train")
        configs = sorted(get_dataset_config_names(repo))
        small = load_dataset(repo, "small", split="train").num_rows
        old = api.list_repo_commits(repo, repo_type="dataset")[1].commit_id
        pinned = load_dataset(repo, split="train", revision=old).num_rows
        result = dict(same=same, sizes={k: v.num_rows for k, v in loaded.items()},
                      streamed=streamed, configs=configs, small=small, pinned=pinned,
                      files=sorted(api.list_repo_files(repo, repo_type="dataset")),
                      tags=api.dataset_info(repo).tags)
        """,
    )
    assert result["same"]
    assert result["sizes"] == {"train": 500, "test": 100}
    assert result["streamed"] == ["row 500", "row 501", "row 502"]
    assert result["configs"] == ["default", "small"]
    assert result["small"] == 7
    assert result["pinned"] == 500
    assert len([path for path in result["files"] if path.endswith(".parquet")]) == 5


@pytest.mark.slow
def test_datasets_loads_plain_files_of_a_private_repo(xet_machine: Machine) -> None:
    (xet_machine.folder / "train.csv").write_text("text,label\nfine,1\nbad,0\n")
    (xet_machine.folder / "test.jsonl").write_text('{"text": "x", "label": 1}\n')
    code = """
        from datasets import load_dataset
        repo = api.create_repo("plain", repo_type="dataset", private=True).repo_id
        api.upload_file(repo_id=repo, repo_type="dataset", path_or_fileobj="train.csv",
                        path_in_repo="train.csv")
        result = load_dataset(repo, split="train").to_list()
        """
    rows = xet_machine.python(code)
    assert rows == [{"text": "fine", "label": 1}, {"text": "bad", "label": 0}]


def test_clients_are_the_ones_people_install() -> None:
    """A patched or older client would prove nothing."""
    from importlib.metadata import version

    assert sys.version_info >= (3, 11)
    major, minor = version("huggingface_hub").split(".")[:2]
    assert (int(major), int(minor)) >= (2, 4)
    assert version("hf-xet")


@pytest.mark.slow
def test_ranges_of_a_data_set_are_read_through_its_hf_path(machine: Machine) -> None:
    """pandas reads one column; pyarrow one row group, without fetching the file."""
    result = machine.python(
        """
        import numpy as np, pandas as pd, pyarrow as pa, pyarrow.parquet as pq
        rng = np.random.default_rng(5)
        table = pa.table({"n": np.arange(400_000), "noise": rng.standard_normal(400_000)})
        pq.write_table(table, "train.parquet", row_group_size=50_000, use_dictionary=False)
        size = pathlib.Path("train.parquet").stat().st_size
        repo = f"{me}/numbers"
        api.create_repo(repo, repo_type="dataset")
        api.upload_file(path_or_fileobj="train.parquet", path_in_repo="train.parquet",
                        repo_id=repo, repo_type="dataset")
        path = f"datasets/{repo}/train.parquet"
        frame = pd.read_parquet(f"hf://{path}", columns=["n"])
        fetched = []
        with HfFileSystem().open(path, block_size=2**16) as file:
            fetch = file.cache.fetcher
            file.cache.fetcher = lambda start, end: fetched.append(end - start) or fetch(start, end)
            group = pq.ParquetFile(file).read_row_group(6)
        result = dict(total=int(frame["n"].sum()), first=group["n"][0].as_py(), rows=len(group),
                      fetched=sum(fetched), size=size)
        # Threads of pyarrow's that still read ahead may end an ending interpreter with an abort.
        print("RESULT " + json.dumps(result), flush=True)
        os._exit(0)
        """
    )
    assert result["total"] == 400_000 * 399_999 // 2
    assert (result["first"], result["rows"]) == (300_000, 50_000)
    assert 0 < result["fetched"] < result["size"] / 4
