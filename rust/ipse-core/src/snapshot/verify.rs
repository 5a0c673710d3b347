//! Checking parts without a graph: do they add up to the state hash that they promise?
//!
//! One pass over a snapshot that was just written, in the memory of one part. What only a
//! graph can see (an identifier that stands twice, merges in a circle) shows in the sum.

use crate::change::ProfileNumber;
use crate::graph::anonymous::anonymous_seen_hash;
use crate::graph::attributions::attribution_hash;
use crate::graph::departures::departure_hash;
use crate::graph::erasures::{pending_hash, receipt_hash, suppression_hash};
use crate::graph::evidence::evidence_hash;
use crate::graph::holders::holder_hash;
use crate::graph::identifiers::identifier_hash;
use crate::graph::last_seen::last_seen_hash;
use crate::graph::links::link_hash;
use crate::graph::partings::parting_hash;
use crate::graph::profiles::{ProfileRecord, profile_hash};
use crate::graph::remembered::event_hash;
use crate::graph::state_hash::StateHash;
use crate::graph::traits::trait_hash;
use crate::graph::{WorkspaceRecord, workspace_hash};

use super::load::check_workspace;
use super::rows::{
    Checked, anonymous_seen_of, attributions_of, blocks_of, columns, departures_of, ensure,
    events_of, evidence_of, holder_of, holders_of, last_seen_of, links_of, marks_of, partings_of,
    past_edges_of, past_holdings_of, pending_of, receipts_of, refusals_of, sequence, time,
    traits_of,
};
use super::{
    DeparturesPart, IdentifiersPart, LinksPart, Part, ProfilesPart, RememberedEventsPart,
    RememberedRefusalsPart, TraitsPart, WorkspacePart,
};

/// Adds up the parts of one workspace.
#[derive(Debug, Default)]
pub struct Verifier {
    sum: StateHash,
    namespaces: Vec<String>,
    promised: Option<u128>,
    nodes: u32,
}

impl Verifier {
    /// Adds the next part, or says what is impossible about it.
    pub fn add(&mut self, part: Part) -> Checked {
        match part {
            Part::Workspace(part) => self.add_workspace(part),
            Part::Profiles(part) => self.add_profiles(&part),
            Part::Identifiers(part) => self.add_identifiers(&part),
            Part::Links(part) => self.add_links(&part),
            Part::Holders(part) => {
                let rows = holders_of(&part)?;
                rows.iter().for_each(|(id, holder)| self.sum.add(holder_hash(*id, holder)));
                Ok(())
            }
            Part::Evidence(part) => {
                let rows = evidence_of(&part)?;
                rows.iter().for_each(|(id, link)| self.sum.add(evidence_hash(*id, link)));
                Ok(())
            }
            Part::Attributions(part) => {
                let rows = attributions_of(&part)?;
                rows.iter().for_each(|row| self.sum.add(attribution_hash(row)));
                Ok(())
            }
            Part::Departures(part) => self.add_departures(&part),
            Part::Partings(part) => {
                let rows = partings_of(&part)?;
                rows.iter().for_each(|(id, side)| self.sum.add(parting_hash(*id, *side)));
                Ok(())
            }
            Part::Traits(part) => self.add_traits(part),
            Part::RememberedEvents(part) => self.add_events(part),
            Part::RememberedRefusals(part) => self.add_refusals(&part),
            Part::Suppressions(part) => {
                columns(part.hash.len(), &[])?;
                part.hash.iter().for_each(|&hash| self.sum.add(suppression_hash(hash)));
                Ok(())
            }
            Part::Erasures(part) => {
                receipts_of(&part)?.iter().for_each(|row| self.sum.add(receipt_hash(row)));
                Ok(())
            }
            Part::PendingErasures(part) => {
                pending_of(part)?.iter().for_each(|row| self.sum.add(pending_hash(row)));
                Ok(())
            }
            Part::LastSeen(part) => {
                let rows = last_seen_of(&part)?;
                rows.iter().for_each(|&(id, day)| self.sum.add(last_seen_hash(id, day)));
                Ok(())
            }
            Part::AnonymousSeen(part) => {
                let rows = anonymous_seen_of(&part)?;
                rows.iter().for_each(|&(root, day)| self.sum.add(anonymous_seen_hash(root, day)));
                Ok(())
            }
            // The past is not in the sum.
            Part::PastHoldings(part) => past_holdings_of(&part).map(|_| ()),
            Part::PastEdges(part) => past_edges_of(&part).map(|_| ()),
            Part::Timeline(part) => blocks_of(part).map(|_| ()),
        }
    }

