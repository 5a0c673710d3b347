//! `ImportProfilesRequest`, read where it lies, as [`crate::request`] reads events.
//!
//! What is beyond a bound is read and forgotten, and counted, since a few bytes each would take
//! a hundred times their length.

use ipse_core::SentIdentifier;
use ipse_core::limits::{EVENT_TRAITS_MAX, IMPORT_IDENTIFIERS_MAX};

use crate::limits::PROFILES_MAX;
use crate::request::{Message, Read, Trait, Value};

/// `ImportProfilesRequest`.
#[derive(Debug, Default)]
pub(crate) struct ImportProfiles<'a> {
    pub(crate) workspace: &'a str,
    /// As many as may be sent.
    pub(crate) profiles: Vec<ImportedProfile<'a>>,
    /// All of them.
    pub(crate) profile_count: usize,
    pub(crate) source: &'a str,
    pub(crate) read_only: bool,
}

/// `ImportedProfile`.
#[derive(Debug, Default)]
pub(crate) struct ImportedProfile<'a> {
    pub(crate) former_id: &'a str,
    pub(crate) created_time: Option<prost_types::Timestamp>,
    pub(crate) known: bool,
    /// As many as may be sent.
    pub(crate) identifiers: Vec<ImportedIdentifier<'a>>,
    /// All of them.
    pub(crate) identifier_count: usize,
    /// As many as may be sent.
    pub(crate) traits: Vec<ImportedTrait<'a>>,
    /// All of them.
    pub(crate) trait_count: usize,
}

/// `ImportedIdentifier`.
#[derive(Debug, Default)]
pub(crate) struct ImportedIdentifier<'a> {
    pub(crate) identifier: Option<SentIdentifier<'a>>,
    pub(crate) attached_time: Option<prost_types::Timestamp>,
}

/// `ImportedTrait`.
#[derive(Debug, Default)]
pub(crate) struct ImportedTrait<'a> {
    pub(crate) sent: Option<Trait<'a>>,
    pub(crate) set_time: Option<prost_types::Timestamp>,
}

impl<'a> Message<'a> for ImportProfiles<'a> {
    fn field(&mut self, number: u32, value: Value<'a>) -> Read<()> {
        match number {
            1 => self.workspace = value.text()?,
            2 => value.count_into(&mut self.profiles, &mut self.profile_count, PROFILES_MAX)?,
            3 => self.source = value.text()?,
            4 => self.read_only = value.varint()? != 0,
            _ => {}
        }
        Ok(())
    }
}

impl<'a> Message<'a> for ImportedProfile<'a> {
    fn field(&mut self, number: u32, value: Value<'a>) -> Read<()> {
        match number {
            1 => self.former_id = value.text()?,
            2 => value.merge_into(self.created_time.get_or_insert_default())?,
            3 => self.known = value.varint()? != 0,
            4 => {
                let count = &mut self.identifier_count;
                value.count_into(&mut self.identifiers, count, IMPORT_IDENTIFIERS_MAX)?;
            }
            5 => value.count_into(&mut self.traits, &mut self.trait_count, EVENT_TRAITS_MAX)?,
            _ => {}
        }
        Ok(())
    }
}

impl<'a> Message<'a> for ImportedIdentifier<'a> {
    fn field(&mut self, number: u32, value: Value<'a>) -> Read<()> {
        match number {
            1 => value.merge_into(self.identifier.get_or_insert_default())?,
            2 => value.merge_into(self.attached_time.get_or_insert_default())?,
            _ => {}
        }
        Ok(())
    }
}

impl<'a> Message<'a> for ImportedTrait<'a> {
    fn field(&mut self, number: u32, value: Value<'a>) -> Read<()> {
        match number {
            1 => value.merge_into(self.sent.get_or_insert_default())?,
            2 => value.merge_into(self.set_time.get_or_insert_default())?,
            _ => {}
        }
        Ok(())
    }
}
