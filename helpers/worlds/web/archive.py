"""The miniature web as Common Crawl would keep it: WARC files of its pages, and from them WAT files of their metadata.

Equal pages give equal bytes: every record has the same date, and an identifier made from its place.
"""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Iterable
from pathlib import Path

from helpers.files import whole
from helpers.worlds.web.html import html_metadata

DATE = "2026-11-01T00:00:00Z"  # one moment for all records, so that the same pages make the same bytes


def _identifier(*parts: object) -> str:
    return f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, ' '.join(map(str, parts)))}>"


def write_warc(path: Path, pages: Iterable[tuple[str, dict[str, str], bytes]]) -> None:
    """Write answers, each a triple of address, headers and body, as response records of a gzipped WARC file."""
    from warcio.statusandheaders import StatusAndHeaders
    from warcio.warcwriter import WARCWriter

    with whole(path) as temporary, temporary.open("wb") as file:
        writer = WARCWriter(file, gzip=True)
        for number, (url, headers, body) in enumerate(pages):
            lines = [*headers.items(), ("Content-Length", str(len(body)))]
            record = writer.create_warc_record(
                url,
                "response",
                payload=io.BytesIO(body),
                http_headers=StatusAndHeaders("200 OK", lines, protocol="HTTP/1.1"),
                warc_headers_dict={"WARC-Date": DATE, "WARC-Record-ID": _identifier(path.name, number, url)},
            )
            writer.write_record(record)


def write_wat(warc: Path, wat: Path) -> None:
    """Write the metadata of a WARC file's answers as a gzipped WAT file, one JSON record for each."""
    from warcio.archiveiterator import ArchiveIterator
    from warcio.warcwriter import WARCWriter

    with warc.open("rb") as source, whole(wat) as temporary, temporary.open("wb") as file:
        writer = WARCWriter(file, gzip=True)
        for number, record in enumerate(ArchiveIterator(source)):
            if record.rec_type != "response":
                continue
            url = record.rec_headers.get_header("WARC-Target-URI")
            answer = record.http_headers
            metadata = {
                "Headers": dict(answer.headers),
                "Response-Message": {"Version": answer.protocol, "Status": answer.get_statuscode()},
                "HTML-Metadata": html_metadata(record.content_stream().read()),
            }
            envelope = {
                "Format": "WARC",
                "WARC-Header-Metadata": dict(record.rec_headers.headers),
                "Payload-Metadata": {
                    "Actual-Content-Type": "application/http; msgtype=response",
                    "HTTP-Response-Metadata": metadata,
                },
            }
            content = {"Container": {"Filename": warc.name, "Compressed": True}, "Envelope": envelope}
            told = writer.create_warc_record(
                url,
                "metadata",
                payload=io.BytesIO(json.dumps(content).encode()),
                warc_content_type="application/json",
                warc_headers_dict={"WARC-Date": DATE, "WARC-Record-ID": _identifier(wat.name, number, url)},
            )
            writer.write_record(told)
