//! Which profile a lookup means, and how it is refused if it means none.

use ipse_core::change::ProfileNumber;
use ipse_core::graph::ProfileView;
use ipse_core::{Graph, Refusal, RestsOn};

use crate::past::Seen;
use crate::proto::v1;
use crate::refusal::{Place, erased_profile, refused, unknown_profile};
use crate::status::{Reason, Status};

/// A number that no profile has.
pub(crate) const NOBODY: ProfileNumber = ProfileNumber(u32::MAX);

/// The profile that a command means. The core is asked first, even if there is none: an
/// operation that comes again gets its recorded answer, whatever its lookups would find today.
pub(crate) struct Meant {
    pub(crate) number: ProfileNumber,
    /// The refusal, if there is none.
    pub(crate) missing: Option<Status>,
}

/// The profile that a lookup in `field` means.
pub(crate) fn find_profile<'g>(
    graph: &'g Graph,
    field: &str,
    lookup: Option<&v1::ProfileLookup>,
) -> Result<ProfileView<'g>, Status> {
    find_seen(Seen::Now(graph), field, lookup)
}

/// The same, now or as of a moment.
pub(crate) fn find_seen<'g>(
    seen: Seen<'g>,
    field: &str,
    lookup: Option<&v1::ProfileLookup>,
) -> Result<ProfileView<'g>, Status> {
    use v1::profile_lookup::Lookup;
    match lookup.and_then(|lookup| lookup.lookup.as_ref()) {
        Some(Lookup::ProfileId(id)) => {
            let place = || format!("{field}.profile_id");
            let graph = seen.graph();
            let number = graph.profile_number(id).ok_or_else(|| unknown_profile(&place()))?;
            seen.profile(number).ok_or_else(|| match graph.is_erased(number) {
                true => erased_profile(&place()),
                false => unheld(place(), "the profile of this id had not been created yet"),
            })
        }
        Some(Lookup::Identifier(identifier)) => {
            let place = || format!("{field}.identifier");
            seen.lookup(&identifier.namespace, &identifier.value)
                .map_err(|refusal| refused(refusal, Place::Within(&place())))?
                .ok_or_else(|| {
                    unheld(place(), "no profile of this workspace holds this identifier")
                })
        }
        Some(Lookup::CanonicalId(id)) => seen.find_canonical(id).ok_or_else(|| {
            let problem = "no profile of this workspace has this canonical id under its rules";
            unheld(format!("{field}.canonical_id"), problem)
        }),
        Some(Lookup::FormerId(id)) => seen.find_former(id).ok_or_else(|| {
            let problem = "no profile of this workspace was imported with this id";
            unheld(format!("{field}.former_id"), problem)
        }),
        None => Err(Status::invalid_field(
            field,
            "is not set: give a profile id, an identifier, a canonical id or a former id",
        )),
    }
}

/// What of the graph it rests on that a lookup leads to the profile that it leads to. An identifier
/// of a shared namespace leads to the first of those who hold it.
pub(crate) fn rests_on(graph: &Graph, lookup: Option<&v1::ProfileLookup>) -> RestsOn {
    use v1::profile_lookup::Lookup;
    match lookup.and_then(|lookup| lookup.lookup.as_ref()) {
        Some(Lookup::ProfileId(_)) => RestsOn::Target,
        Some(Lookup::Identifier(id)) if graph.rules().is_one_profiles(&id.namespace) => {
            RestsOn::Target
        }
        _ => RestsOn::Everything,
    }
}

/// The profile that a command means by a lookup. One that could never mean any is refused.
pub(crate) fn find_meant(
    graph: &Graph,
    field: &str,
    lookup: Option<&v1::ProfileLookup>,
) -> Result<Meant, Status> {
    match find_profile(graph, field, lookup) {
        Ok(profile) => Ok(Meant { number: profile.number(), missing: None }),
        Err(status) if matches!(status.reason(), Reason::ProfileNotFound | Reason::Erased) => {
            Ok(Meant { number: NOBODY, missing: Some(status) })
        }
        Err(status) => Err(status),
    }
}

/// Whether identifiers of a namespace can be held in this workspace.
pub(crate) fn check_namespace(graph: &Graph, field: &str, namespace: &str) -> Result<(), Status> {
    match graph.lookup(namespace, "") {
        Err(Refusal::InvalidField { field: at, problem }) if at == "namespace" => {
            Err(Status::invalid_field(field, problem))
        }
        _ => Ok(()),
    }
}

impl Meant {
    /// The number, if there is such a profile.
    pub(crate) fn found(&self) -> Option<ProfileNumber> {
        self.missing.is_none().then_some(self.number)
    }
}

fn unheld(field: String, problem: &str) -> Status {
    Status::of_field(Reason::ProfileNotFound, field, problem)
}
