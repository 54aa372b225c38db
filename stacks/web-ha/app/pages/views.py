import socket
import tempfile
import time

from django.conf import settings
from django.http import JsonResponse
from django.shortcuts import render
from django.template import TemplateDoesNotExist
from django.template.loader import get_template
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from . import burn as burner
from . import counter, metadata


def facts(request):
    return metadata.identity() | {
        "hostname": socket.gethostname(),
        "version": settings.APP_VERSION,
        "requests": counter.value(),
        "uptime_seconds": round(time.time() - counter.STARTED),
        "client": request.headers.get("X-Forwarded-For", request.META.get("REMOTE_ADDR")),
    }


@require_safe
@never_cache
def home(request):
    return render(request, "home.html", {"facts": facts(request)})


@require_safe
@never_cache
def whoami(request):
    return JsonResponse(facts(request))


@require_safe
@never_cache
def health(request):
    """Can this instance do its work? Only what is its own is asked.

    A check of something shared (a database, another service) would make every instance unhealthy at
    the same moment and have the group replace the whole fleet for a fault that replacing cannot mend.
    """
    checks = {
        "not in maintenance": not settings.MAINTENANCE_FILE.exists(),
        "scratch space": scratch_space_works(),
        "page template": template_loads(),
        "workers": counter.answers_within(1),
    }
    healthy = all(checks.values())
    body = {"status": "ok" if healthy else "failing", "checks": checks}
    return JsonResponse(body, status=200 if healthy else 503)


def scratch_space_works():
    try:
        with tempfile.TemporaryFile() as file:
            file.write(b"x" * 4096)
            file.flush()
        return True
    except OSError:
        return False


def template_loads():
    try:
        get_template("home.html")
        return True
    except TemplateDoesNotExist:
        return False


@require_safe
@never_cache
def burn(request):
    limit = settings.BURN_LIMIT_SECONDS
    try:
        seconds = float(request.GET.get("seconds", "1"))
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= limit:  # also false for NaN
        return JsonResponse({"error": f"seconds must be a number above 0 and at most {limit}"}, status=400)
    if not burner.try_burn(seconds):
        response = JsonResponse({"error": "too many burns at once on this worker"}, status=503)
        response["Retry-After"] = "1"
        return response
    return JsonResponse({"burned_seconds": seconds, "instance_id": metadata.identity()["instance_id"]})
