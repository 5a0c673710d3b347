//! Literal cases: an event, and what must be read from it.

use ipse_core::Rules;
use ipse_core::rules::preset;

use super::*;

/// The preset with the custom namespaces that Segment's examples use.
fn mapping() -> Mapping {
    let custom =
        "\n[namespaces.app_id]\nlimit = 5\nkey = \"app_id\"\n[namespaces.phone]\nlimit = 5\n";
    let text = preset("segment").expect("built in").to_owned();
    let (namespaces, rest) = text.split_once("[mapping]").expect("the preset maps");
    let text = format!("{namespaces}{custom}\n[mapping]{rest}");
    Rules::from_toml(&text).expect("good rules").mapping().clone()
}

fn extracted(json: &str, check: impl FnOnce(Extracted<'_>)) {
    let mapping = mapping();
    let document = parse(json.as_bytes()).expect("a JSON object");
    check(extract(document.root(), &mapping));
}

fn identifiers(json: &str) -> Vec<String> {
    let mut found = Vec::new();
    extracted(json, |event| {
        let show = |sent: &SentIdentifier<'_>| format!("{}={}", sent.namespace, sent.value);
        found = event.identifiers.iter().map(show).collect();
    });
    found.sort();
    found
}

fn ignored(json: &str) -> Vec<String> {
    let mut found = Vec::new();
    extracted(json, |event| {
        found = event.ignored.iter().map(|at| format!("{}: {}", at.path, at.reason)).collect();
    });
    found.sort();
    found
}

fn traits(json: &str) -> Vec<String> {
    let mut found = Vec::new();
    extracted(json, |event| {
        let show = |sent: &SentTrait<'_>| match &sent.value {
            None => format!("{} removed", sent.name),
            Some(value) => format!("{}={value:?}", sent.name),
        };
        found = event.traits.iter().map(show).collect();
    });
    found.sort();
    found
}

