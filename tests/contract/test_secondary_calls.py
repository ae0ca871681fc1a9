"""The secondary calls of the protocol (S numbers), through the newest client, unmodified."""

from __future__ import annotations

import json
import textwrap
import urllib.request

from tests.hub.hfapi.test_constants import index, shard
from tests.support.benchmarks import EVAL_YAML
from tests.support.client import Machine


def test_tags_tasks_and_headers_of_shards(xet_machine: Machine) -> None:
    """S17, S18, S20, S48."""
    (xet_machine.folder / "a.safetensors").write_bytes(shard(x=4))
    (xet_machine.folder / "b.safetensors").write_bytes(shard(y=5))
    names = {"x": "a.safetensors", "y": "b.safetensors"}
    (xet_machine.folder / "model.safetensors.index.json").write_text(index(**names))
    result = xet_machine.python(
        """
        repo = api.create_repo("split").repo_id
        api.upload_folder(repo_id=repo, folder_path=".", allow_patterns="*safetensors*")
        found = api.get_sharded_safetensors_metadata(repo)
        result = dict(
            models=sorted(api.get_model_tags()), datasets=sorted(api.get_dataset_tags()),
            map=found.weight_map, same=found == api.get_safetensors_metadata(repo),
            shape=found.files_metadata["b.safetensors"].tensors["y"].shape,
        )
        """
    )
    assert {"license", "pipeline_tag"} <= set(result["models"])
    assert {"license", "task_categories"} <= set(result["datasets"])
    assert result["map"] == names
    assert result["same"]
    assert result["shape"] == [5]


def test_what_is_not_served_is_said_in_words(xet_machine: Machine) -> None:
    """S39 to S42, S50, and commercial hosting: the client shows our sentence."""
    result = xet_machine.python(
        """
        from huggingface_hub.errors import HfHubHTTPError
        calls = {
            "papers": lambda: list(api.list_papers(query="x")),
            "paper": lambda: api.paper_info("2307.09288"),
            "text": lambda: api.read_paper("2307.09288"),
            "daily": lambda: list(api.list_daily_papers()),
            "bucket": lambda: api.create_bucket("b"),
            "kernel": lambda: api.kernel_info("a/b"),
            "jobs": lambda: list(api.list_jobs()),
            "runtime": lambda: api.get_space_runtime(f"{me}/none"),
            "hardware": lambda: api.list_spaces_hardware(),
            "quota": lambda: api.get_zero_gpu_quota(),
        }
        result = {}
        for name, call in calls.items():
            try:
                call()
            except HfHubHTTPError as error:
                result[name] = [error.response.status_code, str(error)]
        """
    )
    statuses = {name: status for name, (status, _) in result.items()}
    assert statuses == {
        "papers": 501, "paper": 501, "text": 501, "daily": 501, "bucket": 501, "kernel": 501,
        "jobs": 404, "runtime": 404, "hardware": 404,
        "quota": 404,
    }, json.dumps(result, indent=1)  # fmt: skip
    assert all("This site" in text for _, text in result.values()), result


def test_a_picture_is_sent_and_shown_in_a_discussion(xet_machine: Machine) -> None:
    """S43, S46 to S48, and what a client makes of too many calls."""
    png = b"\x89PNG\r\n\x1a\n" + bytes(100)
    (xet_machine.folder / "shot.png").write_bytes(png)
    (xet_machine.folder / "fake.png").write_bytes(b"<svg/>")
    result = xet_machine.python(
        """
        from huggingface_hub.errors import HfHubHTTPError
        from huggingface_hub.inference._providers.hf_inference import _fetch_recommended_models
        from huggingface_hub.utils import _detect_agent, get_session
        url = api.upload_attachment("shot.png")
        repo = api.create_repo("shown").repo_id
        talk = api.create_discussion(repo, title="Look", description=f"![shot]({url})")
        try:
            api.upload_attachment("fake.png")
        except HfHubHTTPError as error:
            refused = [error.response.status_code, str(error)]
        result = dict(
            url=url, page=talk.url, refused=refused,
            same=get_session().get(url).content == pathlib.Path("shot.png").read_bytes(),
            harnesses=_detect_agent._fetch_registry(),
            recommended=_fetch_recommended_models()["fill-mask"],
            telemetry=get_session().head(f"{api.endpoint}/api/telemetry/a/b").status_code,
        )
        """
    )
    assert result["url"].startswith(f"{xet_machine.site.base_url}/uploads/")
    assert result["same"]
    assert result["refused"][0] == 415
    assert "PNG, JPG" in result["refused"][1]
    page = urllib.request.urlopen(result["page"]).read().decode()
    path = result["url"].removeprefix(xet_machine.site.base_url)
    assert f'<img src="{path}" alt="shot"' in page
    assert result["harnesses"] == {"standardEnvVars": [], "harnesses": {}}
    assert result["recommended"] is None or "/" in result["recommended"]
    assert result["telemetry"] == 200


