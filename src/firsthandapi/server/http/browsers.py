"""What every page tells the browser: run nothing, load nothing, and be framed by nothing but our own files."""

from __future__ import annotations

# No style and no script but our own files, nothing from elsewhere, no frame, no form that leads away.
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# A page with a camera shows what it has captured before it sends it.
CAMERA_POLICY = POLICY.replace("img-src 'self'", "img-src 'self' blob:").replace(
    "media-src 'self'", "media-src 'self' blob:"
)
# A worker's bytes are shown as what they are said to be, or not at all, and may do nothing.
MEDIA_POLICY = "default-src 'none'; sandbox; frame-ancestors 'none'"
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    # Not `no-referrer`: with it, browsers send `Origin: null` with a form.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
MEDIA_HEADERS = {
    **HEADERS,
    "content-security-policy": MEDIA_POLICY,
    "content-disposition": "inline",
    # The bytes of an id never change.
    "cache-control": "private, max-age=3600, immutable",
}
