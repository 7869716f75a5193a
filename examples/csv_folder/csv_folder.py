"""The CSV files of a folder as a source. A header such as `price:float64` declares a column's type; else it is text."""

import csv
from pathlib import Path

from pydantic import create_model

from ingest_ray.sdk.simple_source import BadRow, Column, Dataset, Descriptor, Endpoint, SimpleSource

Config = create_model("Config", folder=(Path, ...))


class CsvFolder(SimpleSource):
    descriptor = Descriptor("example.csv", "STREAM", "CSV folder", "csv", Config, capabilities=("full", "preview"))

    def datasets(self, endpoint: Endpoint):
        for path in sorted(path for path in Path(endpoint.config["folder"]).iterdir() if path.suffix == ".csv"):
            with path.open(newline="", encoding="utf-8-sig") as file:
                header = [name.partition(":") for name in next(csv.reader(file), [])]
            columns = [Column(name=name, source_type="text", arrow=kind or "string") for name, _, kind in header]
            yield Dataset(endpoint_id=endpoint.endpoint_id, name=path.stem, columns=columns)

    def rows(self, endpoint: Endpoint, dataset: Dataset):
        with Path(endpoint.config["folder"], f"{dataset.name}.csv").open(newline="", encoding="utf-8-sig") as file:
            for row in csv.DictReader(file):
                values = {str(name).partition(":")[0]: value or None for name, value in row.items()}
                yield BadRow(row, "more or fewer fields than the header") if None in (*row, *row.values()) else values


csv_folder = CsvFolder()