def test_a_space_is_made_filled_listed_and_fetched(xet_machine: Machine) -> None:
    """S1, and the core calls for repositories of this type."""
    (xet_machine.folder / "app").mkdir()
    (xet_machine.folder / "app" / "app.py").write_text("print(1)\n")
    (xet_machine.folder / "app" / "data.bin").write_bytes(bytes(range(256)) * 400)
    (xet_machine.folder / "app" / "README.md").write_text(
        "---\nsdk: gradio\nmodels: [some/model]\n---\n# Demo\n"
    )
    result = xet_machine.python(
        """
        kind = dict(repo_type="space")
        url = api.create_repo("demo", space_sdk="gradio", **kind)
        fresh = api.list_repo_files(url.repo_id, **kind)
        api.upload_folder(repo_id=url.repo_id, folder_path="app", **kind)
        folder = pathlib.Path(snapshot_download(url.repo_id, **kind))
        info = api.space_info(url.repo_id)
        result = dict(
            url=str(url), fresh=sorted(fresh), sdk=info.sdk, models=info.models,
            same=(folder / "data.bin").read_bytes() == pathlib.Path("app/data.bin").read_bytes(),
            listed=[s.id for s in api.list_spaces(author=me, models="some/model")],
            runtime=info.runtime,
        )
        """
    )
    assert result["url"] == f"{xet_machine.site.base_url}/spaces/{xet_machine.user}/demo"
    assert result["fresh"] == [".gitattributes", "README.md"]
    assert (result["sdk"], result["models"]) == ("gradio", ["some/model"])
    assert result["same"]
    assert result["listed"] == [f"{xet_machine.user}/demo"]
    assert result["runtime"] is None


def test_users_and_organisations(xet_machine: Machine) -> None:
    """S5 to S12."""
    other = Machine.of_new_user(xet_machine.site, xet_machine.folder)
    xet_machine.site.execute(
        """
from hub.actions.follows import follow
from hub.actions.organizations import create_organization
from hub.models import User
one, two = User.objects.get(username=me), User.objects.get(username=other)
org = create_organization(name=f"{me}-org", full_name="The Org", acting_user=one)
for namespace in (one.namespace, org.namespace):
    follow(namespace=namespace, acting_user=two)
""",
        me=xet_machine.user,
        other=other.user,
    )
    result = xet_machine.python(
        f"""
        other, org = "{other.user}", f"{{me}}-org"
        api.create_repo(f"{{org}}/m", private=True)
        api.upload_file(repo_id=f"{{org}}/m", path_or_fileobj=b"1" * 5000, path_in_repo="a.bin")
        user, group = api.get_user_overview(me), api.get_organization_overview(org)
        result = dict(
            user=[user.username, user.num_followers, user.is_following, user.orgs[0].name],
            group=[group.fullname, group.num_users, group.num_models, group.num_followers],
            followers=[u.username for u in api.list_user_followers(me)],
            following=[u.username for u in api.list_user_following(other)],
            org_followers=[u.username for u in api.list_organization_followers(org)],
            members=[u.username for u in api.list_organization_members(org)],
            own=[r.id for r in api.list_user_repos()],
            storage=[[r.id, r.visibility, r.storage >= 5000] for r in api.list_user_repos(org)],
        )
        """
    )
    me, org = xet_machine.user, f"{xet_machine.user}-org"
    assert result["user"] == [me, 1, False, org]
    assert result["group"] == ["The Org", 1, 1, 1]
    assert result["followers"] == result["org_followers"] == [other.user]
    assert result["following"] == [me, org]
    assert result["members"] == [me]
    assert result["own"] == []
    assert result["storage"] == [[f"{org}/m", "private", True]]
    assert "private" in xet_machine.hf("repos", "ls", "--namespace", org).stdout


