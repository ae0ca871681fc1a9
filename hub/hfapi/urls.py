"""Addresses of the Hub API. Ids and revisions: Hub protocol, section 4.

Xet tokens and LFS have URL files of their own, which come first; what nothing answers ends here
in a 501 that says so.
"""

from __future__ import annotations

from django.urls import URLPattern, path, re_path, register_converter

from hub.hfapi.views import unserved
from hub.hfapi.views.collections import Collections, Items, OneCollection, OneItem
from hub.hfapi.views.commit import Commit
from hub.hfapi.views.constants import AgentHarnesses, TagsByType, Tasks, Telemetry
from hub.hfapi.views.copies import CopyLargeFiles, DeleteLargeFiles, Duplicate, LargeFiles
from hub.hfapi.views.gates import (
    AccessRequests,
    GrantAccess,
    HandleAccessRequest,
    WithdrawAccessRequest,
)
from hub.hfapi.views.history import Commits
from hub.hfapi.views.identity import AuthCheck, AuthCheckWrite, WhoAmI
from hub.hfapi.views.info import RepoInfo
from hub.hfapi.views.likes import LikedRepos, LikeRepo, Likers
from hub.hfapi.views.listing import ListRepos
from hub.hfapi.views.oauth import DeviceCode, Token
from hub.hfapi.views.people import (
    Followers,
    Following,
    Members,
    OrganizationOverview,
    OrganizationStorage,
    OwnStorage,
    UserOverview,
)
from hub.hfapi.views.preupload import Preupload
from hub.hfapi.views.refs import Branch, Refs, SuperSquash, Tag
from hub.hfapi.views.repos import CreateRepo, DeleteRepo, MoveRepo, RepoSettings
from hub.hfapi.views.safetensors import SafetensorsMetadata
from hub.hfapi.views.tree import PathsInfo, Tree
from hub.hfapi.views.validate_yaml import ValidateYaml
from hub.models import RepoType


class RepoTypeConverter:
    """`models`, `datasets` and `spaces` in an address are "model", "dataset" and "space" to us."""

    regex = "|".join(f"{repo_type.value}s" for repo_type in RepoType)

    def to_python(self, value: str) -> str:
        return value.removesuffix("s")

    def to_url(self, value: str) -> str:
        return f"{value}s"


register_converter(RepoTypeConverter, "repotype")

_REPO = "api/<repotype:repo_type>/<name:namespace>/<name:name>"

site_urls = [
    path("api/whoami-v2", WhoAmI.as_view(), name="hf_whoami"),
    path("api/repos/create", CreateRepo.as_view(), name="hf_create_repo"),
    path("api/repos/delete", DeleteRepo.as_view(), name="hf_delete_repo"),
    path("api/repos/move", MoveRepo.as_view(), name="hf_move_repo"),
    path("api/validate-yaml", ValidateYaml.as_view(), name="hf_validate_yaml"),
    path("oauth/device", DeviceCode.as_view(), name="hf_device_code"),
    path("oauth/token", Token.as_view(), name="hf_oauth_token"),
    path("api/agent-harnesses", AgentHarnesses.as_view(), name="hf_agent_harnesses"),
    path("api/telemetry/<path:topic>", Telemetry.as_view(), name="hf_telemetry"),
    path("api/tasks", Tasks.as_view(), name="hf_tasks"),
    path("api/models-tags-by-type", TagsByType.as_view(), {"repo_type": "model"}, "hf_model_tags"),
    path(
        "api/datasets-tags-by-type", TagsByType.as_view(), {"repo_type": "dataset"}, "hf_data_tags"
    ),
    path("api/users/<name:name>/likes", LikedRepos.as_view(), name="hf_liked_repos"),
    path("api/<repotype:repo_type>", ListRepos.as_view(), name="hf_list_repos"),
]

_USER = "api/users/<name:name>"
_ORGANIZATION = "api/organizations/<name:name>"

people_urls = [
    path(f"{_USER}/overview", UserOverview.as_view(), name="hf_user"),
    path(
        f"{_USER}/followers", Followers.as_view(), {"is_organization": False}, "hf_user_followers"
    ),
    path(f"{_USER}/following", Following.as_view(), name="hf_user_following"),
    path(f"{_ORGANIZATION}/overview", OrganizationOverview.as_view(), name="hf_organization"),
    path(
        f"{_ORGANIZATION}/followers",
        Followers.as_view(),
        {"is_organization": True},
        "hf_organization_followers",
    ),
    path(f"{_ORGANIZATION}/members", Members.as_view(), name="hf_members"),
    path("api/settings/repositories", OwnStorage.as_view(), name="hf_own_storage"),
    path(
        f"{_ORGANIZATION}/settings/repositories",
        OrganizationStorage.as_view(),
        name="hf_organization_storage",
    ),
]

_COLLECTION = "api/collections/<name:namespace>/<str:slug>"

collection_urls = [
    path("api/collections", Collections.as_view(), name="hf_collections"),
    path(_COLLECTION, OneCollection.as_view(), name="hf_collection"),
    path(f"{_COLLECTION}/items", Items.as_view(), name="hf_collection_items"),
    path(f"{_COLLECTION}/items/<str:item_id>", OneItem.as_view(), name="hf_collection_item"),
]

