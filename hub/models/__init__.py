from hub.models.access_request import AccessRequest, RequestStatus
from hub.models.account import Membership, Namespace, Organization, Role, User
from hub.models.audit import AuditEntry
from hub.models.blob import Blob, RepoBlob
from hub.models.collection import Collection, CollectionItem, Theme
from hub.models.device import DeviceLogin, DeviceRequest, DeviceState, DeviceToken
from hub.models.follow import Follow
from hub.models.like import Like
from hub.models.ref import Ref
from hub.models.repo import DownloadDay, Gate, Repo, RepoRedirect, RepoTag, RepoType
from hub.models.scan import CommitScan, FileScan, ScanState, Verdict
from hub.models.search import FacetCount, RepoSearch
from hub.models.token import AccessToken, TokenGrant, TokenScope
from hub.models.xet import RepoXorb, XetFile, Xorb, XorbChunk

__all__ = [
    "AccessRequest",
    "AccessToken",
    "AuditEntry",
    "Blob",
    "Collection",
    "CollectionItem",
    "CommitScan",
    "DeviceLogin",
    "DeviceRequest",
    "DeviceState",
    "DeviceToken",
    "DownloadDay",
    "FacetCount",
    "FileScan",
    "Follow",
    "Gate",
    "Like",
    "Membership",
    "Namespace",
    "Organization",
    "Ref",
    "Repo",
    "RepoBlob",
    "RepoRedirect",
    "RepoSearch",
    "RepoTag",
    "RepoType",
    "RepoXorb",
    "RequestStatus",
    "Role",
    "ScanState",
    "Theme",
    "TokenGrant",
    "TokenScope",
    "User",
    "Verdict",
    "XetFile",
    "Xorb",
    "XorbChunk",
]
