"""The contracts of the system, one module each; `ingest_ray.testing.suites` has a behaviour suite for source, staging, sinks and KV."""

from ingest_ray.sdk.contracts.capabilities import (
    CAPABILITIES,
    Backfill,
    ChangeLog,
    KeptLog,
    KeyScan,
    LogInventory,
    LogReader,
    LogReaders,
    LogStatus,
    Notes,
    QuickCheck,
    capability,
    find_capability,
)
from ingest_ray.sdk.contracts.comparison import KeySumReader, KeySums, RowLookup, RowReader
from ingest_ray.sdk.contracts.database_login import DatabaseLogin, LoginRequest
from ingest_ray.sdk.contracts.descriptor import Addresses, Descriptor
from ingest_ray.sdk.contracts.file_stager import FileStager, LocalFileStager
from ingest_ray.sdk.contracts.kv import KV, SnapshotReader
from ingest_ray.sdk.contracts.model_sink import ModelProgressReader, ModelSink, ModelTable
from ingest_ray.sdk.contracts.secret_store import SecretStore, StoredSecret
from ingest_ray.sdk.contracts.sink import Misfit, MisfitFinder, ProgressReader, ReachChecker, Sink, SinkProgress
from ingest_ray.sdk.contracts.sink_family import SinkFamily
from ingest_ray.sdk.contracts.source import MetadataSource, Probe, ReadContext, RowSource, Strategy
from ingest_ray.sdk.contracts.staging import StageWriter, Staging

__all__ = [
    "CAPABILITIES",
    "KV",
    "Addresses",
    "Backfill",
    "ChangeLog",
    "DatabaseLogin",
    "Descriptor",
    "FileStager",
    "KeptLog",
    "KeyScan",
    "KeySumReader",
    "KeySums",
    "LocalFileStager",
    "LogInventory",
    "LogReader",
    "LogReaders",
    "LogStatus",
    "LoginRequest",
    "MetadataSource",
    "Misfit",
    "MisfitFinder",
    "ModelProgressReader",
    "ModelSink",
    "ModelTable",
    "Notes",
    "Probe",
    "ProgressReader",
    "QuickCheck",
    "ReachChecker",
    "ReadContext",
    "RowLookup",
    "RowReader",
    "RowSource",
    "SecretStore",
    "Sink",
    "SinkFamily",
    "SinkProgress",
    "SnapshotReader",
    "StageWriter",
    "Staging",
    "StoredSecret",
    "Strategy",
    "capability",
    "find_capability",
]