#[test]
fn identifiers_are_found_where_segment_says() {
    let cases: [(&str, &[&str]); 22] = [
        ("{}", &[]),
        (r#"{"userId":"u1","anonymousId":"a1"}"#, &["anonymous_id=a1", "user_id=u1"]),
        (r#"{"traits":{"email":"t@x"}}"#, &["email=t@x"]),
        (r#"{"context":{"traits":{"email":"c@x"}}}"#, &["email=c@x"]),
        (r#"{"properties":{"email":"p@x"}}"#, &["email=p@x"]),
        (
            r#"{"traits":{"email":"t@x"},"context":{"traits":{"email":"t@x"}},"properties":{"email":"p@x"}}"#,
            &["email=p@x", "email=t@x"],
        ),
        (
            r#"{"context":{"device":{"type":"android","id":"d","advertisingId":"ad","adTrackingEnabled":true,"token":"t"}}}"#,
            &["android.id=d", "android.idfa=ad", "android.push_token=t"],
        ),
        (
            r#"{"context":{"device":{"type":"ios","id":"d","advertisingId":"ad","adTrackingEnabled":true,"token":"t"}}}"#,
            &["ios.id=d", "ios.idfa=ad", "ios.push_token=t"],
        ),
        (
            r#"{"context":{"device":{"type":"ios","advertisingId":"ad","adTrackingEnabled":false}}}"#,
            &[],
        ),
        (
            r#"{"context":{"device":{"type":"ios","advertisingId":"ad","adTrackingEnabled":"true"}}}"#,
            &[],
        ),
        (r#"{"context":{"device":{"type":"ios","advertisingId":"ad"}}}"#, &[]),
        (r#"{"context":{"device":{"type":"tv","id":"d"}}}"#, &[]),
        (r#"{"context":{"device":{"id":"d"}}}"#, &[]),
        (
            r#"{"context":{"integrations":{"Google Analytics":{"clientId":"10.13"}}}}"#,
            &["ga_client_id=10.13"],
        ),
        (r#"{"context":{"Braze":{"braze_id":"b"}}}"#, &["braze_id=b"]),
        (r#"{"context":{"traits":{"crossDomainId":"x"}}}"#, &["cross_domain_id=x"]),
        (r#"{"traits":{"app_id":"A-1"}}"#, &["app_id=A-1"]),
        (
            r#"{"properties":{"appId":"A-1"},"traits":{"app_id":"A-2"}}"#,
            &["app_id=A-1", "app_id=A-2"],
        ),
        (r#"{"traits":{"appid":"A-1","AppId":"A-1"}}"#, &[]),
        (r#"{"groupId":"g","context":{"groupId":"g"}}"#, &[]),
        (r#"{"type":"group","groupId":"g","traits":{"email":"office@x"}}"#, &[]),
        (r#"{"type":"alias","previousId":"p","userId":"u"}"#, &["user_id=u"]),
    ];
    for (json, expected) in cases {
        assert_eq!(identifiers(json), expected, "{json}");
    }
}

#[test]
fn values_are_text_or_whole_numbers() {
    let cases: [(&str, &[&str], &[&str]); 14] = [
        (r#"{"userId":42}"#, &["user_id=42"], &[]),
        (r#"{"userId":-7}"#, &["user_id=-7"], &[]),
        (r#"{"userId":-0}"#, &["user_id=0"], &[]),
        (
            r#"{"userId":123456789012345678901234567890}"#,
            &["user_id=123456789012345678901234567890"],
            &[],
        ),
        (r#"{"userId":"42","anonymousId":42}"#, &["anonymous_id=42", "user_id=42"], &[]),
        (r#"{"userId":"\u0436\n"}"#, &["user_id=ж\n"], &[]),
        (r#"{"userId":null}"#, &[], &["userId: null"]),
        (r#"{"userId":true}"#, &[], &["userId: boolean"]),
        (r#"{"userId":1.0}"#, &[], &["userId: number with a fraction or exponent"]),
        (r#"{"userId":1e3}"#, &[], &["userId: number with a fraction or exponent"]),
        (r#"{"userId":["u"]}"#, &[], &["userId: array"]),
        (r#"{"userId":{"id":"u"}}"#, &[], &["userId: object"]),
        (r#"{"userId":""}"#, &[], &["userId: empty string"]),
        (r#"{"userId":"\ud800"}"#, &[], &["userId: half of a surrogate pair"]),
    ];
    for (json, found, left) in cases {
        assert_eq!(identifiers(json), found, "{json}");
        assert_eq!(ignored(json), left, "{json}");
    }
}

#[test]
fn external_ids_need_all_four_fields() {
    let event = |element: &str| format!(r#"{{"context":{{"externalIds":{element}}}}}"#);
    let good = r#"{"id":"1","type":"phone","collection":"users","encoding":"none"}"#;
    let cases: [(String, &[&str], &[&str]); 15] = [
        (format!("[{good},{good}]"), &["phone=1"], &[]),
        (format!("[{good},{}]", good.replace(r#""1""#, "2")), &["phone=1", "phone=2"], &[]),
        (
            format!("[{}]", good.replace("phone", "Phone")),
            &[],
            &["[0].type: type is not lower-case"],
        ),
        (
            format!("[{good},{}]", good.replace("phone", "my type")),
            &["phone=1"],
            &["[1].type: type is not a namespace name"],
        ),
        (
            format!("[{}]", good.replace("phone", "group_id")),
            &[],
            &["[0].type: a group is not a person"],
        ),
        (
            format!("[{}]", good.replace("users", "accounts")),
            &[],
            &["[0].collection: collection is not users"],
        ),
        (
            format!("[{}]", good.replace("none", "sha256")),
            &[],
            &["[0].encoding: encoding is not none"],
        ),
        (format!("[{}]", good.replace(r#""1""#, "null")), &[], &["[0]: `id` is missing"]),
        (format!("[{}]", good.replace(r#""1""#, "[]")), &[], &["[0].id: array"]),
        (format!("[{}]", good.replace(r#""1""#, r#""""#)), &[], &["[0].id: empty string"]),
        (format!("[{}]", good.replace("type", "kind")), &[], &["[0]: `type` is missing"]),
        (
            format!("[{}]", good.replace(r#","encoding":"none""#, "")),
            &[],
            &["[0]: `encoding` is missing"],
        ),
        (
            format!("[{}]", good.replace(r#","collection":"users""#, "")),
            &[],
            &["[0]: `collection` is missing"],
        ),
        ("[1]".to_owned(), &[], &["[0]: not an object with `id` and `type`"]),
        (good.to_owned(), &[], &[": object"]),
    ];
    for (element, found, left) in cases {
        let json = event(&element);
        let left: Vec<_> = left.iter().map(|at| format!("context.externalIds{at}")).collect();
        assert_eq!(identifiers(&json), found, "{json}");
        assert_eq!(ignored(&json), left, "{json}");
    }
}

#[test]
fn traits_are_read_with_their_kinds() {
    let cases: [(&str, &[&str]); 12] = [
        (r#"{"traits":{"name":"Ann"}}"#, &[r#"name=Text("Ann")"#]),
        (r#"{"traits":{"age":30,"tall":true}}"#, &["age=Integer(30)", "tall=Bool(true)"]),
        (r#"{"traits":{"score":1.5,"big":1e3}}"#, &["big=Number(1000.0)", "score=Number(1.5)"]),
        (r#"{"traits":{"n":9223372036854775808}}"#, &["n=Number(9.223372036854776e18)"]),
        (r#"{"traits":{"gone":null}}"#, &["gone removed"]),
        (r#"{"traits":{"empty":""}}"#, &[r#"empty=Text("")"#]),
        (
            r#"{"traits":{"address":{ "street" : "x", "city":"y"},"tags":[1, 2]}}"#,
            &[r#"address=Json("{\"city\":\"y\",\"street\":\"x\"}")"#, r#"tags=Json("[1,2]")"#],
        ),
        (
            r#"{"traits":{"a":1},"context":{"traits":{"a":2,"b":3}}}"#,
            &["a=Integer(1)", "b=Integer(3)"],
        ),
        (r#"{"traits":{"a":null},"context":{"traits":{"a":2}}}"#, &["a removed"]),
        (r#"{"traits":{"a":1,"a":2}}"#, &["a=Integer(2)"]),
        (r#"{"type":"group","traits":{"name":"Ltd"}}"#, &[]),
        (r#"{"properties":{"revenue":3}}"#, &[]),
    ];
    for (json, expected) in cases {
        assert_eq!(traits(json), expected, "{json}");
    }
}

#[test]
fn traits_that_cannot_be_used_are_listed() {
    let long = "x".repeat(129);
    let deep = format!("{}{}", "[".repeat(33), "]".repeat(33));
    let wide = "x".repeat(8_193);
    let cases = [
        (r#"{"traits":null}"#.to_owned(), "traits: null".to_owned()),
        (r#"{"traits":["a"]}"#.to_owned(), "traits: array".to_owned()),
        (r#"{"traits":{"":1}}"#.to_owned(), "traits.: empty name".to_owned()),
        (r#"{"traits":{"n":1e999}}"#.to_owned(), "traits.n: number out of range".to_owned()),
        (r#"{"traits":{"\ud800":1}}"#.to_owned(), "traits: half of a surrogate pair".to_owned()),
        (
            format!(r#"{{"traits":{{"{long}":1}}}}"#),
            format!("traits.{}: name is longer than 128 bytes", &long[..128]),
        ),
        (
            format!(r#"{{"traits":{{"d":{deep}}}}}"#),
            "traits.d: nested too deeply or not text".to_owned(),
        ),
        (
            format!(r#"{{"traits":{{"w":"{wide}"}}}}"#),
            "traits.w: value is longer than 8192 bytes".to_owned(),
        ),
    ];
    for (json, expected) in cases {
        assert_eq!(traits(&json), [] as [&str; 0], "{json}");
        assert_eq!(ignored(&json), [expected], "{json}");
    }
}

#[test]
fn a_place_is_listed_once_and_the_list_is_bounded() {
    let json = r#"{"traits":{"app_id":[],"appId":{}},"properties":{"email":null}}"#;
    assert_eq!(
        ignored(json),
        ["properties.email: null", "traits.appId: object", "traits.app_id: array"]
    );
    let elements = vec!["1"; 1_000].join(",");
    let json = format!(r#"{{"context":{{"externalIds":[{elements}]}}}}"#);
    assert_eq!(ignored(&json).len(), IGNORED_FIELDS_MAX);
}

#[test]
fn identifiers_too_long_for_any_rule_are_listed() {
    let event = |value: &str| format!(r#"{{"userId":"{value}","anonymousId":"a"}}"#);
    for (long, spaces) in [(1_024, 0), (1_024, 1_024), (1, 2_047)] {
        let value = format!("{}{}", "x".repeat(long), " ".repeat(spaces));
        assert_eq!(identifiers(&event(&value)), ["anonymous_id=a", &format!("user_id={value}")]);
        assert_eq!(ignored(&event(&value)), [] as [&str; 0]);
    }
    for (long, spaces) in [(1_025, 0), (1_024, 1_025), (1_025, 1)] {
        let value = format!("{}{}", "x".repeat(long), " ".repeat(spaces));
        assert_eq!(identifiers(&event(&value)), ["anonymous_id=a"]);
        assert_eq!(ignored(&event(&value)), ["userId: value is longer than 1024 bytes"]);
    }
    let number = format!(r#"{{"userId":{}}}"#, "7".repeat(1_025));
    assert_eq!(ignored(&number), ["userId: value is longer than 1024 bytes"]);
}

#[test]
fn what_an_event_has_too_much_of_is_listed() {
    let element = |number: usize| {
        format!(r#"{{"id":{number},"type":"phone","collection":"users","encoding":"none"}}"#)
    };
    let elements: Vec<_> = (0..66).map(element).collect();
    // Again the first, which is there, and so is not too much.
    let json = format!(
        r#"{{"userId":"u","context":{{"externalIds":[{},{}]}}}}"#,
        elements.join(","),
        element(0),
    );
    assert_eq!(identifiers(&json).len(), EVENT_IDENTIFIERS_MAX);
    let path = "context.externalIds";
    assert_eq!(
        ignored(&json),
        [63, 64, 65].map(|at| format!("{path}[{at}].id: more than 64 identifiers"))
    );

    let mut fields: Vec<_> = (0..302).map(|number| format!(r#""t{number:03}":1"#)).collect();
    let event = |fields: &[String]| {
        format!(r#"{{"traits":{{{}}},"context":{{"traits":{{"z":1}}}}}}"#, fields.join(","))
    };
    let json = event(&fields);
    fields.reverse();
    assert_eq!(traits(&json).len(), EVENT_TRAITS_MAX);
    assert_eq!(traits(&json), traits(&event(&fields)));
    let left = ["context.traits.z", "traits.t300", "traits.t301"];
    assert_eq!(ignored(&json), left.map(|path| format!("{path}: more than 300 traits")));
}

#[test]
fn what_changes_when_an_event_is_sent_again_does_not_matter() {
    let first = r#"{"messageId":"m","userId":"u","traits":{"a":{"x":1,"y":2}},
        "sentAt":"2024-01-01T00:00:00Z","context":{"library":{"version":"1"}}}"#;
    let again = r#"{"context":{"library":{"version":"2"}},"receivedAt":"2024-01-02T00:00:00Z",
        "traits":{"a":{"y":2, "x":1}},"userId":"u","messageId":"m"}"#;
    assert_eq!(identifiers(first), identifiers(again));
    assert_eq!(traits(first), traits(again));
}

#[test]
fn id_type_and_time_are_read() {
    let time = |millis| Timestamp::from_millis(millis);
    let cases = [
        ("{}", "", "", None),
        (r#"{"messageId":"m","type":"track"}"#, "m", "track", None),
        (r#"{"messageId":7}"#, "7", "", None),
        (r#"{"messageId":null,"type":null,"timestamp":null}"#, "", "", None),
        (r#"{"timestamp":"2019-11-15T10:00:00Z"}"#, "", "", time(1_573_812_000_000)),
        (r#"{"timestamp":"2019-11-15T12:00:00.5+02:00"}"#, "", "", time(1_573_812_000_500)),
        (r#"{"originalTimestamp":"2019-11-15T10:00:00Z"}"#, "", "", time(1_573_812_000_000)),
        (
            r#"{"timestamp":"2019-11-15T10:00:00Z","originalTimestamp":"bad"}"#,
            "",
            "",
            time(1_573_812_000_000),
        ),
        (r#"{"sentAt":"2019-11-15T10:00:00Z"}"#, "", "", None),
    ];
    for (json, id, word, expected) in cases {
        extracted(json, |event| {
            assert_eq!(event.event_id.as_deref(), Ok(id), "{json}");
            assert_eq!(event.kind.as_deref(), Ok(word), "{json}");
            assert_eq!(event.timestamp, Ok(expected), "{json}");
        });
    }
}

#[test]
fn id_type_and_time_are_refused_by_name() {
    let cases = [
        (r#"{"messageId":7.5}"#, "event.raw_json.messageId: neither text nor a whole number"),
        (r#"{"type":{}}"#, "event.raw_json.type: not a string of text"),
        (
            r#"{"timestamp":1573812000}"#,
            "event.raw_json.timestamp: not an RFC 3339 time such as 2024-05-01T12:30:00.000Z",
        ),
        (
            r#"{"originalTimestamp":"yesterday"}"#,
            "event.raw_json.originalTimestamp: not an RFC 3339 time such as 2024-05-01T12:30:00.000Z",
        ),
    ];
    for (json, expected) in cases {
        extracted(json, |event| {
            let status =
                event.event_id.and(event.kind).map(|_| ()).and(event.timestamp.map(|_| ()));
            let status = status.expect_err(json);
            assert_eq!((status.reason(), status.message()), (Reason::InvalidField, expected));
        });
    }
}

#[test]
fn what_is_no_json_object_is_refused_with_its_place() {
    let cases: [(&[u8], &str); 9] = [
        (b"", "EOF while parsing a value at line 1 column 0"),
        (b"{\"a\":1", "EOF while parsing an object at line 1 column 6"),
        (b"{\n\"a\":}", "expected value at line 2 column 5"),
        (b"{} {}", "trailing characters at line 1 column 4"),
        (b"[]", "not a JSON object"),
        (b"\"{}\"", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"{\"a\":\"\xff\"}", "not UTF-8 at byte 6"),
        (b"{\"\\ud800\":1}", "a name in the object is not text: half of a surrogate pair"),
    ];
    for (raw, expected) in cases {
        let status = parse(raw).expect_err(expected);
        assert_eq!(status.reason(), Reason::MalformedJson);
        assert_eq!(status.message(), format!("event.raw_json: {expected}"));
    }
}
