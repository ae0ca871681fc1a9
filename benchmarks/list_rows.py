"""A PostgreSQL database of many repositories with the skew of real hubs, for `benchmarks.lists`.

Rows are copied in, past the actions: one owner has thousands of repositories and most have one, a
few tags are on a third of all and thousands on a handful, most repositories are never downloaded.
Search terms come from the site's own code. Indexes are made again after the rows, as they were.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

SEED = 20_26
N_OWNERS = 30_000
N_WORDS = 60_000
CHUNK = 20_000
NOW = datetime(2026, 6, 1, tzinfo=UTC)
FAMILIES = """bert llama qwen mistral gpt2 whisper vit t5 roberta distilbert gemma phi deberta
 wav2vec2 sdxl flux lora clip resnet albert electra bart pegasus falcon yolo sam blip
 mamba""".split()
SIZES = "tiny small base medium large 1b 3b 7b 8b 13b 70b xl".split()
TASKS = [("text-generation", .33), ("text-classification", .12), ("", .2), ("text-to-image", .09),
         ("fill-mask", .04), ("token-classification", .04), ("automatic-speech-recognition", .05),
         ("question-answering", .03), ("image-classification", .05), ("translation", .02),
         ("reinforcement-learning", .02), ("depth-estimation", .0005), ("table-question-answering",
         .0005), ("sentence-similarity", .009)]  # fmt: skip
LIBRARIES = [("transformers", .55), ("peft", .1), ("", .17), ("sentence-transformers", .03),
             ("timm", .02), ("keras", .01), ("stable-baselines3", .02), ("mlx", .01),
             ("onnx", .0099), ("fairseq", .0001), ("gguf", .08)]  # fmt: skip
LICENSES = [("apache-2.0", .3), ("mit", .15), ("", .35), ("openrail", .05), ("llama3", .05),
            ("cc-by-4.0", .05), ("gpl-3.0", .02), ("afl-3.0", .01), ("wtfpl", .0005),
            ("other", .0195)]  # fmt: skip
LANGUAGES = [("en", .3), ("", .5), ("zh", .06), ("fr", .03), ("de", .03), ("ja", .02), ("sw", .001),
             ("multilingual", .049), ("eu", .01)]  # fmt: skip
COMMON = """the model this is a of and trained on dataset fine tuned version from evaluation results
 training following hyperparameters were used during intended uses limitations more information
 needed loss accuracy learning rate batch size optimizer adam epochs framework versions pytorch
 datasets tokenizers license text language data code research paper task performance benchmark
 usage example pipeline import load tokenizer generate output input image speech audio""".split()
CHINESE = "中文模型 大语言模型 情感分析 微调 数据集 文本分类 机器翻译 语音识别 开源 对话".split()
HAN = [chr(0x4E00 + n) for n in range(0, 6_000, 2)]


class Fill:
    """Writes `n_repos` repositories through one connection."""

    def __init__(self, cursor: Any, n_repos: int, member_namespaces: list[int]) -> None:
        self._cursor, self._n_repos, self._member = cursor, n_repos, member_namespaces
        self._numbers = np.random.default_rng(SEED)
        self._random = random.Random(SEED)
        syllables = [c + v for c in "bcdfghjklmnprstvwz" for v in "aeiou"]
        made = ["".join(self._random.choices(syllables, k=self._random.randint(2, 5)))
                for _ in range(N_WORDS)]  # fmt: skip
        self.words = [*COMMON, *FAMILIES, *made]
        weight = 1 / np.arange(2, len(self.words) + 2) ** 1.05
        self._word_steps = np.cumsum(weight / weight.sum())

    def run(self) -> None:
        started = time.perf_counter()
        owners = self._owners()
        indexes = self._drop_indexes()
        for start in range(0, self._n_repos, CHUNK):
            self._chunk(owners, start, min(CHUNK, self._n_repos - start))
        print(f"rows written after {time.perf_counter() - started:.0f} s", flush=True)
        self._cursor.execute("SET maintenance_work_mem = '1GB'")
        for statement in indexes:
            self._cursor.execute(statement)
        self._cursor.execute("SELECT setval('hub_repo_id_seq', %s)", [self._n_repos])
        print(f"indexes made after {time.perf_counter() - started:.0f} s", flush=True)
        for table in ("hub_repo", "hub_reposearch", "hub_repotag", "hub_namespace"):
            self._cursor.execute(f"VACUUM ANALYZE {table}")
        print(f"ready after {time.perf_counter() - started:.0f} s", flush=True)

    def _owners(self) -> np.ndarray:
        """Ids of namespaces, the most frequent first."""
        self._cursor.execute("SELECT id, name FROM hub_namespace ORDER BY id")
        rows = self._cursor.fetchall()
        self._names = dict(rows)
        weight = 1 / np.arange(1, len(rows) + 1) ** 0.7
        self._owner_steps = np.cumsum(weight / weight.sum())
        return np.array([pk for pk, _ in rows])

    def _drop_indexes(self) -> list[str]:
        self._cursor.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename"
            " IN ('hub_repo', 'hub_reposearch', 'hub_repotag') AND indexname NOT IN"
            " (SELECT conname FROM pg_constraint)"
        )
        rows = self._cursor.fetchall()
        for name, _ in rows:
            self._cursor.execute(f'DROP INDEX "{name}"')
        return [statement for _, statement in rows]

    def _chunk(self, owners: np.ndarray, start: int, size: int) -> None:
        rows = list(self._rows(owners, start, size))
        self._copy("hub_repo", COLUMNS, (row["row"] for row in rows))
        self._copy("hub_repotag", ("repo_id", "tag"),
                   ((row["row"][0], tag) for row in rows for tag in row["tags"]))  # fmt: skip
        self._copy("hub_reposearch", ("repo_id", "terms"), (row["search"] for row in rows))

    def _copy(self, table: str, columns: tuple[str, ...], rows: Iterator[Any]) -> None:
        with self._cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)

    def _rows(self, owners: np.ndarray, start: int, size: int) -> Iterator[dict[str, Any]]:
        numbers = self._numbers
        at = np.searchsorted(self._owner_steps, numbers.random(size))
        picks = {name: self._pick(values, size) for name, values in
                 (("task", TASKS), ("library", LIBRARIES), ("license", LICENSES),
                  ("language", LANGUAGES))}  # fmt: skip
        downloads = np.where(numbers.random(size) < 0.6, 0, numbers.lognormal(3, 2.5, size)).astype(
            int
        )
        likes = np.where(numbers.random(size) < 0.8, 0, numbers.lognormal(0.5, 1.5, size)).astype(
            int
        )
        trending = np.where(numbers.random(size) < 0.97, 0, numbers.lognormal(4, 1.5, size)).astype(
            int
        )
        age_days = numbers.beta(1, 2, size) * 1200
        fresh = numbers.beta(0.5, 2, size)
        parameters = np.exp(numbers.normal(20, 2.2, size)).astype(np.int64)
        n_words = numbers.integers(10, 110, size)
        words = np.searchsorted(self._word_steps, numbers.random(int(n_words.sum())))
        ends = np.cumsum(n_words)
        chance = numbers.random((size, 6))
        for i in range(size):
            text = [self.words[w] for w in words[ends[i] - n_words[i] : ends[i]]]
            facts = {name: picks[name][i] for name in picks}
            created = NOW - timedelta(days=float(age_days[i]))
            modified = NOW - timedelta(days=float(age_days[i] * fresh[i]))
            yield self._repo(
                start + i + 1, int(owners[at[i]]), text, facts, chance[i],
                (created, modified, int(downloads[i]), int(likes[i]), int(trending[i])),
                int(parameters[i]) if chance[i][0] < .6 else None,
            )  # fmt: skip

    def _repo(self, pk: int, owner: int, words: list[str], facts: dict[str, str],
              chance: Any, counts: Any, parameters: int | None) -> dict[str, Any]:  # fmt: skip
        from hub.search.terms import document_terms

        is_model, is_private = chance[1] < 0.75, chance[2] < 0.12
        if is_private and chance[3] < 0.02:
            owner = self._member[pk % len(self._member)]
        family = FAMILIES[min(int(chance[4] ** 2 * len(FAMILIES)), len(FAMILIES) - 1)]
        size = SIZES[pk % len(SIZES)]
        name = (
            f"{family}-{size}-{words[-1]}-{pk}"
            if chance[5] < 0.7
            else f"{words[-1]}-{words[0]}{pk}"
        )
        if chance[5] > 0.94:
            words += [*self._random.sample(CHINESE, 3), "".join(self._random.choices(HAN, k=12))]
        if is_model and facts["task"] == "text-to-image":
            facts["library"] = "diffusers"
        task, library = (facts["task"], facts["library"]) if is_model else ("", "")
        tags = self._tags(facts, is_model, family, words[0])
        description, (created, modified, downloads, likes, trending) = " ".join(words[:25]), counts
        card = {"license": facts["license"], "language": facts["language"]}
        terms = document_terms(
            "model" if is_model else "dataset", namespace=self._names[owner], name=name, tags=tags,
            values=[f"pipeline_tag:{task}", f"library:{library}", f"language:{facts['language']}"],
            texts=[description, " ".join(words)],
        )  # fmt: skip
        row = (pk, "model" if is_model else "dataset", owner, name, is_private, f"{pk:032x}",
               created, modified, downloads * 9, downloads, likes, trending, "0" * 40, 10**6,
               description, json.dumps(card), json.dumps(tags), task, library, facts["license"],
               "{}", parameters if is_model else None)  # fmt: skip
        return {"row": row, "tags": tags, "search": (pk, " ".join(f"'{term}'" for term in terms))}

    def _tags(self, facts: dict[str, str], is_model: bool, family: str, word: str) -> list[str]:
        license_ = [f"license:{facts['license']}"] if facts["license"] else []
        if not is_model:
            pairs = {"task_categories": facts["task"], "language": facts["language"]}
            size = f"size_categories:{self._random.choice(['n<1K', '1K<n<10K', '10K<n<100K'])}"
            return [*(f"{k}:{v}" for k, v in pairs.items() if v), size, *license_, f"topic-{word}"]
        plain = [facts["task"], facts["library"], facts["language"], family, f"topic-{word}"]
        data = [f"dataset:{word}/data"] if self._random.random() < 0.3 else []
        return list(dict.fromkeys([*filter(None, plain), *data, *license_, "safetensors"]))

    def _mostly_zero(self, size: int, zeros: float, mean: float, sigma: float) -> np.ndarray:
        values = self._numbers.lognormal(mean, sigma, size)
        return np.where(self._numbers.random(size) < zeros, 0, values).astype(int)

    def _pick(self, values: list[tuple[str, float]], size: int) -> list[str]:
        names, weights = [v for v, _ in values], np.array([w for _, w in values])
        at = self._numbers.choice(len(names), size=size, p=weights / weights.sum())
        return [names[n] for n in at]


COLUMNS = (
    "id", "repo_type", "namespace_id", "name", "is_private", "storage_key", "created_at",
    "last_modified", "downloads_all_time", "downloads", "likes", "trending_score", "head_sha",
    "size_bytes", "description", "card_data", "tags", "pipeline_tag", "library_name", "license",
    "config", "parameter_count",
)  # fmt: skip
