"""A webhook receiver in Django, for any number of processes.

    pip install firsthandapi django
    export FIRSTHAND_WEBHOOK_SECRET=whsec_…
    python django_app.py createcachetable && python django_app.py runserver --noreload 8000

The secret is what `client.webhooks.create(url="https://…/webhooks/firsthand")` returned. After
`rotate_secret`, set the new and the old secret with a space between, so that deliveries under way stay valid.
DJANGO_ALLOWED_HOSTS holds the host names of the endpoint's URL; a delivery to any other is a 400.

In a project of yours the settings, the store, the view and the URL go to where such things are;
`django_app:application` is for a WSGI server.
"""

import os
import sys
import uuid
from pathlib import Path

from django.conf import settings
from django.core.cache import cache
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from firsthandapi import WebhookSignatureError
from firsthandapi.types import JobEvent
from firsthandapi.webhooks import EventRouter, unwrap

SECRETS = os.environ["FIRSTHAND_WEBHOOK_SECRET"].split()
if not SECRETS:
    raise SystemExit("FIRSTHAND_WEBHOOK_SECRET is empty")

settings.configure(
    SECRET_KEY=os.environ.get("DJANGO_SECRET_KEY", "nothing here is signed with it"),
    ALLOWED_HOSTS=os.environ.get("DJANGO_ALLOWED_HOSTS", "127.0.0.1 localhost").split(),
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware", "django.middleware.csrf.CsrfViewMiddleware"],
    DATA_UPLOAD_MAX_MEMORY_SIZE=1_000_000,  # bytes; an event has a few thousand; more is refused
    # Outside of DEBUG, Django mails errors to ADMINS and prints none: no log would say why a handler failed.
    LOGGING={
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"stderr": {"class": "logging.StreamHandler"}},
        "root": {"handlers": ["stderr"]},
    },
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": "receiver.sqlite3",
            # SQLite alone: a writer waits for another. Else it fails, and the cache does not say so.
            "OPTIONS": {"transaction_mode": "IMMEDIATE"},
        }
    },
    # A cache that every process sees, and whose `add` is atomic: a database, Redis or Memcached; not a folder,
    # not LocMemCache. Django culls a database table to 300 entries, unless MAX_ENTRIES allows more.
    CACHES={
        "default": {
            "BACKEND": "django.core.cache.backends.db.DatabaseCache",
            "LOCATION": "handled_events",
            "OPTIONS": {"MAX_ENTRIES": 100_000},
        }
    },
)


class CacheStore:
    """Which events were handled, known to all processes: a `DeduplicationStore` over Django's cache."""

    def __init__(self) -> None:
        self._tokens: dict[str, str] = {}  # event id → the token of our claim

    def claim(self, event_id: str) -> bool:
        """Make the event this process's own, for 5 minutes at most: a process may die."""
        token = uuid.uuid4().hex
        cache.add(key(event_id), token, timeout=300)
        holder = cache.get(key(event_id))
        if holder == "done":
            return False
        if holder != token:
            # Answered with 2xx, it would not come again, and be lost should that other process have died. `get`
            # finds nothing when the database was busy or is out of reach.
            raise RuntimeError(
                f"{event_id} is being handled elsewhere, or the cache is out of reach: come again"
            )
        self._tokens[event_id] = token
        return True

    def commit(self, event_id: str) -> None:
        """Remember it for 7 days."""
        if cache.get(key(event_id)) in (None, self._tokens.pop(event_id, None)):
            cache.set(key(event_id), "done", timeout=7 * 86_400)

    def release(self, event_id: str) -> None:
        """Let the next delivery have it, unless our claim has ended and another process has it."""
        if cache.get(key(event_id)) == self._tokens.pop(event_id, None):
            cache.delete(key(event_id))


def key(event_id: str) -> str:
    """Its name in the cache."""
    return f"firsthand:{event_id}"


router = EventRouter(CacheStore())


@router.on("job.completed")
def completed(event: JobEvent) -> None:
    """Queue the work and return: the service waits only 10 seconds. Your own code goes here."""
    with Path("completed.txt").open("a", encoding="utf-8") as file:
        file.write(f"{event.data.job_id}\n")


def receive(request: HttpRequest) -> HttpResponse:
    """204: handled, now or before. 400: not from the service. A handler's error makes a 500, and a retry."""
    try:
        # The raw body, which the signature covers.
        event = unwrap(request.body, request.headers, SECRETS)
    except WebhookSignatureError as error:
        return HttpResponse(str(error), status=400, content_type="text/plain")
    router.dispatch(event)
    return HttpResponse(status=204)


# The service has no CSRF token; the signature says who it is.
urlpatterns = [path("webhooks/firsthand", csrf_exempt(require_POST(receive)))]
application = get_wsgi_application()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
