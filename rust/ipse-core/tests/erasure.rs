//! What must hold once someone was erased, whatever came before, between and after.

mod support;

use std::collections::BTreeSet;

use ipse_core::change::{ErasureCompleted, Expired, ExpiredIdentifier, ProfileNumber, Record};
use ipse_core::command::{Erasable, Erase, Operation};
use ipse_core::decide::ErasureDecision;
use ipse_core::identifier::FORMER_ID;
use ipse_core::{Change, Graph, Refusal, Rules, SentIdentifier, SequenceNumber, Timestamp, rules};
use proptest::collection::vec;
use proptest::prelude::*;
use support::backend::{Backend, assert_same};
use support::core::{CoreBackend, reload, replay};
use support::courses::run;
use support::past::Kept;
use support::people::{Holds, Id, People};
use support::timestamp;
use support::universe::{self, Act, Universe};

const MIXED: [&str; 3] = [
    include_str!("rules/mixed-key.toml"),
    include_str!("rules/mixed-replay.toml"),
    include_str!("rules/mixed-explicit.toml"),
];

/// A step of a course.
#[derive(Clone, Debug)]
enum Step {
    Act(Act),
    Erase {
        what: What,
        operation_id: &'static str,
        suppress: bool,
    },
    /// The files follow.
    Complete,
    /// Days go by, and what was not seen since expires.
    Days(i64),
}

