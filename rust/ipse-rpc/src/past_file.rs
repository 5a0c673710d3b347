//! What `ipse asof` does with every row of a file and every answer: rows become the lookups of a
//! `LookupAsOfRequest`, and answers become rows with more columns.
//!
//! Files for point-in-time joins have many millions of rows, so a row is looked at for where its
//! fields are and never becomes an object. A row that says no time is answered here.

use std::borrow::Cow;

use crate::convert::wire_time;
use crate::encode::Encoder;
use crate::request::{Field, Read, fields};
use crate::rfc3339;
use crate::status::Status;

/// Columns that are added.
pub const ADDED: [&str; 4] = ["profile_id", "current_profile_id", "sequence_number", "why_not"];

/// Where a row says what is asked.
#[derive(Debug)]
pub struct PastRows {
    names: Vec<String>,
    namespace: Namespace,
    value: usize,
    time: usize,
    /// Rows that were taken and wait for their answers.
    rows: Vec<Row>,
}

/// The namespace of rows.
#[derive(Debug)]
enum Namespace {
    Column(usize),
    Of(String),
}

#[derive(Debug)]
struct Row {
    text: Vec<u8>,
    /// It says nothing that can be asked.
    is_refused: bool,
}

/// When it was.
enum Moment {
    SequenceNumber(u64),
    LogTime(ipse_core::Timestamp),
}

/// What is said of a row.
#[derive(Default)]
struct Answer<'a> {
    profile_id: &'a str,
    current_profile_id: &'a str,
    sequence_number: u64,
    why_not: &'a str,
}

/// How answers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The row as it was, and the columns behind it.
    Csv,
    /// An object a line.
    Json,
}

impl PastRows {
    /// The rows below a header; an empty namespace is that of each row's column `namespace`. Says
    /// which column is missing.
    pub fn new(header: &[u8], namespace: &str, value: &str, time: &str) -> Result<Self, String> {
        let names: Vec<String> =
            Cells(Some(header)).map(|name| String::from_utf8_lossy(&name).into_owned()).collect();
        let column = |name: &str| {
            let found = names.iter().position(|known| known == name);
            found.ok_or_else(|| format!("no column {name:?} among {}", names.join(", ")))
        };
        let namespace = match namespace {
            "" => Namespace::Column(column("namespace")?),
            name => Namespace::Of(name.to_owned()),
        };
        let (value, time) = (column(value)?, column(time)?);
        Ok(PastRows { names, namespace, value, time, rows: Vec::new() })
    }

    /// The header of the answers.
    pub fn header(header: &[u8]) -> Vec<u8> {
        [header, b",", ADDED.join(",").as_bytes(), b"\n"].concat()
    }

    /// Takes whole rows of `text` from `start` on, as many as are asked for; gives the lookups of
    /// a request and where the text goes on. The last row of a file needs no line end.
    pub fn take(
        &mut self,
        text: &[u8],
        start: usize,
        rows_max: usize,
        is_last: bool,
    ) -> (Vec<u8>, usize) {
        let (mut out, mut at) = (Encoder::default(), start);
        while self.rows.len() < rows_max {
            let Some((row, next)) = row_at(text, at, is_last) else { break };
            at = next;
            if !row.is_empty() {
                let is_refused = self.ask(row, &mut out).is_none();
                self.rows.push(Row { text: row.to_vec(), is_refused });
            }
        }
        (out.into_bytes(), at)
    }

    /// How many rows wait for their answers.
    pub fn waiting(&self) -> usize {
        self.rows.len()
    }

    /// Writes the rows that were taken with what a `LookupAsOfResponse` says of them.
    pub fn answer(&mut self, response: &[u8], form: Form) -> Result<Vec<u8>, Status> {
        let mut results = fields(response);
        let mut out = Vec::with_capacity(self.rows.len() * 128);
        for row in std::mem::take(&mut self.rows) {
            let answer = match row.is_refused {
                true => Answer { why_not: "INVALID_FIELD", ..Answer::default() },
                false => results.next().map_or_else(|| Ok(Answer::default()), Answer::read)?,
            };
            match form {
                Form::Csv => answer.write_csv(&row.text, &mut out),
                Form::Json => answer.write_json(&self.names, &row.text, &mut out),
            }
        }
        Ok(out)
    }

