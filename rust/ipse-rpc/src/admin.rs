//! The methods of AdminService.

use ipse_core::change::RulesVersion;
use ipse_core::graph::Memory;
use ipse_core::identifier::is_workspace_name;
use ipse_core::limits::RULES_BYTES_MAX;
use ipse_core::rules::{DEFAULT_PRESET, RulesProblem, RulesText, preset};
use ipse_core::{Graph, Rules, Timestamp};
use ipse_store::{CheckpointError, Locked, LogPosition, WorkspaceIndex};
use prost::Message;

use crate::convert::wire_time;
use crate::dispatch::{Answer, Dispatch, Handled, decode, find_workspace, resting_on};
use crate::limits::{WORKSPACES_DELETED_MAX, WORKSPACES_MAX};
use crate::page_token;
use crate::profile::page_size;
use crate::proto::v1;
use crate::refusal::{Place, invalid_rules, refused};
use crate::status::{Reason, Status};
use crate::turn::{check_writable, storage_full};

const WORKSPACE_PAGES: [&str; 1] = ["workspaces"];

impl Dispatch {
    pub(crate) fn create_workspace(&self, request: &[u8], now: Timestamp) -> Handled {
        let request: v1::CreateWorkspaceRequest = decode(request)?;
        let name = &request.name;
        if !is_workspace_name(name) {
            let problem = "a workspace's name is 1 to 64 of a-z 0-9 _ -, a letter first";
            return Err(Status::invalid_field("name", problem).into());
        }
        let rules = rules_or_preset(&request.rules_toml)?;
        let profile_key = self.random_key()?;
        let mut locked = self.lock()?;
        if let Some(existing) = locked.workspace(name) {
            return Err(resting_on(locked.workspace_position(existing))(workspace_exists(name)));
        }
        let deleted = locked.deleted_workspaces().count();
        if locked.workspaces().count() >= WORKSPACES_MAX || deleted >= WORKSPACES_DELETED_MAX {
            return Err(resting_on(locked.position())(too_many_workspaces()));
        }
        check_writable(&locked)?;
        if !locked.has_space_for_workspace(name, rules.text()) {
            return Err(storage_full().into());
        }
        let (workspace, position) = locked.create_workspace(name, profile_key, rules, now);
        let workspace = Some(describe(locked.graph(workspace), locked.ceilings().workspace));
        Ok(answer(position, &v1::CreateWorkspaceResponse { workspace }))
    }

    pub(crate) fn list_workspaces(&self, request: &[u8], _now: Timestamp) -> Handled {
        let request: v1::ListWorkspacesRequest = decode(request)?;
        let size = page_size(request.page_size)?;
        let after = match request.page_token.as_str() {
            "" => Vec::new(),
            token => page_token::decode(&WORKSPACE_PAGES, token)?,
        };
        let locked = self.lock()?;
        let graphs = graphs_by_name(&locked);
        let mut rest = graphs.into_iter().filter(|graph| graph.name().as_bytes() > &after[..]);
        let page: Vec<&Graph> = rest.by_ref().take(size).collect();
        let next_page_token = match (rest.next(), page.last()) {
            (Some(_), Some(last)) => page_token::encode(&WORKSPACE_PAGES, last.name().as_bytes()),
            _ => String::new(),
        };
        let ceiling = locked.ceilings().workspace;
        let workspaces = page.into_iter().map(|graph| describe(graph, ceiling)).collect();
        let message = v1::ListWorkspacesResponse { workspaces, next_page_token };
        Ok(answer(locked.position(), &message))
    }

    pub(crate) fn get_workspace(&self, request: &[u8], _now: Timestamp) -> Handled {
        let request: v1::GetWorkspaceRequest = decode(request)?;
        let locked = self.lock()?;
        let workspace = find_workspace(&locked, "name", &request.name)?;
        let described = describe(locked.graph(workspace), locked.ceilings().workspace);
        let message = v1::GetWorkspaceResponse { workspace: Some(described) };
        Ok(answer(locked.workspace_position(workspace), &message))
    }

    pub(crate) fn get_rules(&self, request: &[u8], _now: Timestamp) -> Handled {
        let request: v1::GetRulesRequest = decode(request)?;
        let locked = self.lock()?;
        let workspace = find_workspace(&locked, "workspace", &request.workspace)?;
        let graph = locked.graph(workspace);
        let message = v1::GetRulesResponse {
            version: graph.rules_version().0,
            rules_toml: graph.rules_text().to_owned(),
        };
        Ok(answer(locked.workspace_position(workspace), &message))
    }

