from hub.models.account import Membership, Namespace, Organization, Role, User
from hub.models.audit import AuditEntry
from hub.models.blob import Blob, RepoBlob
from hub.models.ref import Ref
from hub.models.repo import DownloadDay, Repo, RepoRedirect, RepoTag, RepoType
from hub.models.scan import CommitScan, FileScan, ScanState, Verdict
from hub.models.token import AccessToken, TokenGrant, TokenScope
from hub.models.xet import RepoXorb, XetFile, Xorb, XorbChunk

__all__ = [
    "AccessToken",
    "AuditEntry",
    "Blob",
    "CommitScan",
    "DownloadDay",
    "FileScan",
    "Membership",
    "Namespace",
    "Organization",
    "Ref",
    "Repo",
    "RepoBlob",
    "RepoRedirect",
    "RepoTag",
    "RepoType",
    "RepoXorb",
    "Role",
    "ScanState",
    "TokenGrant",
    "TokenScope",
    "User",
    "Verdict",
    "XetFile",
    "Xorb",
    "XorbChunk",
]
