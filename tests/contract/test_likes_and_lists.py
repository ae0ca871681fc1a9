"""Likes, searches and counted downloads through the newest client, unmodified."""

from __future__ import annotations

import textwrap

from tests.support.client import Machine


def test_search_filters_and_likes(xet_machine: Machine) -> None:
    """C7, S2 to S4. The newest client takes likes back but gives none, so we give it ours."""
    result = xet_machine.python(
        """
        from huggingface_hub.utils import get_session
        head = "---\\nlicense: mit\\npipeline_tag: fill-mask\\n---\\n"
        card = head + "A rare word: quagga. 中文情感分析"
        repo = api.create_repo("my-bert-tiny").repo_id
        api.upload_file(path_or_fileobj=card.encode(), path_in_repo="README.md", repo_id=repo)
        like = f"{api.endpoint}/api/models/{repo}/like"
        get_session().post(like, headers=api._build_hf_headers()).raise_for_status()
        mine = dict(author=me)
        result = dict(
            liked=api.list_liked_repos(me).models,
            likers=[user.username for user in api.list_repo_likers(repo)],
            found=[
                [model.id for model in api.list_models(**mine, **more)]
                for more in (
                    dict(search="bert"), dict(search="quagga"), dict(search="情感"),
                    dict(filter=["license:mit"], pipeline_tag="fill-mask", sort="likes"),
                    dict(sort="trending_score"), dict(search="zebra"),
                )
            ],
            likes=api.model_info(repo).likes,
        )
        api.unlike(repo)
        result["after"] = [api.list_liked_repos(me).models, api.model_info(repo).likes]
        """
    )
    repo = f"{xet_machine.user}/my-bert-tiny"
    assert (result["liked"], result["likers"], result["likes"]) == ([repo], [xet_machine.user], 1)
    assert result["found"] == [[repo]] * 5 + [[]]
    assert result["after"] == [[], 0]


def test_a_download_by_xet_counts_once(xet_machine: Machine) -> None:
    """And a look whether the copy is fresh does not count."""
    xet_machine.python(
        """
        import os
        repo = api.create_repo("counted").repo_id
        api.upload_file(path_or_fileobj=os.urandom(300_000), path_in_repo="w.bin", repo_id=repo)
        """
    )
    count = textwrap.dedent("""
    from hub.actions.downloads import record_downloads
    from hub.models import Repo
    record_downloads()
    result = Repo.objects.get(name="counted").downloads
    """)
    fetch = 'hf_hub_download(f"{me}/counted", "w.bin"); result = 1'
    assert xet_machine.site.execute(count) == 0
    xet_machine.python(fetch)
    assert xet_machine.site.execute(count) == 1
    xet_machine.python(fetch)
    assert xet_machine.site.execute(count) == 1
