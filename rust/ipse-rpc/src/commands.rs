//! The methods of IdentityService that carry a command on profiles that exist.
//!
//! Each goes the same way: the request is read, its lookups are made under the store's lock,
//! the core decides, and what was decided is committed and told.

use std::borrow::Cow;

use ipse_core::change::Verb;
use ipse_core::command::{
    AttributeHistory, DenyLink, ForceLink, IdentifierChange, MergeProfiles, ModifyIdentifiers,
    Operation, RevertMerge, SplitProfile, Taken,
};
use ipse_core::limits::SPLIT_IDENTIFIERS_MAX;
use ipse_core::{Decision, Graph, Refusal, SentIdentifier, Timestamp};
use prost::Message;

use crate::convert::{decoded_identifier, sent_time};
use crate::dispatch::{Dispatch, Handled, Refused, decode};
use crate::encode::Encoder;
use crate::find::{Meant, NOBODY, find_meant};
use crate::limits::{CHANGES_MAX, COMMAND_SOURCES_MAX};
use crate::proto::v1;
use crate::refusal::{Place, erased_profile, refused, unknown_profile};
use crate::resolution::Resolution;
use crate::status::Status;
use crate::turn::Turn;

impl Dispatch {
    pub(crate) fn modify_identifiers(&self, request: &[u8], now: Timestamp) -> Handled {
        let mut request: v1::ModifyIdentifiersRequest = decode(request)?;
        let workspace = std::mem::take(&mut request.workspace);
        let read_only = std::mem::take(&mut request.read_only);
        let fingerprint = request.encode_to_vec();
        check_count("changes", "changes", CHANGES_MAX, request.changes.len())?;
        let changes = request.changes.iter().enumerate();
        let changes = changes.map(|(at, sent)| change(at, sent)).collect::<Result<_, _>>()?;
        let timestamp = sent_time(request.timestamp.as_ref(), || "timestamp".to_owned())?;

        let turn = self.turn(&workspace, Verb::Modify, read_only, now)?;
        let profile = turn.meant("profile", request.profile.as_ref())?;
        let command = ModifyIdentifiers {
            operation: Operation {
                timestamp,
                ..operation(&request.operation_id, &fingerprint, &request.source)
            },
            profile: profile.number,
            changes,
        };
        let moment = turn.moment();
        turn.answer(|graph| judged(graph.decide_modify(&command, moment), [profile]), encode)
    }

    pub(crate) fn merge_profiles(&self, request: &[u8], now: Timestamp) -> Handled {
        let mut request: v1::MergeProfilesRequest = decode(request)?;
        let workspace = std::mem::take(&mut request.workspace);
        let read_only = std::mem::take(&mut request.read_only);
        let fingerprint = request.encode_to_vec();
        check_count("sources", "sources", COMMAND_SOURCES_MAX, request.sources.len())?;
        let timestamp = sent_time(request.timestamp.as_ref(), || "timestamp".to_owned())?;

        let turn = self.turn(&workspace, Verb::Merge, read_only, now)?;
        let target = turn.meant("target", request.target.as_ref())?;
        let sources = request.sources.iter().enumerate();
        let source = |(at, sent)| Ok(turn.meant(&format!("sources[{at}]"), Some(sent))?.found());
        let command = MergeProfiles {
            operation: Operation {
                timestamp,
                ..operation(&request.operation_id, &fingerprint, &request.source)
            },
            target: target.number,
            sources: sources.map(source).collect::<Result<_, Refused>>()?,
            force: request.force,
        };
        turn.answer(
            |graph| judged(graph.decide_merge(&command, now), [target]),
            |resolution, graph, out| {
                encode(resolution, graph, out);
                resolution.encode_merges(2, graph, out);
            },
        )
    }

    pub(crate) fn split_profile(&self, request: &[u8], now: Timestamp) -> Handled {
        let mut request: v1::SplitProfileRequest = decode(request)?;
        let workspace = std::mem::take(&mut request.workspace);
        let read_only = std::mem::take(&mut request.read_only);
        let fingerprint = request.encode_to_vec();
        let taken = taken(&request)?;

        let turn = self.turn(&workspace, Verb::Split, read_only, now)?;
        let profile = turn.meant("profile", request.profile.as_ref())?;
        let command = SplitProfile {
            operation: operation(&request.operation_id, &fingerprint, &request.source),
            profile: profile.number,
            taken,
            together: request.together,
        };
        turn.answer(|graph| judged(graph.decide_split(&command, now), [profile]), encode)
    }

