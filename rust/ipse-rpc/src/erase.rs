//! The methods that erase: a profile with all that is on it, one identifier, or a workspace.

use ipse_core::command::{Erasable, Erase, Operation};
use ipse_core::decide::ErasureDecision;
use ipse_core::graph::Receipt;
use ipse_core::{Graph, Refusal, Timestamp};
use ipse_store::{Locked, LogPosition, WorkspaceIndex};
use prost::Message;

use ipse_core::change::Verb;

use crate::convert::{decoded_identifier, wire_time};
use crate::dispatch::{Answer, Dispatch, Handled, Refused, decode, find_workspace, resting_on};
use crate::find::{Meant, find_meant};
use crate::proto::v1;
use crate::refusal::{Place, refused};
use crate::rfc3339;
use crate::status::Status;
use crate::turn::{Turn, check_writable, storage_full};

/// Backups that a receipt lists: the newest of those that were made before.
const BACKUPS_MAX: usize = 1_000;

impl Dispatch {
    pub(crate) fn delete_profile(&self, request: &[u8], now: Timestamp) -> Handled {
        let mut request: v1::DeleteProfileRequest = decode(request)?;
        let workspace = std::mem::take(&mut request.workspace);
        let read_only = std::mem::take(&mut request.read_only);
        let fingerprint = request.encode_to_vec();
        let operation = operation(&request.operation_id, &fingerprint);
        let suppress = request.suppress;

        let turn = self.turn(&workspace, Verb::Modify, read_only, now)?;
        let decide = |graph: &Graph| {
            let (what, missing) = whom(graph, request.profile.as_ref())?;
            let decided = graph.decide_erase(&Erase { operation, what, suppress }, now);
            judged(decided, missing, Place::Within("profile"))
        };
        self.erase(turn, decide, |receipt, repeated| {
            v1::DeleteProfileResponse { receipt, repeated }.encode_to_vec()
        })
    }

    pub(crate) fn forget_identifier(&self, request: &[u8], now: Timestamp) -> Handled {
        let mut request: v1::ForgetIdentifierRequest = decode(request)?;
        let workspace = std::mem::take(&mut request.workspace);
        let read_only = std::mem::take(&mut request.read_only);
        let fingerprint = request.encode_to_vec();
        let operation = operation(&request.operation_id, &fingerprint);
        let Some(identifier) = &request.identifier else {
            return Err(Status::invalid_field("identifier", "is missing").into());
        };
        let what = Erasable::Identifier(decoded_identifier(identifier));
        let command = Erase { operation, what, suppress: request.suppress };

        let turn = self.turn(&workspace, Verb::Modify, read_only, now)?;
        let decide =
            |graph: &Graph| judged(graph.decide_erase(&command, now), None, Place::Request);
        self.erase(turn, decide, |receipt, repeated| {
            v1::ForgetIdentifierResponse { receipt, repeated }.encode_to_vec()
        })
    }

    pub(crate) fn delete_workspace(&self, request: &[u8], now: Timestamp) -> Handled {
        let mut request: v1::DeleteWorkspaceRequest = decode(request)?;
        let read_only = std::mem::take(&mut request.read_only);
        let fingerprint = request.encode_to_vec();
        let operation = operation(&request.operation_id, &fingerprint);
        let mut locked = self.lock()?;
        if let Some((workspace, receipt)) = repeated_deletion(&locked, &operation) {
            let position = locked.workspace_position(workspace);
            drop(locked);
            return self.deleted(position, &receipt, true);
        }
        let workspace = find_workspace(&locked, "name", &request.name)?;
        if !read_only {
            check_writable(&locked)?;
        }
        let position = locked.workspace_position(workspace);
        let decided = locked.graph(workspace).decide_deletion(&operation, now);
        let deleted = decided.map_err(|refusal| refused(refusal, Place::Request));
        let deleted = deleted.map_err(resting_on(position))?;
        if read_only {
            drop(locked);
            return self.deleted(position, &Receipt::planned_deletion(&deleted, now), false);
        }
        let change = locked.with_space(workspace, deleted.into()).ok_or_else(storage_full)?;
        let committed = locked.commit(workspace, now, change);
        let (_, position) = committed.map_err(|bug| self.internal(bug.to_string()))?;
        let receipt = *newest_receipt(locked.graph(workspace));
        drop(locked);
        self.mappings.forget(workspace);
        self.deleted(position, &receipt, false)
    }

