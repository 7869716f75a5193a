"""Buckets of three stores behind the proxy: Amazon's, Azure's and Google's. Options lead through the proxy; methods to the server itself."""

import base64
import hashlib
import hmac
import html
import json
import re
from collections.abc import Callable
from email.utils import formatdate
from itertools import count
from typing import Any, Protocol
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import httpx

from tests.object_stores.proxy import Message, StoreProxy

_buckets = count(1)
AZURE_ACCOUNT = "devstoreaccount1"
# Azurite's published key: https://learn.microsoft.com/en-us/azure/storage/common/storage-use-azurite
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


class Store(Protocol):
    name: str
    uri: str
    options: dict[str, str]
    proxy: StoreProxy

    def listed(self) -> list[str]: ...

    def read(self, key: str) -> bytes: ...

    def write(self, key: str, content: bytes) -> None: ...

    def delete(self, key: str) -> None: ...

    def key_of(self, uri: str) -> str: ...


class _Http:
    """What Azure's and Google's buckets share: keys that are listed by prefix, and plain requests."""

    proxy: StoreProxy
    """Of a proxy in this process."""

    def __init__(self, server: str, scheme: str) -> None:
        self.name = f"bucket{next(_buckets)}"  # fake-gcs-server takes no escaped names of buckets
        self.uri = f"{scheme}://{self.name}"
        self.http = httpx.Client(base_url=server, timeout=60)

    def key_of(self, uri: str) -> str:
        return urlsplit(uri).path.lstrip("/")

    def close(self) -> None:
        self.http.close()


class AzureBucket(_Http):
    """A container of Azurite, asked with the shared key of its account.

    https://learn.microsoft.com/en-us/rest/api/storageservices/authorize-with-shared-key
    """

    def __init__(self, server: str, proxy_url: str) -> None:
        super().__init__(server, "az")
        self.options = self.options_at(proxy_url)
        self._call("PUT", "", {"restype": "container"})

    @staticmethod
    def options_at(url: str) -> dict[str, str]:
        return {
            "azure_storage_account_name": AZURE_ACCOUNT,
            "azure_storage_account_key": AZURE_KEY,
            "azure_storage_endpoint": f"{url}/{AZURE_ACCOUNT}",
            "azure_allow_http": "true",
        }

    def listed(self) -> list[str]:
        text = self._call("GET", "", {"comp": "list", "restype": "container"}).text
        return [part.partition("</Name>")[0] for part in text.split("<Name>")[1:]]

    def read(self, key: str) -> bytes:
        return self._call("GET", key).content

    def write(self, key: str, content: bytes) -> None:
        self._call("PUT", key, content=content, headers={"x-ms-blob-type": "BlockBlob"})

    def delete(self, key: str) -> None:
        self._call("DELETE", key)

    def _call(
        self, method: str, key: str, query: dict[str, str] | None = None, content: bytes = b"", headers: Any = None
    ) -> httpx.Response:
        path = f"/{AZURE_ACCOUNT}/{self.name}" + (f"/{quote(key)}" if key else "")
        sent = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06", **(headers or {})}
        own = "".join(f"{name}:{value}\n" for name, value in sorted(sent.items()))
        asked = "".join(f"\n{name}:{value}" for name, value in sorted((query or {}).items()))
        length = str(len(content)) if content else ""
        text = f"{method}\n\n\n{length}\n\n\n\n\n\n\n\n\n{own}/{AZURE_ACCOUNT}{path}{asked}"
        digest = hmac.new(base64.b64decode(AZURE_KEY), text.encode(), hashlib.sha256).digest()
        sent["Authorization"] = f"SharedKey {AZURE_ACCOUNT}:{base64.b64encode(digest).decode()}"
        return self.http.request(method, path, params=query, content=content or None, headers=sent).raise_for_status()