    pub(crate) fn revert_merge(&self, request: &[u8], now: Timestamp) -> Handled {
        let mut request: v1::RevertMergeRequest = decode(request)?;
        let workspace = std::mem::take(&mut request.workspace);
        let read_only = std::mem::take(&mut request.read_only);
        let fingerprint = request.encode_to_vec();

        let turn = self.turn(&workspace, Verb::Revert, read_only, now)?;
        let absorbed = turn.absorbed(&request.absorbed_profile_id);
        let command = RevertMerge {
            operation: operation(&request.operation_id, &fingerprint, &request.source),
            absorbed: absorbed.number,
            chain: request.chain,
        };
        turn.answer(
            |graph| judged(graph.decide_revert(&command, now), [absorbed]),
            |resolution, graph, out| {
                encode(resolution, graph, out);
                resolution.encode_reverted(2, graph, out);
            },
        )
    }

    pub(crate) fn deny_link(&self, request: &[u8], now: Timestamp) -> Handled {
        let mut request: v1::DenyLinkRequest = decode(request)?;
        let workspace = std::mem::take(&mut request.workspace);
        let read_only = std::mem::take(&mut request.read_only);
        let fingerprint = request.encode_to_vec();
        let command = DenyLink {
            operation: operation(&request.operation_id, &fingerprint, &request.source),
            identifiers: two(request.a.as_ref(), request.b.as_ref())?,
        };
        let turn = self.turn(&workspace, Verb::Deny, read_only, now)?;
        turn.answer(|graph| judged(graph.decide_deny(&command, now), []), encode)
    }

    pub(crate) fn force_link(&self, request: &[u8], now: Timestamp) -> Handled {
        let mut request: v1::ForceLinkRequest = decode(request)?;
        let workspace = std::mem::take(&mut request.workspace);
        let read_only = std::mem::take(&mut request.read_only);
        let fingerprint = request.encode_to_vec();
        let command = ForceLink {
            operation: operation(&request.operation_id, &fingerprint, &request.source),
            identifiers: two(request.a.as_ref(), request.b.as_ref())?,
        };
        let turn = self.turn(&workspace, Verb::Link, read_only, now)?;
        turn.answer(|graph| judged(graph.decide_force(&command, now), []), encode)
    }

    pub(crate) fn attribute_history(&self, request: &[u8], now: Timestamp) -> Handled {
        let mut request: v1::AttributeHistoryRequest = decode(request)?;
        let workspace = std::mem::take(&mut request.workspace);
        let read_only = std::mem::take(&mut request.read_only);
        let fingerprint = request.encode_to_vec();
        let start = required_time("start_time", request.start_time.as_ref())?;
        let end = required_time("end_time", request.end_time.as_ref())?;
        if end < start {
            return Err(Status::invalid_field("end_time", "is before start_time").into());
        }

        let turn = self.turn(&workspace, Verb::AttributeHistory, read_only, now)?;
        let source = turn.meant("source_profile", request.source_profile.as_ref())?;
        let destination =
            turn.meant("destination_profile", request.destination_profile.as_ref())?;
        let destination = other_than(&source, destination);
        let command = AttributeHistory {
            operation: operation(&request.operation_id, &fingerprint, &request.source),
            history_of: source.number,
            destination: destination.number,
            start,
            end,
        };
        turn.answer(
            |graph| judged(graph.decide_attribution(&command, now), [source, destination]),
            |resolution, graph, out| resolution.encode_attribution(graph, out),
        )
    }
}

impl Turn<'_> {
    fn meant(&self, field: &str, lookup: Option<&v1::ProfileLookup>) -> Result<Meant, Refused> {
        find_meant(self.graph(), field, lookup).map_err(|status| self.refuse(status))
    }

    /// The profile of an id that a merge may have retired.
    fn absorbed(&self, id: &str) -> Meant {
        let field = "absorbed_profile_id";
        match self.graph().profile_number(id) {
            Some(number) if self.graph().is_erased(number) => {
                Meant { number: NOBODY, missing: Some(erased_profile(field)) }
            }
            Some(number) => Meant { number, missing: None },
            None => Meant { number: NOBODY, missing: Some(unknown_profile(field)) },
        }
    }
}