    /// Whether the parts give the state hash that they promised.
    pub fn finish(self) -> Checked {
        let (found, promised) = (self.sum.get(), self.promised);
        ensure(promised == Some(found), || {
            format!("its parts add up to {found:032x}, and promised {promised:032x?}")
        })
    }

    fn add_workspace(&mut self, part: WorkspacePart) -> Checked {
        ensure(self.promised.is_none(), || "it has two workspace parts".to_owned())?;
        check_workspace(&part)?;
        self.sum.add(workspace_hash(&WorkspaceRecord {
            sequence: part.sequence,
            log_time: part.log_time,
            name: &part.name,
            profile_key: &part.profile_key,
            created_time: part.created_time,
            rules_version: part.rules_version,
            rules_text: &part.rules,
            namespaces: &part.namespaces,
        }));
        self.promised = Some(part.state_hash);
        self.namespaces = part.namespaces;
        Ok(())
    }

    fn add_profiles(&mut self, part: &ProfilesPart) -> Checked {
        let rows = part.parent.len();
        columns(rows, &part.other_columns())?;
        for row in 0..rows {
            self.sum.add(profile_hash(&ProfileRecord {
                node: self.nodes,
                parent: part.parent[row],
                merged: sequence(part.merged_sequence[row])?,
                bearer: ProfileNumber(part.bearer[row]),
                created: sequence(part.created_sequence[row])?,
                created_time: time(part.created_time[row])?,
                marks: marks_of(part, row)?,
            }));
            self.nodes += 1;
        }
        Ok(())
    }

    fn add_identifiers(&mut self, part: &IdentifiersPart) -> Checked {
        let rows = part.namespace.len();
        columns(rows, &part.other_columns())?;
        for (row, value) in part.value.iter().enumerate() {
            let name = self.namespaces.get(usize::from(part.namespace[row]));
            ensure(name.is_some(), || "an identifier has no namespace".to_owned())?;
            let (holder, was_source) = holder_of(part, row)?;
            let name = name.map_or("", String::as_str);
            self.sum.add(identifier_hash(name, value.as_bytes(), holder, was_source));
        }
        Ok(())
    }

    fn add_links(&mut self, part: &LinksPart) -> Checked {
        links_of(part)?.into_iter().for_each(|link| self.sum.add(link_hash(link)));
        Ok(())
    }

    fn add_departures(&mut self, part: &DeparturesPart) -> Checked {
        for (profile, sequence) in departures_of(part)? {
            self.sum.add(departure_hash(profile.wrapping_sub(1), sequence));
        }
        Ok(())
    }

    fn add_traits(&mut self, part: TraitsPart) -> Checked {
        for (profile, row) in traits_of(part)? {
            self.sum.add(trait_hash(profile.wrapping_sub(1), &row));
        }
        Ok(())
    }

    fn add_events(&mut self, part: RememberedEventsPart) -> Checked {
        events_of(part)?.iter().for_each(|event| self.sum.add(event_hash(event)));
        Ok(())
    }

    fn add_refusals(&mut self, part: &RememberedRefusalsPart) -> Checked {
        refusals_of(part)?.iter().for_each(|refusal| self.sum.add(refusal.state()));
        Ok(())
    }
}
