//! What `ipse load` does with every line and every answer: lines become a request's events, and
//! answers become counts.
//!
//! A load is paid for by the event, at both ends. Here a line is looked at for where it ends and
//! an answer for what is reported, and neither becomes an object. Judges nothing.

use std::collections::BTreeMap;

use memchr::memchr;
use prost::encoding::{encoded_len_varint, key_len};

use crate::encode::{put_delimited, put_header};
use crate::request::{Field, Read, Value, fields};
use crate::status::Status;

/// What a batch has room for.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Events.
    pub events: usize,
    /// Bytes of events: the one that passes it is the last.
    pub bytes: usize,
    /// Bytes of one line, without white space around it.
    pub line_bytes: usize,
}

/// Lines that were taken into a batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Framed {
    /// Elements of `ResolveEventsRequest.events`, each with its line as `raw_json`.
    pub events: Vec<u8>,
    /// The number of each event's line.
    pub lines: Vec<u64>,
    /// The numbers of lines that are too long to be sent.
    pub oversized: Vec<u64>,
    /// Behind the last line that was looked at.
    pub end: usize,
    /// The number of that line.
    pub end_line: u64,
}

/// Takes whole lines of `text` from `start` on, as long as there is room; blank ones are counted,
/// not sent. `line` is the number of the line before. What follows the last line's end is left.
pub fn frame_lines(text: &[u8], start: usize, line: u64, room: Room) -> Framed {
    let mut framed = Framed { end: start, end_line: line, ..Framed::default() };
    framed.events.reserve(room.bytes.min(text.len() - start));
    while framed.lines.len() < room.events && framed.events.len() < room.bytes {
        let rest = &text[framed.end..];
        let Some(length) = memchr(b'\n', rest) else { break };
        framed.take(rest[..length].trim_ascii(), room.line_bytes);
        framed.end += length + 1;
    }
    framed
}

impl Framed {
    fn take(&mut self, line: &[u8], line_bytes_max: usize) {
        self.end_line += 1;
        if line.len() > line_bytes_max {
            self.oversized.push(self.end_line);
        } else if !line.is_empty() {
            self.lines.push(self.end_line);
            let header_bytes = key_len(RAW_JSON) + encoded_len_varint(line.len() as u64);
            put_header(EVENTS, header_bytes + line.len(), &mut self.events);
            put_delimited(RAW_JSON, line, &mut self.events);
        }
    }
}

/// What a `ResolveEventsResponse` says, but for whose the events are.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// All results.
    pub events: u64,
    /// By number of `ipse.v1.Decision`; those of no number known here are not among them.
    pub decisions: [u64; 6],
    /// Recorded before.
    pub repeated: u64,
    /// Identifiers that were dropped or refused, by number of `ipse.v1.Rule`.
    pub kept_out: BTreeMap<u64, u64>,
    /// Places that were not read and why, with how many events had them.
    pub ignored: BTreeMap<(String, String), u64>,
    /// The events that were refused.
    pub errors: Vec<Refusal>,
}

/// Why an event of a batch was refused.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// Which event of the batch, from 0.
    pub event: u64,
    /// The fields of an `ItemError`.
    pub reason: String,
    /// What was wrong.
    pub message: String,
    /// Where.
    pub field: String,
}

/// Counts the results of an answer.
pub fn count_answers(response: &[u8]) -> Result<Counted, Status> {
    let mut counted = Counted::default();
    for field in fields(response) {
        let Field { number, value, .. } = field?;
        if number == 1 {
            counted.result(value)?;
            counted.events += 1;
        }
    }
    Ok(counted)
}

impl Counted {
    fn result(&mut self, result: Value<'_>) -> Read<()> {
        each(result, |number, value| match number {
            1 => self.resolution(value),
            2 => self.error(value),
            _ => Ok(()),
        })
    }

    fn resolution(&mut self, resolution: Value<'_>) -> Read<()> {
        let mut decision = 0;
        each(resolution, |number, value| {
            match number {
                2 => decision = value.varint()?,
                5 => self.verdict(value)?,
                9 => self.repeated += u64::from(value.varint()? != 0),
                11 => self.ignored(value)?,
                _ => {}
            }
            Ok(())
        })?;
        let count = usize::try_from(decision).ok().and_then(|at| self.decisions.get_mut(at));
        if let Some(count) = count {
            *count += 1;
        }
        Ok(())
    }

    fn verdict(&mut self, verdict: Value<'_>) -> Read<()> {
        let (mut is_kept_out, mut rule) = (false, 0);
        each(verdict, |number, value| {
            match number {
                3 => is_kept_out = KEPT_OUT.contains(&value.varint()?),
                4 => rule = value.varint()?,
                _ => {}
            }
            Ok(())
        })?;
        if is_kept_out {
            *self.kept_out.entry(rule).or_default() += 1;
        }
        Ok(())
    }

