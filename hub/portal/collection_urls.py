"""Addresses of collections."""

from django.urls import path

from hub.portal import collections

_ONE = "collections/<name:namespace>/<str:slug>"

collection_urls = [
    path("collections/new", collections.new_collection, name="collection_new"),
    path("collections/add", collections.add, name="collection_add"),
    path(_ONE, collections.collection, name="collection"),
    path(f"{_ONE}/edit", collections.edit, name="collection_edit"),
    path(f"{_ONE}/delete", collections.delete, name="collection_delete"),
    path(f"{_ONE}/items/<str:item_id>", collections.change_item, name="collection_item"),
]