class GoogleBucket(_Http):
    """A bucket of fake-gcs-server, by the JSON interface."""

    def __init__(self, server: str, proxy_url: str) -> None:
        super().__init__(server, "gs")
        self.options = self.options_at(proxy_url)
        self.http.post("/storage/v1/b?project=tests", json={"name": self.name}).raise_for_status()

    @staticmethod
    def options_at(url: str) -> dict[str, str]:
        nobody = {"disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}
        return {"google_service_account_key": json.dumps({"gcs_base_url": url, **nobody}), "allow_http": "true"}

    def listed(self) -> list[str]:
        found = self.http.get(f"/storage/v1/b/{self.name}/o").raise_for_status().json()
        return [item["name"] for item in found.get("items", [])]

    def read(self, key: str) -> bytes:
        return self.http.get(f"{self._path(key)}?alt=media").raise_for_status().content

    def write(self, key: str, content: bytes) -> None:
        path = f"/upload/storage/v1/b/{self.name}/o"
        self.http.post(path, params={"uploadType": "media", "name": key}, content=content).raise_for_status()

    def delete(self, key: str) -> None:
        self.http.delete(self._path(key)).raise_for_status()

    def _path(self, key: str) -> str:
        return f"/storage/v1/b/{self.name}/o/{quote(key, safe='')}"


def _listed_from(content: bytes, element: str, name_tag: str, is_listed: Callable[[str], bool]) -> bytes:
    """Both servers list from the beginning, whatever the query says; the stores list from a name on."""

    def kept(entry: re.Match[bytes]) -> bytes:
        name = entry[0].partition(f"<{name_tag}>".encode())[2].partition(f"</{name_tag}>".encode())[0]
        return entry[0] if is_listed(html.unescape(name.decode())) else b""

    return re.sub(f"<{element}>.*?</{element}>".encode(), kept, content, flags=re.DOTALL)


def _query(message: Message) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(message[1]).query))


class AzureListings:
    """`startFrom` is inclusive: https://learn.microsoft.com/en-us/rest/api/storageservices/list-blobs"""

    def asked(self, message: Message) -> Message | None:
        return None

    def answered(self, message: Message, content: bytes) -> tuple[list[tuple[str, str]], bytes]:
        first = _query(message).get("startFrom")
        return [], content if first is None else _listed_from(content, "Blob", "Name", lambda name: name >= first)


class XmlUploads:
    """fake-gcs-server reads, lists and deletes by the XML interface, which clients use; it writes by the JSON interface only.

    Names, contents and conditions stay what they are: the server itself compares generations.
    https://docs.cloud.google.com/storage/docs/xml-api/put-object-upload, https://docs.cloud.google.com/storage/docs/json_api/v1/objects/insert
    """

    _EDGE = "edge-of-a-part"

    def asked(self, message: Message) -> Message | None:
        method, path, headers, body = message
        if method != "PUT":
            return method, path, {name: value for name, value in headers.items() if name.lower() != "host"}, body
        bucket, _, key = urlsplit(path).path.lstrip("/").partition("/")
        sent = {name.lower(): value for name, value in headers.items()}
        wanted = sent.get("x-goog-if-generation-match")
        condition = {} if wanted is None else {"ifGenerationMatch": wanted}
        if (copied := sent.get("x-goog-copy-source")) is not None:
            source, _, name = copied.lstrip("/").partition("/")
            path = f"/storage/v1/b/{source}/o/{quote(unquote(name), safe='')}/rewriteTo/b/{bucket}/o/{quote(unquote(key), safe='')}"
            return "POST", f"{path}?{urlencode(condition)}", {}, b""
        query = urlencode({"uploadType": "multipart", **condition})
        head = f"--{self._EDGE}\r\nContent-Type: application/json\r\n\r\n{json.dumps({'name': unquote(key)})}\r\n"
        head += f"--{self._EDGE}\r\nContent-Type: application/octet-stream\r\n\r\n"
        content = head.encode() + body + f"\r\n--{self._EDGE}--\r\n".encode()
        kind = {"Content-Type": f"multipart/related; boundary={self._EDGE}"}
        return "POST", f"/upload/storage/v1/b/{bucket}/o?{query}", kind, content

    def answered(self, message: Message, content: bytes) -> tuple[list[tuple[str, str]], bytes]:
        if message[0] != "PUT":
            after = _query(message).get("start-after")
            return [], content if after is None else _listed_from(content, "Contents", "Key", lambda name: name > after)
        try:
            found = json.loads(content)
        except ValueError:
            return [], content
        entry = found.get("resource", found)
        names = (("ETag", "etag"), ("x-goog-generation", "generation"))
        return [(header, str(entry[name])) for header, name in names if name in entry], content