fn encode(resolution: &Resolution<'_>, graph: &Graph, out: &mut Encoder) {
    out.message(1, |out| resolution.encode(&[], graph, out));
}

/// An operation that happens when it is asked for.
fn operation<'r>(id: &'r str, fingerprint: &'r [u8], source: &'r str) -> Operation<'r> {
    Operation { operation_id: id, fingerprint, source, timestamp: None }
}

/// What a split takes out of a profile.
fn taken(request: &v1::SplitProfileRequest) -> Result<Taken<'_>, Status> {
    match &request.keep {
        Some(_) if !request.identifiers.is_empty() => {
            Err(Status::invalid_field("keep", "is set beside identifiers: it is one or the other"))
        }
        Some(keep) => Ok(Taken::AllBut(decoded_identifier(keep))),
        None => {
            let count = request.identifiers.len();
            check_count("identifiers", "identifiers", SPLIT_IDENTIFIERS_MAX, count)?;
            Ok(Taken::These(request.identifiers.iter().map(decoded_identifier).collect()))
        }
    }
}

/// The two identifiers that a request is about.
fn two<'r>(
    a: Option<&'r v1::Identifier>,
    b: Option<&'r v1::Identifier>,
) -> Result<[SentIdentifier<'r>; 2], Status> {
    let needed = |field: &str, sent: Option<&'r v1::Identifier>| {
        sent.map(decoded_identifier).ok_or_else(|| Status::invalid_field(field, "is missing"))
    };
    Ok([needed("a", a)?, needed("b", b)?])
}

/// What the core decided, if all profiles that were meant are there. If one is not, only an
/// operation that came before has an answer: the recorded one.
fn judged<'c, const N: usize>(
    decided: Result<Decision<'c>, Refusal>,
    meant: [Meant; N],
) -> Result<Decision<'c>, Status> {
    let Some(missing) = meant.into_iter().find_map(|meant| meant.missing) else {
        return decided.map_err(|refusal| refused(refusal, Place::Request));
    };
    match decided {
        Ok(decision) if decision.repeated.is_some() => Ok(decision),
        Err(refusal @ Refusal::EventIdReused { .. }) => Err(refused(refusal, Place::Request)),
        _ => Err(missing),
    }
}

/// A destination that is the source is none. Profiles that were merged since do not make a
/// repeated operation wrong, so that the core has to be asked first.
fn other_than(source: &Meant, destination: Meant) -> Meant {
    if source.found().is_none() || source.number != destination.number {
        return destination;
    }
    let problem = "is the same profile as source_profile";
    let missing = Status::invalid_field("destination_profile", problem);
    Meant { number: NOBODY, missing: Some(missing) }
}

fn change(at: usize, sent: &v1::IdentifierChange) -> Result<IdentifierChange<'_>, Status> {
    let value = |text| Some(text).filter(|text: &&String| !text.is_empty());
    let (old, new) = (value(&sent.old_value), value(&sent.new_value));
    if old.is_none() && new.is_none() {
        let problem = "has neither an old value nor a new one";
        return Err(Status::invalid_field(format!("changes[{at}]"), problem));
    }
    Ok(IdentifierChange {
        namespace: Cow::Borrowed(&sent.namespace),
        old: old.map(|text| Cow::Borrowed(text.as_str())),
        new: new.map(|text| Cow::Borrowed(text.as_str())),
    })
}

fn required_time(field: &str, sent: Option<&prost_types::Timestamp>) -> Result<Timestamp, Status> {
    sent_time(sent, || field.to_owned())?.ok_or_else(|| Status::invalid_field(field, "is missing"))
}

/// At least one, and no more than the bound.
fn check_count(field: &str, what: &str, bound: usize, found: usize) -> Result<(), Status> {
    match found {
        0 => Err(Status::invalid_field(field, "is empty")),
        found if found > bound => Err(Status::limit_exceeded(field, what, bound, found)),
        _ => Ok(()),
    }
}
