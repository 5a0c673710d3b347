//! The methods: what each asks of a caller, does, and takes of a transport. A line for each, and
//! nobody else keeps a list of them.

use ipse_core::Timestamp;

use crate::access::{Access, ERASE, EVENT, EVENTS, JOIN, READ, Reach, Role, admin, command};
use crate::dispatch::{Dispatch, Handled};
use crate::limits::SHORT_BATCH_BYTES_MAX;

/// A method of `ipse.v1`.
pub struct Method {
    /// Its full name, as calls have it.
    pub name: &'static str,
    /// What becomes of it.
    pub effect: Effect,
    /// How its calls are worked on.
    pub way: Way,
    pub(crate) access: Access,
    pub(crate) handler: Handler,
}

/// What a call may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: it may be refused at any time, also when its answer is there.
    Reads,
    /// It may write: it is refused before it is decided, or answered.
    Writes,
}

/// How a transport works on a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// At once, where it came in: that takes less than handing it to somebody.
    Short,
    /// In the line of long calls, few at a time, beside the short ones; if the request is short, at
    /// once.
    Batch,
    /// The same, also if the request is short: it does not say how long a list is.
    List,
    /// In turn with others of its kind: how long it takes is up to the patterns in its rules.
    Compile,
    /// In turn with others of its kind: it reads files.
    Files,
    /// In turn with others of its kind: it copies files.
    Backup,
    /// Once for all who ask meanwhile.
    Checkpoint,
    /// Without end, as [`crate::Watch`] says; asked in turn with others of its kind: it reads files.
    Watch,
}

type Handler = fn(&Dispatch, &[u8], Timestamp) -> Handled;

/// Where the methods of `AdminService` begin.
pub(crate) const ADMIN: &str = "/ipse.v1.AdminService/";

macro_rules! methods {
    ($($service:ident $name:ident $access:expr, $effect:ident $way:ident $handler:ident;)*) => {
        /// All of them.
        pub static METHODS: &[Method] = &[$(Method {
            name: concat!("/ipse.v1.", stringify!($service), "/", stringify!($name)),
            effect: Effect::$effect,
            way: Way::$way,
            access: $access,
            handler: Dispatch::$handler,
        }),*];
    };
}

methods! {
    IdentityService ResolveEvent EVENT, Writes Short resolve_event;
    IdentityService ResolveEvents EVENTS, Writes Batch resolve_events;
    IdentityService GetProfile READ, Reads Short get_profile;
    IdentityService BatchGetProfiles READ, Reads Batch batch_get_profiles;
    IdentityService LookupProfiles READ, Reads Short lookup_profiles;
    IdentityService ListProfiles READ, Reads List list_profiles;
    IdentityService TranslateIdentities READ, Reads Batch translate_identities;
    IdentityService Login JOIN, Writes Short login;
    IdentityService Logout EVENT, Writes Short logout;
    IdentityService LinkIdentifiers JOIN, Writes Short link_identifiers;
    IdentityService ModifyIdentifiers command(6, 7), Writes Short modify_identifiers;
    IdentityService MergeProfiles command(7, 8), Writes Short merge_profiles;
    IdentityService SplitProfile command(6, 7), Writes Short split_profile;
    IdentityService RevertMerge command(5, 6), Writes Short revert_merge;
    IdentityService DenyLink command(5, 6), Writes Short deny_link;
    IdentityService ForceLink command(5, 6), Writes Short force_link;
    IdentityService AttributeHistory command(7, 8), Writes Short attribute_history;
    IdentityService ImportProfiles command(3, 4), Writes Batch import_profiles;
    IdentityService DeleteProfile ERASE, Writes Files delete_profile;
    IdentityService ForgetIdentifier ERASE, Writes Files forget_identifier;
    IdentityService ExportPerson ERASE, Reads Files export_person;
    HistoryService ExplainProfile READ, Reads Files explain_profile;
    HistoryService ExplainLink READ, Reads Files explain_link;
    HistoryService WatchChanges READ, Reads Watch watch_changes;
    HistoryService LookupAsOf READ, Reads Batch lookup_as_of;
    AdminService CreateWorkspace admin(Reach::NewWorkspace(1)), Writes Compile create_workspace;
    AdminService ListWorkspaces admin(Reach::Server), Reads Short list_workspaces;
    AdminService GetWorkspace admin(Reach::Workspace(1)), Reads Short get_workspace;
    AdminService DeleteWorkspace admin(Reach::Workspace(1)), Writes Files delete_workspace;
    AdminService GetRules admin(Reach::Workspace(1)), Reads Short get_rules;
    AdminService SetRules admin(Reach::Workspace(1)), Writes Compile set_rules;
    AdminService ValidateRules admin(Reach::Nowhere), Reads Compile validate_rules;
    AdminService Checkpoint admin(Reach::Server), Reads Checkpoint checkpoint_call;
    AdminService Backup admin(Reach::Server), Reads Backup backup_call;
    AdminService GetStats admin(Reach::Server), Reads Short get_stats;
}

impl Method {
    /// The method of a name.
    pub fn find(name: &str) -> Option<&'static Method> {
        METHODS.iter().find(|method| method.name == name)
    }

    /// What a caller needs who wants its answer written.
    pub fn role(&self) -> Role {
        self.access.role
    }

    /// The way of a call with a request of so many bytes.
    pub fn way_of(&self, request_bytes: usize) -> Way {
        match self.way {
            Way::Batch if request_bytes <= SHORT_BATCH_BYTES_MAX => Way::Short,
            way => way,
        }
    }
}

impl Effect {
    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Effect::Reads => "reads",
            Effect::Writes => "writes",
        }
    }
}

impl Way {
    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Way::Short => "short",
            Way::Batch => "batch",
            Way::List => "list",
            Way::Compile => "compile",
            Way::Files => "files",
            Way::Backup => "backup",
            Way::Checkpoint => "checkpoint",
            Way::Watch => "watch",
        }
    }
}