    fn ignored(&mut self, ignored: Value<'_>) -> Read<()> {
        let (mut path, mut reason) = ("", "");
        each(ignored, |number, value| {
            match number {
                1 => path = value.text()?,
                2 => reason = value.text()?,
                _ => {}
            }
            Ok(())
        })?;
        *self.ignored.entry((path.to_owned(), reason.to_owned())).or_default() += 1;
        Ok(())
    }

    fn error(&mut self, error: Value<'_>) -> Read<()> {
        let mut refusal = Refusal { event: self.events, ..Refusal::default() };
        each(error, |number, value| {
            let text = match number {
                2 => &mut refusal.reason,
                3 => &mut refusal.message,
                4 => &mut refusal.field,
                _ => return Ok(()),
            };
            *text = value.text()?.to_owned();
            Ok(())
        })?;
        self.decisions[0] += 1;
        self.errors.push(refusal);
        Ok(())
    }
}

fn each<'a>(message: Value<'a>, mut read: impl FnMut(u32, Value<'a>) -> Read<()>) -> Read<()> {
    fields(message.bytes()?).try_for_each(|field| {
        let Field { number, value, .. } = field?;
        read(number, value)
    })
}

/// `ResolveEventsRequest.events`.
const EVENTS: u32 = 2;
/// `Event.raw_json`.
const RAW_JSON: u32 = 9;
/// Dropped and refused, by their numbers in `ipse.v1.Verdict`.
const KEPT_OUT: [u64; 2] = [3, 4];

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::proto::v1;

    const ROOM: Room = Room { events: 1_000, bytes: 1 << 20, line_bytes: 40_000 };

    #[test]
    fn lines_become_events() {
        let long = "x".repeat(40_000);
        let text = format!("{{1}}\r\n\n \t\n  {{2}} \n{long}x\n{long}\n\n{{3}}");
        let framed = frame_lines(text.as_bytes(), 0, 7, ROOM);
        let request = v1::ResolveEventsRequest::decode(&*framed.events).expect("a message");
        let sent: Vec<_> = request.events.iter().map(|event| &*event.raw_json).collect();
        assert_eq!(sent, [b"{1}", b"{2}", long.as_bytes()]);
        assert_eq!((framed.lines, framed.oversized), (vec![8, 11, 13], vec![12]));
        assert_eq!((framed.end, framed.end_line), (text.len() - 3, 14));
    }

    #[test]
    fn a_full_batch_ends_behind_a_line() {
        let text = b"{1}\n{2}\n{3}\n";
        for room in [Room { events: 2, ..ROOM }, Room { bytes: 14, ..ROOM }] {
            let framed = frame_lines(text, 0, 0, room);
            assert_eq!((framed.lines, framed.end, framed.end_line), (vec![1, 2], 8, 2));
            let rest = frame_lines(text, framed.end, framed.end_line, room);
            assert_eq!((rest.lines, rest.end), (vec![3], text.len()));
        }
    }

    #[test]
    fn answers_are_counted() {
        let verdict = |verdict: v1::Verdict, rule: v1::Rule| v1::IdentifierVerdict {
            verdict: verdict as i32,
            rule: rule as i32,
            ..Default::default()
        };
        let ignored = v1::IgnoredField { path: "a.b".to_owned(), reason: "null".to_owned() };
        let merged = v1::Resolution {
            decision: v1::Decision::Merged as i32,
            verdicts: vec![
                verdict(v1::Verdict::Attached, v1::Rule::Unspecified),
                verdict(v1::Verdict::Dropped, v1::Rule::ValueLimit),
                verdict(v1::Verdict::Refused, v1::Rule::ValueLimit),
            ],
            repeated: true,
            ignored: vec![ignored.clone(), ignored],
            ..Default::default()
        };
        let error = v1::ItemError {
            reason: "MALFORMED_JSON".to_owned(),
            message: "no object".to_owned(),
            field: "event.raw_json".to_owned(),
            ..Default::default()
        };
        use v1::resolve_events_result::Result::{Error, Resolution};
        let results = [Resolution(merged), Error(error), Resolution(Default::default())];
        let results = results.map(|result| v1::ResolveEventsResult { result: Some(result) });
        let answer = v1::ResolveEventsResponse { results: results.into() }.encode_to_vec();
        let expected = Counted {
            events: 3,
            decisions: [2, 0, 0, 0, 0, 1],
            repeated: 1,
            kept_out: BTreeMap::from([(v1::Rule::ValueLimit as u64, 2)]),
            ignored: BTreeMap::from([(("a.b".to_owned(), "null".to_owned()), 2)]),
            errors: vec![Refusal {
                event: 1,
                reason: "MALFORMED_JSON".to_owned(),
                message: "no object".to_owned(),
                field: "event.raw_json".to_owned(),
            }],
        };
        assert_eq!(count_answers(&answer).expect("a message"), expected);
        assert!(count_answers(&answer[..answer.len() - 1]).is_err());
    }
}
