//! What is true of the people that were loaded, and how much of it a system answers.

use std::collections::HashMap;
use std::io::{self, BufWriter, Write};
use std::time::Instant;

use bytes::BytesMut;
use serde::{Deserialize, Serialize};

use crate::carrier::{Carrier, Encode, Failure, Outgoing};
use crate::people::{BLOCK, Identifier, LOAD_EVENTS, Person};
use crate::phases::Call;

/// Whom to ask for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sample {
    seed: u64,
    known_blocks: u64,
    people: u64,
}

/// How much of what was asked was answered right.
#[derive(Serialize)]
pub(crate) struct Correct {
    people: u64,
    /// Share of people all of whose identifiers, shared devices apart, lead to one profile.
    together: f64,
    /// Share of people whose user id leads to a profile that nobody else's in the sample does.
    apart: f64,
}

/// Looks up every identifier of a sample of people, who are neighbours: those share devices.
pub(crate) async fn check<C: Carrier, E: Encode>(
    mut carrier: C,
    encode: &E,
    sample: &Sample,
) -> Result<Correct, Failure> {
    let (mut together, mut users) = (0, HashMap::<_, usize>::new());
    for number in 0..sample.people.min(sample.known_blocks * BLOCK) {
        let person = Person::new(sample.seed, number);
        let user = look_up(&mut carrier, encode, person.user()).await?;
        let mut is_one = user.is_some();
        for identifier in person.own_identifiers() {
            is_one &= look_up(&mut carrier, encode, identifier).await? == user;
        }
        together += usize::from(is_one);
        *users.entry(user).or_default() += 1;
    }
    let apart = users.iter().filter(|(user, people)| user.is_some() && **people == 1).count();
    let share = |count: usize| count as f64 / sample.people as f64;
    Ok(Correct { people: sample.people, together: share(together), apart: share(apart) })
}

async fn look_up<C: Carrier, E: Encode>(
    carrier: &mut C,
    encode: &E,
    identifier: Identifier,
) -> Result<Option<Vec<u8>>, Failure> {
    let mut out = BytesMut::new();
    encode.encode(&Call::Lookup(identifier), &mut out);
    let answer = carrier.call(Outgoing { bytes: out.freeze(), events: 1 }).await?;
    Ok(C::profile_of(&answer.bytes))
}

/// Which people's identifiers to write, and how.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bulk {
    seed: u64,
    end_block: u64,
    form: Form,
    /// No further block is begun after this time.
    seconds_max: f64,
}

/// How far it got.
#[derive(Serialize)]
pub(crate) struct Written {
    blocks: u64,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Form {
    /// `value TAB profile`, for COPY.
    Copy,
    /// SET commands, for `redis-cli --pipe`.
    Set,
    /// `person TAB number` of what each event shows, for components: edges of a graph.
    Edges,
}

/// Writes to standard output what a plain find-or-merge makes of the load, for bulk paths.
pub(crate) fn write_bulk(bulk: &Bulk) -> io::Result<Written> {
    let start = Instant::now();
    let mut written = Written { blocks: 0 };
    let mut out = BufWriter::with_capacity(1 << 20, io::stdout().lock());
    if !matches!(bulk.form, Form::Edges) {
        write_row(bulk.form, &Identifier::GARBAGE, GARBAGE_PROFILE, &mut out)?;
    }
    while written.blocks < bulk.end_block && start.elapsed().as_secs_f64() < bulk.seconds_max {
        let block = written.blocks;
        match bulk.form {
            Form::Edges => write_edges(bulk.seed, block, &mut out)?,
            form => write_rows(form, bulk.seed, block, &mut out)?,
        }
        written.blocks += 1;
    }
    out.flush()?;
    Ok(written)
}

/// Everybody who ever showed garbage is one person to a rule that takes it for an identifier.
const GARBAGE_PROFILE: u64 = 1;

fn write_rows(form: Form, seed: u64, block: u64, out: &mut impl Write) -> io::Result<()> {
    let members = Members::of(seed, block);
    for (index, person) in members.people.iter().enumerate() {
        let profile = members.profile(index);
        for identifier in person.identifiers() {
            if members.holder[&identifier.number] == index {
                write_row(form, &identifier, profile, out)?;
            }
        }
    }
    Ok(())
}

fn write_row(form: Form, key: &Identifier, profile: u64, out: &mut impl Write) -> io::Result<()> {
    let mut value = Vec::with_capacity(40);
    key.write_value(&mut value);
    if matches!(form, Form::Copy) {
        out.write_all(&value)?;
        return writeln!(out, "\t{profile}");
    }
    write!(out, "*3\r\n$3\r\nSET\r\n${}\r\n", value.len())?;
    out.write_all(&value)?;
    let number = profile.to_string();
    write!(out, "\r\n${}\r\n{number}\r\n", number.len())
}

fn write_edges(seed: u64, block: u64, out: &mut impl Write) -> io::Result<()> {
    for index in 0..BLOCK {
        let number = block * BLOCK + index;
        let person = Person::new(seed, number);
        for event in (0..LOAD_EVENTS).filter_map(|event| person.load_event(event)) {
            let first = event.identifiers[0].number;
            for identifier in &event.identifiers[1..] {
                writeln!(out, "{first}\t{}", identifier.number)?;
            }
        }
    }
    Ok(())
}

/// Who of a block is one person to a plain rule: those who share a device, or show garbage.
struct Members {
    block: u64,
    people: Vec<Person>,
    /// By identifier: the first person that has it.
    holder: HashMap<u64, usize>,
    /// By person, and last by garbage: somebody of the same, at last the lowest.
    parent: Vec<usize>,
}

const GARBAGE_MEMBER: usize = BLOCK as usize;

impl Members {
    fn of(seed: u64, block: u64) -> Members {
        let people: Vec<_> =
            (0..BLOCK).map(|index| Person::new(seed, block * BLOCK + index)).collect();
        let mut members = Members {
            block,
            people: Vec::new(),
            holder: HashMap::new(),
            parent: (0..=GARBAGE_MEMBER).collect(),
        };
        for (index, person) in people.iter().enumerate() {
            for identifier in person.identifiers() {
                let first = *members.holder.entry(identifier.number).or_insert(index);
                members.join(first, index);
            }
            let mut events = (0..LOAD_EVENTS).filter_map(|event| person.load_event(event));
            if events.any(|event| event.identifiers.contains(&Identifier::GARBAGE)) {
                members.join(index, GARBAGE_MEMBER);
            }
        }
        members.people = people;
        members
    }

    fn profile(&self, index: usize) -> u64 {
        match self.root(index) {
            root if root == self.root(GARBAGE_MEMBER) => GARBAGE_PROFILE,
            root => GARBAGE_PROFILE + 1 + self.block * BLOCK + root as u64,
        }
    }

    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.root(one), self.root(other));
        self.parent[one.max(other)] = one.min(other);
    }

    fn root(&self, mut member: usize) -> usize {
        while self.parent[member] != member {
            member = self.parent[member];
        }
        member
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_share_a_device_are_one_person_to_a_plain_rule() {
        let members = Members::of(3, 2);
        for (index, person) in members.people.iter().enumerate() {
            for identifier in person.identifiers() {
                let holder = members.holder[&identifier.number];
                assert_eq!(members.profile(holder), members.profile(index));
            }
        }
        let mut profiles: Vec<_> = (0..1_000).map(|index| members.profile(index)).collect();
        profiles.sort_unstable();
        profiles.dedup();
        // Of those who have a device, 5 % share it with about two others; 2.5 % show garbage.
        assert!((940..980).contains(&profiles.len()), "{}", profiles.len());
    }
}
