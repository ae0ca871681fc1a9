"""Ready-to-paste ways to propose a change, and to fetch and add to a proposed one. Pure."""

from __future__ import annotations

from contributions.models import Discussion
from hub.models import Repo, RepoType
from hub.portal.snippets import Snippet


def propose_snippets(repo: Repo, site_url: str) -> list[Snippet]:
    """How to open a pull request with the client, files and all."""
    shell = f"export HF_ENDPOINT={site_url}\nhf auth login\n{propose_command(repo)}"
    python = (
        "from huggingface_hub import upload_folder\n\n"
        f'upload_folder(repo_id="{repo.full_name}", folder_path="./my-folder",'
        f"{_argument(repo)} create_pr=True)"
    )
    return [
        Snippet("cli", "CLI", "bash", shell),
        Snippet("python", "Python", "python", python),
    ]


def pull_snippets(pull: Discussion, site_url: str) -> list[Snippet]:
    """How to fetch the files of a pull request; while it is under way, how to add to it."""
    repo = pull.repo
    name, option, ref = repo.full_name, _option(repo), f"refs/pr/{pull.num}"
    shell = [f"export HF_ENDPOINT={site_url}", f"hf download {name}{option} --revision {ref}"]
    python = [
        "from huggingface_hub import snapshot_download, upload_file\n",
        f'snapshot_download("{name}",{_argument(repo)} revision="{ref}")',
    ]
    branch = f"pr-{pull.num}"
    git = [f"git clone {site_url}{repo.url_path}", f"cd {repo.name}",
           f"git fetch origin {ref}:{branch}", f"git checkout {branch}"]  # fmt: skip
    if pull.is_under_way:
        shell.append(add_command(pull))
        python.append(
            f'upload_file(repo_id="{name}",{_argument(repo)} revision="{ref}",\n'
            '            path_or_fileobj="config.json", path_in_repo="config.json")'
        )
        git.append(f"git push origin {branch}:{ref}")
    return [
        Snippet("cli", "CLI", "bash", "\n".join(shell)),
        Snippet("python", "Python", "python", "\n".join(python)),
        Snippet("git", "git", "bash", "\n".join(git)),
    ]


def conflict_commands(pull: Discussion) -> str:
    """How to bring the branch into a pull request whose files changed on both sides, by git.

    On no branch of its own, so that it works whatever branches the clone has.
    """
    ref = f"refs/pr/{pull.num}"
    return (
        f"git fetch origin {ref}\ngit checkout --detach FETCH_HEAD\n"
        f"git fetch origin {pull.base_branch}\ngit merge FETCH_HEAD\n"
        f"git commit --all\ngit push origin HEAD:{ref}"
    )


def propose_command(repo: Repo) -> str:
    """One line that opens a pull request."""
    return f"hf upload {repo.full_name} ./my-folder{_option(repo)} --create-pr"


def add_command(pull: Discussion) -> str:
    """One line that adds a commit to the pull request."""
    repo = pull.repo
    return f"hf upload {repo.full_name} ./my-folder{_option(repo)} --revision refs/pr/{pull.num}"


def _option(repo: Repo) -> str:
    return "" if repo.repo_type == RepoType.MODEL else f" --repo-type {repo.repo_type}"


def _argument(repo: Repo) -> str:
    return "" if repo.repo_type == RepoType.MODEL else f' repo_type="{repo.repo_type}",'
