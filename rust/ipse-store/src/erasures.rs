//! The register of erasures: what a backup that was made before one must be rid of again when it
//! is restored.
//!
//! One line each: when, of which log, and the record that erased, as the log's codec writes it. A
//! record in the log loses its hashes once no file needs them; a line keeps them as long as an
//! earlier backup is registered, because the backup's files may name what only a hash tells. A
//! hash beside its key is no anonymity: see [`ipse_core::erasure`].

use std::collections::BTreeMap;
use std::path::Path;

use ipse_core::change::Erased;
use ipse_core::graph::PendingErasure;
use ipse_core::{Change, Record};

use crate::codec::{decode_record, encode_record};
use crate::erasing::lines;
use crate::error::OpenError;
use crate::format::ERASURES_NAME;
use crate::fs::Disk;
use crate::inventory::hexadecimal;
use crate::state::WorkspaceIndex;

/// Lines that the register keeps, the newest.
const LINES_MAX: usize = 100_000;

/// An erasure as the register tells of it: of a person, an identifier or a workspace.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Noted {
    pub(crate) log_id: u64,
    pub(crate) workspace: WorkspaceIndex,
    pub(crate) record: Record<'static>,
}

/// The register, in order of its lines.
#[derive(Clone, Debug, Default)]
pub(crate) struct Register {
    noted: Vec<Noted>,
}

impl Noted {
    /// The erasure that a record is; none if it is another record.
    pub(crate) fn of(log_id: u64, workspace: WorkspaceIndex, record: &Record<'_>) -> Option<Noted> {
        let change = match &record.change {
            Change::Erased(erased) => erased.clone().into(),
            Change::WorkspaceDeleted(deleted) => (*deleted).into(),
            _ => return None,
        };
        let Record { sequence, log_time, .. } = *record;
        Some(Noted { log_id, workspace, record: Record { sequence, log_time, change } })
    }

    pub(crate) fn sequence(&self) -> u64 {
        self.record.sequence.0
    }

    /// It as what files are to be searched for.
    pub(crate) fn to_search(&self) -> PendingErasure {
        let erased = self.erased();
        let profiles = erased.into_iter().flat_map(|erased| &erased.profiles);
        PendingErasure {
            sequence: self.record.sequence,
            profiles: profiles.map(|profile| profile.0).collect(),
            identifiers: erased.map_or_else(Vec::new, |erased| erased.identifiers.clone()),
        }
    }

    fn erased(&self) -> Option<&Erased> {
        match &self.record.change {
            Change::Erased(erased) => Some(erased),
            _ => None,
        }
    }

    fn hashes(&self) -> usize {
        let identifiers = self.erased().into_iter().flat_map(|erased| &erased.identifiers);
        identifiers.filter(|known| known.hash != 0).count()
    }

    /// Whether nothing is left to do of `other` once this was done.
    fn includes(&self, other: &Noted) -> bool {
        let place = |noted: &Noted| (noted.log_id, noted.workspace);
        let is_deletion = matches!(self.record.change, Change::WorkspaceDeleted(_));
        is_deletion && place(self) == place(other) && other.sequence() < self.sequence()
    }

    fn line(&self) -> String {
        let mut bytes = Vec::new();
        encode_record(&mut bytes, self.workspace.0, &self.record);
        format!(
            "{} log={:016x} workspace={} erasure={} record={}\n",
            self.record.log_time,
            self.log_id,
            self.workspace.0,
            self.sequence(),
            hexadecimal(&bytes)
        )
    }

    fn parse(line: &str) -> Option<Noted> {
        let (_, rest) = line.split_once(" log=")?;
        let (log_id, rest) = rest.split_once(" workspace=")?;
        let (_, record) = rest.split_once(" record=")?;
        let pairs = record.as_bytes().chunks(2);
        let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
        let bytes = pairs.map(byte).collect::<Option<Vec<u8>>>()?;
        let (workspace, record, length) = decode_record(&bytes).ok()?;
        let log_id = u64::from_str_radix(log_id, 16).ok()?;
        let noted = Noted::of(log_id, WorkspaceIndex(workspace), &record)?;
        (length == bytes.len() && noted.line().trim_end() == line).then_some(noted)
    }
}

impl Register {
    /// Reads the register of a directory; empty if it has none.
    pub(crate) fn read(disk: &dyn Disk, dir: &Path) -> Result<Register, OpenError> {
        let path = dir.join(ERASURES_NAME);
        let mut noted = Vec::new();
        let mut offset = 0;
        for line in lines(disk, &path)? {
            let found = Noted::parse(&line).ok_or_else(|| {
                OpenError::corrupt(&path, offset, "the line is not that of an erasure")
            })?;
            noted.push(found);
            offset += line.len() as u64 + 1;
        }
        Ok(Register { noted })
    }

    /// Adds what is not there, and hashes that are not.
    pub(crate) fn add(&mut self, noted: impl IntoIterator<Item = Noted>) {
        let place = |known: &Noted| (known.log_id, known.workspace.0, known.sequence());
        let mut places: BTreeMap<_, usize> =
            self.noted.iter().enumerate().map(|(at, known)| (place(known), at)).collect();
        for new in noted {
            match places.get(&place(&new)) {
                Some(&at) if self.noted[at].hashes() >= new.hashes() => {}
                Some(&at) => self.noted[at] = new,
                None => {
                    places.insert(place(&new), self.noted.len());
                    self.noted.push(new);
                }
            }
        }
        let is_deletion = |noted: &&Noted| noted.erased().is_none();
        let deletions: Vec<Noted> = self.noted.iter().filter(is_deletion).cloned().collect();
        self.noted.retain(|noted| !deletions.iter().any(|deletion| deletion.includes(noted)));
    }

    /// Takes out the hashes that only files from before `earliest` could need, the time of the
    /// earliest backup that is registered; those of what is suppressed are in the log, too.
    pub(crate) fn forget_needless_hashes(&mut self, earliest: Option<&str>) {
        for noted in &mut self.noted {
            let time = noted.record.log_time.to_string();
            let is_needed = earliest.is_some_and(|earliest| *earliest <= *time);
            match &mut noted.record.change {
                Change::Erased(erased) if !is_needed && !erased.suppress => {
                    erased.identifiers.iter_mut().for_each(|known| known.hash = 0);
                }
                _ => {}
            }
        }
    }

    pub(crate) fn text(&self) -> String {
        let newest = self.noted.len().saturating_sub(LINES_MAX);
        self.noted[newest..].iter().map(Noted::line).collect()
    }

    pub(crate) fn noted(&self) -> &[Noted] {
        &self.noted
    }
}
