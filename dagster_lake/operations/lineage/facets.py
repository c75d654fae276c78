"""What the events say of data and of runs, in OpenLineage's facets, from what the assets carry anyway."""

from typing import Any

import dagster as dg
from openlineage.client.event_v2 import InputDataset, OutputDataset
from openlineage.client.facet_v2 import (
    DatasetFacet,
    OutputDatasetFacet,
    RunFacet,
    column_lineage_dataset,
    data_quality_assertions_dataset,
    dataset_version_dataset,
    datasource_dataset,
    error_message_run,
    nominal_time_run,
    output_statistics_output_dataset,
    parent_run,
    processing_engine_run,
    schema_dataset,
    symlinks_dataset,
)

from dagster_lake.operations.lineage.datasets import DatasetName, Names
from dagster_lake.operations.telemetry.runs import AssetWork, CheckWork, RunWork


def run_facets(run: RunWork, error: str | None) -> dict[str, RunFacet]:
    """The engine, the lake hours that the run is for, and why it failed."""
    facets: dict[str, RunFacet] = {
        "processing_engine": processing_engine_run.ProcessingEngineRunFacet(version=dg.__version__, name="Dagster")
    }
    if run.hours is not None:
        facets["nominalTime"] = nominal_time_run.NominalTimeRunFacet(
            nominalStartTime=run.hours.first.isoformat(), nominalEndTime=run.hours.end.isoformat()
        )
    if error is not None:
        facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(message=error, programmingLanguage="PYTHON")
    return facets


def child_of(run_id: str, namespace: str, job: str) -> parent_run.ParentRunFacet:
    """Says that a run is part of Dagster's run."""
    return parent_run.ParentRunFacet(
        run=parent_run.Run(runId=run_id), job=parent_run.Job(namespace=namespace, name=job)
    )


def input_dataset(name: DatasetName, checks: list[CheckWork]) -> InputDataset:
    """Data that was read, with what was checked of it."""
    dataset = InputDataset(namespace=name.namespace, name=name.name)
    if checks:
        dataset.inputFacets = {
            "dataQualityAssertions": data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet(
                assertions=[
                    data_quality_assertions_dataset.Assertion(
                        assertion=check.name,
                        success=check.passed,
                        severity=check.severity,
                        name=check.name,
                        description=check.description,
                    )
                    for check in sorted(checks, key=lambda one: one.name)
                ]
            )
        }
    return dataset


def output_dataset(asset: AssetWork, node: Any, names: Names) -> OutputDataset:
    """Data that an asset writes; of one that was not made, what it would be."""
    name = names.of(asset.key)
    facets: dict[str, DatasetFacet] = {
        "dataSource": datasource_dataset.DatasourceDatasetFacet(name=name.namespace, uri=name.namespace)
    }
    schema = _schema(node)
    if schema is not None:
        facets["schema"] = schema
        if (lineage := _column_lineage(node, names)) is not None:
            facets["columnLineage"] = lineage
    if (table := names.in_catalog(asset.key)) is not None:
        facets["symlinks"] = symlinks_dataset.SymlinksDatasetFacet(
            identifiers=[symlinks_dataset.Identifier(namespace="unity-catalog", name=table, type="TABLE")]
        )
    if "delta_version" in asset.metadata:
        version = str(asset.metadata["delta_version"])
        facets["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=version)
    return OutputDataset(
        namespace=name.namespace, name=name.name, facets=facets, outputFacets=_statistics(asset) if asset.made else {}
    )


def _schema(node: Any) -> schema_dataset.SchemaDatasetFacet | None:
    found = _carried(node, "dagster/column_schema")
    if found is None:
        return None
    return schema_dataset.SchemaDatasetFacet(
        fields=[
            schema_dataset.SchemaDatasetFacetFields(
                name=column.name, type=column.type, description=column.description, ordinal_position=position
            )
            for position, column in enumerate(found.columns, 1)
        ]
    )


def _column_lineage(node: Any, names: Names) -> column_lineage_dataset.ColumnLineageDatasetFacet | None:
    lineage, schema = _carried(node, "dagster/column_lineage"), _carried(node, "dagster/column_schema")
    if lineage is None or schema is None:
        return None
    masked = {column.name for column in schema.columns if "masking" in column.tags}
    fields = {}
    for column, deps in sorted(lineage.deps_by_column.items()):
        how = [column_lineage_dataset.Transformation(type="DIRECT", subtype="TRANSFORMATION", masking=True)]
        fields[column] = column_lineage_dataset.Fields(
            inputFields=[
                column_lineage_dataset.InputField(
                    namespace=(read := names.of(dep.asset_key)).namespace,
                    name=read.name,
                    field=dep.column_name,
                    transformations=how if column in masked else [],
                )
                for dep in deps
            ]
        )
    return column_lineage_dataset.ColumnLineageDatasetFacet(fields=fields)


def _carried(node: Any, name: str) -> Any:
    """A definition's metadata, which Dagster may have wrapped."""
    found = node.metadata.get(name)
    return getattr(found, "value", found)


def _statistics(asset: AssetWork) -> dict[str, OutputDatasetFacet]:
    """The rows that were written; bytes and files too, unless they are of more than was written."""
    rows = asset.metadata.get("dagster/partition_row_count")
    whole = rows is None or asset.key.path[0] == "raw"
    if rows is None:
        rows = asset.metadata.get("dagster/row_count")
    if rows is None:
        return {}
    statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
        rowCount=rows,
        size=asset.metadata.get("bytes") if whole else None,
        fileCount=asset.metadata.get("files") if whole else None,
    )
    return {"outputStatistics": statistics}
