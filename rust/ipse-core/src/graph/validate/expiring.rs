//! What expired: rows that exist, each once, under the values that they have.

use crate::change::Expired;
use crate::erasure::pseudonym_row;
use crate::graph::Graph;
use crate::graph::identifiers::IdentifierId;
use crate::limits::EXPIRED_IDENTIFIERS_MAX;

use super::{Checked, ensure};

impl Graph {
    pub(super) fn validate_expired(&self, expired: &Expired<'_>) -> Checked {
        let identifiers = &expired.identifiers;
        let count = identifiers.len();
        ensure((1..=EXPIRED_IDENTIFIERS_MAX).contains(&count), || {
            format!("{count} identifiers expire")
        })?;
        let mut rows: Vec<u32> = identifiers.iter().map(|identifier| identifier.row).collect();
        rows.sort_unstable();
        let is_distinct = rows.windows(2).all(|pair| pair[0] < pair[1]);
        let exist = rows.last().is_none_or(|&last| last < self.identifiers.rows.len());
        ensure(is_distinct && exist, || "identifiers expire that are not there".to_owned())?;
        identifiers.iter().try_for_each(|identifier| {
            let (namespace, value) = self.text_of(IdentifierId(identifier.row));
            // The record may be redacted before an older one that still has the value.
            let is_it = namespace == identifier.namespace
                && (value == identifier.value
                    || pseudonym_row(&identifier.value) == Some(identifier.row));
            ensure(is_it, || format!("identifier {} is another than expires", identifier.row))
        })
    }
}
