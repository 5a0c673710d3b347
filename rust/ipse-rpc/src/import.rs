//! ImportProfiles: profiles of another system, in order, each by itself.
//!
//! What was brought when the server closes stays, and what was not is refused by itself: an
//! import is resumed by sending it again.

use std::borrow::Cow;

use ipse_core::Timestamp;
use ipse_core::change::Verb;
use ipse_core::command::{ImportProfile, ImportedIdentifier, ImportedTrait};
use ipse_core::limits::{EVENT_TRAITS_MAX, IMPORT_IDENTIFIERS_MAX, SOURCE_BYTES_MAX};

use crate::admission::Size;
use crate::convert::{sent_time, sent_trait};
use crate::dispatch::{Answer, Dispatch, Handled};
use crate::encode::Encoder;
use crate::limits::PROFILES_MAX;
use crate::proto::v1;
use crate::refusal::{Place, refused};
use crate::request;
use crate::request_import as sent;
use crate::status::Status;
use crate::turn::Turn;

/// A profile that was read, or why it is refused, and its place in the request.
type Item<'a> = (usize, Result<ImportProfile<'a>, Status>);

impl Dispatch {
    pub(crate) fn import_profiles(&self, request: &[u8], now: Timestamp) -> Handled {
        let request: sent::ImportProfiles<'_> = request::read(request)?;
        check_request(&request)?;
        let read = |(at, profile)| (at, read_profile(at, profile, request.source));
        let items: Vec<Item<'_>> = request.profiles.iter().enumerate().map(read).collect();
        let size = Size::Many(items.len());
        let turn = self.turn_of(size, request.workspace, Verb::Import, request.read_only, now)?;
        let mut out = Encoder::default();
        let position = turn.for_each(items, |turn, (at, profile)| {
            out.message(1, |out| match turn {
                Ok(turn) => import_one(turn, at, profile, out),
                Err(closing) => out.encoded(2, &v1::ItemError::from(closing)),
            });
        });
        Ok(Answer { position, bytes: out.into_bytes() })
    }
}

fn import_one(
    turn: &mut Turn<'_>,
    at: usize,
    profile: Result<ImportProfile<'_>, Status>,
    out: &mut Encoder,
) {
    let place = format!("profiles[{at}]");
    let moment = turn.moment();
    let outcome = turn.carry_out(|graph| {
        let profile = profile.as_ref().map_err(Status::clone)?;
        graph.decide_import(profile, moment).map_err(|why| refused(why, Place::Within(&place)))
    });
    match outcome {
        Ok(resolution) => out.message(1, |out| resolution.encode(&[], turn.graph(), out)),
        Err(status) => out.encoded(2, &v1::ItemError::from(status)),
    }
}

fn check_request(request: &sent::ImportProfiles<'_>) -> Result<(), Status> {
    let count = request.profile_count;
    if count > PROFILES_MAX {
        return Err(Status::limit_exceeded("profiles", "profiles", PROFILES_MAX, count));
    }
    let length = request.source.len();
    if length > SOURCE_BYTES_MAX {
        return Err(Status::limit_exceeded("source", "bytes", SOURCE_BYTES_MAX, length));
    }
    Ok(())
}

fn read_profile<'a>(
    at: usize,
    profile: &'a sent::ImportedProfile<'a>,
    source: &'a str,
) -> Result<ImportProfile<'a>, Status> {
    let field = |name: &str| format!("profiles[{at}].{name}");
    let bounded = |name, bound, found| match found > bound {
        true => Err(Status::limit_exceeded(&field(name), name, bound, found)),
        false => Ok(()),
    };
    bounded("identifiers", IMPORT_IDENTIFIERS_MAX, profile.identifier_count)?;
    bounded("traits", EVENT_TRAITS_MAX, profile.trait_count)?;
    let identifiers = profile.identifiers.iter().enumerate();
    let traits = profile.traits.iter().enumerate();
    Ok(ImportProfile {
        source,
        former_id: Cow::Borrowed(profile.former_id),
        created_time: sent_time(profile.created_time.as_ref(), || field("created_time"))?,
        known: profile.known,
        identifiers: identifiers
            .map(|(nth, sent)| read_identifier(sent, || field(&format!("identifiers[{nth}]"))))
            .collect::<Result<_, _>>()?,
        traits: traits
            .map(|(nth, sent)| read_trait(sent, || field(&format!("traits[{nth}]"))))
            .collect::<Result<_, _>>()?,
    })
}

fn read_identifier<'a>(
    imported: &sent::ImportedIdentifier<'a>,
    field: impl Fn() -> String,
) -> Result<ImportedIdentifier<'a>, Status> {
    let Some(identifier) = &imported.identifier else {
        return Err(Status::invalid_field(field() + ".identifier", "is missing"));
    };
    let time = sent_time(imported.attached_time.as_ref(), || field() + ".attached_time")?;
    Ok(ImportedIdentifier { sent: identifier.clone(), time })
}

fn read_trait<'a>(
    imported: &sent::ImportedTrait<'a>,
    field: impl Fn() -> String,
) -> Result<ImportedTrait<'a>, Status> {
    let Some(sent) = &imported.sent else {
        return Err(Status::invalid_field(field() + ".trait", "is missing"));
    };
    let time = sent_time(imported.set_time.as_ref(), || field() + ".set_time")?;
    Ok(ImportedTrait { sent: sent_trait(sent, || field() + ".trait")?, time })
}
