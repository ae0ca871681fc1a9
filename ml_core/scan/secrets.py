"""Secrets in text files: keys and tokens that someone committed by mistake.

detect-secrets finds them; only detectors with a shape of their own are used, since guessing by
entropy or by a word like "password" drowns a model repository in false alarms. A finding names the
line and the kind. The secret itself never leaves this module.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Protocol

from ml_core.formats.detect import TEXTUAL, kind_by_content, kind_by_name
from ml_core.scan.report import Finding, ScanReport, Severity, report_from
from ml_core.scan.scanner import ScannedFile

LINE_PIECE = 4096
LINE_OVERLAP = 512
MAX_PER_KIND = 20
VOCABULARIES = frozenset({"tokenizer.json", "vocab.json", "merges.txt", "vocab.txt"})
PLACEHOLDER = re.compile(r"example|placeholder|dummy|x{6}|\*{4}|1234567890", re.IGNORECASE)


class Detector(Protocol):
    def analyze_string(self, string: str) -> Iterator[str]: ...


@dataclass(frozen=True)
class TokenShape:
    """A detector for tokens that are told by their prefix."""

    pattern: re.Pattern[str]

    def analyze_string(self, string: str) -> Iterator[str]:
        for match in self.pattern.finditer(string):
            yield match.group(0)


OWN_SHAPES: Mapping[str, Detector] = {
    "Anthropic key": TokenShape(re.compile(r"\bsk-ant-[A-Za-z0-9_-]{20,}")),
    "Google API key": TokenShape(re.compile(r"\bAIza[A-Za-z0-9_-]{35}\b")),
    "Hugging Face token": TokenShape(re.compile(r"\bhf_[A-Za-z0-9]{30,40}\b")),
    "ModelGuild token": TokenShape(re.compile(r"\bmg_[A-Za-z0-9_-]{30,}")),
}


@lru_cache(maxsize=1)
def _detectors() -> Mapping[str, Detector]:
    """Detectors by the kind of secret they find."""
    # Imported when needed: who only reads verdicts does not pay for the scanner.
    from detect_secrets.plugins import (
        artifactory,
        aws,
        azure_storage_key,
        discord,
        github_token,
        gitlab_token,
        jwt,
        mailchimp,
        npm,
        openai,
        private_key,
        pypi_token,
        sendgrid,
        slack,
        square_oauth,
        stripe,
        telegram_token,
        twilio,
    )

    return {
        "Artifactory credentials": artifactory.ArtifactoryDetector(),
        "AWS access key": aws.AWSKeyDetector(),
        "Azure storage key": azure_storage_key.AzureStorageKeyDetector(),
        "Discord bot token": discord.DiscordBotTokenDetector(),
        "GitHub token": github_token.GitHubTokenDetector(),
        "GitLab token": gitlab_token.GitLabTokenDetector(),
        "JSON web token": jwt.JwtTokenDetector(),
        "Mailchimp key": mailchimp.MailchimpDetector(),
        "npm token": npm.NpmDetector(),
        "OpenAI key": openai.OpenAIDetector(),
        "Private key": private_key.PrivateKeyDetector(),
        "PyPI token": pypi_token.PypiTokenDetector(),
        "SendGrid key": sendgrid.SendGridDetector(),
        "Slack token": slack.SlackDetector(),
        "Square token": square_oauth.SquareOAuthDetector(),
        "Stripe key": stripe.StripeDetector(),
        "Telegram bot token": telegram_token.TelegramBotTokenDetector(),
        "Twilio key": twilio.TwilioKeyDetector(),
        **OWN_SHAPES,
    }


@dataclass(frozen=True)
class SecretsScanner:
    """Reads text files up to a limit; what lies beyond it is said to be unread."""

    name: str = "secrets"
    version: str = "1"

    def applies_to(self, path: str, head: bytes) -> bool:
        if PurePosixPath(path).name.lower() in VOCABULARIES:
            return False
        return kind_by_content(head) in TEXTUAL or (
            kind_by_name(path) in TEXTUAL and b"\x00" not in head
        )

    def scan(self, file: ScannedFile, path: str) -> ScanReport:
        limit = file.budget.limits.max_text_bytes
        text = file.stream.read(limit).decode("utf-8", "replace")
        findings = list(_findings(text, file))
        if file.size_bytes > limit:
            findings.append(
                Finding(
                    "partly-read",
                    Severity.INFO,
                    f"Only the first {limit:,} bytes were searched for secrets.",
                    {"read_bytes": limit, "size_bytes": file.size_bytes},
                )
            )
        return report_from(
            self.name, self.version, findings, max_findings=file.budget.limits.max_findings
        )


def _findings(text: str, file: ScannedFile) -> Iterator[Finding]:
    n_by_kind: dict[str, int] = {}
    for first_number, lines in _windows(text):
        file.budget.check_time()
        kinds = _kinds_in("\n".join(lines), _detectors().keys())
        if not kinds:
            continue
        for line_number, line in enumerate(lines, start=first_number):
            for kind in sorted(_kinds_in(line, kinds)):
                n_by_kind[kind] = n_by_kind.get(kind, 0) + 1
                if n_by_kind[kind] <= MAX_PER_KIND:
                    yield _finding(line_number, kind)


def _finding(line_number: int, kind: str) -> Finding:
    return Finding(
        "secret",
        Severity.WARNING,
        f"Line {line_number} looks like it holds a secret: {kind}.",
        {"line": line_number, "kind": kind},
    )


def _windows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Runs of lines of about `LINE_PIECE` characters, each with the number of its first line."""
    lines: list[str] = []
    first_number, n_chars = 1, 0
    for number, line in enumerate(text.splitlines(), start=1):
        if lines and n_chars + len(line) > LINE_PIECE:
            yield first_number, lines
            lines, first_number, n_chars = [], number, 0
        lines.append(line)
        n_chars += len(line) + 1
    if lines:
        yield first_number, lines


def _kinds_in(text: str, kinds: Iterable[str]) -> set[str]:
    """Which of `kinds` the text holds."""
    return {
        kind
        for kind in kinds
        for piece in _pieces(text)
        if any(not PLACEHOLDER.search(found) for found in _detectors()[kind].analyze_string(piece))
    }


def _pieces(text: str) -> Iterator[str]:
    """Long texts in overlapping pieces, so that no pattern meets a line of a million characters."""
    if len(text) <= LINE_PIECE + LINE_OVERLAP:
        yield text
        return
    for start in range(0, len(text), LINE_PIECE):
        yield text[start : start + LINE_PIECE + LINE_OVERLAP]
