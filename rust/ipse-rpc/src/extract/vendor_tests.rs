//! Each preset's raw events, and what must be read from them.

use ipse_core::Rules;
use ipse_core::rules::preset;

use super::*;

/// What a preset reads from an event, a line for each thing.
fn read(name: &str, json: &str) -> Vec<String> {
    let text = preset(name).expect("a preset");
    let rules = Rules::from_toml(text).unwrap_or_else(|problems| panic!("{name}: {problems:?}"));
    read_by(rules.mapping(), json)
}

/// The same, by rules with one namespace and more.
fn read_with(more: &str, json: &str) -> Vec<String> {
    let text = format!("[namespaces.n]\nlimit = 1\n{more}");
    let rules = Rules::from_toml(&text).unwrap_or_else(|problems| panic!("{problems:?}"));
    read_by(rules.mapping(), json)
}

fn read_by(mapping: &Mapping, json: &str) -> Vec<String> {
    let document = parse(json.as_bytes()).expect("a JSON object");
    let event = extract(document.root(), mapping);
    let mut lines = vec![format!(
        "{:?}{} id={} type={} time={}",
        event.verb,
        if event.force { " forced" } else { "" },
        event.event_id.as_deref().unwrap_or("?"),
        event.kind.as_deref().unwrap_or("?"),
        event.timestamp.map_or("?".to_owned(), |time| {
            time.map_or("-".to_owned(), |time| time.as_millis().to_string())
        }),
    )];
    let pair = |sent: &SentIdentifier<'_>| format!("{}={}", sent.namespace, sent.value);
    lines.extend(event.identifiers.iter().map(pair));
    lines.extend(event.sources.iter().map(|sent| format!("source {}", pair(sent))));
    let mut traits: Vec<_> = event.traits.iter().map(show_trait).collect();
    traits.sort();
    lines.extend(traits);
    lines.extend(event.ignored.iter().map(|at| format!("ignored {}: {}", at.path, at.reason)));
    lines
}

fn show_trait(sent: &SentTrait<'_>) -> String {
    let word = if sent.set_once { "once" } else { "set" };
    match &sent.value {
        None => format!("unset {}", sent.name),
        Some(value) => format!("{word} {}={value:?}", sent.name),
    }
}

#[test]
fn mparticle_batches() {
    let batch = r#"{
        "events": [{"data": {"event_name": "click", "custom_event_type": "navigation",
            "source_message_id": "m-1", "timestamp_unixtime_ms": 1402521613976},
            "event_type": "custom_event"}],
        "source_request_id": "r-1",
        "device_info": {"brand": "iPhone6,1", "ios_advertising_id": "613ff528", "ios_idfv":
            "8c61383f", "android_uuid": null, "push_token": "e481f135"},
        "user_attributes": {"$city": "Kyiv", "plan": "pro"},
        "deleted_user_attributes": ["old"],
        "user_identities": {"customer_id": "1234", "email": "ann@example.com", "other_id_2": "o2",
            "snapchat": "s"},
        "device_application_stamp": "das-1", "environment": "production", "mpid": 7346244611012968789
    }"#;
    let expected = [
        "Observe id=r-1 type=custom_event time=1402521613976",
        "customerid=1234",
        "email=ann@example.com",
        "other2=o2",
        "ios_idfa=613ff528",
        "ios_idfv=8c61383f",
        "push_token=e481f135",
        "device_application_stamp=das-1",
        "set $city=Text(\"Kyiv\")",
        "set plan=Text(\"pro\")",
        "unset old",
        "ignored device_info.android_uuid: null",
        "ignored user_identities.snapchat: no namespace of the rules reads it",
    ];
    for name in ["conversion", "link", "isolation", "best-match"] {
        assert_eq!(read(&format!("mparticle-{name}"), batch), expected, "{name}");
    }
    // As exports hold it: identities in an array, the time as digits, numbers as ids.
    let exported = r#"{"events":[{"data":{"timestamp_unixtime_ms":"1595542763908","event_id":12},
        "event_type":"session_start"}],"user_identities":[{"identity_type":"customer_id",
        "identity":"c-1"},{"identity_type":"snapchat","identity":"s"}]}"#;
    assert_eq!(
        read("mparticle-link", exported),
        [
            "Observe id=12 type=session_start time=1595542763908",
            "customerid=c-1",
            "ignored user_identities[1].identity_type=snapchat: no namespace of the rules reads it",
        ]
    );
}

