"""ConvexClient of the Python package, which wraps the Rust client."""

from cases import ADMIN_KEY, URL, VALUES, ask, case, failure, finish, same
from convex import ConvexClient, ConvexError, ConvexInt64

client = ConvexClient(URL)
other = ConvexClient(URL)
KINDS = ["query", "mutation", "action"]


def send(client, channel, body):
    return client.mutation("messages:send", {"channel": channel, "body": body})


def add(client, name, by=1):
    return client.mutation("counters:add", {"name": name, "by": ConvexInt64(by)}).value


class Results:
    """The distinct results of a query. The client repeats the last one with each transition."""

    def __init__(self, client, path, args):
        self.subscription = client.subscribe(path, args)
        self.last = None

    def next(self):
        while True:
            try:
                result = (next(self.subscription), None)
            except ConvexError as error:
                result = (None, error)
            shown = tuple(getattr(part, "data", part) for part in result)
            if self.last is None or not all(same(a, b) for a, b in zip(shown, self.last)):
                self.last = shown
                if result[1]:
                    raise result[1]
                return result[0]


@case()
def every_value_comes_back():
    for kind in KINDS:
        for value in VALUES:
            found = getattr(client, kind)(f"echo/{kind}:any", {"value": value})
            assert same(found, value), f"{kind}: {found!r} is not {value!r}"


@case()
def a_subscription_follows_changes_until_it_is_ended():
    messages = Results(client, "messages:list", {"channel": "followed"})
    bodies = lambda: [message["body"] for message in messages.next()]
    assert bodies() == []
    send(other, "followed", "one")
    assert bodies() == ["one"]
    send(client, "followed", "two")
    assert bodies() == ["one", "two"]
    messages.subscription.unsubscribe()
    send(other, "followed", "three")
    assert client.query("messages:count", {"channel": "followed"}) == 3.0
    assert "dropped" in str(failure(messages.next))


@case()
def after_a_mutation_the_next_result_has_its_writes():
    counter = Results(client, "counters:get", {"name": "own"})
    assert counter.next() is None
    for n in range(1, 21):
        assert add(client, "own") == n
        assert counter.next().value == n
        assert client.query("counters:get", {"name": "own"}).value == n


@case()
def two_clients_see_each_others_writes():
    seen = Results(client, "counters:get", {"name": "shared"})
    assert seen.next() is None
    for n in range(1, 11):
        assert add(other, "shared") == n
        assert seen.next().value == n


@case()
def all_queries_are_watched_at_once():
    watcher = ConvexClient(URL)
    results = watcher.watch_all()
    first = watcher.subscribe("counters:get", {"name": "watched"})
    second = watcher.subscribe("messages:count", {"channel": "watched"})

    def until(*expected):
        while True:
            state = next(results)
            values = [state.get(each.id, {}).get("value", "none yet") for each in (first, second)]
            if all(same(value, wanted) for value, wanted in zip(values, expected)):
                return

    until(None, 0.0)
    add(other, "watched")
    until(ConvexInt64(1), 0.0)
    send(other, "watched", "")
    until(ConvexInt64(1), 1.0)


@case()
def an_action_runs_its_mutations():
    assert client.action("counters:addTwice", {"name": "twice"}).value == 2
    assert client.query("counters:get", {"name": "twice"}).value == 2
    assert client.action("counters:slow", {"ms": 20}) == 20.0


@case()
def failures_are_told():
    for kind in KINDS:
        call = getattr(client, kind)
        for data in [{"code": ConvexInt64(7)}, "text", None, [1.0]]:
            error = failure(call, f"fails/{kind}:application", {"data": data})
            assert isinstance(error, ConvexError) and same(error.data, data), f"{kind} {data!r}: {error!r}"
        for way in ["plain", "panics"]:
            error = failure(call, f"fails/{kind}:{way}")
            assert not isinstance(error, ConvexError) and "Server Error" in str(error), f"{kind} {way}: {error!r}"
        for path in ["nowhere:nothing", "internal/secret:get"]:
            error = failure(call, path)
            assert "Could not find public function" in str(error), f"{kind} {path}: {error!r}"
        error = failure(call, f"echo/{kind}:any", {"value": 1, "odd": 2})
        assert "ArgumentValidationError" in str(error), f"{kind}: {error!r}"
    assert client.query("counters:get", {"name": "failed"}) is None


@case()
def a_failed_query_is_live():
    value = Results(client, "counters:notNegative", {"name": "wavering"})
    assert value.next().value == 0
    add(client, "wavering", -1)
    error = failure(value.next)
    assert isinstance(error, ConvexError) and error.data.value == -1, repr(error)
    add(client, "wavering", 1)
    assert value.next().value == 0


@case()
def a_large_value_goes_both_ways():
    value = "é" * 3_500_000
    assert client.query("echo/query:any", {"value": value}) == value


@case()
def the_administrators_key_opens_internal_functions():
    admin = ConvexClient(URL)
    admin.set_admin_auth(ADMIN_KEY)
    assert admin.query("internal/secret:get") == "a secret"


@case(seconds=40)
def it_comes_back_after_kill_9():
    counter = Results(client, "counters:get", {"name": "restarted"})
    assert counter.next() is None
    add(client, "restarted")
    assert counter.next().value == 1
    ask("restart")
    add(ConvexClient(URL), "restarted")
    assert counter.next().value == 2
    assert add(client, "restarted") == 3


finish()
