"""Ready-to-paste ways to use a repository, with this site's address. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from hub.models import Repo, RepoType

_AUTO_CLASSES = {
    "text-classification": "AutoModelForSequenceClassification",
    "token-classification": "AutoModelForTokenClassification",
    "fill-mask": "AutoModelForMaskedLM",
    "text-generation": "AutoModelForCausalLM",
    "image-classification": "AutoModelForImageClassification",
    "question-answering": "AutoModelForQuestionAnswering",
    "automatic-speech-recognition": "AutoModelForSpeechSeq2Seq",
}


@dataclass(frozen=True)
class Snippet:
    key: str
    title: str
    language: str
    code: str


def use_snippets(repo: Repo, site_url: str) -> list[Snippet]:
    """How to load or download `repo`: Python first, then the command line, then git."""
    return [_load(repo, site_url), _download(repo, site_url), _clone(repo, site_url)]


def upload_snippets(repo: Repo, site_url: str) -> list[Snippet]:
    """How to send files to `repo`."""
    option = _type_option(repo)
    shell = (
        f"export HF_ENDPOINT={site_url}\n"
        "hf auth login\n"
        f"hf upload {repo.full_name} ./my-folder{option}"
    )
    return [
        Snippet("cli", "CLI", "bash", shell),
        Snippet("python", "Python", "python", _push(repo)),
        Snippet("git", "Git", "bash", _git_push(repo, site_url)),
    ]


def _load(repo: Repo, site_url: str) -> Snippet:
    if repo.repo_type == RepoType.DATASET:
        return _load_dataset(repo, site_url)
    is_transformers = repo.library_name == "transformers" or repo.config
    if repo.repo_type == RepoType.MODEL and is_transformers:
        return _load_model(repo, site_url)
    return _snapshot(repo, site_url)


def _clone(repo: Repo, site_url: str) -> Snippet:
    code = f"git lfs install\ngit clone {site_url}{repo.url_path}"
    return Snippet("git", "Git", "bash", code)


def _git_push(repo: Repo, site_url: str) -> str:
    return (
        f"git lfs install\ngit clone {site_url}{repo.url_path}\ncd {repo.name}\n"
        'cp -r ../my-folder/. .\ngit add --all\ngit commit --message "Add files"\n'
        "git push  # the password is an access token"
    )


def _push(repo: Repo) -> str:
    if repo.repo_type == RepoType.MODEL:
        return f'model.push_to_hub("{repo.full_name}")\ntokenizer.push_to_hub("{repo.full_name}")'
    if repo.repo_type == RepoType.DATASET:
        return f'dataset.push_to_hub("{repo.full_name}")'
    return (
        "from huggingface_hub import upload_folder\n\n"
        f'upload_folder(repo_id="{repo.full_name}", repo_type="space", folder_path="my-folder")'
    )


def _type_option(repo: Repo) -> str:
    return "" if repo.repo_type == RepoType.MODEL else f" --repo-type {repo.repo_type}"


def _endpoint(site_url: str) -> str:
    return f'import os\nos.environ["HF_ENDPOINT"] = "{site_url}"  # before the next import\n\n'


def _load_model(repo: Repo, site_url: str) -> Snippet:
    auto = _AUTO_CLASSES.get(repo.pipeline_tag, "AutoModel")
    other = "AutoImageProcessor" if repo.pipeline_tag.startswith("image") else "AutoTokenizer"
    variable = "processor" if other == "AutoImageProcessor" else "tokenizer"
    code = (
        f"from transformers import {auto}, {other}\n\n"
        f'model = {auto}.from_pretrained("{repo.full_name}")\n'
        f'{variable} = {other}.from_pretrained("{repo.full_name}")'
    )
    return Snippet("python", "Python", "python", _endpoint(site_url) + code)


def _load_dataset(repo: Repo, site_url: str) -> Snippet:
    code = f'from datasets import load_dataset\n\ndataset = load_dataset("{repo.full_name}")'
    return Snippet("python", "Python", "python", _endpoint(site_url) + code)


def _snapshot(repo: Repo, site_url: str) -> Snippet:
    code = (
        "from huggingface_hub import snapshot_download\n\n"
        f'folder = snapshot_download("{repo.full_name}"{_type_argument(repo)})'
    )
    return Snippet("python", "Python", "python", _endpoint(site_url) + code)


def _type_argument(repo: Repo) -> str:
    return "" if repo.repo_type == RepoType.MODEL else f', repo_type="{repo.repo_type}"'


def _download(repo: Repo, site_url: str) -> Snippet:
    option = _type_option(repo)
    code = f"export HF_ENDPOINT={site_url}\nhf download {repo.full_name}{option}"
    return Snippet("cli", "CLI", "bash", code)