def test_collections(xet_machine: Machine) -> None:
    """S21 to S28."""
    result = xet_machine.python(
        """
        from huggingface_hub.errors import HfHubHTTPError
        model = api.create_repo("m").repo_id
        rows = api.create_repo("d", repo_type="dataset").repo_id
        made = api.create_collection("My list", description="Why", private=True)
        again = api.create_collection("My list", exists_ok=True)
        api.add_collection_item(made.slug, model, "model", note="first")
        api.add_collection_item(made.slug, rows, "dataset")
        filled = api.add_collection_item(made.slug, model, "model", exists_ok=True)
        paper = api.add_collection_item(made.slug, "2307.09288", "paper").items[-1]
        api.update_collection_item(made.slug, paper.item_object_id, note="read", position=0)
        renamed = api.update_collection_metadata(made.slug, title="Other", private=False,
                                                 theme="pink")
        found = api.get_collection(made.slug, token=False)
        listed = list(api.list_collections(owner=me, item=f"models/{model}", limit=5))
        api.delete_collection_item(found.slug, paper.item_object_id)
        api.delete_collection_item(found.slug, paper.item_object_id, missing_ok=True)
        left = api.get_collection(found.slug)
        api.delete_collection(found.slug)
        api.delete_collection(found.slug, missing_ok=True)
        try:
            api.delete_collection(found.slug)
            twice = None
        except HfHubHTTPError as error:
            twice = error.response.status_code
        result = dict(
            slug=made.slug, same=again.slug == made.slug, private=made.private,
            ids=[item.item_id for item in found.items], notes=[i.note for i in found.items],
            renamed=[renamed.title, renamed.theme, renamed.slug], url=found.url,
            listed=[[c.title, c.position] for c in listed], left=len(left.items), twice=twice,
        )
        """
    )
    me = xet_machine.user
    ident = result["slug"].rpartition("-")[2]
    assert result["slug"] == f"{me}/my-list-{ident}"
    assert (result["same"], result["private"]) == (True, True)
    assert result["ids"] == ["2307.09288", f"{me}/m", f"{me}/d"]
    assert result["notes"] == ["read", "first", None]
    assert result["renamed"] == ["Other", "pink", f"{me}/other-{ident}"]
    assert result["url"] == f"{xet_machine.site.base_url}/collections/{me}/other-{ident}"
    assert result["listed"] == [["Other", 0]]
    assert (result["left"], result["twice"]) == (2, 404)


def test_duplicate_copy_and_permanent_deletion(xet_machine: Machine) -> None:
    """S13 to S16."""
    (xet_machine.folder / "large.bin").write_bytes(bytes(range(256)) * 4000)
    result = xet_machine.python(
        """
        source = api.create_repo("source", private=True).repo_id
        api.upload_file(repo_id=source, path_or_fileobj="large.bin", path_in_repo="deep/large.bin")
        copy = api.duplicate_repo(source, f"{me}/copy")
        again = api.duplicate_repo(source, f"{me}/copy", exist_ok=True)
        target = api.create_repo("rows", repo_type="dataset").repo_id
        api.create_commit(target, [CommitOperationCopy("deep/large.bin", "l.bin",
                          src_repo_id=source, src_repo_type="model")],
                          commit_message="Copy", repo_type="dataset")
        large = list(api.list_lfs_files(source))
        api.permanently_delete_lfs_files(source, large)
        data = pathlib.Path("large.bin").read_bytes()
        result = dict(
            copy=[copy.repo_id, copy.files_copy_pending, again.repo_id],
            private=api.model_info(copy.repo_id).private,
            large=[[one.filename, one.size, one.ref] for one in large],
            left=api.list_repo_files(source), gone=len(list(api.list_lfs_files(source))),
            same=[pathlib.Path(path).read_bytes() == data for path in (
                hf_hub_download(copy.repo_id, "deep/large.bin"),
                hf_hub_download(target, "l.bin", repo_type="dataset"))],
        )
        """
    )
    me = xet_machine.user
    assert result["copy"] == [f"{me}/copy", False, f"{me}/copy"]
    assert result["private"] is True
    assert result["large"] == [["deep/large.bin", 1_024_000, "refs/heads/main"]]
    assert (result["left"], result["gone"]) == ([".gitattributes"], 0)
    assert result["same"] == [True, True]


