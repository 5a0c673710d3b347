//! What is in a data directory, by name, and whether it hangs together.
//!
//! Reads names, the manifest and the headers of segments; changes nothing but temporary
//! files, and those only when told to.

use std::path::{Path, PathBuf};

use crate::error::{IoFailed, OpenError};
use crate::format::{
    HEADER_BYTES, MANIFEST_NAME, SPARE_NAMES, segment_name, segment_number, snapshot_position,
};
use crate::fs::Disk;
use crate::reserve::Spare;
use crate::segment::{Manifest, SegmentHeader};

/// What is in the directory, by name.
pub(crate) struct Found<'d> {
    pub(crate) disk: &'d dyn Disk,
    pub(crate) dir: &'d Path,
    pub(crate) segments: Vec<u64>,
    pub(crate) snapshots: Vec<u64>,
    /// What was reserved for the next segments.
    pub(crate) spares: Vec<String>,
    /// Every other unfinished file.
    pub(crate) temporaries: Vec<String>,
    pub(crate) manifest: Option<Manifest>,
}

impl<'d> Found<'d> {
    pub(crate) fn look(disk: &'d dyn Disk, dir: &'d Path) -> Result<Found<'d>, OpenError> {
        let mut names = disk.list(dir).map_err(IoFailed::new("list", dir))?;
        names.sort_unstable();
        let manifest = match names.iter().any(|name| name == MANIFEST_NAME) {
            true => Some(Manifest::read(disk, dir)?),
            false => None,
        };
        let is_spare = |name: &String| SPARE_NAMES.contains(&name.as_str());
        let unfinished = |name: &&String| name.ends_with(".tmp");
        Ok(Found {
            disk,
            dir,
            segments: names.iter().filter_map(|name| segment_number(name)).collect(),
            snapshots: names.iter().filter_map(|name| snapshot_position(name)).collect(),
            spares: names.iter().filter(|name| is_spare(name)).cloned().collect(),
            temporaries: names
                .iter()
                .filter(unfinished)
                .filter(|n| !is_spare(n))
                .cloned()
                .collect(),
            manifest,
        })
    }

    /// A directory without segments is new only if nothing says that there were some.
    pub(crate) fn is_new(&self) -> Result<bool, OpenError> {
        match (&self.segments[..], self.manifest, &self.snapshots[..]) {
            ([], None, []) => Ok(true),
            ([], _, _) => Err(self.missing("there are no log segments, and there were some")),
            _ => Ok(false),
        }
    }

    /// The headers of the segments, which follow each other and are those that the manifest
    /// speaks of; there must be one.
    pub(crate) fn headers(&self) -> Result<Vec<SegmentHeader>, OpenError> {
        let headers = self.row()?;
        self.check_manifest(&headers[headers.len() - 1])?;
        Ok(headers)
    }

    /// The headers of the segments, which follow each other.
    pub(crate) fn row(&self) -> Result<Vec<SegmentHeader>, OpenError> {
        let headers: Result<Vec<_>, _> =
            self.segments.iter().map(|number| self.header(*number)).collect();
        let headers = headers?;
        for pair in headers.windows(2) {
            let number = pair[0].number + 1;
            if pair[1].number != number {
                return Err(self.missing(format!("{} is missing", segment_name(number))));
            }
            if pair[1].log_id != pair[0].log_id || pair[1].first_position < pair[0].first_position {
                let problem = format!("it does not follow {}", segment_name(pair[0].number));
                return Err(OpenError::corrupt(&self.segment_path(number), 0, problem));
            }
        }
        Ok(headers)
    }

    pub(crate) fn header(&self, number: u64) -> Result<SegmentHeader, OpenError> {
        let path = self.segment_path(number);
        let file = self.disk.open_to_read(&path).map_err(IoFailed::new("open", &path))?;
        let length = file.length().map_err(IoFailed::new("read", &path))?;
        let mut bytes = [0; HEADER_BYTES];
        if length < HEADER_BYTES as u64 {
            return Err(OpenError::corrupt(&path, length, "the header is cut short"));
        }
        file.read_at(0, &mut bytes).map_err(IoFailed::new("read", &path))?;
        let header = SegmentHeader::parse(&bytes, &path)?;
        if header.number != number {
            let problem = format!("it is {} under another name", segment_name(header.number));
            return Err(OpenError::corrupt(&path, 16, problem));
        }
        Ok(header)
    }

    fn check_manifest(&self, newest: &SegmentHeader) -> Result<(), OpenError> {
        let Some(manifest) = self.manifest else {
            return Ok(());
        };
        if manifest.log_id != newest.log_id {
            let path = self.dir.join(MANIFEST_NAME);
            return Err(OpenError::corrupt(
                &path,
                0,
                "it belongs to another log than the segments",
            ));
        }
        if manifest.newest_segment > newest.number {
            let name = segment_name(manifest.newest_segment);
            return Err(self.missing(format!("{name} is missing, which {MANIFEST_NAME} names")));
        }
        Ok(())
    }

    pub(crate) fn segment_path(&self, number: u64) -> PathBuf {
        self.dir.join(segment_name(number))
    }

    pub(crate) fn missing(&self, what: impl Into<String>) -> OpenError {
        OpenError::Missing { what: what.into(), dir: self.dir.to_owned() }
    }

    /// The files that were reserved, the longest first.
    pub(crate) fn open_spares(&self) -> Result<Vec<Spare>, IoFailed> {
        let paths = self.spares.iter().map(|name| self.dir.join(name));
        let mut spares =
            paths.map(|path| Spare::found(self.disk, path)).collect::<Result<Vec<_>, _>>()?;
        spares.sort_by_key(|spare| std::cmp::Reverse(spare.length()));
        Ok(spares)
    }

    pub(crate) fn remove_temporaries(&self) -> Result<(), OpenError> {
        for name in &self.temporaries {
            let path = self.dir.join(name);
            self.disk.remove(&path).map_err(IoFailed::new("remove", &path))?;
        }
        Ok(())
    }
}
