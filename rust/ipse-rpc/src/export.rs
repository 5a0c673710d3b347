//! All that is held on someone, as lines of JSON: what the graph holds, then the records that
//! the log keeps and that name them, a part of a segment a page.
//!
//! Of records that are somebody else's only what names this person is shown: nobody's export
//! tells of others.

use std::collections::HashSet;

use ipse_core::change::{ObservedIdentifier, ProfileNumber, Record, Verdict};
use ipse_core::erasure::is_pseudonym;
use ipse_core::graph::{IdentifierView, ProfileView};
use ipse_core::{Change, EventResolved, Graph, Timestamp, TraitValue};
use ipse_store::LogPosition;
use prost::Message;
use serde_json::{Map, Value, json};

use crate::dispatch::{Answer, Dispatch, Handled, decode, resting_on};
use crate::find::find_profile;
use crate::page_token;
use crate::proto::v1;
use crate::status::Status;

/// Lines of one page, and bytes after which it is closed; one line more may pass them.
const LINES_MAX: usize = 1_000;
const PAGE_BYTES_TARGET: usize = 2 << 20;
/// What a token begins with: where the page before ended.
const IN_GRAPH: u8 = 0;
const IN_LOG: u8 = 1;

/// Whom records are to name.
struct Person {
    /// Public ids of profiles are made from their numbers under the graph's lock.
    ids: Vec<(ProfileNumber, String)>,
    identifiers: HashSet<(String, String)>,
}

impl Dispatch {
    pub(crate) fn export_person(&self, request: &[u8], _now: Timestamp) -> Handled {
        let request: v1::ExportPersonRequest = decode(request)?;
        let look = self.look(&request.workspace)?;
        let (position, graph) = (look.position(), look.graph());
        let profile = find_profile(graph, "profile", request.profile.as_ref())
            .map_err(resting_on(position))?;
        let (name, id) = (graph.name().to_owned(), graph.profile_id(profile.number()));
        let subject = ["person", &name, id.as_str()];
        let (stage, mut at) = begin(&subject, &request.page_token)?;
        let mut response = v1::ExportPersonResponse::default();
        if stage == IN_GRAPH {
            let held = held(graph, profile);
            let rest = held.iter().skip(usize::try_from(at).unwrap_or(usize::MAX));
            response.lines = page(rest.map(Value::to_string));
            at += response.lines.len() as u64;
            if at < held.len() as u64 {
                response.next_page_token = page_token::encode(&subject, &token(IN_GRAPH, at));
                return Ok(Answer { position, bytes: response.encode_to_vec() });
            }
            // The log goes on on the same page: most people fit on one.
            at = 0;
        }
        let (person, workspace) = (Person::of(graph, profile), look.workspace());
        drop(look);
        let lines = &mut response.lines;
        let mut bytes: usize = lines.iter().map(String::len).sum();
        let read = self.store.read_records(workspace, LogPosition(at), &mut |record| {
            if let Some(line) = person.line(record) {
                bytes += line.len();
                lines.push(line);
            }
            lines.len() < LINES_MAX && bytes < PAGE_BYTES_TARGET
        });
        let read = read.map_err(|error| self.internal(format!("export: {error}")))?;
        if let Some(last) = read {
            response.next_page_token = page_token::encode(&subject, &token(IN_LOG, last.0));
        }
        Ok(Answer { position, bytes: response.encode_to_vec() })
    }
}

fn token(stage: u8, at: u64) -> Vec<u8> {
    std::iter::once(stage).chain(at.to_be_bytes()).collect()
}

fn begin(subject: &[&str], text: &str) -> Result<(u8, u64), Status> {
    if text.is_empty() {
        return Ok((IN_GRAPH, 0));
    }
    let bytes = page_token::decode(subject, text)?;
    match bytes.split_first().map(|(stage, at)| (*stage, <[u8; 8]>::try_from(at))) {
        Some((stage @ (IN_GRAPH | IN_LOG), Ok(at))) => Ok((stage, u64::from_be_bytes(at))),
        _ => Err(page_token::invalid()),
    }
}

fn page(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut bytes = 0;
    let fits = |line: &String| {
        let has_room = bytes < PAGE_BYTES_TARGET;
        bytes += line.len();
        has_room
    };
    lines.take(LINES_MAX).take_while(fits).collect()
}

