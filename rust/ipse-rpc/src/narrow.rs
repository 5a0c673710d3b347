//! A request within what its caller's token allows: checked, and made to say what the token
//! says where it left that open.
//!
//! It is done to the bytes, before any method sees them, so that no method can forget it. The
//! wire lets the last of two values win and merges two messages of one field, so that a value
//! is put in by writing it behind the others. What is read here is read as the methods read
//! it: by the same code, to the end, or the request is refused.

use std::borrow::Cow;

use crate::access::{Access, EVENT_SOURCE, Reach, Role, SourceAt};
use crate::dispatch::DEFAULT_WORKSPACE;
use crate::encode::put_delimited;
use crate::request::{Field, fields};
use crate::status::{Reason, Status};
use crate::tokens::Token;

/// What a request says about itself.
#[derive(Debug, Default)]
pub(crate) struct Claims<'r> {
    /// Empty if it names none.
    pub(crate) workspace: &'r str,
    read_only: bool,
    source: &'r str,
}

impl<'r> Claims<'r> {
    pub(crate) fn read(request: &'r [u8], access: &Access) -> Result<Claims<'r>, Status> {
        let (Reach::Workspace(workspace) | Reach::NewWorkspace(workspace)) = access.reach else {
            return Ok(Claims::default());
        };
        let mut claims = Claims::default();
        for field in fields(request) {
            let Field { number, value, .. } = field?;
            if number == workspace {
                claims.workspace = value.text()?;
            } else if access.read_only == Some(number) {
                claims.read_only = value.varint()? != 0;
            } else if matches!(access.source, SourceAt::Request(source) if source == number) {
                claims.source = value.text()?;
            }
        }
        Ok(claims)
    }
}

/// The request as the token's holder may make it, or why not.
pub(crate) fn narrowed<'r>(
    request: &'r [u8],
    access: &Access,
    token: &Token,
) -> Result<Cow<'r, [u8]>, Status> {
    let claims = Claims::read(request, access)?;
    check_role(token, access, claims.read_only)?;
    let mut narrowed = match &token.source {
        Some(source) => stamped(request, access.source, claims.source, source, token)?,
        None => Cow::Borrowed(request),
    };
    if let Some((number, name)) = missing_workspace(token, access.reach, claims.workspace)? {
        put_text(number, name, narrowed.to_mut());
    }
    Ok(narrowed)
}

/// Whether the role is enough; a write that is only asked about is a read, but what only
/// operators do is theirs to ask about, too.
pub(crate) fn check_role(token: &Token, access: &Access, read_only: bool) -> Result<(), Status> {
    let is_question = read_only && access.role == Role::Write;
    let needed = if is_question { Role::Read } else { access.role };
    if token.role >= needed {
        return Ok(());
    }
    let (has, needed) = (token.role.name(), needed.name());
    let problem = format!("has the role {has}, and this call needs the role {needed}");
    Err(denied(token, &problem).with("role", has).with("needed_role", needed))
}

/// The workspace that the token says where the request does not, with its field's number.
fn missing_workspace<'t>(
    token: &'t Token,
    reach: Reach,
    sent: &str,
) -> Result<Option<(u32, &'t str)>, Status> {
    if token.workspaces.is_empty() {
        return Ok(None);
    }
    let reaches = |name: &str| token.workspaces.iter().any(|allowed| allowed == name);
    match (reach, token.workspaces.as_slice()) {
        (Reach::Nowhere, _) => Ok(None),
        (Reach::Workspace(number), [only]) if sent.is_empty() => Ok(Some((number, only))),
        (Reach::Workspace(_), _) if sent.is_empty() && reaches(DEFAULT_WORKSPACE) => Ok(None),
        (Reach::Workspace(_), _) if sent.is_empty() => {
            Err(denied(token, "is for several workspaces: name one of them"))
        }
        // One that is missing is refused as one without a name is: by its method.
        (Reach::NewWorkspace(_), _) if sent.is_empty() => Ok(None),
        (Reach::Workspace(_) | Reach::NewWorkspace(_), _) if reaches(sent) => Ok(None),
        // The same words whether there is such a workspace or not.
        (Reach::Workspace(_) | Reach::NewWorkspace(_), _) => {
            Err(denied(token, "is not for this workspace"))
        }
        (Reach::Server, _) => {
            Err(denied(token, "is for some workspaces, and this call is about the whole server"))
        }
    }
}

/// The request with the token's source wherever it leaves it open.
fn stamped<'r>(
    request: &'r [u8],
    at: SourceAt,
    sent: &str,
    source: &str,
    token: &Token,
) -> Result<Cow<'r, [u8]>, Status> {
    match at {
        SourceAt::Nowhere => Ok(Cow::Borrowed(request)),
        SourceAt::Request(number) => {
            let mut stamped = Cow::Borrowed(request);
            if is_open(sent, source, token, || "source".to_owned())? {
                put_text(number, source, stamped.to_mut());
            }
            Ok(stamped)
        }
        SourceAt::Event(number) => {
            stamped_events(request, number, source, token, |_| "event.source".to_owned())
        }
        SourceAt::Events(number) => {
            stamped_events(request, number, source, token, |at| format!("events[{at}].source"))
        }
    }
}

fn stamped_events<'r>(
    request: &'r [u8],
    number: u32,
    source: &str,
    token: &Token,
    place: impl Fn(usize) -> String,
) -> Result<Cow<'r, [u8]>, Status> {
    let mut stamped = Vec::with_capacity(request.len() + source.len() + 8);
    let mut count = 0;
    for field in fields(request) {
        let field = field?;
        if field.number != number {
            stamped.extend_from_slice(field.bytes);
            continue;
        }
        let event = field.value.bytes()?;
        let mut sent = "";
        for field in fields(event) {
            let Field { number, value, .. } = field?;
            if number == EVENT_SOURCE {
                sent = value.text()?;
            }
        }
        let mut event = Cow::Borrowed(event);
        if is_open(sent, source, token, || place(count))? {
            put_text(EVENT_SOURCE, source, event.to_mut());
        }
        put_delimited(number, &event, &mut stamped);
        count += 1;
    }
    Ok(Cow::Owned(stamped))
}

/// Whether the source is to be put in; refused if another one was sent.
fn is_open(
    sent: &str,
    source: &str,
    token: &Token,
    place: impl Fn() -> String,
) -> Result<bool, Status> {
    if sent.is_empty() || sent == source {
        return Ok(sent.is_empty());
    }
    let place = place();
    let problem = format!("is for another source than {place}: leave that empty");
    Err(denied(token, &problem).violation(place, "is not the token's source"))
}

fn denied(token: &Token, problem: &str) -> Status {
    let name = &token.name;
    Status::new(Reason::PermissionDenied, format!("the token {name} {problem}")).with("token", name)
}

fn put_text(number: u32, text: &str, out: &mut Vec<u8>) {
    put_delimited(number, text.as_bytes(), out);
}
