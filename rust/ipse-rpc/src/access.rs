//! What a method asks of a caller's token, and where its request says what it is about.
//!
//! A line for each kind of request, in the table of methods: there is no method without one.
//! Field numbers are those of `protos/ipse/v1`; a test calls every method with them.

/// What a token is good for. Each may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads, and writes that are only asked about (`read_only`).
    Read,
    /// Writes, too.
    Write,
    /// What operators do, too.
    Admin,
}

/// What a method asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Access {
    pub(crate) role: Role,
    pub(crate) reach: Reach,
    /// The field that makes a write a question.
    pub(crate) read_only: Option<u32>,
    pub(crate) source: SourceAt,
}

/// How far a call reaches.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reach {
    /// Into the workspace that this field names; empty names one, too.
    Workspace(u32),
    /// Into one that this field names and that need not be there.
    NewWorkspace(u32),
    /// Over all of the server: no token of some workspaces does.
    Server,
    /// Nowhere: the answer follows from the request.
    Nowhere,
}

/// Where a request says which source it comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SourceAt {
    Nowhere,
    /// In this field of the request.
    Request(u32),
    /// In the event, or in each of the events, of this field.
    Event(u32),
    Events(u32),
}

impl Role {
    pub(crate) const ALL: [Role; 3] = [Role::Read, Role::Write, Role::Admin];

    /// As the tokens' file spells it.
    pub fn name(self) -> &'static str {
        match self {
            Role::Read => "read",
            Role::Write => "write",
            Role::Admin => "admin",
        }
    }
}

/// The field `source` of an event.
pub(crate) const EVENT_SOURCE: u32 = 4;

/// Reads of a workspace.
pub(crate) const READ: Access = Access {
    role: Role::Read,
    reach: Reach::Workspace(1),
    read_only: None,
    source: SourceAt::Nowhere,
};
/// One event.
pub(crate) const EVENT: Access = Access { source: SourceAt::Event(2), ..command(0, 3) };
/// Several events.
pub(crate) const EVENTS: Access = Access { source: SourceAt::Events(2), ..command(0, 3) };
/// One event, and what it is to be joined with.
pub(crate) const JOIN: Access = Access { source: SourceAt::Event(2), ..command(0, 5) };

/// What takes someone away, and what tells everything about someone: no service's business.
pub(crate) const ERASE: Access = admin(Reach::Workspace(1));

/// Writes that say themselves where they come from.
pub(crate) const fn command(source: u32, read_only: u32) -> Access {
    Access {
        role: Role::Write,
        reach: Reach::Workspace(1),
        read_only: Some(read_only),
        source: SourceAt::Request(source),
    }
}

/// What operators do.
pub(crate) const fn admin(reach: Reach) -> Access {
    Access { role: Role::Admin, reach, read_only: None, source: SourceAt::Nowhere }
}