repo_urls = [
    path(_REPO, RepoInfo.as_view(), name="hf_repo"),
    path(f"{_REPO}/revision/<rev:revision>", RepoInfo.as_view(), name="hf_repo_at"),
    path(f"{_REPO}/auth-check", AuthCheck.as_view(), name="hf_auth_check"),
    path(f"{_REPO}/auth-check/write", AuthCheckWrite.as_view(), name="hf_auth_check_write"),
    path(f"{_REPO}/settings", RepoSettings.as_view(), name="hf_settings"),
    path(f"{_REPO}/duplicate", Duplicate.as_view(), name="hf_duplicate"),
    path(f"{_REPO}/lfs-files", LargeFiles.as_view(), name="hf_large_files"),
    path(f"{_REPO}/lfs-files/batch", DeleteLargeFiles.as_view(), name="hf_delete_large_files"),
    path(f"{_REPO}/lfs-files/duplicate", CopyLargeFiles.as_view(), name="hf_copy_large_files"),
    path(f"{_REPO}/tree/<rev:revision>", Tree.as_view(), name="hf_tree"),
    path(f"{_REPO}/tree/<rev:revision>/", Tree.as_view(), name="hf_tree_root"),
    path(f"{_REPO}/tree/<rev:revision>/<filepath:path>", Tree.as_view(), name="hf_tree_at"),
    path(f"{_REPO}/paths-info/<rev:revision>", PathsInfo.as_view(), name="hf_paths_info"),
    path(f"{_REPO}/preupload/<rev:revision>", Preupload.as_view(), name="hf_preupload"),
    path(f"{_REPO}/commit/<rev:revision>", Commit.as_view(), name="hf_commit"),
    path(f"{_REPO}/commits/<rev:revision>", Commits.as_view(), name="hf_commits"),
    path(f"{_REPO}/like", LikeRepo.as_view(), name="hf_like"),
    path(f"{_REPO}/likers", Likers.as_view(), name="hf_likers"),
    path(f"{_REPO}/refs", Refs.as_view(), name="hf_refs"),
    path(f"{_REPO}/branch/<rev:branch>", Branch.as_view(), name="hf_branch"),
    path(f"{_REPO}/tag/<rev:revision>", Tag.as_view(), name="hf_tag"),
    path(
        f"{_REPO}/safetensors-metadata/<filepath:path>",
        SafetensorsMetadata.as_view(),
        name="hf_safetensors",
    ),
    path(f"{_REPO}/super-squash/<rev:revision>", SuperSquash.as_view(), name="hf_super_squash"),
]

_GATE = f"{_REPO}/user-access-request"

gate_urls = [
    path(f"{_GATE}/handle", HandleAccessRequest.as_view(), name="hf_handle_access"),
    path(f"{_GATE}/grant", GrantAccess.as_view(), name="hf_grant_access"),
    path(f"{_GATE}/cancel", WithdrawAccessRequest.as_view(), name="hf_withdraw_access"),
    path(f"{_GATE}/<str:status>", AccessRequests.as_view(), name="hf_access_requests"),
]

hosting_urls = [
    re_path(
        r"^api/(?:(?:jobs|scheduled-jobs|endpoint)(?:/.*)?"
        r"|spaces/(?:templates|semantic-search|hardware|zero-gpu/quota))$",
        unserved.not_hosted,
        name="hf_hosting",
    ),
]

unserved_urls = [
    path("api/<repotype:repo_type>/<name:name>", unserved.no_such_repo, name="hf_one_part_id"),
    re_path(
        r"^api/(?:models|datasets|spaces)/[^/]+/(?:revision|tree|paths-info|preupload|commits?|refs|branch"
        r"|tag|super-squash|auth-check|xet-read-token|xet-write-token)(?:/|$)",
        unserved.no_such_repo,
        name="hf_one_part_id_below",
    ),
    re_path(
        r"^(?:(?:datasets|spaces)/)?[^/]+/resolve/[^/]+/(?!resolve/).+$",
        unserved.no_such_repo,
        name="hf_one_part_id_file",
    ),
    re_path(
        r"^api/spaces/[^/]+/[^/]+/(?:secrets|variables|runtime|hardware|sleeptime|pause|restart"
        r"|dev-mode|logs|volumes|storage|sse)(?:/|$)",
        unserved.not_hosted,
        name="hf_space_hosting",
    ),
    re_path(r"^kernels/", unserved.not_served, name="hf_unserved_kernels"),
    re_path(r"^api/(?!v1/)", unserved.not_served, name="hf_unserved_api"),
    re_path(r"^buckets/.+$", unserved.not_served, name="hf_unserved_storage"),
    re_path(r"^papers/[^/]+\.md$", unserved.not_served, name="hf_unserved_paper"),
]

urlpatterns: list[URLPattern] = [
    *site_urls,
    *people_urls,
    *collection_urls,
    *hosting_urls,
    *repo_urls,
    *gate_urls,
    *unserved_urls,
]