    fn deleted(&self, position: LogPosition, receipt: &Receipt, repeated: bool) -> Handled {
        let receipt = Some(self.receipt(receipt)?);
        let bytes = v1::DeleteWorkspaceResponse { receipt, repeated }.encode_to_vec();
        Ok(Answer { position, bytes })
    }

    /// The answer to a call that erases: what `encode` makes of the receipt and of whether it
    /// was carried out before.
    fn erase(
        &self,
        mut turn: Turn<'_>,
        decide: impl FnOnce(&Graph) -> Result<ErasureDecision, Status>,
        encode: impl FnOnce(Option<v1::ErasureReceipt>, bool) -> Vec<u8>,
    ) -> Handled {
        let decided = turn.erase(decide);
        let position = turn.position();
        // A receipt reads a file: nobody is to wait for that.
        drop(turn);
        let (receipt, repeated) = decided.map_err(|status| Refused { position, status })?;
        let bytes = encode(Some(self.receipt(&receipt)?), repeated);
        Ok(Answer { position, bytes })
    }

    fn receipt(&self, receipt: &Receipt) -> Result<v1::ErasureReceipt, Status> {
        let backups = self.store.backups();
        let backups = backups.map_err(|error| self.internal(format!("backups: {error}")))?;
        let is_earlier = |line: &String| {
            let time = line.split_whitespace().next().and_then(rfc3339::parse);
            time.is_none_or(|time| time <= receipt.time)
        };
        let mut earlier_backups: Vec<String> = backups.into_iter().filter(is_earlier).collect();
        earlier_backups.drain(..earlier_backups.len().saturating_sub(BACKUPS_MAX));
        let completed = receipt.completed.unwrap_or_default();
        Ok(v1::ErasureReceipt {
            erasure: receipt.sequence.0,
            time: Some(wire_time(receipt.time)),
            profile_count: receipt.profiles,
            identifier_count: receipt.identifiers,
            trait_count: receipt.traits,
            suppress: receipt.suppress,
            completed: receipt.completed.is_some(),
            segment_count: completed.segments,
            record_count: completed.records,
            file_count: completed.files,
            earlier_backups,
        })
    }
}

/// The receipt of what was just erased.
pub(crate) fn newest_receipt(graph: &Graph) -> &Receipt {
    graph.erasure_receipts().next_back().expect("it was just erased")
}

/// What this very request deleted before. Only what is left of the workspace knows.
fn repeated_deletion(
    locked: &Locked<'_>,
    operation: &Operation<'_>,
) -> Option<(WorkspaceIndex, Receipt)> {
    let receipt = |gone| Some((gone, locked.graph(gone).repeated_deletion(operation)?));
    locked.deleted_workspaces().find_map(receipt)
}

fn operation<'a>(operation_id: &'a str, fingerprint: &'a [u8]) -> Operation<'a> {
    Operation { operation_id, fingerprint, ..Operation::default() }
}

/// Whom a lookup means, and the refusal if that is nobody. An identifier is left to the core,
/// which refuses one that several profiles hold.
fn whom<'r>(
    graph: &Graph,
    lookup: Option<&'r v1::ProfileLookup>,
) -> Result<(Erasable<'r>, Option<Status>), Status> {
    use v1::profile_lookup::Lookup;
    let Meant { number, missing } = find_meant(graph, "profile", lookup)?;
    Ok(match lookup.and_then(|lookup| lookup.lookup.as_ref()) {
        Some(Lookup::Identifier(identifier)) => {
            (Erasable::HolderOf(decoded_identifier(identifier)), missing)
        }
        _ => (Erasable::Profile(number), missing),
    })
}

/// What the core decided; of somebody who is not there, only what was done before.
fn judged(
    decided: Result<ErasureDecision, Refusal>,
    missing: Option<Status>,
    place: Place<'_>,
) -> Result<ErasureDecision, Status> {
    match (decided, missing) {
        (Ok(decision @ ErasureDecision::Repeated(_)), _) => Ok(decision),
        (Err(refusal @ Refusal::EventIdReused { .. }), _) => Err(refused(refusal, Place::Request)),
        (_, Some(missing)) => Err(missing),
        (decided, None) => decided.map_err(|refusal| refused(refusal, place)),
    }
}
