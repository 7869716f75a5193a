"""Use cases about units: listing, configuring, the gate, schema drift, status, watermark, preview, table maintenance."""
