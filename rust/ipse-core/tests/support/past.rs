//! What a graph held after each record, kept to be compared with what it says of then later.

use std::collections::BTreeSet;

use ipse_core::identifier::FORMER_ID;
use ipse_core::{Change, Graph, Record, SequenceNumber};
use proptest::prelude::*;

use super::people::{Holds, Id, People};

/// Everybody after each record.
#[derive(Default)]
pub(crate) struct Kept {
    people: Vec<(SequenceNumber, People)>,
    seen: BTreeSet<Id>,
    /// Identifiers that were erased or have expired, and the records that say so.
    gone: Vec<(Id, SequenceNumber)>,
}

impl Kept {
    /// Keeps everybody after a record.
    pub(crate) fn keep(&mut self, graph: &Graph, record: &Record<'_>) {
        let people = People::of(graph);
        self.seen.extend(people.all_owners().map(|(id, _)| id.clone()));
        let former = people.persons.values().flat_map(|person| &person.former_ids);
        self.seen.extend(former.map(|former| (FORMER_ID.to_owned(), former.clone())));
        if matches!(record.change, Change::Erased(_) | Change::Expired(_)) {
            let dump = graph.dump();
            let is_gone = |(name, value): &&Id| !dump.contains(&format!(" {name} {value:?} "));
            let gone = self.seen.iter().filter(is_gone).cloned();
            self.gone.extend(gone.map(|id| (id, record.sequence)));
        }
        self.people.push((record.sequence, people));
    }

    /// That a graph says the same of each of these times, but for what was erased or has expired
    /// since. Nothing else changes what is said of the past.
    pub(crate) fn check(&self, graph: &Graph) -> Holds {
        for (at, people) in self.people.iter().filter(|(at, _)| *at >= graph.oldest_past()) {
            let then = graph.as_of(*at).expect("it is kept");
            let found = People::as_of(&then, people.total(), &self.seen);
            let is_gone = |id: &Id| self.gone.iter().any(|(gone, by)| gone == id && by > at);
            let expected = people.without(&is_gone, |number| graph.is_erased(number));
            prop_assert_eq!(found, expected, "as of {}", at);
        }
        Ok(())
    }
}
