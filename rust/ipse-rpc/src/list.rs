//! ListProfiles: profiles in order of creation, with filters.
//!
//! A token names the last profile that was looked at, by its number: a profile that is created
//! or merged between two pages is neither shown twice nor hides another.

use ipse_core::change::ProfileNumber;
use ipse_core::graph::ProfileView;
use ipse_core::{Graph, Timestamp};

use crate::dispatch::{Answer, Dispatch, Handled, decode, resting_on};
use crate::encode::Encoder;
use crate::find::check_namespace;
use crate::limits::{LIST_SCANNED_MAX, LIST_STEP_SCANNED_MAX, PAGE_SIZE_DEFAULT};
use crate::page_token;
use crate::profile::{encode_next, page_size};
use crate::proto::v1;
use crate::read_mask::ReadMask;
use crate::status::Status;

/// A page being written.
struct Listing<'a> {
    filter: &'a v1::ProfileFilter,
    mask: ReadMask,
    size: usize,
    /// The last profile that was looked at.
    after: Option<ProfileNumber>,
    scanned: usize,
    shown: usize,
    out: Encoder,
}

/// What a step came to.
enum Step {
    /// There is more to look at, and room for it.
    More,
    /// The page is full.
    Full,
    /// There are no more profiles.
    End,
}

impl Dispatch {
    pub(crate) fn list_profiles(&self, request: &[u8], _now: Timestamp) -> Handled {
        let request: v1::ListProfilesRequest = decode(request)?;
        let no_filter = v1::ProfileFilter::default();
        let mut listing = Listing {
            filter: request.filter.as_ref().unwrap_or(&no_filter),
            mask: ReadMask::read(request.read_mask.as_ref())?,
            size: page_size(request.page_size)?,
            after: None,
            scanned: 0,
            shown: 0,
            out: Encoder::default(),
        };
        let mut look = self.look(&request.workspace)?;
        let begun = look.graph().sequence();
        let rests = resting_on(look.position());
        listing.begin(look.graph(), &request.page_token).map_err(rests)?;
        let token = loop {
            match listing.step(look.graph()).map_err(resting_on(look.position()))? {
                Step::More => look = look.go_on()?,
                Step::Full => break listing.token(look.graph()),
                Step::End => break String::new(),
            }
        };
        self.metrics.profiles_read.add(listing.shown as u64);
        let mut out = listing.out;
        out.string(2, &token);
        // Whoever lists next what was changed after it misses nothing.
        out.number(3, begun.0);
        Ok(Answer { position: look.position(), bytes: out.into_bytes() })
    }
}

impl Listing<'_> {
    /// Judges what only the graph can tell of.
    fn begin(&mut self, graph: &Graph, token: &str) -> Result<(), Status> {
        let namespace = &self.filter.has_namespace;
        if !namespace.is_empty() {
            check_namespace(graph, "filter.has_namespace", namespace)?;
        }
        if !token.is_empty() {
            let last = with_subject(graph.name(), self.filter, |subject| {
                page_token::decode(subject, token)
            })?;
            let last: [u8; 4] = last.try_into().map_err(|_| page_token::invalid())?;
            let number = u32::from_be_bytes(last);
            self.after = (number > 0).then_some(ProfileNumber(number));
        }
        Ok(())
    }

    /// Looks at some profiles, and at the first that is shown.
    fn step(&mut self, graph: &Graph) -> Result<Step, Status> {
        let mut rest = graph.profiles_after(self.after);
        for _ in 0..LIST_STEP_SCANNED_MAX {
            let Some((number, profile)) = rest.next() else {
                return Ok(Step::End);
            };
            if self.shown == self.size || self.scanned == LIST_SCANNED_MAX {
                return Ok(Step::Full);
            }
            let wanted = profile.filter(|&profile| self.wants(profile));
            if let Some(profile) = wanted
                && !self.show(graph, profile)?
            {
                return Ok(Step::Full);
            }
            self.scanned += 1;
            self.after = Some(number);
            if wanted.is_some() {
                break;
            }
        }
        Ok(Step::More)
    }

    /// What the next page goes on from.
    fn token(&self, graph: &Graph) -> String {
        let position = self.after.map_or(0, |number| number.0).to_be_bytes();
        with_subject(graph.name(), self.filter, |subject| page_token::encode(subject, &position))
    }

    /// The cheap questions first.
    fn wants(&self, profile: ProfileView<'_>) -> bool {
        let filter = self.filter;
        filter.known.is_none_or(|known| profile.known() == known)
            && (filter.changed_after_sequence_number == 0
                || profile.changed_sequence().0 > filter.changed_after_sequence_number)
            && (filter.has_namespace.is_empty() || profile.has_namespace(&filter.has_namespace))
    }

    /// Writes a profile; false if the page has no room for it.
    fn show(&mut self, graph: &Graph, profile: ProfileView<'_>) -> Result<bool, Status> {
        let (size, is_first, out) = (PAGE_SIZE_DEFAULT, self.shown == 0, &mut self.out);
        let has_room = encode_next(graph, profile, size, self.mask, is_first, "read_mask", out)?;
        self.shown += usize::from(has_room);
        Ok(has_room)
    }
}

/// What a token is bound to: the workspace and the filter.
fn with_subject<T>(
    workspace: &str,
    filter: &v1::ProfileFilter,
    work: impl FnOnce(&[&str]) -> T,
) -> T {
    let known = filter.known.map_or("", |known| if known { "known" } else { "anonymous" });
    let changed = filter.changed_after_sequence_number.to_string();
    work(&["profiles", workspace, &filter.has_namespace, known, &changed])
}
