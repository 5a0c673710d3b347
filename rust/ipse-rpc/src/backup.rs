//! AdminService/Backup.

use std::path::Path;

use ipse_core::Timestamp;
use ipse_store::{BackupError, BackupRequest, LogPosition};
use prost::Message;

use crate::dispatch::{Answer, Dispatch, Handled, decode};
use crate::proto::v1;
use crate::status::Status;

impl Dispatch {
    pub(crate) fn backup_call(&self, request: &[u8], now: Timestamp) -> Handled {
        let request: v1::BackupRequest = decode(request)?;
        let wanted = BackupRequest {
            directory: Path::new(&request.directory),
            label: &request.label,
            history: request.history,
            now,
        };
        let made = self.store.backup(&wanted).map_err(|error| self.no_backup(error))?;
        let message = v1::BackupResponse {
            log_position: made.log_position,
            first_log_position: made.first_log_position,
            file_count: made.files,
            size_bytes: made.size_bytes,
            seconds: made.seconds,
        };
        Ok(Answer { position: LogPosition(made.log_position), bytes: message.encode_to_vec() })
    }

    /// What the system says of files is for the log; what the request names, for the caller.
    fn no_backup(&self, error: BackupError) -> Status {
        match error {
            BackupError::Refused { field, problem } => Status::invalid_field(field, problem),
            BackupError::Checkpoint(error) => self.no_checkpoint(&error),
            BackupError::Files(error) => self.internal(format!("backup: {error}")),
        }
    }
}
