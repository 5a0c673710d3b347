//! One workspace's identity graph: where everything is held.
//!
//! A graph is a value. It changes by [`Graph::apply`] alone, one [`Record`] after the other;
//! everything else reads. What a steady event needs lies in a few flat tables (identifiers,
//! profile nodes); what is rare lies in side tables (further links and holders, evidence, traits,
//! what is remembered). All of them are in chunks that a view can share, see [`crate::snapshot`].

mod ahead;
pub(crate) mod anonymous;
mod apart;
mod apply;
mod arena;
pub(crate) mod attributed;
pub(crate) mod attributions;
mod chain;
mod check;
pub(crate) mod chunked;
mod combine;
pub(crate) mod departures;
pub(crate) mod ended;
pub(crate) mod erasures;
pub(crate) mod evidence;
mod held;
pub(crate) mod holders;
pub(crate) mod identifiers;
mod index;
mod keyed;
pub(crate) mod last_seen;
pub(crate) mod links;
mod memory;
pub(crate) mod merges;
pub(crate) mod namespaces;
mod ordered;
mod owned;
mod pairs;
pub(crate) mod partings;
pub(crate) mod past;
pub(crate) mod profiles;
pub(crate) mod remembered;
mod scan;
pub(crate) mod sharded;
mod sizes;
pub(crate) mod state_hash;
pub(crate) mod survivorship;
#[cfg(test)]
mod tests;
pub(crate) mod timeline;
mod trail;
pub(crate) mod traits;
mod validate;
mod view;
mod words;

use std::sync::Arc;

use hashbrown::HashSet;

use crate::change::{ProfileNumber, RulesVersion, SequenceNumber};
use crate::erasure::pseudonym_row;
use crate::profile_id::ProfileId;
use crate::rules::Rules;
use crate::time::Timestamp;

use anonymous::AnonymousSeen;
use attributions::Attributions;
use departures::Departures;
use erasures::Erasures;
use evidence::Evidence;
use holders::Holders;
use identifiers::{IdentifierId, Identifiers, identifier_hash};
use last_seen::LastSeen;
use links::FurtherLinks;
use namespaces::Namespaces;
use pairs::PairCounts;
use partings::Partings;
use past::Past;
use profiles::Profiles;
use remembered::{RememberedEvents, RememberedRefusals};
use state_hash::{Kind, RecordHash, RecordHasher, StateHash};
use traits::Traits;

pub use ahead::Hint;
pub use apart::{KnownRefusal, Parting};
pub use attributions::AttributionView;
pub use chain::{Hop, Spot};
pub use erasures::{PendingErasure, Receipt};
pub use held::{HeldTrait, LinkView};
pub(crate) use holders::Holder;
pub(crate) use identifiers::NO_NODE;
pub use memory::Memory;
pub use past::{NotKept, PastView};
pub use trail::{Merge, Trace};
pub use validate::InvalidRecord;
pub use view::{IdentifierView, ProfileView};

/// One workspace's identity graph.
#[derive(Debug)]
pub struct Graph {
    pub(crate) workspace: Option<Workspace>,
    pub(crate) sequence: SequenceNumber,
    pub(crate) log_time: Timestamp,
    pub(crate) identifiers: Identifiers,
    pub(crate) profiles: Profiles,
    pub(crate) further_links: FurtherLinks,
    pub(crate) link_count: u64,
    pair_counts: PairCounts,
    pub(crate) holders: Holders,
    pub(crate) evidence: Evidence,
    pub(crate) attributions: Attributions,
    pub(crate) departures: Departures,
    pub(crate) partings: Partings,
    pub(crate) traits: Traits,
    pub(crate) remembered_events: RememberedEvents,
    pub(crate) remembered_refusals: RememberedRefusals,
    pub(crate) erasures: Erasures,
    pub(crate) last_seen: LastSeen,
    pub(crate) anonymous_seen: AnonymousSeen,
    pub(crate) past: Past,
    state: StateHash,
}

/// What record 1 brought, and what rules changes replace.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    pub(crate) name: Box<str>,
    pub(crate) profile_key: [u8; 16],
    pub(crate) created_time: Timestamp,
    pub(crate) rules_version: RulesVersion,
    pub(crate) rules_text: Arc<str>,
    pub(crate) namespaces: Namespaces,
}

