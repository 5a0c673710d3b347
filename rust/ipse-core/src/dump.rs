//! A graph as canonical text: what two graphs are compared by when their state hashes differ.
//!
//! Every record of state is one line, in an order that depends on the state alone. Lines of
//! two graphs differ exactly where the graphs do.

use std::fmt::Write;

use crate::change::ProfileNumber;
use crate::graph::identifiers::{IdentifierId, NO_NODE};
use crate::graph::links::Link;
use crate::graph::{AttributionView, Graph, Receipt};

impl Graph {
    /// The whole graph as text, a line for each record of state.
    pub fn dump(&self) -> String {
        let mut text = String::new();
        self.write_dump(&mut text).expect("writing to a string cannot fail");
        text
    }

    /// All links, sorted.
    pub(crate) fn sorted_links(&self) -> Vec<Link> {
        let mut links: Vec<Link> = self.links().collect();
        links.sort_unstable_by_key(|link| (link.sequence, link.stronger, link.weaker));
        links
    }

    fn write_dump(&self, out: &mut String) -> std::fmt::Result {
        self.write_workspace(out)?;
        self.write_profiles(out)?;
        for id in (0..self.identifiers.rows.len()).map(IdentifierId) {
            let row = self.identifiers.rows.row(id);
            let (namespace, value) = self.text_of(id);
            if row.is_blank() && row.node == NO_NODE {
                writeln!(out, "identifier {} {namespace} erased", id.0)?;
                continue;
            }
            write!(out, "identifier {} {namespace} {value:?} ", id.0)?;
            match row.node {
                NO_NODE => write!(out, "on nobody")?,
                node => write!(out, "profile {}", ProfileNumber(node + 1))?,
            }
            write!(out, " attached {} at {}", row.attached_sequence(), row.attached_time())?;
            writeln!(out, "{}", if row.was_source() { " source" } else { "" })?;
        }
        for Link { stronger, weaker, sequence } in self.sorted_links() {
            writeln!(out, "link {} {} since {sequence}", stronger.0, weaker.0)?;
        }
        self.write_side_tables(out)?;
        self.write_traits(out)?;
        for event in self.remembered_events.iter() {
            let (id, digest) = (&event.event_id, event.digest);
            let (sequence, time) = (event.sequence, event.log_time);
            let kept = if event.record.is_some() { " kept" } else { "" };
            writeln!(out, "event {id:?} digest {digest:032x} record {sequence} at {time}{kept}")?;
        }
        self.remembered_refusals.iter().try_for_each(|known| {
            writeln!(out, "refusal {:016x} by {}", known.refusal.0, known.by)
        })?;
        self.write_last_seen(out)?;
        self.write_erasures(out)
    }

    fn write_workspace(&self, out: &mut String) -> std::fmt::Result {
        let Some(workspace) = &self.workspace else {
            return writeln!(out, "no workspace");
        };
        writeln!(
            out,
            "workspace {} created {} sequence {} at {} rules {}",
            workspace.name,
            workspace.created_time,
            self.sequence,
            self.log_time,
            workspace.rules_version
        )?;
        for line in workspace.rules_text.lines() {
            writeln!(out, "rules | {line}")?;
        }
        for (index, name) in workspace.namespaces.names().iter().enumerate() {
            writeln!(out, "namespace {index} {name}")?;
        }
        Ok(())
    }

    fn write_profiles(&self, out: &mut String) -> std::fmt::Result {
        for node in 0..self.profiles.len() {
            let (sequence, time) = self.profiles.created(node);
            let bearer = self.profiles.bearer(node);
            write!(out, "profile {} bears {bearer} created {sequence} at {time}", node + 1)?;
            if let Some((parent, merged)) = self.profiles.parent(node) {
                write!(out, " below {} since {merged}", parent + 1)?;
            }
            let marks = self.profiles.marks(node);
            let known = if marks.known { " marked known" } else { "" };
            let joined = if marks.joined_known { " joined known" } else { "" };
            let erased = if marks.erased { " erased" } else { "" };
            let survived = if marks.survived { " survived" } else { "" };
            writeln!(out, "{known}{survived}{joined}{erased}")?;
        }
        Ok(())
    }

