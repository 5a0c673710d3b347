//! Bugs that were caught: the caller gets an id, the log gets the id and the text.

use std::any::Any;
use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{UnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::{Mutex, Once, PoisonError};

use crate::limits::FAULTS_MAX;
use crate::status::Status;

/// A bug that was caught, for the server's log. The text never goes to a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What the caller was told.
    pub id: String,
    /// Where it happened and what was found.
    pub text: String,
}

/// The faults that the log has not collected yet.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    waiting: Mutex<VecDeque<Fault>>,
}

impl Faults {
    /// Keeps the text and gives the status that names it.
    pub(crate) fn internal(&self, text: String) -> Status {
        let id = random_id();
        let status = Status::bug(&id);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() == FAULTS_MAX {
            waiting.pop_front();
        }
        waiting.push_back(Fault { id, text });
        status
    }

    /// Hands the faults over, oldest first.
    pub(crate) fn take(&self) -> Vec<Fault> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.drain(..).collect()
    }
}

thread_local! {
    /// How many [`catching`]s this thread is in.
    static CATCHING: Cell<u32> = const { Cell::new(0) };
    /// Where this thread's newest panic began.
    static PLACE: Cell<Option<String>> = const { Cell::new(None) };
}

/// Keeps panics that are caught off standard error: their text may hold identifiers, and the
/// log gets it with an id. Other panics are told as before. Again is harmless.
pub fn keep_panics_for_the_log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let earlier = take_hook();
        set_hook(Box::new(move |panic| match CATCHING.get() {
            0 => earlier(panic),
            _ => PLACE.set(panic.location().map(ToString::to_string)),
        }));
    });
}

/// Runs `work`; gives the words and place of its panic if it panics.
pub(crate) fn catching<T>(work: impl FnOnce() -> T + UnwindSafe) -> Result<T, String> {
    CATCHING.set(CATCHING.get() + 1);
    let result = catch_unwind(work);
    CATCHING.set(CATCHING.get() - 1);
    result.map_err(|panic| {
        let place = PLACE.take().unwrap_or_else(|| "an unknown place".to_owned());
        format!("panic at {place}: {}", words(&*panic))
    })
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("no words")
}

/// Only to be found again in a log: without randomness, zeros still name the newest fault.
fn random_id() -> String {
    let mut bytes = [0; 8];
    let _ = getrandom::fill(&mut bytes);
    format!("{:016x}", u64::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_caught_with_its_place_and_words() {
        keep_panics_for_the_log();
        let text =
            catching(|| catching(|| panic!("inner {}", 1))).expect("the outer one ends well");
        let text = text.expect_err("the inner one panics");
        assert!(text.starts_with("panic at ") && text.contains("fault.rs:"), "{text}");
        assert!(text.ends_with(": inner 1"), "{text}");
        assert_eq!(CATCHING.get(), 0);
    }

    #[test]
    fn the_text_stays_here_and_the_oldest_gives_way() {
        let faults = Faults::default();
        for number in 0..=FAULTS_MAX {
            let status = faults.internal(format!("secret {number}"));
            assert!(!status.message().contains("secret"));
        }
        let taken = faults.take();
        assert_eq!(taken.len(), FAULTS_MAX);
        assert_eq!(taken[0].text, "secret 1");
        assert!(faults.take().is_empty());
    }
}
