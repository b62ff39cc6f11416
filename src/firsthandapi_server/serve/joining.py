"""How people join a study, and what they find when they come back: `/join` and `/me`."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from firsthandapi_server.console.face import PageError, no_page
from firsthandapi_server.contract.text import said
from firsthandapi_server.http.browsers import EMPTIED, MEDIA_HEADERS, attachment
from firsthandapi_server.rules.appeals import ANSWER_SECONDS, MAX_WORDS, Appeals
from firsthandapi_server.sqlite.traces import earned, latest_of

from .access import JOINED_SECONDS
from .activity import FAILURE_DAYS
from .consents import Agreed, Consents
from .erasing import SUBJECT, WITHDRAWN, Eraser
from .exporting import Export
from .limits import Limits
from .payouts import Payouts
from .prose import prose
from .reception import ME, Reception, SignInNeeded, local_path, worker_id
from .speaking import Words, direction, name_of
from .study import LOGOS, Assurance, Study

_SHOWN = 50
_UNSEEN_SECONDS = 600.0  # for which new words wait for the page that shows them
_ASSURED: dict[Assurance, str] = {
    "own_work": said("The files are my own work."),
    "adult": said("I am an adult."),
    "people_shown_agree": said("The people shown in my files agree to this."),
}
_TOO_LATE = said("This file can no longer be appealed.")
_NO_WORDS = said("Write why somebody should look at it again, in at most 1,000 characters.")
_PURPOSES = said("research"), said("publication")  # of labs; others are shown as they are


class Joining:
    """The pages of a study."""

    def __init__(
        self,
        reception: Reception,
        study: Study,
        consents: Consents,
        eraser: Eraser,
        limits: Limits,
        payouts: Payouts,
        *,
        decides: bool,
    ) -> None:
        self._reception = reception
        self._payouts = payouts
        self._limits = limits
        self._eraser = eraser
        self._study = study
        self._consents = consents
        self._decides = decides
        self._world = reception.world
        self._passports = consents.passports
        self._appeals = Appeals(self._world.state, self._world.jobs)

    def routes(self) -> Iterable[Route]:
        """Where the pages are."""
        yield Route("/join", self._ask, methods=["GET"])
        yield Route("/join", self._join, methods=["POST"])
        yield Route(ME, self._me, methods=["GET"])
        yield Route(f"{ME}/passport", self._renew, methods=["POST"])
        yield Route(f"{ME}/withdraw", self._withdraw, methods=["POST"])
        yield Route("/privacy", self._privacy, methods=["GET"])
        yield Route(f"{ME}/data.zip", self._export, methods=["GET"])
        yield Route(f"{ME}/appeal", self._appeal, methods=["POST"])
        yield Route(f"{ME}/delete", self._delete, methods=["POST"])
        yield Route(f"{ME}/deleted/{{worker}}", self._deleted, methods=["GET"])
        yield Route("/study/logo", self._logo, methods=["GET"])

    # --- joining ----------------------------------------------------------------------------------------

    def _who(self, request: Request) -> str | None:
        """The id of whoever has a session. Who must be invited has one."""
        visitor = self._reception.visitor(request)
        if visitor is None and self._study.join == "invited":
            raise SignInNeeded
        return None if visitor is None else worker_id(visitor)

    async def _ask(self, request: Request) -> Response:
        worker = self._who(request)
        if worker is not None and self._consents.of(worker) is not None:
            return self._reception.go(ME)
        onward = self._reception.onward(request)
        if onward is not None:
            return onward
        target, full = local_path(request.query_params.get("next")), None
        try:
            self._consents.check_place(worker)
        except PageError as error:
            full = error
        return self._form(request, worker, target, full=full, status=403 if full else 200)

    async def _join(self, request: Request) -> Response:
        fields = await self._reception.form(request)
        target = local_path(fields.get("next"))
        if "passport" in fields:
            return await self._come_back(request, fields["passport"], target)
        worker = self._who(request)
        # A form that is sent again, since its answer was lost, makes nobody twice.
        joining = fields.get("joining") and f"{self._reception.browser(request)}\n{fields['joining']}"
        entry = self._consents.again(joining, self._world.clock.now()) if joining and not worker else None
        if entry is None:
            self._consents.check_place(worker)
        assurances = [assurance for assurance in self._study.consent.assurances if assurance in fields]
        if len(assurances) < len(self._study.consent.assurances):
            return self._form(request, worker, target, assurances=assurances, status=422)
        if worker is None and entry is None and (wait := self._limits.join(request)):
            await asyncio.sleep(wait)
            entry = self._consents.again(joining, self._world.clock.now()) if joining else None
        language, at = self._reception.words(request).language, self._world.clock.now()
        response = self._reception.go(ME if target == "/" else target)
        if worker is None:
            worker, session = entry or self._consents.join(language, at, joining)
            self._reception.set_cookie(response, self._reception.cookie("session"), session, JOINED_SECONDS)
        else:
            self._consents.give(worker, language, at)
        # Of a form that is sent again, nobody has seen the first words.
        if (entry and self._study.join == "open") or self._consents.lacks_passport(worker):
            await self._issue(response, worker)
        return response

    async def _issue(self, response: Response, worker: str, keep: str | None = None) -> None:
        """Give new words to the browser of a person. The page that comes next shows them."""
        words = await self._passports.renew(worker, self._world.clock.now(), keep)
        cookie = self._reception.cookie("passport")
        self._reception.set_cookie(response, cookie, words.replace(" ", "-"), _UNSEEN_SECONDS)

    async def _come_back(self, request: Request, words: str, target: str) -> Response:
        """Let somebody in by their passport, on any device, instead of whoever was signed in."""
        reception = self._reception
        worker = await self._passports.holder(words)
        if worker is None:
            await self._limits.slow_down(request)
            return self._form(request, None, target, wrong=words, status=403)
        if (old_session := reception.session(request)) is not None:
            reception.access.sign_out(old_session)
        response = reception.go(ME if target == "/" else target)
        session = self._passports.sign_in(worker, self._world.clock.now())
        reception.set_cookie(response, reception.cookie("session"), session, JOINED_SECONDS)
        return response

    async def _renew(self, request: Request) -> Response:
        """New words for whoever is signed in, and has no token of their own."""
        worker = self._reception.participant(request)
        fields = await self._reception.form(request)
        visitor = self._reception.visitor(request)
        if visitor is None or visitor.id != worker or self._study.join != "open":
            raise no_page()
        response = self._reception.go(ME)
        await self._issue(response, worker, self._reception.session(request) if "others" in fields else None)
        return response

    def _form(
        self,
        request: Request,
        worker: str | None,
        target: str,
        *,
        assurances: Iterable[str] | None = None,
        wrong: str | None = None,
        full: PageError | None = None,
        status: int = 200,
    ) -> Response:
        """The page to join; `wrong` has words that are no passport, and `full` says why nobody else may join."""
        words = self._reception.words(request)
        agreed = None if worker is None else self._consents.latest(worker)
        return self._reception.page(
            request,
            "join.html",
            status=status,
            target=target,
            joining=secrets.token_hex(16),
            given=assurances,
            wrong=wrong,
            full=full,
            agreed=agreed,
            agreed_direction=agreed and direction(agreed.language),
            changes=[] if agreed is None else self._changes(agreed, words),
            assured={name: words(sentence) for name, sentence in _ASSURED.items()},
            **self._about(request),
        )

    def _changes(self, agreed: Agreed, words: Words) -> list[tuple[str, str, str]]:
        """What has changed since somebody agreed: its name, what it was, and what it is."""
        study = self._study

        spoken = dict(zip(study.purposes, study.purposes_in(words.language)[0], strict=True))

        def listed(purposes: Iterable[str]) -> str:
            return words(", ").join(words(spoken.get(purpose, purpose)) for purpose in purposes)

        def erasure(days: int | None) -> str:
            return "–" if days is None else words("Days until rejected files are erased: {days}.", days=days)

        rows = [
            (words("Version"), str(agreed.version), str(study.consent.version)),
            (words("Purposes"), listed(agreed.purposes), listed(study.purposes)),
            (words("License of your files"), agreed.license, study.license),
            (words("Organizer"), agreed.controller, study.controller),
            (words("How long"), erasure(agreed.rejected_days), erasure(study.retention_days.rejected)),
        ]
        return [row for row in rows if row[1] != row[2]]

    def _about(self, request: Request) -> dict[str, Any]:
        """What pages say of the study, and the notice."""
        text, language = self._study.notice(self._reception.words(request).language)
        return {
            "study": self._study,
            "named": name_of,
            "text": text,
            "prose": prose,
            "text_language": language,
            "text_direction": direction(language),
        }

    async def _privacy(self, request: Request) -> Response:
        return self._reception.page(
            request,
            "privacy.html",
            failure_days=FAILURE_DAYS,
            decides=self._decides,
            **self._about(request),
        )

    async def _logo(self, _request: Request) -> Response:
        if self._study.logo is None:
            raise no_page()
        kind = LOGOS[self._study.logo.suffix.lower()]
        try:
            return Response(self._study.logo.read_bytes(), 200, MEDIA_HEADERS, kind)
        except OSError:
            raise no_page() from None

    # --- one's own home ---------------------------------------------------------------------------------

    async def _me(self, request: Request) -> Response:
        worker = self._reception.participant(request)
        passport = await self._reception.fresh_passport(request)
        with self._world.lock:
            state = self._eraser.state
            sent, older = latest_of(state, worker, request.query_params.get("before"), _SHOWN)
            return self._reception.page(
                request,
                "me.html",
                section=ME,
                study=self._study,
                worker_id=worker,
                passport=passport,
                has_passport=self._passports.has(worker),
                link_of=self._reception.links.path,
                open=self._reception.open_jobs(),
                sent=[(submission, file) for submission in sent for file in submission.files],
                older=older,
                earned=sum(cents for _, _, cents in earned(state.query, worker=worker)),
                receipts=self._payouts.of(worker),
                consent=self._consents.of(worker),
                agreed=self._consents.latest(worker),
                appeals=self._appeals,
                answer_seconds=ANSWER_SECONDS,
                now=self._world.clock.now(),
            )

    async def _export(self, request: Request) -> Response:
        """All that the server knows of whoever asks."""
        worker = self._reception.participant(request)
        people, work = self._reception.access.read, self._eraser.state.read
        is_paid = self._study.pay != "none"
        export = await asyncio.to_thread(Export, work, people, worker, is_paid=is_paid)
        return attachment(f"{worker}.zip", export.stream(self._world.state.storage), "application/zip")

    async def _appeal(self, request: Request) -> Response:
        worker = worker_id(self._reception.need(request, "worker"))
        fields = await self._reception.form(request)
        words, at = fields.get("words", "").strip(), self._world.clock.now()
        with self._world.lock:
            submission = self._world.state.submissions.get(fields.get("submission", ""))
            if submission is None or submission.worker_id != worker:
                raise no_page()
            if not 1 <= len(words) <= MAX_WORDS:
                raise PageError(400, _NO_WORDS)
            try:
                self._appeals.appeal(submission, words, at)
            except ValueError:
                raise PageError(409, _TOO_LATE) from None
        self._reception.access.note("review.appealed", at, worker, submission.id)
        return self._reception.go(f"{ME}#{submission.files[0].id}")

    async def _delete(self, request: Request) -> Response:
        """Erase everything that somebody has sent, and who they are."""
        worker = self._reception.participant(request)
        await self._reception.form(request)
        self._eraser.ask(worker, worker)
        await asyncio.to_thread(self._eraser.run)  # what fails is tried again without them
        response = self._reception.go(f"{ME}/deleted/{worker}")
        response.headers.update(EMPTIED)
        return response

    async def _deleted(self, request: Request) -> Response:
        """What is left, for whoever is unknown now: the id by which they are paid."""
        number = request.path_params["worker"]
        if not SUBJECT.fullmatch(number):
            raise no_page()
        return self._reception.page(request, "deleted.html", number=number, study=self._study)

    async def _withdraw(self, request: Request) -> Response:
        """Withdraw what somebody agreed to, once they have confirmed it: approved files are withdrawn, those that wait
        are rejected; pay stands."""
        worker = self._reception.participant(request)
        if "confirm" not in await self._reception.form(request):
            return self._reception.page(request, "withdraw.html")
        at = self._world.clock.now()
        # First the consent: were the rest lost, nothing new would be taken, and a second click repeats it.
        self._consents.withdraw(worker, at)
        await asyncio.to_thread(self._eraser.take_back, worker, at, WITHDRAWN)
        return self._reception.go(ME)