def test_model_tree(xet_machine: Machine) -> None:
    """`baseModels` and `childrenModelCount` of C9."""
    result = xet_machine.python(
        """
        base, kid = api.create_repo("base").repo_id, api.create_repo("kid").repo_id
        card = f"---\\nbase_model: {base}\\n---\\n# Kid\\n".encode()
        api.upload_file(repo_id=kid, path_or_fileobj=card, path_in_repo="README.md")
        fields = ["baseModels", "childrenModelCount"]
        result = [api.model_info(kid, expand=fields).base_models,
                  api.model_info(base, expand=fields).children_model_count,
                  [m.id for m in api.list_models(filter=f"base_model:finetune:{base}")]]
        """
    )
    me = xet_machine.user
    assert result == [[f"{me}/base"], 1, [f"{me}/kid"]]


def test_claimed_results_and_the_leaderboard_of_a_data_set(xet_machine: Machine) -> None:
    """S19, and `evalResults` of C9: a file of results, written by the client's own function."""
    site, me = xet_machine.site, xet_machine.user
    claim = """
        import yaml
        model, data = api.create_repo("sure").repo_id, f"{me}/quiz"
        api.create_repo(data, repo_type="dataset")
        api.create_repo("plain-data", repo_type="dataset")
        api.upload_file(repo_id=data, repo_type="dataset", path_in_repo="eval.yaml",
                        path_or_fileobj=EVAL_YAML.encode())
        entry = EvalResultEntry(dataset_id=data, task_id="sentiment", value=0.91, notes="alone")
        api.upload_file(repo_id=model, path_in_repo=".eval_results/quiz.yaml",
                        path_or_fileobj=yaml.dump(eval_result_entries_to_yaml([entry])).encode())
        other = api.create_repo("helped").repo_id
        entry.value = 0.5
        api.upload_file(repo_id=other, path_in_repo=".eval_results/quiz.yaml", create_pr=True,
                        path_or_fileobj=yaml.dump(eval_result_entries_to_yaml([entry])).encode())
        """
    xet_machine.python(f"EVAL_YAML = {EVAL_YAML!r}\n{textwrap.dedent(claim)}")
    site.execute(
        "from evaluation.tasks import refresh_benchmarks, refresh_claims\n"
        "from hub.models import Repo\n"
        "for repo in Repo.objects.filter(namespace__name=user):\n"
        "    refresh_benchmarks(repo.pk); refresh_claims(repo.pk)\n"
        "result = None",
        user=me,
    )
    result = xet_machine.python(
        """
        row, helped = api.get_dataset_leaderboard(f"{me}/quiz")
        proposed = api.model_info(f"{me}/helped", expand=["evalResults"]).eval_results
        (claim,) = api.model_info(f"{me}/sure", expand=["evalResults"]).eval_results
        result = [row.rank, row.model_id, row.value, row.verified, row.author.username, row.notes,
                  claim.dataset_id, claim.task_id, claim.value, row.pull_request,
                  helped.model_id, helped.pull_request, [each.value for each in proposed],
                  [d.id for d in api.list_datasets(benchmark="official", author=me)]]
        """
    )
    assert result == [
        1, f"{me}/sure", 0.91, False, me, "alone", f"{me}/quiz", "sentiment", 0.91,
        None, f"{me}/helped", 1, [0.5], [f"{me}/quiz"],
    ]  # fmt: skip
