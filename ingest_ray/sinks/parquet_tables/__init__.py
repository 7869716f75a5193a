"""Plain Parquet files with a manifest for each commit, for engines that know no table format."""