    /// Writes what a row asks; nothing if that is nothing.
    fn ask(&self, row: &[u8], out: &mut Encoder) -> Option<()> {
        let cells: Vec<_> = Cells(Some(row)).collect();
        let text = |at: usize| std::str::from_utf8(cells.get(at)?).ok();
        let namespace = match &self.namespace {
            Namespace::Column(at) => text(*at)?,
            Namespace::Of(name) => name,
        };
        let (value, moment) = (text(self.value)?, Moment::parse(text(self.time)?)?);
        out.message(2, |out| {
            out.message(1, |out| {
                out.string(1, namespace);
                out.string(2, value);
            });
            out.message(2, |out| moment.write(out));
        });
        Some(())
    }
}

impl Moment {
    /// A whole number, or a time; one without an offset is UTC.
    fn parse(text: &str) -> Option<Moment> {
        match text.parse() {
            Ok(number) => Some(Moment::SequenceNumber(number)),
            Err(_) => rfc3339::parse_local(text, 0).map(Moment::LogTime),
        }
    }

    /// As the fields of an `AsOf`.
    fn write(&self, out: &mut Encoder) {
        match self {
            Moment::SequenceNumber(number) => out.number_element(1, *number),
            Moment::LogTime(time) => out.encoded(2, &wire_time(*time)),
        }
    }
}

impl<'a> Answer<'a> {
    fn read(result: Read<Field<'a>>) -> Result<Answer<'a>, Status> {
        let mut answer = Answer::default();
        for field in fields(result?.value.bytes()?) {
            let Field { number, value, .. } = field?;
            match number {
                1 => answer.profile_id = value.text()?,
                2 => answer.current_profile_id = value.text()?,
                3 => answer.sequence_number = value.varint()?,
                4 => answer.why_not = reason_of(value.bytes()?)?,
                _ => {}
            }
        }
        Ok(answer)
    }

    fn write_csv(&self, row: &[u8], out: &mut Vec<u8>) {
        let sequence = self.sequence();
        out.extend_from_slice(row);
        for cell in [self.profile_id, self.current_profile_id, &sequence, self.why_not] {
            out.push(b',');
            out.extend_from_slice(cell.as_bytes());
        }
        out.push(b'\n');
    }

    fn write_json(&self, names: &[String], row: &[u8], out: &mut Vec<u8>) {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let or_null = |text: &str| if text.is_empty() { "null".to_owned() } else { quoted(text) };
        let sequence = self.sequence();
        let added = [
            or_null(self.profile_id),
            or_null(self.current_profile_id),
            if sequence.is_empty() { "null".to_owned() } else { sequence },
            or_null(self.why_not),
        ];
        let cells = Cells(Some(row)).map(|cell| quoted(&String::from_utf8_lossy(&cell)));
        let own = names.iter().map(String::as_str).zip(cells);
        let members = own.chain(ADDED.into_iter().zip(added));
        let members: Vec<String> =
            members.map(|(name, value)| format!("{}: {value}", quoted(name))).collect();
        out.extend_from_slice(format!("{{{}}}\n", members.join(", ")).as_bytes());
    }

    /// Empty if there is none.
    fn sequence(&self) -> String {
        match self.sequence_number {
            0 => String::new(),
            number => number.to_string(),
        }
    }
}

/// The reason in an `ItemError`.
fn reason_of(error: &[u8]) -> Result<&str, Status> {
    for field in fields(error) {
        let Field { number, value, .. } = field?;
        if number == 2 {
            return Ok(value.text()?);
        }
    }
    Ok("")
}

/// The row that begins at a place, without its line end, and where the next begins; none if it
/// does not end here.
fn row_at(text: &[u8], start: usize, is_last: bool) -> Option<(&[u8], usize)> {
    let rest = &text[start..];
    let mut is_quoted = false;
    for at in memchr::memchr2_iter(b'"', b'\n', rest) {
        match rest[at] {
            b'"' => is_quoted = !is_quoted,
            // Between quotes it is part of a cell.
            _ if is_quoted => {}
            _ => {
                let row = &rest[..at];
                return Some((row.strip_suffix(b"\r").unwrap_or(row), start + at + 1));
            }
        }
    }
    (is_last && !rest.is_empty()).then_some((rest, text.len()))
}

/// The cells of a row.
struct Cells<'a>(Option<&'a [u8]>);

impl<'a> Iterator for Cells<'a> {
    type Item = Cow<'a, [u8]>;

