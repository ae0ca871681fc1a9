"""Forms of the data set viewer under `/api/v1/datasets/`, shaped as on the Hub."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

MAX_LENGTH = 100


class PartIn(serializers.Serializer[Any]):
    """Which split; the first one of the default config where nothing is said."""

    config = serializers.CharField(required=False, default=None, max_length=500)
    split = serializers.CharField(required=False, default=None, max_length=500)
    revision = serializers.CharField(
        required=False, default="main", max_length=255, help_text="Branch, tag or commit."
    )


class PageIn(PartIn):
    """Which rows, and which of their columns."""

    offset = serializers.IntegerField(required=False, default=0, min_value=0, max_value=2**53)
    length = serializers.IntegerField(
        required=False, default=MAX_LENGTH, min_value=1, max_value=MAX_LENGTH
    )
    columns = serializers.ListField(
        child=serializers.CharField(max_length=1000, trim_whitespace=False),
        required=False,
        default=None,
        help_text="Columns to answer, the parameter once for each; all where none is named.",
    )

    def to_internal_value(self, data: Any) -> Any:
        values = super().to_internal_value(data)
        return {**values, "columns": values.get("columns") or None}


class SearchIn(PageIn):
    query = serializers.CharField(
        max_length=500, help_text="Found anywhere in a text column, in any case of letters."
    )


class FilterIn(PageIn):
    where = serializers.CharField(
        required=False,
        default="",
        allow_blank=True,
        max_length=5000,
        help_text='Such as "age" > 30 AND ("name" = \'Simone\' OR "children" IS NULL).',
    )
    orderby = serializers.CharField(
        required=False, default="", allow_blank=True, max_length=1200,
        help_text='Such as "age" DESC.',
    )  # fmt: skip
    query = serializers.CharField(required=False, default="", allow_blank=True, max_length=500)


class SplitOut(serializers.Serializer[Any]):
    dataset = serializers.CharField()
    config = serializers.CharField()
    split = serializers.CharField()


class SplitsOut(serializers.Serializer[Any]):
    splits = SplitOut(many=True)
    pending = serializers.ListField(child=serializers.DictField())
    failed = serializers.ListField(child=serializers.DictField())


class FeatureOut(serializers.Serializer[Any]):
    feature_idx = serializers.IntegerField()
    name = serializers.CharField()
    type = serializers.DictField(help_text="As the datasets library writes features.")


class RowOut(serializers.Serializer[Any]):
    row_idx = serializers.IntegerField()
    row = serializers.DictField()
    truncated_cells = serializers.ListField(child=serializers.CharField())


class RowsOut(serializers.Serializer[Any]):
    features = FeatureOut(many=True)
    rows = RowOut(many=True)
    num_rows_total = serializers.IntegerField(
        allow_null=True, help_text="Rows that match; null where that takes too long to count."
    )
    num_rows_per_page = serializers.IntegerField()
    partial = serializers.BooleanField(  # type: ignore[assignment]  # a field of the answer
        help_text="Whether there is more than was looked at."
    )
    scanned_rows = serializers.IntegerField(help_text="How many rows a search or filter saw.")
    scanned_bytes = serializers.IntegerField(help_text="How many bytes of the files were read.")


class ColumnStatisticsOut(serializers.Serializer[Any]):
    column_name = serializers.CharField()
    column_type = serializers.CharField()
    column_statistics = serializers.DictField()


class StatisticsOut(serializers.Serializer[Any]):
    num_examples = serializers.IntegerField()
    statistics = ColumnStatisticsOut(many=True)
    partial = serializers.BooleanField()  # type: ignore[assignment]  # a field of the answer
    scanned_bytes = serializers.IntegerField()


class ParquetFileOut(SplitOut):
    url = serializers.CharField()
    filename = serializers.CharField()
    size = serializers.IntegerField()


class ParquetOut(serializers.Serializer[Any]):
    parquet_files = ParquetFileOut(many=True)
    partial = serializers.BooleanField()  # type: ignore[assignment]  # a field of the answer
    pending = serializers.ListField(child=serializers.DictField())
    failed = serializers.ListField(child=serializers.DictField())