    fn write_side_tables(&self, out: &mut String) -> std::fmt::Result {
        for id in (0..self.identifiers.rows.len()).map(IdentifierId) {
            for holder in self.further_holders(id) {
                let (profile, sequence, time) = (holder.node + 1, holder.sequence, holder.time);
                writeln!(out, "holder {} profile {profile} attached {sequence} at {time}", id.0)?;
            }
        }
        for id in (0..self.identifiers.rows.len()).map(IdentifierId) {
            for link in self.evidence.of(id).iter().filter(|link| id < link.other) {
                let (first, last, time) = (link.first, link.last_sequence, link.last_time);
                let (other, state) = (link.other.0, link.state);
                writeln!(
                    out,
                    "evidence {} {other} since {first} last {last} at {time} {state:?}",
                    id.0
                )?;
            }
        }
        let mut attributions: Vec<_> = self.attributions.iter().collect();
        attributions.sort_unstable_by_key(|attribution| attribution.sequence);
        for AttributionView { source, destination, start, end, sequence } in attributions {
            writeln!(out, "attribution {source} to {destination} {start} {end} by {sequence}")?;
        }
        let departed = |node| Some((node, self.departures.of(node)?));
        (0..self.profiles.len())
            .filter_map(departed)
            .try_for_each(|(node, by)| writeln!(out, "departure {} by {by}", node + 1))?;
        for id in (0..self.identifiers.rows.len()).map(IdentifierId) {
            for side in self.partings.of(id) {
                writeln!(out, "parting {} side {} by {}", id.0, side.side, side.by)?;
            }
        }
        Ok(())
    }

    fn write_last_seen(&self, out: &mut String) -> std::fmt::Result {
        let mut seen: Vec<_> = self.last_seen.iter().collect();
        seen.sort_unstable();
        seen.into_iter()
            .try_for_each(|(id, day)| writeln!(out, "identifier {} seen {}", id.0, day.start()))?;
        let mut seen: Vec<_> = self.anonymous_seen.iter().collect();
        seen.sort_unstable();
        seen.into_iter()
            .try_for_each(|(root, day)| writeln!(out, "profile {} seen {}", root + 1, day.start()))
    }

    fn write_erasures(&self, out: &mut String) -> std::fmt::Result {
        let mut suppressed: Vec<u128> = self.erasures.suppressed().collect();
        suppressed.sort_unstable();
        suppressed.into_iter().try_for_each(|hash| writeln!(out, "suppressed {hash:032x}"))?;
        for pending in self.erasures.pending() {
            writeln!(out, "erasure {} pending", pending.sequence)?;
        }
        for receipt in self.erasures.receipts() {
            let Receipt { sequence, time, profiles, identifiers, traits, .. } = receipt;
            write!(out, "erasure {sequence} at {time} profiles {profiles}")?;
            write!(out, " identifiers {identifiers} traits {traits}")?;
            write!(out, "{}", if receipt.suppress { " suppress" } else { "" })?;
            writeln!(out, "{}", if receipt.completed.is_some() { " completed" } else { "" })?;
        }
        Ok(())
    }

    fn write_traits(&self, out: &mut String) -> std::fmt::Result {
        let mut nodes: Vec<_> = self.traits.iter().collect();
        nodes.sort_unstable_by_key(|(node, _)| *node);
        for (node, rows) in nodes {
            for row in rows {
                let (name, value) = (&row.name, &row.value);
                let (time, sequence) = (row.time, row.sequence);
                write!(out, "trait {} {name:?} {value:?} at {time} by {sequence}", node + 1)?;
                match row.by.checked_sub(1) {
                    Some(by) => writeln!(out, " with {by}")?,
                    None => writeln!(out)?,
                }
            }
        }
        Ok(())
    }
}
