"""The few members of pages and labels that reading them takes, beside what their rows decode."""

from msgspec import Raw, Struct


class PageHead(Struct):
    """What the pages of both deployments have."""

    id: str
    type: str | None = None
    status: str | None = None
    spaceId: str | None = None
    space: "SpaceRef | None" = None


class SpaceRef(Struct):
    key: str | None = None


class LabelPage(Struct):
    results: list[Raw] | None = None


class LabelMetadata(Struct):
    labels: LabelPage | None = None


class LabelledPage(Struct):
    metadata: LabelMetadata | None = None

    @property
    def labels(self) -> list[Raw]:
        """The labels in the answer, untouched."""
        labels = self.metadata.labels if self.metadata else None
        return (labels.results if labels else None) or []


class LabelName(Struct):
    name: str | None = None