#[test]
fn esputnik_events_and_contacts() {
    let event = r#"{"eventTypeKey":"orderCreated","keyValue":"ann@example.com",
        "occurred":"2020-05-14T10:11","params":[{"name":"email","value":"ann@example.com"},
        {"name":"externalCustomerId","value":"d8b6"},{"name":"totalCost","value":258.0},
        {"name":"pushToken","value":"t-1"},{"name":"items","value":[{"name":"x"}]}]}"#;
    assert_eq!(
        read("esputnik", event),
        [
            "Observe id= type=orderCreated time=1589451060000",
            "external_id=d8b6",
            "email=ann@example.com",
            "mobile_token=t-1",
        ]
    );
    let contact = r#"{"id":42,"externalCustomerId":"X1","firstName":"Ann","channels":[
        {"type":"email","value":"ann@example.com"},{"type":"sms","value":"380501234567"},
        {"type":"mobilepush","value":"T1"},{"type":"viber","value":"v"}],
        "address":{"town":"Kyiv"},"fields":[{"id":1055,"value":"gold"},{"id":1056}]}"#;
    assert_eq!(
        read("esputnik", contact),
        [
            "Observe id= type= time=-",
            "external_id=X1",
            "email=ann@example.com",
            "phone=380501234567",
            "system_id=42",
            "mobile_token=T1",
            "set 1055=Text(\"gold\")",
            "set first_name=Text(\"Ann\")",
            "set town=Text(\"Kyiv\")",
            "ignored channels[3].type=viber: no namespace of the rules reads it",
            "ignored fields[1]: has no value",
        ]
    );
}

