"""The events of the demo, as the SDKs of an app and two phones send them.

One customer of an invented shoe shop: first a stranger on an iPhone, then signed in there, then
on an Android phone with one app and another.
"""

# What happened, for the reader; the event as it goes to the server.
JOURNEY: tuple[tuple[str, str], ...] = (
    (
        "A stranger opens the app on an iPhone.",
        (
            '{"messageId": "e1", "type": "track", "timestamp": "2019-11-15T10:00:00Z", '
            '"event": "App Opened", "anonymousId": "anon_123", '
            '"context": {"app": "SegKicks", "device": {"type": "ios", "id": "ios_abc123"}}}'
        ),
    ),
    (
        "The stranger looks at a shoe.",
        (
            '{"messageId": "e2", "type": "track", "timestamp": "2019-11-15T10:01:00Z", '
            '"event": "ShoeA Clicked", "anonymousId": "anon_123", '
            '"context": {"app": "SegKicks", "device": {"type": "ios", "id": "ios_abc123"}}}'
        ),
    ),
    (
        "She signs in: now the stranger has a name.",
        (
            '{"messageId": "e3", "type": "identify", "timestamp": "2019-11-15T10:05:00Z", '
            '"anonymousId": "anon_123", "userId": "abc123def", '
            '"context": {"app": "SegKicks", "device": {"type": "ios", "id": "ios_abc123"}}, '
            '"traits": {"email": "janedoe@example.com"}}'
        ),
    ),
    (
        "Next day she signs in on an Android phone.",
        (
            '{"messageId": "e4", "type": "identify", "timestamp": "2019-11-16T09:00:00Z", '
            '"anonymousId": "anon_456", "userId": "abc123def", '
            '"context": {"app": "SegKicks", "device": {"type": "android", "id": "and_1a2b3c4d"}}, '
            '"traits": {"email": "janedoe@example.com"}}'
        ),
    ),
    (
        "She signs in to the shop's second app.",
        (
            '{"messageId": "e5", "type": "identify", "timestamp": "2019-11-16T12:00:00Z", '
            '"anonymousId": "anon_789", "userId": "abc123def", '
            '"context": {"app": "SegRuns", "device": {"type": "android", "id": "and_1a2b3c4d"}}}'
        ),
    ),
)

# What the one profile holds in the end.
EXPECTED_IDENTIFIERS = frozenset(
    {
        ("user_id", "abc123def"),
        ("email", "janedoe@example.com"),
        ("anonymous_id", "anon_123"),
        ("anonymous_id", "anon_456"),
        ("anonymous_id", "anon_789"),
        ("ios.id", "ios_abc123"),
        ("android.id", "and_1a2b3c4d"),
    }
)
