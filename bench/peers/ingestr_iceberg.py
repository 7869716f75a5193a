"""ingestr to an Iceberg table in a folder, with a catalog in SQLite."""

import subprocess
import sys
from pathlib import Path

url, out = sys.argv[1:]
source = url if "sslmode" in url else f"{url}{'&' if '?' in url else '?'}sslmode=disable"
target = f"iceberg+sqlite://{out}/catalog.db?warehouse=file://{out}/warehouse"
options = ["--source-table", "public.lineitem", "--dest-table", "public.lineitem", "--yes"]
command = [str(Path(sys.executable).with_name("ingestr")), "ingest", "--source-uri", source, "--dest-uri", target]
sys.exit(subprocess.run([*command, *options]).returncode)
