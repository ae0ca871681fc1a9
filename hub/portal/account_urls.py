"""Addresses of the home page, settings, organisations and profiles."""

from django.urls import path
from django.views.generic import RedirectView

from hub.portal import devices, follows, home, organizations, profiles, tokens

MEMBER = "organizations/<name:name>/members/<name:username>"

frame_urls = [
    path("", home.home, name="home"),
    path("login", RedirectView.as_view(pattern_name="account_login", query_string=True)),
    path("join", RedirectView.as_view(pattern_name="account_signup", query_string=True)),
    path("device", devices.device, name="device"),
    path("settings", RedirectView.as_view(pattern_name="settings_profile"), name="settings"),
    path("settings/profile", profiles.edit_profile, name="settings_profile"),
    path("settings/tokens", tokens.tokens, name="settings_tokens"),
    path("settings/tokens/<int:token_id>/revoke", tokens.revoke, name="token_revoke"),
    path("settings/organizations", organizations.own_organizations, name="settings_organizations"),
    path("people/<name:name>/follow", follows.set_follow, name="follow"),
    path("people/<name:name>/followers", follows.followers, name="followers"),
    path("people/<name:name>/following", follows.following, name="following"),
    path("organizations/new", organizations.new_organization, name="organization_create"),
    path(
        "organizations/<name:name>/settings",
        organizations.organization_settings,
        name="organization_settings",
    ),
    path("organizations/<name:name>/members", organizations.add_member, name="member_add"),
    path(f"{MEMBER}/role", organizations.change_member, name="member_change"),
    path(f"{MEMBER}/remove", organizations.drop_member, name="member_remove"),
]

profile_urls = [path("<name:name>", profiles.profile, name="profile")]