    pub(crate) fn set_rules(&self, request: &[u8], now: Timestamp) -> Handled {
        let request: v1::SetRulesRequest = decode(request)?;
        let rules = parsed(&request.rules_toml)?;
        let expected = Some(request.expected_version).filter(|&version| version != 0);
        let mut locked = self.lock()?;
        let workspace = find_workspace(&locked, "workspace", &request.workspace)?;
        if !request.read_only {
            check_writable(&locked)?;
        }
        let graph = locked.graph(workspace);
        let change = graph
            .decide_rules(rules, expected.map(RulesVersion))
            .map_err(|refusal| refused(refusal, Place::Request))
            .map_err(resting_on(locked.workspace_position(workspace)))?;
        let mut version = graph.rules_version().0;
        if let Some(change) = change {
            version += 1;
            if !request.read_only {
                let change = locked.with_space(workspace, change).ok_or_else(storage_full)?;
                let committed = locked.commit(workspace, now, change);
                committed.map_err(|bug| self.internal(bug.to_string()))?;
            }
        }
        let sequence_number = locked.graph(workspace).sequence().0;
        let message = v1::SetRulesResponse { version, sequence_number };
        Ok(answer(locked.workspace_position(workspace), &message))
    }

    pub(crate) fn validate_rules(&self, request: &[u8], _now: Timestamp) -> Handled {
        let request: v1::ValidateRulesRequest = decode(request)?;
        check_rules_size(&request.rules_toml)?;
        let problem = |RulesProblem { line, key, message }| v1::RulesProblem { line, key, message };
        let message = match Rules::from_toml(&request.rules_toml) {
            Ok(rules) => v1::ValidateRulesResponse {
                explanation: rules.explain(),
                ..v1::ValidateRulesResponse::default()
            },
            Err(problems) => v1::ValidateRulesResponse {
                problems: problems.into_iter().map(problem).collect(),
                ..v1::ValidateRulesResponse::default()
            },
        };
        Ok(answer(LogPosition(0), &message))
    }

    pub(crate) fn checkpoint_call(&self, request: &[u8], _now: Timestamp) -> Handled {
        let v1::CheckpointRequest {} = decode(request)?;
        let made = self.checkpoint().map_err(|error| self.no_checkpoint(&error))?;
        let message = v1::CheckpointResponse {
            file_name: made.file_name,
            size_bytes: made.size_bytes,
            log_position: made.log_position,
            seconds: made.seconds,
        };
        Ok(answer(LogPosition(made.log_position), &message))
    }

    pub(crate) fn get_stats(&self, request: &[u8], _now: Timestamp) -> Handled {
        let v1::GetStatsRequest {} = decode(request)?;
        // Before the graphs are locked: the store's figures then tell of nothing newer than the
        // position that the answer rests on.
        let stats = self.store.stats();
        let locked = self.lock()?;
        let workspaces = graphs_by_name(&locked).into_iter().take(WORKSPACES_MAX);
        let (memory, ceilings) = (locked.memory(), locked.ceilings());
        let workspaces = workspaces.map(|graph| describe(graph, ceilings.workspace)).collect();
        let position = locked.position();
        let message = v1::GetStatsResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_time: Some(wire_time(self.started_time)),
            recovery: Some(self.recovery_stats()),
            log_position: position.0,
            synced_log_position: stats.synced.0,
            commit_group_count: stats.commit_groups,
            log_bytes: stats.log_bytes,
            log_bytes_since_snapshot: stats.log_bytes_since_snapshot,
            sync: stats.sync.to_owned(),
            workspaces,
            storage_full: stats.storage_full,
            oldest_log_position: stats.oldest_position.0,
            oldest_log_time: stats
                .oldest_time_s
                .map(|seconds| prost_types::Timestamp { seconds: seconds.into(), nanos: 0 }),
            log_file_bytes: stats.log_file_bytes,
            history_bytes: stats.history_bytes,
            identifier_count: memory.identifiers,
            memory_bytes: memory.bytes,
            identifiers_max: told(ceilings.process.identifiers),
            memory_bytes_max: told(ceilings.process.bytes),
        };
        Ok(answer(position, &message))
    }

    fn recovery_stats(&self) -> v1::RecoveryStats {
        let recovery = self.recovery();
        v1::RecoveryStats {
            seconds: recovery.seconds,
            snapshot_file_name: recovery.snapshot_file_name.clone().unwrap_or_default(),
            snapshot_log_position: recovery.snapshot_log_position,
            replayed_record_count: recovery.replayed_records,
            torn_bytes: recovery.torn_bytes,
            clean_shutdown: recovery.clean_shutdown,
        }
    }

    /// Paths and words of the operating system are for the log, not for callers.
    pub(crate) fn no_checkpoint(&self, error: &CheckpointError) -> Status {
        match error {
            CheckpointError::InMemory => Status::new(
                Reason::NotServing,
                "everything is in memory only: start with a data directory to have snapshots and backups",
            ),
            CheckpointError::StorageFull => storage_full(),
            CheckpointError::Closed | CheckpointError::Log(_) => {
                Status::new(Reason::NotServing, "the server is stopping: no snapshot was written")
            }
            CheckpointError::Io(_) | CheckpointError::Unreadable(_) => {
                self.internal(format!("checkpoint: {error}"))
            }
        }
    }
}

