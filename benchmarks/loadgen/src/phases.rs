//! The phases of the workload as streams of calls.
//!
//! Streams that bring new people take them from whole blocks, counted from `first_block`; what
//! follows continues at `next_block`. One event in fifty comes twice, right after itself.

use serde::Deserialize;

use crate::people::{BLOCK, Event, Identifier, LOAD_EVENTS, MERGE_EVENTS, Person, mix};

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    /// Every event of new people.
    Load,
    /// Nine events of ten are of people that are known; the tenth is of the phase `load`.
    Steady,
    /// New anonymous profiles, joined by three events of seven.
    Merge,
    /// Reads of known people by one of their identifiers.
    Lookup,
}

/// Which part of the workload a stream is.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Workload {
    pub(crate) seed: u64,
    pub(crate) phase: Phase,
    /// Blocks of people that were loaded: who is known.
    #[serde(default)]
    pub(crate) known_blocks: u64,
    /// New people begin here.
    #[serde(default)]
    pub(crate) first_block: u64,
    /// The stream ends where new people would come from this block; absent: it has no end.
    #[serde(default)]
    pub(crate) end_block: Option<u64>,
}

/// What one call asks.
pub(crate) enum Call<'a> {
    Resolve(&'a [Event]),
    Lookup(Identifier),
}

impl Call<'_> {
    /// How many events it is worth.
    pub(crate) fn events(&self) -> u64 {
        match self {
            Call::Resolve(events) => events.len() as u64,
            Call::Lookup(_) => 1,
        }
    }
}

/// A phase under way.
pub(crate) struct Stream {
    workload: Workload,
    sent: u64,
    new_people: Blocks,
    events: Vec<Event>,
}

impl Stream {
    pub(crate) fn new(workload: Workload) -> Stream {
        Stream { workload, sent: 0, new_people: Blocks::new(workload), events: Vec::new() }
    }

    /// The next call, of so many events or fewer at the end of the stream; `None` after it.
    pub(crate) fn next_call(&mut self, events: usize) -> Option<Call<'_>> {
        if self.workload.phase == Phase::Lookup {
            let choice = self.scattered();
            self.sent += 1;
            let person = Person::new(self.workload.seed, choice % self.known_people());
            return Some(Call::Lookup(person.any_identifier(choice >> 40)));
        }
        self.events.clear();
        while self.events.len() < events {
            let Some(event) = self.next_event() else { break };
            self.sent += 1;
            self.events.push(event);
        }
        (!self.events.is_empty()).then_some(Call::Resolve(&self.events))
    }

    /// The first block that this stream took nobody from.
    pub(crate) fn next_block(&self) -> u64 {
        self.new_people.next_block()
    }

    fn next_event(&mut self) -> Option<Event> {
        if self.workload.phase != Phase::Steady || self.sent % 10 == 9 {
            return self.new_people.next();
        }
        let choice = self.scattered();
        let person = Person::new(self.workload.seed, choice % self.known_people());
        Some(person.known_event(choice >> 32))
    }

    fn known_people(&self) -> u64 {
        self.workload.known_blocks * BLOCK
    }

    fn scattered(&self) -> u64 {
        mix(self.workload.seed ^ self.workload.first_block, self.sent, 3)
    }
}

/// The events of new people: of a block first all first ones, then all second ones, and so on.
struct Blocks {
    workload: Workload,
    block: u64,
    round: u64,
    index: u64,
    again: Option<Event>,
}

impl Blocks {
    fn new(workload: Workload) -> Blocks {
        Blocks { workload, block: workload.first_block, round: 0, index: 0, again: None }
    }

    fn next_block(&self) -> u64 {
        self.block + u64::from(self.round > 0 || self.index > 0)
    }

    fn event_here(&self) -> Option<Event> {
        let person = Person::new(self.workload.seed, self.block * BLOCK + self.index);
        match self.workload.phase {
            Phase::Merge => Some(person.merge_event(self.round)),
            _ => person.load_event(self.round),
        }
    }

    fn advance(&mut self) {
        let rounds = if self.workload.phase == Phase::Merge { MERGE_EVENTS } else { LOAD_EVENTS };
        self.index += 1;
        if self.index == BLOCK {
            (self.index, self.round) = (0, self.round + 1);
        }
        if self.round == rounds {
            (self.round, self.block) = (0, self.block + 1);
        }
    }
}

impl Iterator for Blocks {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        if let Some(event) = self.again.take() {
            return Some(event);
        }
        loop {
            if self.workload.end_block == Some(self.block) {
                return None;
            }
            let event = self.event_here();
            self.advance();
            if let Some(event) = event {
                self.again = (event.id >> 48).is_multiple_of(50).then(|| event.clone());
                return Some(event);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(phase: Phase, end_block: Option<u64>) -> Stream {
        Stream::new(Workload { seed: 1, phase, known_blocks: 3, first_block: 3, end_block })
    }

    fn events(stream: &mut Stream, calls: usize) -> Vec<Event> {
        let mut all = Vec::new();
        for _ in 0..calls {
            let Some(Call::Resolve(events)) = stream.next_call(100) else { break };
            all.extend_from_slice(events);
        }
        all
    }

    #[test]
    fn the_load_ends_with_its_last_block_and_repeats_one_event_in_fifty() {
        let mut stream = stream(Phase::Load, Some(5));
        let events = events(&mut stream, usize::MAX);
        let repeated = events.windows(2).filter(|pair| pair[0].id == pair[1].id).count();
        assert_eq!(stream.next_block(), 5);
        assert!((4_500..6_000).contains(&events.len()), "{}", events.len());
        assert!((60..150).contains(&repeated), "{repeated}");
    }

    #[test]
    fn one_steady_event_in_ten_is_of_new_people() {
        let mut stream = stream(Phase::Steady, None);
        let known: Vec<_> = (0..3 * BLOCK)
            .flat_map(|number| Person::new(1, number).identifiers().collect::<Vec<_>>())
            .map(|each| each.number)
            .collect();
        let known: std::collections::HashSet<_> = known.into_iter().collect();
        let events = events(&mut stream, 20);
        let new = events.iter().filter(|event| !known.contains(&event.identifiers[0].number));
        assert_eq!(new.count(), events.len() / 10);
    }

    #[test]
    fn the_same_stream_comes_again() {
        let texts = || format!("{:?}", events(&mut stream(Phase::Merge, None), 30));
        assert_eq!(texts(), texts());
    }
}