/// How much a graph holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Profiles that are neither absorbed nor erased.
    pub profiles: u64,
    /// Profiles that were merged into another.
    pub absorbed_profiles: u64,
    /// Profiles that were erased.
    pub erased_profiles: u64,
    /// Identifiers that are neither erased nor expired.
    pub identifiers: u64,
    /// Pairs of identifiers seen together.
    pub links: u64,
}

impl Graph {
    /// The graph before record 1. The seed hardens its hash tables against values chosen to
    /// collide; it shows in nothing that the graph answers.
    pub fn new(hash_seed: u64) -> Graph {
        Graph {
            workspace: None,
            sequence: SequenceNumber(0),
            log_time: Timestamp::MIN,
            identifiers: Identifiers::new(hash_seed),
            profiles: Profiles::default(),
            further_links: FurtherLinks::default(),
            link_count: 0,
            pair_counts: PairCounts::default(),
            holders: Holders::default(),
            evidence: Evidence::default(),
            attributions: Attributions::default(),
            departures: Departures::default(),
            partings: Partings::default(),
            traits: Traits::default(),
            remembered_events: RememberedEvents::new(hash_seed),
            remembered_refusals: RememberedRefusals::default(),
            erasures: Erasures::default(),
            last_seen: LastSeen::default(),
            anonymous_seen: AnonymousSeen::default(),
            past: Past::default(),
            state: StateHash::default(),
        }
    }

    /// The newest record's position; 0 before record 1.
    pub fn sequence(&self) -> SequenceNumber {
        self.sequence
    }

    /// The newest record's log time.
    pub fn log_time(&self) -> Timestamp {
        self.log_time
    }

    /// The workspace's name; empty before record 1.
    pub fn name(&self) -> &str {
        self.workspace.as_ref().map_or("", |workspace| &workspace.name)
    }

    /// Log time of record 1.
    pub fn created_time(&self) -> Timestamp {
        self.workspace().created_time
    }

    /// The rules in force.
    pub fn rules(&self) -> &Rules {
        self.workspace().namespaces.rules()
    }

    /// The text they were made from.
    pub fn rules_text(&self) -> &str {
        &self.workspace().rules_text
    }

    /// Their version.
    pub fn rules_version(&self) -> RulesVersion {
        self.workspace().rules_version
    }

    /// How much the graph holds.
    pub fn counts(&self) -> Counts {
        let absorbed = u64::from(self.profiles.absorbed());
        let erased = u64::from(self.profiles.erased_profiles());
        Counts {
            profiles: u64::from(self.profiles.len()) - absorbed - erased,
            absorbed_profiles: absorbed,
            erased_profiles: erased,
            identifiers: u64::from(self.identifiers.rows.len() - self.identifiers.blanks()),
            links: self.link_count,
        }
    }

    /// How many identifiers the largest profile holds, and which it is: the last that was seen to
    /// grow so large, unless it has shrunk since. One that two sides of it hold counts twice.
    pub fn largest_profile(&self) -> (u32, Option<ProfileNumber>) {
        let (size, root) = self.profiles.largest();
        (size, root.map(|root| self.profiles.bearer(root)))
    }

    /// A checksum of all that the graph holds: equal for equal dumps, whatever the seed, the
    /// machine and the way by which the graph came to be. Costs nothing: apply keeps it.
    pub fn state_hash(&self) -> u128 {
        let mut state = self.state;
        state.add(self.workspace_hash());
        state.get()
    }

    /// The key of its profile ids.
    pub fn profile_key(&self) -> &[u8; 16] {
        &self.workspace().profile_key
    }

    /// The public id of a profile.
    pub fn profile_id(&self, profile: ProfileNumber) -> ProfileId {
        ProfileId::encode(&self.workspace().profile_key, profile)
    }

    /// The profile behind a public id, if this workspace gave it out.
    pub fn profile_number(&self, id: &str) -> Option<ProfileNumber> {
        let number = ProfileId::decode(&self.workspace.as_ref()?.profile_key, id)?;
        self.profiles.node(number).map(|_| number)
    }

    /// Whether the profile of a number was erased: it answers nothing else, for ever.
    pub fn is_erased(&self, profile: ProfileNumber) -> bool {
        self.profiles.node(profile).is_some_and(|node| self.profiles.is_erased(node))
    }

