"""The few members of pages and labels that reading them takes, beside what their rows decode."""

from msgspec import Raw, Struct


class PageHead(Struct, gc=False):
    """What the pages of both deployments have."""

    id: str
    type: str | None = None
    status: str | None = None
    spaceId: str | None = None
    space: "SpaceRef | None" = None


class SpaceRef(Struct, gc=False):
    key: str | None = None


class LabelPage(Struct, gc=False):
    results: list[Raw] | None = None


class LabelMetadata(Struct, gc=False):
    labels: LabelPage | None = None


class LabelledPage(Struct, gc=False):
    metadata: LabelMetadata | None = None

    @property
    def labels(self) -> list[Raw]:
        """The labels in the answer, untouched."""
        labels = self.metadata.labels if self.metadata else None
        return (labels.results if labels else None) or []


class LabelName(Struct, gc=False):
    name: str | None = None
