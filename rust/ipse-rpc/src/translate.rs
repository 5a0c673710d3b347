//! TranslateIdentities: the identifiers of profiles that a destination needs.

use ipse_core::graph::{IdentifierView, ProfileView};
use ipse_core::identifier::sha256_hex;
use ipse_core::{Graph, Timestamp};

use crate::dispatch::{Answer, Dispatch, Handled, decode, resting_on};
use crate::encode::Encoder;
use crate::find::{check_namespace, find_profile};
use crate::limits::{BATCH_GET_RESPONSE_BYTES_MAX, TARGET_NAMESPACES_MAX, TRANSLATION_TARGETS_MAX};
use crate::profile::{answer_full, check_lookups};
use crate::proto::v1;
use crate::status::Status;

/// One thing that the destination needs.
struct Target<'a> {
    namespaces: &'a [String],
    choice: v1::ValueChoice,
    is_hashed: bool,
}

impl Dispatch {
    pub(crate) fn translate_identities(&self, request: &[u8], _now: Timestamp) -> Handled {
        let request: v1::TranslateIdentitiesRequest = decode(request)?;
        let count = check_lookups(&request.lookups)?;
        let targets = targets(&request.targets)?;
        let look = self.look(&request.workspace)?;
        let begun = look.graph().sequence();
        check_namespaces(look.graph(), &targets).map_err(resting_on(look.position()))?;
        let mut out = Encoder::default();
        let mut is_full = false;
        let look = look.for_each(&request.lookups, |look, lookup| {
            let graph = look.graph();
            out.message(1, |out| encode_result(graph, lookup, &targets, &mut is_full, out));
        })?;
        out.number(2, begun.0);
        self.metrics.profiles_read.add(count as u64);
        Ok(Answer { position: look.position(), bytes: out.into_bytes() })
    }
}

fn targets(sent: &[v1::IdentityTarget]) -> Result<Vec<Target<'_>>, Status> {
    if sent.is_empty() {
        return Err(Status::invalid_field("targets", "is empty: say what is needed"));
    }
    let found = sent.len();
    if found > TRANSLATION_TARGETS_MAX {
        let bound = TRANSLATION_TARGETS_MAX;
        return Err(Status::limit_exceeded("targets", "targets", bound, found));
    }
    sent.iter().enumerate().map(|(at, sent)| target(at, sent)).collect()
}

fn target(at: usize, sent: &v1::IdentityTarget) -> Result<Target<'_>, Status> {
    let field = |name| format!("targets[{at}].{name}");
    let unknown = |name| Status::invalid_field(field(name), "there is no such choice");
    let namespaces = &sent.namespaces;
    match namespaces.len() {
        0 => return Err(Status::invalid_field(field("namespaces"), "is empty")),
        1..=TARGET_NAMESPACES_MAX => {}
        found => {
            let (field, bound) = (field("namespaces"), TARGET_NAMESPACES_MAX);
            return Err(Status::limit_exceeded(&field, "namespaces", bound, found));
        }
    }
    let choice = v1::ValueChoice::try_from(sent.choice).map_err(|_| unknown("choice"))?;
    let form = v1::ValueForm::try_from(sent.form).map_err(|_| unknown("form"))?;
    Ok(Target { namespaces, choice, is_hashed: form == v1::ValueForm::Sha256 })
}

fn check_namespaces(graph: &Graph, targets: &[Target<'_>]) -> Result<(), Status> {
    for (at, target) in targets.iter().enumerate() {
        for (nth, namespace) in target.namespaces.iter().enumerate() {
            check_namespace(graph, &format!("targets[{at}].namespaces[{nth}]"), namespace)?;
        }
    }
    Ok(())
}

/// One result. Once the answer is full profiles are refused, each by itself.
fn encode_result(
    graph: &Graph,
    lookup: &v1::ProfileLookup,
    targets: &[Target<'_>],
    is_full: &mut bool,
    out: &mut Encoder,
) {
    let start = out.len();
    let result = find_profile(graph, "lookup", Some(lookup)).and_then(|profile| {
        if !*is_full {
            encode_translated(graph, profile, targets, out);
            *is_full = out.len() > BATCH_GET_RESPONSE_BYTES_MAX;
        }
        if *is_full { Err(answer_full()) } else { Ok(()) }
    });
    if let Err(status) = result {
        out.truncate(start);
        out.encoded(2, &v1::ItemError::from(status));
    }
}

fn encode_translated(
    graph: &Graph,
    profile: ProfileView<'_>,
    targets: &[Target<'_>],
    out: &mut Encoder,
) {
    let identifiers = profile.identifiers();
    let by_namespace: Vec<_> =
        identifiers.chunk_by(|one, next| one.namespace == next.namespace).collect();
    out.message(1, |out| {
        out.string(1, graph.profile_id(profile.number()).as_str());
        for target in targets {
            out.message(2, |out| encode_identity(graph, &by_namespace, target, out));
        }
    });
}

/// The values of the first of the target's namespaces that the profile has one of.
fn encode_identity(
    graph: &Graph,
    by_namespace: &[&[IdentifierView<'_>]],
    target: &Target<'_>,
    out: &mut Encoder,
) {
    let of_namespace = |namespace: &String| {
        by_namespace.iter().copied().find(|held| held[0].namespace == namespace)
    };
    let Some(held) = target.namespaces.iter().find_map(of_namespace) else {
        return;
    };
    let namespace = held[0].namespace;
    let is_hash = graph.rules().namespace(namespace).is_some_and(|rules| rules.sha256_of.is_some());
    out.string(1, namespace);
    for identifier in chosen(held, target.choice) {
        match target.is_hashed && !is_hash {
            true => out.element(2, &sha256_hex(identifier.value)),
            false => out.element(2, identifier.value),
        }
    }
}

fn chosen<'g>(held: &[IdentifierView<'g>], choice: v1::ValueChoice) -> Vec<IdentifierView<'g>> {
    let age = |held: &IdentifierView<'_>| (held.attached_time, held.sequence);
    let mut values = held.to_vec();
    values.sort_by_key(age);
    match choice {
        v1::ValueChoice::All => {}
        v1::ValueChoice::First => values.truncate(1),
        v1::ValueChoice::Newest | v1::ValueChoice::Unspecified => {
            values.drain(..values.len() - 1);
        }
    }
    values
}