    fn next(&mut self) -> Option<Cow<'a, [u8]>> {
        let rest = self.0.take()?;
        let Some(quoted) = rest.strip_prefix(b"\"") else {
            let end = memchr::memchr(b',', rest).unwrap_or(rest.len());
            self.0 = rest.get(end + 1..);
            return Some(Cow::Borrowed(&rest[..end]));
        };
        let mut cell = Vec::with_capacity(quoted.len());
        let mut bytes = quoted.iter().enumerate().peekable();
        while let Some((at, &byte)) = bytes.next() {
            if byte != b'"' {
                cell.push(byte);
            } else if bytes.next_if(|(_, next)| **next == b'"').is_some() {
                cell.push(b'"');
            } else {
                self.0 = quoted[at + 1..].strip_prefix(b",");
                break;
            }
        }
        Some(Cow::Owned(cell))
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::proto::v1;

    fn rows(header: &str, namespace: &str) -> Result<PastRows, String> {
        PastRows::new(header.as_bytes(), namespace, "value", "time")
    }

    fn lookups(bytes: &[u8]) -> Vec<v1::PastLookup> {
        v1::LookupAsOfRequest::decode(bytes).expect("a part of a request").lookups
    }

    #[test]
    fn rows_become_lookups_and_answers_stand_behind_them() {
        let mut rows = rows("time,namespace,value,note", "").expect("all columns are there");
        let text = "7,email,ann@example.com,\"a \"\"b\"\",\nc\"\r\n\n2026-11-20 10:00:00,card,1,\nnever,card,2,x\n8,card,3,y";
        let (request, end) = rows.take(text.as_bytes(), 0, 9, false);
        assert_eq!((rows.waiting(), &text[end..]), (3, "8,card,3,y"));
        let asked = lookups(&request);
        let moments: Vec<_> = asked.iter().map(|asked| asked.as_of).collect();
        let at = |moment| Some(v1::AsOf { moment: Some(moment) });
        let time = prost_types::Timestamp { seconds: 1_795_168_800, nanos: 0 };
        assert_eq!(
            moments,
            [at(v1::as_of::Moment::SequenceNumber(7)), at(v1::as_of::Moment::LogTime(time))]
        );
        let of = |then: &str, now: &str, reason: &str| v1::LookupAsOfResult {
            profile_id: then.into(),
            current_profile_id: now.into(),
            sequence_number: 7,
            error: (!reason.is_empty())
                .then(|| v1::ItemError { reason: reason.into(), ..v1::ItemError::default() }),
        };
        let results = vec![of("p1", "p2", ""), of("", "p3", "PROFILE_NOT_FOUND")];
        let response = v1::LookupAsOfResponse { results, sequence_number: 9 }.encode_to_vec();
        let answered = rows.answer(&response, Form::Csv).expect("an answer");
        assert_eq!(
            String::from_utf8(answered).expect("text"),
            "7,email,ann@example.com,\"a \"\"b\"\",\nc\",p1,p2,7,\n\
             2026-11-20 10:00:00,card,1,,,p3,7,PROFILE_NOT_FOUND\n\
             never,card,2,x,,,,INVALID_FIELD\n"
        );
        let (request, end) = rows.take(text.as_bytes(), end, 9, true);
        assert_eq!((lookups(&request).len(), end), (1, text.len()));
        let response =
            v1::LookupAsOfResponse { results: vec![of("p1", "", "")], sequence_number: 9 };
        let answered = rows.answer(&response.encode_to_vec(), Form::Json).expect("an answer");
        assert_eq!(
            String::from_utf8(answered).expect("text"),
            "{\"time\": \"8\", \"namespace\": \"card\", \"value\": \"3\", \"note\": \"y\", \
             \"profile_id\": \"p1\", \"current_profile_id\": null, \"sequence_number\": 7, \
             \"why_not\": null}\n"
        );
    }

    #[test]
    fn a_namespace_may_hold_for_all_rows_and_a_column_that_lacks_is_named() {
        let mut one = rows("value,time", "email").expect("all columns are there");
        let (request, _) = one.take(b"ann,3\n", 0, 1, false);
        let identifier = lookups(&request)[0].identifier.clone().expect("it was asked");
        assert_eq!((&*identifier.namespace, &*identifier.value), ("email", "ann"));
        let refused = rows("value,time", "").expect_err("no namespace");
        assert_eq!(refused, "no column \"namespace\" among value, time");
    }
}
