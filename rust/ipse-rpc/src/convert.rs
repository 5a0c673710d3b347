//! Wire values to core values, and back.
//!
//! What is judged here is what only the wire can get wrong: times, numbers that are not
//! numbers, JSON text. Everything else is the core's to judge, once.

use std::borrow::Cow;

use ipse_core::{SentIdentifier, SentTrait, Timestamp, TraitValue};

use crate::json::{Document, Kind, canonical};
use crate::limits::JSON_DEPTH_MAX;
use crate::proto::v1;
use crate::request;
use crate::status::Status;

/// A time as the wire has it.
pub(crate) fn wire_time(time: Timestamp) -> prost_types::Timestamp {
    let millis = time.as_millis();
    prost_types::Timestamp {
        seconds: millis.div_euclid(1_000),
        nanos: (millis.rem_euclid(1_000) * 1_000_000) as i32,
    }
}

/// A time that was sent, if one was; what is below a millisecond is cut off.
pub(crate) fn sent_time(
    sent: Option<&prost_types::Timestamp>,
    field: impl FnOnce() -> String,
) -> Result<Option<Timestamp>, Status> {
    let Some(time) = sent else {
        return Ok(None);
    };
    (0..1_000_000_000)
        .contains(&time.nanos)
        .then(|| time.seconds.checked_mul(1_000)?.checked_add(i64::from(time.nanos / 1_000_000)))
        .flatten()
        .and_then(Timestamp::from_millis)
        .map(Some)
        .ok_or_else(|| Status::invalid_field(field(), "outside the years 1 to 9999"))
}

/// An identifier of a generated message.
pub(crate) fn decoded_identifier(identifier: &v1::Identifier) -> SentIdentifier<'_> {
    SentIdentifier::new(&identifier.namespace, &identifier.value)
}

/// A trait; `field` is its place in the request.
pub(crate) fn sent_trait<'a>(
    sent: &request::Trait<'a>,
    field: impl Fn() -> String,
) -> Result<SentTrait<'a>, Status> {
    let problem =
        |name, problem: &str| Status::invalid_field(format!("{}.{name}", field()), problem);
    let value = match &sent.value {
        Some(TraitValue::Number(number)) if !number.is_finite() => {
            return Err(problem("number_value", "not a finite number"));
        }
        Some(TraitValue::Json(text)) => {
            let text = json_text(text).map_err(|why| problem("json_value", why))?;
            Some(TraitValue::Json(Cow::Owned(text)))
        }
        value => value.clone(),
    };
    Ok(SentTrait { name: Cow::Borrowed(sent.name), value, set_once: sent.set_once })
}

fn json_text(text: &str) -> Result<String, &'static str> {
    let document = Document::parse(text).map_err(|_| "not JSON")?;
    let node = document.root();
    if !matches!(node.kind(), Kind::Array | Kind::Object) {
        return Err("neither an array nor an object: use the field of the value's kind");
    }
    canonical(node, JSON_DEPTH_MAX).ok_or("nested too deeply, or half of a surrogate pair")
}