#[test]
fn mixpanel_simplified_lines() {
    let line = |event: &str, ids: &str| {
        let time = r#""time":1602611311,"$insert_id":"i-1""#;
        format!(r#"{{"event":"{event}","properties":{{{time},{ids}}}}}"#)
    };
    let cases: [(&str, &str, &[&str]); 6] = [
        ("Open", r#""distinct_id":"$device:D1""#, &["device_id=D1"]),
        ("Open", r#""distinct_id":"U1""#, &["user_id=U1"]),
        ("Open", r#""distinct_id":"$device:D1","$device_id":"D1""#, &["device_id=D1"]),
        (
            "Sign Up",
            r#""distinct_id":"U1","$device_id":"D1","$user_id":"U1""#,
            &["user_id=U1", "device_id=D1"],
        ),
        ("$identify", r#""distinct_id":"U2","$device_id":"D1""#, &["device_id=D1"]),
        ("Open", r#""distinct_id":"$device:""#, &["ignored properties.distinct_id: empty string"]),
    ];
    for (event, ids, expected) in cases {
        let found = read("mixpanel-simplified", &line(event, ids));
        let first = format!("Observe id=i-1 type={event} time=1602611311000");
        assert_eq!(found[0], first, "{ids}");
        assert_eq!(found[1..], *expected, "{ids}");
    }
    let update = r#"{"$token":"x","$distinct_id":"$device:D1","$time":1602611311000,
        "$set":{"plan":"pro"},"$set_once":{"first":"web","plan":"free"},"$unset":["gone"]}"#;
    assert_eq!(
        read("mixpanel-simplified", update),
        [
            "Observe id= type= time=1602611311000",
            "device_id=D1",
            "once first=Text(\"web\")",
            "set plan=Text(\"pro\")",
            "unset gone",
        ]
    );
}

#[test]
fn mixpanel_original_verbs() {
    let line = |event: &str, properties: &str| {
        read(
            "mixpanel-original",
            &format!(r#"{{"event":"{event}","properties":{{"time":1602611311.5,{properties}}}}}"#),
        )
    };
    let time = "time=1602611311500";
    assert_eq!(
        line("Open", r#""distinct_id":"a","$device_id":"d""#),
        [&format!("Observe id= type=Open {time}"), "distinct_id=a"]
    );
    let login =
        [&format!("Login id= type=$identify {time}"), "distinct_id=u", "source distinct_id=a"];
    assert_eq!(line("$identify", r#""distinct_id":"u","$anon_distinct_id":"a""#), login);
    assert_eq!(
        line("$identify", r#""distinct_id":"a","$identified_id":"u","$anon_id":"a""#),
        login
    );
    assert_eq!(
        line("$create_alias", r#""distinct_id":"u","alias":"b""#),
        [&format!("Link id= type=$create_alias {time}"), "distinct_id=u", "source distinct_id=b"]
    );
    assert_eq!(
        line("$merge", r#""distinct_id":"x","$distinct_ids":["u","v"]"#),
        [&format!("Link forced id= type=$merge {time}"), "distinct_id=u", "source distinct_id=v"]
    );
}

#[test]
fn mixpanel_original_merges_exactly_two() {
    let refused = |ids: &str| {
        let text = preset("mixpanel-original").expect("a preset");
        let rules = Rules::from_toml(text).expect("a preset is good");
        let json = format!(r#"{{"event":"$merge","properties":{{"$distinct_ids":{ids}}}}}"#);
        let document = parse(json.as_bytes()).expect("a JSON object");
        extract(document.root(), rules.mapping()).refused.map(str::to_owned)
    };
    let more = Some("$merge joins exactly two ids, and $distinct_ids has more".to_owned());
    let fewer = Some("$merge joins exactly two ids, and $distinct_ids has fewer".to_owned());
    assert_eq!(refused(r#"["u","v"]"#), None);
    assert_eq!(refused(r#"["u","v","w"]"#), more);
    for ids in [r#"["u"]"#, r#"["u",null]"#, "[]", "null", r#""u""#] {
        assert_eq!(refused(ids), fewer, "{ids}");
    }
}

#[test]
fn posthog_events() {
    let event = |name: &str, properties: &str| {
        let json = format!(
            r#"{{"uuid":"0190","event":"{name}","distinct_id":"u1",
                "timestamp":"2024-05-01 12:30:00.123456","properties":{{{properties}}}}}"#
        );
        read("posthog", &json)
    };
    let first = |verb: &str, name: &str| format!("{verb} id=0190 type={name} time=1714566600123");
    assert_eq!(
        event("$pageview", r#""$current_url":"x""#),
        [&first("Observe", "$pageview"), "distinct_id=u1"]
    );
    assert_eq!(
        event(
            "$identify",
            r#""$anon_distinct_id":"a1","$set":{"email":"a@x","gone":1},
                "$set_once":{"first":"web","email":"b@x","none":null},"$unset":["gone",7]"#
        ),
        [
            &first("Login", "$identify"),
            "distinct_id=u1",
            "source distinct_id=a1",
            "once first=Text(\"web\")",
            "set email=Text(\"a@x\")",
            "unset gone",
            "ignored properties.$unset[1]: number",
            "ignored properties.$set_once.none: null",
        ]
    );
    assert_eq!(
        event("$create_alias", r#""distinct_id":"other","alias":"a2""#),
        [&first("Link", "$create_alias"), "distinct_id=u1", "source distinct_id=a2"]
    );
    assert_eq!(
        event("$merge_dangerously", r#""alias":"a2""#),
        [&first("Link forced", "$merge_dangerously"), "distinct_id=u1", "source distinct_id=a2"]
    );
    assert_eq!(
        event("$create_alias", r#""alias":null"#),
        [
            &first("Observe", "$create_alias"),
            "distinct_id=u1",
            "ignored properties.alias: null",
            "ignored properties.alias: nothing here to link: the event is only seen",
        ]
    );
    // As a Parquet export holds it: nothing of it can be read, and that is said.
    let text = r#"{"uuid":"0190","event":"$identify","distinct_id":"u1","properties":"{}"}"#;
    assert_eq!(
        read("posthog", text),
        ["Login id=0190 type=$identify time=-", "distinct_id=u1", "ignored properties: string"]
    );
}

#[test]
fn adobe_experience_events() {
    let event = r#"{"_id":"e-1","timestamp":"2017-09-26T15:52:25+00:00",
        "eventType":"web.webpagedetails.pageViews","identityMap":{
        "ECID":[{"id":"9231","primary":true},{"id":"9232"}],
        "CRMID":[{"id":"Tom","authenticatedState":"authenticated"}],
        "AVID":[{"id":"x"}],"Email":{"id":"tom@example.com"}},
        "person":{"birthYear":1990},"personalEmail":{"address":"tom@example.com"}}"#;
    assert_eq!(
        read("adobe", event),
        [
            "Observe id=e-1 type=web.webpagedetails.pageViews time=1506441145000",
            "crmid=Tom",
            "ecid=9231",
            "ecid=9232",
            "set birthYear=Integer(1990)",
            "set email=Text(\"tom@example.com\")",
            "ignored identityMap.Email: object",
            "ignored identityMap.AVID: no namespace of the rules reads it",
        ]
    );
}

#[test]
fn times_are_text_or_numbers_of_a_unit() {
    let cases = [
        (r#"{ path = "t", unit = "s" }"#, "1602611311", "1602611311000"),
        (r#"{ path = "t", unit = "s" }"#, "1602611311.001", "1602611311001"),
        (r#"{ path = "t", unit = "s" }"#, r#""1602611311""#, "1602611311000"),
        (r#"{ path = "t", unit = "ms" }"#, "1602611311000.9", "1602611311000"),
        (r#"{ path = "t", unit = "ms" }"#, r#""2020-10-13T17:48:31Z""#, "1602611311000"),
        (r#"{ path = "t", unit = "s_or_ms" }"#, "1602611311", "1602611311000"),
        (r#"{ path = "t", unit = "s_or_ms" }"#, "1602611311000", "1602611311000"),
        (r#"{ path = "t", unit = "s" }"#, "1e300", "?"),
        (r#"{ path = "t", unit = "s" }"#, "-1", "-1000"),
        (r#"{ path = "t", unit = "s" }"#, "true", "?"),
        (r#"{ path = "t", unit = "s", utc_offset = "-07:00" }"#, "1602586111", "1602611311000"),
        (r#"{ path = "t", utc_offset = "+02:00" }"#, r#""2020-10-13T19:48:31""#, "1602611311000"),
        (r#"{ path = "t", utc_offset = "+02:00" }"#, r#""2020-10-13T17:48:31Z""#, "1602611311000"),
        (r#""t""#, r#""2020-10-13T17:48:31""#, "?"),
        (r#""t""#, "1602611311", "?"),
        (r#""t""#, "null", "-"),
        (r#"["u", "t"]"#, r#""2020-10-13T17:48:31Z""#, "1602611311000"),
    ];
    for (source, time, expected) in cases {
        let found =
            read_with(&format!("[mapping]\ntimestamp = {source}"), &format!(r#"{{"t":{time}}}"#));
        assert_eq!(found, [format!("Observe id= type= time={expected}")], "{source} {time}");
    }
}

#[test]
fn what_is_in_the_way_of_a_path_is_listed() {
    let from = |from: &str, json: &str| read_with(&format!("from = {from}\n"), json)[1..].to_vec();
    let none = [] as [&str; 0];
    assert_eq!(from(r#""a.b""#, r#"{"a":"x"}"#), ["ignored a: string"]);
    assert_eq!(from(r#""a.b""#, r#"{"a":["x"]}"#), ["ignored a: array"]);
    assert_eq!(from(r#""a.b""#, r#"{"a":null}"#), none);
    assert_eq!(from(r#""a.b""#, r#"{"a":[]}"#), none);
    assert_eq!(from(r#""a[].b""#, r#"{"a":{"b":"x"}}"#), ["ignored a: object"]);
    assert_eq!(
        from(r#""a[].b""#, r#"{"a":[{"b":"x"},"y",{"b":[1]},{}]}"#),
        ["n=x", "ignored a[1]: string", "ignored a[2].b: array"]
    );
    // One namespace may read both forms; then neither is in the other's way.
    let both = r#"["a.b", "a[t=b].v", "a"]"#;
    assert_eq!(from(both, r#"{"a":{"b":"x"}}"#), ["n=x"]);
    assert_eq!(from(both, r#"{"a":[{"t":"c","v":"z"},{"t":"b","v":"x"}]}"#), ["n=x"]);
    assert_eq!(from(both, r#"{"a":"x"}"#), ["n=x"]);
}

#[test]
fn a_type_that_is_too_long_is_left_out() {
    let json = format!(r#"{{"type":"{}"}}"#, "t".repeat(65));
    assert_eq!(
        read_with("", &json),
        ["Observe id= type= time=-", "ignored type: type is longer than 64 bytes"]
    );
}

#[test]
fn a_logout_is_told_by_its_conditions() {
    let rules = r#"from = "user"
[[mapping.verbs]]
when = { type = ["logout", "reset"], kept = true }
unless = { quiet = { present = true } }
verb = "logout"
"#;
    let verb = |json| read_with(rules, json)[0].split(' ').next().map(str::to_owned);
    let cases = [
        (r#"{"type":"reset","kept":true,"user":"u"}"#, "Logout"),
        (r#"{"type":"reset","kept":false}"#, "Observe"),
        (r#"{"type":"reset","kept":true,"quiet":null}"#, "Logout"),
        (r#"{"type":"reset","kept":true,"quiet":false}"#, "Observe"),
        (r#"{"type":"login","kept":true}"#, "Observe"),
    ];
    for (json, expected) in cases {
        assert_eq!(verb(json).as_deref(), Some(expected), "{json}");
    }
}