#[derive(Clone, Debug)]
enum What {
    Profile(u32),
    HolderOf(SentIdentifier<'static>),
    Identifier(SentIdentifier<'static>),
}

#[test]
fn erasing_holds_under_every_preset() {
    for name in rules::preset_names() {
        hold(rules::preset(name).expect("it has that name"));
    }
}

#[test]
fn erasing_holds_under_rules_that_mix_policies() {
    MIXED.into_iter().for_each(hold);
}

#[test]
fn erasing_and_expiring_hold_together() {
    MIXED.into_iter().for_each(|rules| hold(&with_expiry(rules)));
}

#[test]
fn erasing_and_the_expiry_of_anonymous_profiles_hold_together() {
    MIXED.into_iter().for_each(|rules| hold(&with_anonymous_expiry(rules)));
    MIXED.into_iter().for_each(|rules| hold(&with_expiry(&with_anonymous_expiry(rules))));
}

/// The same rules, under which anonymous profiles expire after a day.
fn with_anonymous_expiry(rules: &str) -> String {
    rules.replacen("[workspace]\n", "[workspace]\nanonymous_expires_after_days = 1\n", 1)
}

/// The same rules, under which whatever may expires after two days.
fn with_expiry(rules: &str) -> String {
    let namespace = |table: &str| match table.contains("immutable") {
        true => table.to_owned(),
        false => table.replacen("]\n", "]\nexpires_after_days = 2\n", 1),
    };
    let tables = rules.split_inclusive("\n\n");
    tables
        .map(|t| if t.starts_with("[namespaces.") { namespace(t) } else { t.to_owned() })
        .collect()
}

fn hold(text: &str) {
    let parsed = Rules::from_toml(text).unwrap_or_else(|problems| panic!("{problems:?}"));
    let universe = Universe::of(&parsed);
    let what = prop_oneof![
        3 => (1..7u32).prop_map(What::Profile),
        2 => universe.identifier().prop_map(What::HolderOf),
        4 => universe.identifier().prop_map(What::Identifier),
    ];
    let id = prop::sample::select(&["", "", "erase-1", "erase-2"]);
    let erase = (what, id, any::<bool>()).prop_map(|(what, operation_id, suppress)| Step::Erase {
        what,
        operation_id,
        suppress,
    });
    let step = prop_oneof![
        10 => universe.act().prop_map(Step::Act),
        2 => erase,
        1 => Just(Step::Complete),
        1 => (1..5i64).prop_map(Step::Days),
    ];
    run(&(vec(step, 1..40), any::<prop::sample::Index>()), |(course, kept)| {
        let mut world = World::begin(text);
        let kept = kept.index(course.len());
        for (at, step) in course.iter().enumerate() {
            if at == kept {
                world.keep_snapshot();
            }
            world.take(step)?;
        }
        world.end()
    });
}

/// A value that was erased by a record: no record before it may name it.
struct Gone {
    id: Id,
    by: SequenceNumber,
}

struct World {
    backend: CoreBackend,
    /// Goes through a snapshot now and then, and must not differ.
    twin: Graph,
    /// As the files hold them.
    records: Vec<Record<'static>>,
    /// An older snapshot, and how many records it covers.
    older: Option<(Graph, usize)>,
    kept: Kept,
    gone: Vec<Gone>,
    suppressed: BTreeSet<Id>,
    step: i64,
    days: i64,
}

impl World {
    fn begin(rules: &str) -> World {
        let mut backend = CoreBackend::new();
        backend.create_workspace("laws", rules, timestamp::at_millis(timestamp::START_MS));
        let twin = reload(backend.graph(), 11);
        let records = backend.records().to_vec();
        let (kept, gone, suppressed) = (Kept::default(), Vec::new(), BTreeSet::new());
        World { backend, twin, records, older: None, kept, gone, suppressed, step: 0, days: 0 }
    }

    fn now(&self) -> Timestamp {
        timestamp::at_millis(timestamp::START_MS + 1_000 * self.step + 86_400_000 * self.days)
    }

    fn keep_snapshot(&mut self) {
        self.older = Some((reload(self.backend.graph(), 5), self.records.len()));
    }

    fn take(&mut self, step: &Step) -> Holds {
        self.step += 1;
        match step {
            Step::Act(act) => self.act(act)?,
            Step::Erase { what, operation_id, suppress } => {
                self.erase(what, operation_id, *suppress)?;
            }
            Step::Complete => self.complete(),
            Step::Days(days) => self.let_expire(*days)?,
        }
        prop_assert_eq!(self.backend.graph().check(), Ok(()));
        prop_assert_eq!(self.backend.graph().state_hash(), self.twin.state_hash());
        self.check_suppressed()
    }

    fn act(&mut self, act: &Act) -> Holds {
        let time = self.now();
        let Some(decided) = universe::decide(self.backend.graph(), act, time) else {
            self.twin = reload(self.backend.graph(), self.step as u64);
            assert_same("a snapshot", self.backend.graph(), &self.twin);
            return Ok(());
        };
        let elsewhere = universe::decide(&self.twin, act, time).expect("it decides, too");
        prop_assert_eq!(&decided, &elsewhere, "a graph that was loaded decides otherwise");
        match decided {
            Ok(decision) if decision.teaches => {
                self.commit(Change::EventResolved(decision.resolved));
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(refusal) => {
                let is_due = matches!(
                    refusal,
                    Refusal::EventIdReused { .. }
                        | Refusal::UnknownProfile
                        | Refusal::ProfileErased
                        | Refusal::InvalidField { .. }
                );
                prop_assert!(is_due, "{:?}", refusal);
                Ok(())
            }
        }
    }

    fn erase(&mut self, what: &What, operation_id: &str, suppress: bool) -> Holds {
        let fingerprint = format!("{what:?} {suppress}");
        let command = Erase {
            operation: Operation {
                operation_id,
                fingerprint: fingerprint.as_bytes(),
                ..Operation::default()
            },
            what: match what.clone() {
                What::Profile(number) => Erasable::Profile(ProfileNumber(number)),
                What::HolderOf(sent) => Erasable::HolderOf(sent),
                What::Identifier(sent) => Erasable::Identifier(sent),
            },
            suppress,
        };
        let graph = self.backend.graph();
        let decided = graph.decide_erase(&command, self.now());
        prop_assert_eq!(&decided, &self.twin.decide_erase(&command, self.now()));
        let Ok(ErasureDecision::New(erased)) = decided else { return Ok(()) };
        let before = People::of(graph);
        let by = SequenceNumber(graph.sequence().0 + 1);
        self.commit(Change::Erased(erased.clone()));
        let graph = self.backend.graph();
        let after = People::of(graph);
        after.check(graph)?;
        for profile in &erased.profiles {
            prop_assert!(graph.is_erased(*profile) && graph.profile(*profile).is_none());
        }
        let left = |id: &Id| before.owners(id).len() != after.owners(id).len();
        let gone: Vec<Id> = before.all_owners().map(|(id, _)| id.clone()).filter(left).collect();
        let is_blank = |id: &Id| after.owners(id).is_empty();
        self.check_others(&before, &after, &gone)?;
        self.gone
            .extend(gone.iter().filter(|id| is_blank(id)).map(|id| Gone { id: id.clone(), by }));
        if suppress {
            self.suppressed.extend(gone.into_iter().filter(is_blank));
        }
        // A repeat finds the receipt.
        let again = graph.decide_erase(&command, self.now());
        let is_repeat = matches!(&again, Ok(ErasureDecision::Repeated(r)) if r.sequence == by);
        prop_assert!(operation_id.is_empty() || is_repeat, "{:?}", again);
        Ok(())
    }

    /// Everybody else has what they had, less what was forgotten.
    fn check_others(&self, before: &People, after: &People, gone: &[Id]) -> Holds {
        for (number, person) in &after.persons {
            let mut expected = before.persons[number].clone();
            expected.held.retain(|id, _| !gone.contains(id) || !after.owners(id).is_empty());
            prop_assert_eq!(&person.held, &expected.held, "profile {}", number);
            let is_gone = |former: &String| gone.contains(&(FORMER_ID.to_owned(), former.clone()));
            expected.former_ids.retain(|former| !is_gone(former));
            prop_assert_eq!(&person.former_ids, &expected.former_ids);
        }
        Ok(())
    }

    fn check_suppressed(&self) -> Holds {
        for (namespace, value) in &self.suppressed {
            let owners = self.backend.graph().owners(namespace, value).expect("it was held");
            prop_assert!(owners.is_empty(), "{} {} came back", namespace, value);
        }
        Ok(())
    }

    fn let_expire(&mut self, days: i64) -> Holds {
        self.days += days;
        while let Some(expired) = self.backend.graph().decide_expiry(self.now()) {
            let elsewhere = self.twin.decide_expiry(self.now());
            prop_assert_eq!(Some(&expired), elsewhere.as_ref());
            self.check_anonymous(&expired)?;
            let before = People::of(self.backend.graph());
            self.commit(Change::Expired(expired.clone()));
            let after = People::of(self.backend.graph());
            after.check(self.backend.graph())?;
            let named = |known: &ExpiredIdentifier<'_>| -> Id {
                (known.namespace.to_string(), known.value.to_string())
            };
            let gone: Vec<Id> = expired.identifiers.iter().map(named).collect();
            prop_assert!(gone.iter().all(|id| after.owners(id).is_empty()));
            self.check_others(&before, &after, &gone)?;
        }
        Ok(())
    }

    /// Who is known loses what its namespace lets expire, and nothing else.
    fn check_anonymous(&self, expired: &Expired<'_>) -> Holds {
        let graph = self.backend.graph();
        for known in &expired.identifiers {
            let of_namespace = graph.rules().namespace(&known.namespace);
            let expires = of_namespace.is_some_and(|rules| rules.expires_after_days.is_some());
            let is_anonymous = |&number| graph.profile(number).is_some_and(|p| !p.known());
            prop_assert!(expires || known.profiles.iter().all(is_anonymous), "{:?}", known);
        }
        Ok(())
    }

    /// Rewrites the files, as a checkpoint does.
    fn complete(&mut self) {
        let mut redactor = self.backend.graph().redactor();
        for record in self.records.iter_mut().rev() {
            redactor.learn(record);
            if let Some(redacted) = redactor.redact(record).or_else(|| redactor.strip(record)) {
                *record = redacted;
            }
        }
        let mut erasures: Vec<SequenceNumber> = redactor.erasures().collect();
        erasures.sort_unstable();
        for erasure in erasures {
            let completed = ErasureCompleted { erasure, segments: 1, records: 2, files: 3 };
            self.commit(Change::ErasureCompleted(completed));
        }
        assert!(self.backend.graph().pending_erasures().is_empty());
    }

    fn commit(&mut self, change: Change<'_>) {
        self.backend.commit(self.now(), change);
        let record = self.backend.records().last().expect("just committed");
        assert_eq!(self.twin.validate(record), Ok(()));
        self.twin.apply(record);
        self.kept.keep(self.backend.graph(), record);
        self.records.push(record.clone());
    }

    fn end(mut self) -> Holds {
        let graph = self.backend.graph();
        let again = replay(self.backend.records(), 23);
        assert_same("a replay", graph, &again);
        for graph in [graph, &again, &self.twin] {
            self.kept.check(graph)?;
        }
        // A crash may come before the files are complete: some records are redacted by then.
        let again = replay(&self.partly_redacted(), 29);
        assert_same("a replay of some redacted records", graph, &again);
        self.kept.check(&again)?;
        self.complete();
        let graph = self.backend.graph();
        let again = replay(&self.records, 31);
        assert_same("a replay of redacted records", graph, &again);
        self.kept.check(&again)?;
        if let Some((mut older, covered)) = self.older.take() {
            for record in &self.records[covered..] {
                assert_eq!(older.validate(record), Ok(()), "{record:?}");
                older.apply(record);
            }
            assert_same("an older snapshot", graph, &older);
            self.kept.check(&older)?;
        }
        let texts: Vec<String> = self.records.iter().map(|record| format!("{record:?}")).collect();
        for Gone { id: (namespace, value), by } in &self.gone {
            let named = format!("namespace: \"{namespace}\", value: {value:?}");
            for (record, text) in self.records.iter().zip(&texts) {
                let names = record.sequence < *by && text.contains(&named);
                prop_assert!(!names, "{} is named by {}", value, text);
            }
        }
        Ok(())
    }

    fn partly_redacted(&self) -> Vec<Record<'static>> {
        let mut redactor = self.backend.graph().redactor();
        let mut records = self.records.clone();
        let half = records.len() / 2;
        for record in records[half..].iter_mut().rev() {
            redactor.learn(record);
            if let Some(redacted) = redactor.redact(record) {
                *record = redacted;
            }
        }
        records
    }
}