    /// The receipts of the newest erasures, oldest first.
    pub fn erasure_receipts(&self) -> impl DoubleEndedIterator<Item = &Receipt> {
        self.erasures.receipts()
    }

    /// The erasures that the files have not followed yet, oldest first.
    pub fn pending_erasures(&self) -> &[PendingErasure] {
        self.erasures.pending()
    }

    /// Whether the workspace was deleted, or its records are gone because it was deleted later.
    pub fn is_gone(&self) -> bool {
        self.workspace.as_ref().is_some_and(|workspace| workspace.name.is_empty())
    }

    pub(crate) fn workspace(&self) -> &Workspace {
        self.workspace.as_ref().expect("record 1 creates the workspace before anything else")
    }

    pub(crate) fn namespaces(&self) -> &Namespaces {
        &self.workspace().namespaces
    }

    /// The identifier of a namespace's name and a normalised value, if it was ever attached.
    pub(crate) fn find_identifier(&self, namespace: &str, value: &str) -> Option<IdentifierId> {
        let namespace = self.namespaces().index(namespace)?;
        self.identifiers.find(namespace, value)
    }

    /// The same of an identifier as a record names it: by a pseudonym, if it was erased.
    pub(crate) fn find_recorded(&self, namespace: &str, value: &str) -> Option<IdentifierId> {
        let Some(row) = pseudonym_row(value) else {
            return self.find_identifier(namespace, value);
        };
        let id = (row < self.identifiers.rows.len()).then_some(IdentifierId(row))?;
        let index = self.namespaces().index(namespace)?;
        (self.identifiers.rows.row(id).namespace == index).then_some(id)
    }

    /// The root of the profile that holds an identifier; of the one that held it first, if
    /// several do.
    #[inline]
    pub(crate) fn root_of(&self, identifier: IdentifierId) -> Option<u32> {
        match self.identifiers.rows.row(identifier).node {
            NO_NODE => None,
            node => Some(self.profiles.root(node)),
        }
    }

    /// The roots of all profiles that hold an identifier, each once, in order of attachment.
    pub(crate) fn roots_of(&self, identifier: IdentifierId) -> Vec<u32> {
        let further = self.further_holders(identifier);
        let mut roots: Vec<u32> = self.root_of(identifier).into_iter().collect();
        if further.is_empty() {
            return roots;
        }
        roots.extend(further.iter().map(|holder| self.profiles.root(holder.node)));
        each_once(&mut roots);
        roots
    }

    /// Whether the profile with this root holds an identifier.
    pub(crate) fn holds(&self, root: u32, identifier: IdentifierId) -> bool {
        self.holding(root, identifier).is_some()
    }

    /// How the profile with this root holds an identifier: the oldest of its nodes that do.
    pub(crate) fn holding(&self, root: u32, identifier: IdentifierId) -> Option<Holder> {
        let first = self.identifiers.rows.row(identifier).holder();
        let further = self.further_holders(identifier).iter().copied();
        first.into_iter().chain(further).find(|holder| self.profiles.root(holder.node) == root)
    }

    /// The record since which a node itself holds an identifier.
    pub(crate) fn held_since(&self, node: u32, identifier: IdentifierId) -> SequenceNumber {
        let first = self.identifiers.rows.row(identifier).holder();
        let all = first.into_iter().chain(self.further_holders(identifier).iter().copied());
        let of_node = all.filter(|holder| holder.node == node).map(|holder| holder.sequence);
        of_node.min().expect("the node holds the identifier")
    }

    /// Who else holds an identifier, in order of attachment.
    pub(crate) fn further_holders(&self, identifier: IdentifierId) -> &[Holder] {
        if self.identifiers.rows.row(identifier).has_further_holders() {
            self.holders.of(identifier)
        } else {
            &[]
        }
    }

