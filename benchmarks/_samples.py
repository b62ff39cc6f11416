"""What the service answers with, as large and as varied as it comes."""

from __future__ import annotations

import hashlib
import json
from typing import Any

JOB_ID = "job_01M885MG8XETFTHPHV183QKJE7"
API_KEY = "fh_test_0123456789abcdefghijklmnopqrstuv"


def job(number: int = 0) -> dict[str, Any]:
    """A completed job with every field that the contract names."""
    return {
        "object": "job",
        "id": JOB_ID if number == 0 else f"job_01M885MG8XETFTHPHV183Q{number:04}",
        "status": "completed",
        "type": "data_collection",
        "title": f"Street signs {number}",
        "description": "Photos of street signs in daylight, the sign filling most of the frame",
        "files_needed": 100 + number,
        "files_approved": 100 + number,
        "price_per_file_cents": 50,
        "total_cost_cents": 50 * (100 + number),
        "min_star_rating": 3,
        "accepted_formats": ["image/jpeg", "image/png"],
        "files_per_submission": 1,
        "scoring_criteria": "The text of the sign is legible",
        "min_width": 1280,
        "min_height": 720,
        "worker_guidelines": "Stand on the pavement",
        "location": {"latitude": 35.68, "longitude": 139.69, "radius_km": 20},
        "deadline": "2026-04-27T10:00:00Z",
        "max_workers": None,
        "metadata": {"experiment": f"signs-{number}", "split": "train"},
        "buyer_rating": 5,
        "buyer_feedback": None,
        "created_at": f"2026-03-27T10:{number % 60:02}:00.093Z",
        "updated_at": f"2026-03-28T11:{number % 60:02}:27.431Z",
        "completed_at": f"2026-03-28T11:{number % 60:02}:27.431Z",
        "cancelled_at": None,
    }


def file(number: int) -> dict[str, Any]:
    """An approved image with annotations."""
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    name = f"file_01M885MYXN4YG175K8D471{number:04}"
    return {
        "object": "file",
        "id": name,
        "job_id": JOB_ID,
        "submission_id": f"sub_01M885MYXNFR6BB0FE223H{number:04}",
        "content_type": "image/jpeg",
        "size_bytes": 2_000_000 + number,
        "duration_seconds": None,
        "width": 4032,
        "height": 3024,
        "content_hash": digest,
        "original_filename": f"IMG_{number:04}.jpg",
        "captured_at": f"2026-03-27T10:{number % 60:02}:05.093Z",
        "ai_star_rating": 3 + number % 3,
        "device_info": {"device_model": "iPhone 15", "device_os": "iOS 18.1", "app_version": "4.2.0"},
        "worker_region": "US-TX",
        "download_url": f"https://files.s3.amazonaws.com/{name}?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Credential=AKIA%2F20260327%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20260327T100000Z"
        f"&X-Amz-Expires=604800&X-Amz-SignedHeaders=host&X-Amz-Signature={digest}",
        "download_url_expires_at": "2026-04-03T10:00:00.000Z",
        "annotations": {
            "type": "image",
            "objects": ["mailbox", "house", "lawn"]
            if number % 2
            else [{"label": "mailbox", "confidence": 0.93}, {"label": "house", "confidence": 0.71}],
            "scene": {"setting": "outdoor residential", "indoor": False},
            "text_extraction": str(1000 + number),
            "color_palette": ["#8B4513", "#228B22", "#87CEEB"],
            "dominant_objects": [{"label": "mailbox", "position": "center", "approximate_coverage": "25%"}],
            "composition": "centered subject, natural daylight",
            "annotation_model": "firsthand-annotate-1",
        },
        "keyframes": None,
        "created_at": f"2026-03-27T11:{number % 60:02}:15.093Z",
    }


def page(items: list[dict[str, Any]]) -> bytes:
    """The body of a list."""
    return as_json({"object": "list", "data": items, "has_more": True, "next_cursor": "Mi4wMTE3YjU1ZDU0"})


def as_json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def http_response(body: bytes) -> bytes:
    """The whole answer, with the service's headers."""
    head = (
        "HTTP/1.1 200 OK\r\n"
        "Date: Fri, 27 Mar 2026 10:00:00 GMT\r\n"
        "Content-Type: application/json; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Connection: keep-alive\r\n"
        "X-Request-Id: req_01M885MG90VK9CTWNXKQKRD1ZD\r\n"
        "X-FirstHandAPI-Credits-Remaining: 99800\r\n"
        "X-RateLimit-Limit: 1000000\r\n"
        "X-RateLimit-Remaining: 999999\r\n"
        "X-RateLimit-Reset: 1774605660\r\n"
        "\r\n"
    )
    return head.encode() + body