fn answer(position: LogPosition, message: &impl Message) -> Answer {
    Answer { position, bytes: message.encode_to_vec() }
}

fn describe(graph: &Graph, ceiling: Memory) -> v1::Workspace {
    let counts = graph.counts();
    let (largest, which) = graph.largest_profile();
    v1::Workspace {
        name: graph.name().to_owned(),
        created_time: Some(wire_time(graph.created_time())),
        rules_version: graph.rules_version().0,
        sequence_number: graph.sequence().0,
        profile_count: counts.profiles,
        absorbed_profile_count: counts.absorbed_profiles,
        identifier_count: counts.identifiers,
        link_count: counts.links,
        state_hash: format!("{:032x}", graph.state_hash()),
        memory_bytes: graph.memory().bytes,
        identifiers_max: told(ceiling.identifiers),
        memory_bytes_max: told(ceiling.bytes),
        largest_profile_identifier_count: u64::from(largest),
        largest_profile_id: which.map_or_else(String::new, |p| graph.profile_id(p).to_string()),
    }
}

/// A ceiling as it is set: 0 for none.
fn told(ceiling: u64) -> u64 {
    if ceiling == u64::MAX { 0 } else { ceiling }
}

fn graphs_by_name<'l>(locked: &'l Locked<'_>) -> Vec<&'l Graph> {
    let indexes: Vec<WorkspaceIndex> = locked.workspaces().collect();
    let mut graphs: Vec<&Graph> = indexes.into_iter().map(|index| locked.graph(index)).collect();
    graphs.sort_by_key(|graph| graph.name());
    graphs
}

/// The preset of workspaces that are given no rules.
pub(crate) fn default_rules() -> RulesText<'static> {
    let text = preset(DEFAULT_PRESET).expect("the default preset is built in");
    RulesText::parse(text).expect("tests show that the presets are good rules")
}

fn rules_or_preset(text: &str) -> Result<RulesText<'_>, Status> {
    if text.is_empty() { Ok(default_rules()) } else { parsed(text) }
}

/// Reads rules, once, before the graphs are locked: compiling patterns may take a while.
fn parsed(text: &str) -> Result<RulesText<'_>, Status> {
    check_rules_size(text)?;
    RulesText::parse(text).map_err(|problems| invalid_rules(&problems))
}

fn check_rules_size(text: &str) -> Result<(), Status> {
    if text.len() > RULES_BYTES_MAX {
        return Err(Status::limit_exceeded("rules_toml", "bytes", RULES_BYTES_MAX, text.len()));
    }
    Ok(())
}

fn workspace_exists(name: &str) -> Status {
    let problem = format!("there is a workspace {name} already");
    Status::of_field(Reason::WorkspaceExists, "name", problem).with("workspace", name)
}

fn too_many_workspaces() -> Status {
    let problem = format!(
        "this server holds {WORKSPACES_MAX} workspaces, or the receipts of {WORKSPACES_DELETED_MAX} \
         that were deleted, the most it can"
    );
    Status::new(Reason::CapacityExceeded, problem).with("bound", WORKSPACES_MAX)
}