    /// The identifiers of the profile with this root, each once, by number; former ids are
    /// among them.
    pub(crate) fn identifiers_of_profile(&self, root: u32) -> Vec<IdentifierId> {
        let mut ids = Vec::new();
        for node in self.profiles.tree(root) {
            self.identifiers_of_node(node).for_each(|id| ids.push(id));
        }
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// How many identifiers the profile with this root holds, each once, former ids left out.
    pub(crate) fn identifier_count(&self, root: u32) -> u32 {
        let held_twice = !self.holders.is_empty() && self.profiles.merges(root) > 0;
        if !held_twice {
            return self.profiles.identifier_count(root);
        }
        let ids = self.identifiers_of_profile(root).into_iter();
        ids.filter(|&id| !self.is_former_id(id)).count() as u32
    }

    /// How many identifiers the profiles with these roots hold, each once, former ids left out.
    pub(crate) fn identifier_count_of(&self, roots: &[u32]) -> u32 {
        if self.holders.is_empty() || roots.len() < 2 {
            return roots.iter().map(|&root| self.identifier_count(root)).sum();
        }
        let held = roots.iter().flat_map(|&root| self.identifiers_of_profile(root));
        let mut ids: Vec<IdentifierId> = held.filter(|&id| !self.is_former_id(id)).collect();
        ids.sort_unstable();
        ids.dedup();
        ids.len() as u32
    }

    /// The priority of an identifier's namespace: smaller is stronger.
    pub(crate) fn strength_of(&self, identifier: IdentifierId) -> u32 {
        let index = self.identifiers.rows.row(identifier).namespace;
        self.namespaces().order_of(Some(index), self.namespaces().name(index)).0
    }

    /// Whether the rules let an identifier expire.
    pub(crate) fn may_expire(&self, identifier: IdentifierId) -> bool {
        let row = self.identifiers.rows.row(identifier);
        let rules = self.namespaces().rules_of(row.namespace);
        !row.is_blank() && rules.is_some_and(|rules| rules.expires_after_days.is_some())
    }

    /// Whether an identifier is the id that a profile had in a former system.
    pub(crate) fn is_former_id(&self, identifier: IdentifierId) -> bool {
        self.namespaces().is_former_id(self.identifiers.rows.row(identifier).namespace)
    }

    fn workspace_hash(&self) -> RecordHash {
        let Some(workspace) = &self.workspace else {
            return RecordHasher::new(Kind::Workspace).finish();
        };
        workspace_hash(&WorkspaceRecord {
            sequence: self.sequence,
            log_time: self.log_time,
            name: &workspace.name,
            profile_key: &workspace.profile_key,
            created_time: workspace.created_time,
            rules_version: workspace.rules_version,
            rules_text: &workspace.rules_text,
            namespaces: workspace.namespaces.names(),
        })
    }

    fn identifier_hash(&self, id: IdentifierId) -> RecordHash {
        let row = self.identifiers.rows.row(id);
        let holder =
            Holder { node: row.node, sequence: row.attached_sequence(), time: row.attached_time() };
        let namespace = self.namespaces().name(row.namespace);
        identifier_hash(namespace, self.identifiers.rows.value_bytes(id), holder, row.was_source())
    }
}

/// Leaves the first of each.
fn each_once(roots: &mut Vec<u32>) {
    let mut seen: HashSet<u32, foldhash::fast::FixedState> = HashSet::default();
    roots.retain(|&root| seen.insert(root));
}

/// What the state hash takes of what there is one of.
pub(crate) struct WorkspaceRecord<'a, N> {
    pub(crate) sequence: SequenceNumber,
    pub(crate) log_time: Timestamp,
    pub(crate) name: &'a str,
    pub(crate) profile_key: &'a [u8; 16],
    pub(crate) created_time: Timestamp,
    pub(crate) rules_version: RulesVersion,
    pub(crate) rules_text: &'a str,
    pub(crate) namespaces: &'a [N],
}

pub(crate) fn workspace_hash<N: AsRef<str>>(record: &WorkspaceRecord<'_, N>) -> RecordHash {
    let hasher = RecordHasher::new(Kind::Workspace)
        .number(record.sequence.0)
        .number(record.log_time.as_millis() as u64)
        .text(record.name.as_bytes())
        .text(record.profile_key)
        .number(record.created_time.as_millis() as u64)
        .number(u64::from(record.rules_version.0))
        .text(record.rules_text.as_bytes());
    let add = |hasher: RecordHasher, name: &N| hasher.text(name.as_ref().as_bytes());
    record.namespaces.iter().fold(hasher, add).finish()
}