/// What the graph holds.
fn held(graph: &Graph, profile: ProfileView<'_>) -> Vec<Value> {
    let number = profile.number();
    let id = |number| graph.profile_id(number).to_string();
    let absorbed: Vec<String> = profile.absorbed().into_iter().map(id).collect();
    let mut lines = vec![json!({
        "kind": "profile",
        "profile_id": id(number),
        "known": profile.known(),
        "created_time": profile.created_time().to_string(),
        "canonical_id": profile.canonical_id(),
        "former_ids": profile.former_ids(),
        "absorbed_profile_ids": absorbed,
    })];
    lines.extend(profile.identifiers().into_iter().map(|held| {
        json!({
            "kind": "identifier",
            "namespace": held.namespace,
            "value": held.value,
            "attached_time": held.attached_time.to_string(),
            "sequence_number": held.sequence.0,
        })
    }));
    lines.extend(graph.held_traits(number).into_iter().map(|held| {
        json!({
            "kind": "trait",
            "profile_id": id(held.profile),
            "name": held.name,
            "value": trait_value(held.value),
            "set_time": held.time.to_string(),
            "sequence_number": held.sequence.0,
        })
    }));
    lines.extend(profile.attributions().into_iter().map(|held| {
        json!({
            "kind": "attribution",
            "source_profile_id": id(held.source),
            "destination_profile_id": id(held.destination),
            "start_time": held.start.to_string(),
            "end_time": held.end.to_string(),
            "sequence_number": held.sequence.0,
        })
    }));
    lines.extend(graph.held_links(number).into_iter().map(|held| {
        let named =
            |(namespace, value): (&str, &str)| json!({"namespace": namespace, "value": value});
        json!({
            "kind": "link",
            "identifiers": [named(held.stronger), named(held.weaker)],
            "sequence_number": held.sequence.0,
        })
    }));
    lines.extend(graph.held_event_ids(number).map(|(event_id, sequence, time)| {
        json!({
            "kind": "event_id",
            "event_id": event_id,
            "log_time": time.to_string(),
            "sequence_number": sequence.0,
        })
    }));
    lines
}

impl Person {
    fn of(graph: &Graph, profile: ProfileView<'_>) -> Person {
        let numbers = graph.numbers_of(profile.number()).into_iter();
        let name = |held: IdentifierView<'_>| (held.namespace.to_owned(), held.value.to_owned());
        Person {
            ids: numbers.map(|number| (number, graph.profile_id(number).to_string())).collect(),
            identifiers: profile.identifiers().into_iter().map(name).collect(),
        }
    }

    /// A record as far as it names the person; nothing if it does not.
    fn line(&self, record: &Record<'_>) -> Option<String> {
        let Change::EventResolved(event) = &record.change else { return None };
        let own = event.target.profile().and_then(|profile| self.id(profile));
        let identifiers: Vec<Value> = event
            .identifiers
            .iter()
            .filter(|observed| own.is_some() || self.holds(&observed.namespace, &observed.value))
            .map(identifier)
            .collect();
        let moves: Vec<Value> = event
            .moves()
            .iter()
            .filter(|moved| self.holds(&moved.namespace, &moved.value))
            .map(|moved| {
                json!({
                    "namespace": moved.namespace,
                    "value": moved.value,
                    "from_profile_id": self.id(moved.from),
                    "to_profile_id": moved.to.and_then(|to| self.id(to)),
                })
            })
            .collect();
        if own.is_none() && identifiers.is_empty() && moves.is_empty() {
            return None;
        }
        let mut line = json!({
            "kind": "record",
            "sequence_number": record.sequence.0,
            "log_time": record.log_time.to_string(),
            "verb": format!("{:?}", event.verb).to_lowercase(),
            "timestamp": event.timestamp.to_string(),
            "profile_id": own,
            "identifiers": identifiers,
            "moves": moves,
        });
        if let (Some(_), Some(line)) = (own, line.as_object_mut()) {
            add_own(line, event);
        }
        Some(line.to_string())
    }

    fn id(&self, profile: ProfileNumber) -> Option<&str> {
        let at = self.ids.binary_search_by_key(&profile, |(number, _)| *number).ok()?;
        Some(&self.ids[at].1)
    }

    fn holds(&self, namespace: &str, value: &str) -> bool {
        self.identifiers.contains(&(namespace.to_owned(), value.to_owned()))
    }
}

/// What only records of the person's own show.
fn add_own(line: &mut Map<String, Value>, event: &EventResolved<'_>) {
    let traits: Map<String, Value> = event
        .traits
        .iter()
        .map(|set| (set.name.to_string(), trait_value(set.value.as_ref())))
        .collect();
    line.insert("event_id".to_owned(), json!(event.event_id));
    line.insert("type".to_owned(), json!(event.kind));
    line.insert("source".to_owned(), json!(event.source));
    line.insert("traits".to_owned(), Value::Object(traits));
}

fn identifier(observed: &ObservedIdentifier<'_>) -> Value {
    let value = (!is_pseudonym(&observed.value)).then_some(&*observed.value);
    let verdict = match observed.verdict {
        Verdict::Attached => "attached",
        Verdict::AlreadyAttached => "already_attached",
        Verdict::Dropped(_) => "dropped",
        Verdict::Refused(_) => "refused",
        Verdict::Transferred { .. } => "transferred",
        Verdict::Removed => "removed",
    };
    json!({
        "namespace": observed.namespace,
        "value": value,
        "raw_value": observed.raw,
        "verdict": verdict,
    })
}

fn trait_value(value: Option<&TraitValue<'_>>) -> Value {
    match value {
        None => Value::Null,
        Some(TraitValue::Text(text)) => json!(text),
        Some(TraitValue::Integer(number)) => json!(number),
        Some(TraitValue::Number(number)) => json!(number),
        Some(TraitValue::Bool(value)) => json!(value),
        Some(TraitValue::Json(text)) => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
    }
}
