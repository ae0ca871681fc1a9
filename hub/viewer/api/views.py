"""`/api/v1/datasets/…`: splits, rows, search, filter, statistics, parquet files, Croissant."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from hub.access import get_repo_for_contents
from hub.auth import actor_of
from hub.site import base_url
from hub.viewer.api import serializers as forms
from hub.viewer.descriptions import croissant_of
from hub.viewer.media import address_media
from hub.viewer.queries import DataSet, Part, open_data_set


class DataSetView(APIView):
    """A view of one data set whose contents the caller may read."""

    def data_set(self, request: Request, revision: str = "main") -> DataSet:
        namespace, name = self.kwargs["namespace"], self.kwargs["name"]
        repo = get_repo_for_contents(actor_of(request), "dataset", namespace, name)
        return open_data_set(repo, revision)

    def read(self, request: Request, form_class: type[forms.PartIn]) -> tuple[Part, dict[str, Any]]:
        """The split that the query names, and what else the query says."""
        values = query_of(request, form_class)
        data = self.data_set(request, values.pop("revision"))
        return data.part(values.pop("config"), values.pop("split")), values


def query_of(request: Request, form_class: type[forms.PartIn]) -> dict[str, Any]:
    """The query, checked for form. Raises DRF's `ValidationError`."""
    form = form_class(data=request.query_params)
    form.is_valid(raise_exception=True)
    return dict(form.validated_data)


class Splits(DataSetView):
    @extend_schema(operation_id="list_splits", responses=forms.SplitsOut)
    def get(self, request: Request, namespace: str, name: str) -> Response:
        """Configs and splits of a data set."""
        data = self.data_set(request, request.query_params.get("revision", "main"))
        found = [_names(data.part(c.name, s.name)) for c in data.configs for s in c.splits]
        return Response({"splits": found, "pending": [], "failed": []})


class Rows(DataSetView):
    @extend_schema(operation_id="get_rows", parameters=[forms.PageIn], responses=forms.RowsOut)
    def get(self, request: Request, namespace: str, name: str) -> Response:
        """Rows of a split as they lie in its files."""
        part, page = self.read(request, forms.PageIn)
        return _rows(request, part, **page)


class Search(DataSetView):
    @extend_schema(operation_id="search_rows", parameters=[forms.SearchIn], responses=forms.RowsOut)
    def get(self, request: Request, namespace: str, name: str) -> Response:
        """Rows with a text that contains the query."""
        part, page = self.read(request, forms.SearchIn)
        return _rows(request, part, **page)


class Filter(DataSetView):
    @extend_schema(operation_id="filter_rows", parameters=[forms.FilterIn], responses=forms.RowsOut)
    def get(self, request: Request, namespace: str, name: str) -> Response:
        """Rows that fulfil a condition, in the order of a column."""
        part, page = self.read(request, forms.FilterIn)
        return _rows(request, part, order_by=page.pop("orderby"), **page)


class Statistics(DataSetView):
    @extend_schema(
        operation_id="get_statistics", parameters=[forms.PageIn], responses=forms.StatisticsOut
    )
    def get(self, request: Request, namespace: str, name: str) -> Response:
        """Histograms and counts of the values of each column."""
        part, page = self.read(request, forms.PageIn)
        return Response(part.statistics(page["columns"]))


class Parquet(DataSetView):
    @extend_schema(operation_id="list_parquet_files", responses=forms.ParquetOut)
    def get(self, request: Request, namespace: str, name: str) -> Response:
        """The parquet files of the data set as it was uploaded; none are made of other formats."""
        data = self.data_set(request, request.query_params.get("revision", "main"))
        parts = [data.part(c.name, s.name) for c in data.configs for s in c.splits]
        found = [
            {**_names(part), **_file(request, part, entry.path), "size": entry.size_bytes}
            for part in parts
            if part.split.format == "parquet"
            for entry in part.entries
        ]
        is_all = all(part.split.format == "parquet" for part in parts)
        return Response(
            {"parquet_files": found, "partial": not is_all, "pending": [], "failed": []}
        )


class Croissant(DataSetView):
    @extend_schema(operation_id="get_croissant", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, namespace: str, name: str) -> Response:
        """The data set described in Croissant's JSON-LD."""
        data = self.data_set(request, request.query_params.get("revision", "main"))
        return Response(croissant_of(data, base_url(request)))


def _rows(request: Request, part: Part, **page: Any) -> Response:
    found = part.rows(**page)
    address_media(part, found, base_url(request))
    del found["columns"]
    return Response(found)


def _names(part: Part) -> dict[str, str]:
    repo, config, split = part.data.repo, part.config, part.split
    return {"dataset": repo.full_name, "config": config.name, "split": split.name}


def _file(request: Request, part: Part, path: str) -> dict[str, str]:
    data = part.data
    address = f"{data.repo.url_path}/resolve/{data.commit_sha}/{quote(path)}"
    return {"url": base_url(request) + address, "filename": path.rpartition("/")[2]}
