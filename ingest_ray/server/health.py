"""`/healthz`: the process runs. `/readyz`: catalog and KV answer, too."""

import asyncio

from fastapi import APIRouter
from starlette.responses import JSONResponse

from ingest_ray import __version__, logs
from ingest_ray.sdk.errors import IngestError
from ingest_ray.service.installation import Installation
from ingest_ray.service.runs.metrics import check_readiness


def health_router(installation: Installation) -> APIRouter:
    router = APIRouter()

    @router.get("/healthz")
    async def healthz() -> JSONResponse:
        return JSONResponse({"ok": True, "version": __version__})

    @router.get("/readyz")
    async def readyz() -> JSONResponse:
        try:
            await asyncio.to_thread(check_readiness, installation)
        except IngestError as error:
            fault = {"code": error.code, "message": logs.scrub(error.message)}
            return JSONResponse({"ok": False, "error": fault}, status_code=503)
        return JSONResponse({"ok": True})

    return router
