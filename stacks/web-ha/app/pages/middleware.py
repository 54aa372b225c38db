from . import counter


def count_requests(get_response):
    """Counts what visitors asked for, not what health checks did."""

    def middleware(request):
        if request.path != "/health":
            counter.increment()
        return get_response(request)

    return middleware
