"""Vertex AI (placeholder while it is being built)."""
from __future__ import annotations
from cxr.cloud.emulator.errors import unimplemented
class VertexService:
    def __init__(self, *a): pass
    def handle(self, request): raise unimplemented(request.raw_path)
    def stop(self): pass
