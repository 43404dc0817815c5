"""ConvexHttpClient of the Python package."""

from cases import ADMIN_KEY, URL, VALUES, case, failure, finish, same
from convex import ConvexError, ConvexInt64
from convex.http_client import ConvexHttpClient

client = ConvexHttpClient(URL)
other = ConvexHttpClient(URL)
KINDS = ["query", "mutation", "action"]


@case()
def every_value_comes_back():
    for kind in KINDS:
        for value in VALUES:
            found = getattr(client, kind)(f"echo/{kind}:any", {"value": value})
            assert same(found, value), f"{kind}: {found!r} is not {value!r}"


@case()
def what_a_mutation_wrote_the_next_query_returns():
    assert client.query("messages:list", {"channel": "python"}) == []
    id = client.mutation("messages:send", {"channel": "python", "body": "hello"})
    (message,) = other.query("messages:list", {"channel": "python"})
    assert message["_id"] == id and message["body"] == "hello" and same(message["n"], 0.0), message
    assert "author" not in message
    other.mutation("messages:send", {"channel": "python", "body": "there"})
    assert same(client.query("messages:count", {"channel": "python"}), 2.0)


@case()
def integers_stay_integers():
    add = {"name": "python", "by": ConvexInt64(2**62)}
    assert same(client.mutation("counters:add", add), ConvexInt64(2**62))
    assert same(other.query("counters:get", {"name": "python"}), ConvexInt64(2**62))
    assert same(client.action("counters:addTwice", {"name": "twice"}), ConvexInt64(2))


@case()
def pages_join_without_a_gap():
    client.mutation("messages:sendMany", {"channel": "pages", "count": 25})
    found, cursor, done = [], None, False
    while not done:
        options = {"numItems": 10, "cursor": cursor}
        page = client.query("messages:page", {"channel": "pages", "paginationOpts": options})
        found += [message["n"] for message in page["page"]]
        cursor, done = page["continueCursor"], page["isDone"]
    assert found == [float(n) for n in range(25)], found


@case()
def failures_are_told():
    for kind in KINDS:
        call = getattr(client, kind)
        error = failure(call, f"fails/{kind}:application", {"data": {"code": 7}})
        assert isinstance(error, ConvexError) and same(error.data, {"code": 7.0}), repr(error)
        error = failure(call, f"fails/{kind}:application", {"data": "text"})
        assert isinstance(error, ConvexError) and error.data == "text" and str(error) == "text", repr(error)
        error = failure(call, f"fails/{kind}:application", {"data": None})
        assert isinstance(error, ConvexError) and error.data is None, repr(error)
        for way in ["plain", "panics"]:
            error = failure(call, f"fails/{kind}:{way}")
            assert not isinstance(error, ConvexError) and "Server Error" in str(error), repr(error)
        for path in ["nowhere:nothing", "internal/secret:get"]:
            error = failure(call, path)
            assert f"Could not find public function for '{path}'" in str(error), repr(error)
        error = failure(call, "no-path:f")
        assert str(error).startswith("400 BadConvexFunctionIdentifier: "), repr(error)
        error = failure(call, f"echo/{kind}:any", {"value": 1, "odd": 2})
        assert "ArgumentValidationError" in str(error), repr(error)


@case()
def the_administrators_key_opens_internal_functions():
    admin = ConvexHttpClient(URL)
    admin.set_admin_auth(ADMIN_KEY)
    assert admin.query("internal/secret:get") == "a secret"
    admin.set_admin_auth(ADMIN_KEY.split("|")[0] + "|0123456789abcdef")
    error = failure(admin.query, "internal/secret:get")
    assert str(error).startswith("401 BadAdminKey: "), repr(error)


@case()
def a_default_export_has_two_names():
    for path in ["plain", "plain:default", "plain.js:default"]:
        assert client.query(path) == "a default export"


finish()
