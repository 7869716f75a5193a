"""Runs statements in Apache Spark with Apache Iceberg's own runtime; prints the rows of each as one line of JSON.

    python run_statements.py WAREHOUSE JAR,JAR < statements.json

Started by Spark's own Python, which has neither this project nor pyiceberg.
"""

import json
import sys

from pyspark.sql import SparkSession

SHADED = "smfs.shaded.org.apache.iceberg"  # how the package that has the runtime names it
CATALOG = "spark.sql.catalog.ingest"


def main() -> None:
    warehouse, jars = sys.argv[1:]
    settings = {
        "spark.jars": jars,
        "spark.ui.enabled": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.extensions": f"{SHADED}.spark.extensions.IcebergSparkSessionExtensions",
        CATALOG: f"{SHADED}.spark.SparkCatalog",
        f"{CATALOG}.catalog-impl": f"{SHADED}.jdbc.JdbcCatalog",
        f"{CATALOG}.uri": f"jdbc:sqlite:{warehouse}/catalog.db",
        f"{CATALOG}.warehouse": warehouse,
        f"{CATALOG}.cache-enabled": "false",
    }
    builder = SparkSession.builder.master("local[2]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    answers = [[list(row) for row in session.sql(statement).collect()] for statement in json.load(sys.stdin)]
    print(json.dumps(answers, default=str))


if __name__ == "__main__":
    main()
