"""The models of what the service sends, and the arguments that it is sent.

Each module is loaded when one of its names is first used: defining them all costs more than the rest of the
import together.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._base import Model as Model
    from ._base import Params as Params
    from .api_key import ApiKey as ApiKey
    from .api_key import ApiKeyCreateParams as ApiKeyCreateParams
    from .api_key import ApiKeyListParams as ApiKeyListParams
    from .audit import AuditEvent as AuditEvent
    from .audit import AuditEventListParams as AuditEventListParams
    from .billing import Checkout as Checkout
    from .billing import CreditBalance as CreditBalance
    from .billing import CreditTransaction as CreditTransaction
    from .billing import PurchaseParams as PurchaseParams
    from .billing import TransactionListParams as TransactionListParams
    from .consent import Consent as Consent
    from .enums import AuditEventType as AuditEventType
    from .enums import Environment as Environment
    from .enums import EventType as EventType
    from .enums import Flag as Flag
    from .enums import JobStatus as JobStatus
    from .enums import JobType as JobType
    from .enums import KeyScope as KeyScope
    from .enums import MediaFormat as MediaFormat
    from .enums import OpenAuditEventType as OpenAuditEventType
    from .enums import OpenEnvironment as OpenEnvironment
    from .enums import OpenEventType as OpenEventType
    from .enums import OpenFlag as OpenFlag
    from .enums import OpenJobStatus as OpenJobStatus
    from .enums import OpenJobType as OpenJobType
    from .enums import OpenMediaFormat as OpenMediaFormat
    from .enums import OpenScope as OpenScope
    from .enums import OpenSubmissionStatus as OpenSubmissionStatus
    from .enums import OpenTransactionType as OpenTransactionType
    from .enums import PurchaseTier as PurchaseTier
    from .enums import Scope as Scope
    from .enums import SubmissionStatus as SubmissionStatus
    from .enums import TransactionType as TransactionType
    from .event import CreditsEvent as CreditsEvent
    from .event import CreditsEventData as CreditsEventData
    from .event import JobEvent as JobEvent
    from .event import JobEventData as JobEventData
    from .event import SubmissionEvent as SubmissionEvent
    from .event import SubmissionEventData as SubmissionEventData
    from .event import WebhookEvent as WebhookEvent
    from .file import Annotations as Annotations
    from .file import AudioAnnotations as AudioAnnotations
    from .file import ContentCredentials as ContentCredentials
    from .file import DetectedObject as DetectedObject
    from .file import DeviceInfo as DeviceInfo
    from .file import DominantObject as DominantObject
    from .file import DownloadUrl as DownloadUrl
    from .file import File as File
    from .file import FileListParams as FileListParams
    from .file import ImageAnnotations as ImageAnnotations
    from .file import Keyframe as Keyframe
    from .file import Scene as Scene
    from .file import TrackedObject as TrackedObject
    from .file import TranscriptSegment as TranscriptSegment
    from .file import UnknownAnnotations as UnknownAnnotations
    from .file import VideoAnnotations as VideoAnnotations
    from .file import VideoScene as VideoScene
    from .identity import Identity as Identity
    from .job import Job as Job
    from .job_arguments import JobArguments as JobArguments
    from .job_arguments import JobCreateParams as JobCreateParams
    from .job_arguments import JobFields as JobFields
    from .job_arguments import JobGetParams as JobGetParams
    from .job_arguments import JobListParams as JobListParams
    from .job_arguments import JobRateParams as JobRateParams
    from .options import BodyOptions as BodyOptions
    from .options import ExtraOptions as ExtraOptions
    from .options import PostExtras as PostExtras
    from .options import PostOptions as PostOptions
    from .options import RequestOptions as RequestOptions
    from .organization import OrganizationSettings as OrganizationSettings
    from .organization import OrganizationUpdateParams as OrganizationUpdateParams
    from .page import ListParams as ListParams
    from .page import PageEnvelope as PageEnvelope
    from .signup import Signup as Signup
    from .signup import SignupParams as SignupParams
    from .submission import Dimensions as Dimensions
    from .submission import Submission as Submission
    from .submission import SubmissionListParams as SubmissionListParams
    from .submission import SubmissionSummary as SubmissionSummary
    from .submission import SubmissionSummaryParams as SubmissionSummaryParams
    from .webhook import WebhookCreateParams as WebhookCreateParams
    from .webhook import WebhookEndpoint as WebhookEndpoint
    from .webhook import WebhookEventListParams as WebhookEventListParams
    from .webhook import WebhookUpdateParams as WebhookUpdateParams

# A module and what it defines. `make generate` writes them, and the imports.
_NAMES = """
_base Model Params
api_key ApiKey ApiKeyCreateParams ApiKeyListParams
audit AuditEvent AuditEventListParams
billing Checkout CreditBalance CreditTransaction PurchaseParams TransactionListParams
consent Consent
enums AuditEventType Environment EventType Flag JobStatus JobType KeyScope MediaFormat OpenAuditEventType
enums OpenEnvironment OpenEventType OpenFlag OpenJobStatus OpenJobType OpenMediaFormat OpenScope
enums OpenSubmissionStatus OpenTransactionType PurchaseTier Scope SubmissionStatus TransactionType
event CreditsEvent CreditsEventData JobEvent JobEventData SubmissionEvent SubmissionEventData WebhookEvent
file Annotations AudioAnnotations ContentCredentials DetectedObject DeviceInfo DominantObject DownloadUrl File
file FileListParams ImageAnnotations Keyframe Scene TrackedObject TranscriptSegment UnknownAnnotations
file VideoAnnotations VideoScene
identity Identity
job Job
job_arguments JobArguments JobCreateParams JobFields JobGetParams JobListParams JobRateParams
options BodyOptions ExtraOptions PostExtras PostOptions RequestOptions
organization OrganizationSettings OrganizationUpdateParams
page ListParams PageEnvelope
signup Signup SignupParams
submission Dimensions Submission SubmissionListParams SubmissionSummary SubmissionSummaryParams
webhook WebhookCreateParams WebhookEndpoint WebhookEventListParams WebhookUpdateParams
"""
_MODULE_OF = {name: line.split()[0] for line in _NAMES.splitlines() for name in line.split()[1:]}

if not TYPE_CHECKING:  # pragma: no branch - checkers read the imports above
    __all__ = list(_MODULE_OF)


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{module}", __name__), name)
    globals()[name] = value  # so that this runs once a name
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF})
