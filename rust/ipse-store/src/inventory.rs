//! The file `BACKUP`: what a backup is a backup of, and which files belong to it.
//!
//! Text, so that a person can read it and `sha256sum` can check it; written last. There is one
//! way to say each thing, and anything else is damage.

use std::fmt::Write as _;
use std::path::Path;

use ipse_core::Timestamp;

use crate::copies::{CopiedFile, hash_file, names};
use crate::error::OpenError;
use crate::format::BACKUP_NAME;
use crate::fs::Disk;
use crate::segment::read_file;

const VERSION: u32 = 1;

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inventory {
    pub(crate) log_id: u64,
    /// Records 1 to this one are in it.
    pub(crate) log_position: u64,
    pub(crate) time: Timestamp,
    pub(crate) label: String,
    pub(crate) workspaces: Vec<Summary>,
    pub(crate) files: Vec<CopiedFile>,
}

/// A workspace at a log position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Its name.
    pub name: String,
    /// Its newest record.
    pub sequence: u64,
    /// Checksum of its state.
    pub state_hash: u128,
}

impl Inventory {
    pub(crate) fn to_text(&self) -> String {
        let mut text = format!(
            "ipse-backup {VERSION}\nlog {:016x} position {}\ntime_ms {}\nlabel {}\n",
            self.log_id,
            self.log_position,
            self.time.as_millis(),
            self.label
        );
        for Summary { name, sequence, state_hash } in &self.workspaces {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "workspace {state_hash:032x} {sequence} {name}");
        }
        for CopiedFile { name, bytes, sha256 } in &self.files {
            let _ = writeln!(text, "file {} {bytes} {name}", hexadecimal(sha256));
        }
        let crc = crc32fast::hash(text.as_bytes());
        let _ = writeln!(text, "crc32 {crc:08x}");
        text
    }

    /// Whether a file belongs to it.
    pub(crate) fn names(&self, name: &str) -> bool {
        self.files.iter().any(|file| file.name == name)
    }

    /// Reads the inventory of a backup, and compares every file with it.
    pub(crate) fn checked(disk: &dyn Disk, dir: &Path) -> Result<Inventory, OpenError> {
        let path = dir.join(BACKUP_NAME);
        let bytes = read_file(disk, &path)?;
        let inventory =
            str::from_utf8(&bytes).ok().and_then(Inventory::parse).ok_or_else(|| {
                OpenError::corrupt(&path, 0, "it is not an inventory with a matching checksum")
            })?;
        let there = names(disk, dir)?;
        for file in &inventory.files {
            file.check(disk, dir, &there)?;
        }
        Ok(inventory)
    }

    fn parse(text: &str) -> Option<Inventory> {
        let mut lines = text.lines().peekable();
        lines.next().filter(|line| *line == format!("ipse-backup {VERSION}"))?;
        let (log_id, position) = lines.next()?.strip_prefix("log ")?.split_once(" position ")?;
        let time_ms = lines.next()?.strip_prefix("time_ms ")?.parse().ok()?;
        let mut inventory = Inventory {
            log_id: u64::from_str_radix(log_id, 16).ok()?,
            log_position: position.parse().ok()?,
            time: Timestamp::from_millis(time_ms)?,
            label: lines.next()?.strip_prefix("label ")?.to_owned(),
            workspaces: Vec::new(),
            files: Vec::new(),
        };
        while let Some(line) = lines.next_if(|line| line.starts_with("workspace ")) {
            inventory.workspaces.push(Summary::parse(line.strip_prefix("workspace ")?)?);
        }
        while let Some(line) = lines.next_if(|line| line.starts_with("file ")) {
            inventory.files.push(CopiedFile::parse(line.strip_prefix("file ")?)?);
        }
        (inventory.to_text() == text).then_some(inventory)
    }
}

impl Summary {
    fn parse(text: &str) -> Option<Summary> {
        let mut words = text.splitn(3, ' ');
        let state_hash = u128::from_str_radix(words.next()?, 16).ok()?;
        let sequence = words.next()?.parse().ok()?;
        Some(Summary { name: words.next()?.to_owned(), sequence, state_hash })
    }
}

impl CopiedFile {
    fn parse(text: &str) -> Option<CopiedFile> {
        let mut words = text.splitn(3, ' ');
        let mut sha256 = [0; 32];
        let digits = words.next()?;
        for (index, byte) in sha256.iter_mut().enumerate() {
            *byte = u8::from_str_radix(digits.get(2 * index..2 * index + 2)?, 16).ok()?;
        }
        let bytes = words.next()?.parse().ok()?;
        let name = words.next().filter(|name| !name.contains('/'))?.to_owned();
        Some(CopiedFile { name, bytes, sha256 })
    }

    fn check(&self, disk: &dyn Disk, dir: &Path, there: &[String]) -> Result<(), OpenError> {
        let path = dir.join(&self.name);
        if !there.contains(&self.name) {
            let what = format!("{} is missing, which {BACKUP_NAME} names", self.name);
            return Err(OpenError::Missing { what, dir: dir.to_owned() });
        }
        let (bytes, sha256) = hash_file(disk, &path)?;
        if bytes != self.bytes {
            let problem = format!("it has {bytes} bytes, and had {} when it was made", self.bytes);
            return Err(OpenError::corrupt(&path, bytes.min(self.bytes), problem));
        }
        if sha256 != self.sha256 {
            let problem = "its SHA-256 is not the one that it had when it was made";
            return Err(OpenError::corrupt(&path, 0, problem));
        }
        Ok(())
    }
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_back_and_no_flipped_bit_passes() {
        let inventory = Inventory {
            log_id: 0xab,
            log_position: 7,
            time: Timestamp::from_millis(1_767_225_600_000).expect("this century"),
            label: "before the move".to_owned(),
            workspaces: vec![Summary { name: "shop".to_owned(), sequence: 7, state_hash: 5 }],
            files: vec![CopiedFile { name: "a.snap".to_owned(), bytes: 1, sha256: [9; 32] }],
        };
        let text = inventory.to_text();
        assert_eq!(Inventory::parse(&text), Some(inventory));
        for bit in 0..text.len() * 8 {
            let mut flipped = text.clone().into_bytes();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(flipped) = String::from_utf8(flipped) {
                assert_eq!(Inventory::parse(&flipped), None, "{flipped}");
            }
        }
    }
}
