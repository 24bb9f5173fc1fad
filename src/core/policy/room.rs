//! Room for deep recursion: the parser of CEL needs up to 200 KB of stack for each bracket, the threads that serve
//! plans have 2 MB, and who runs out of stack takes the whole process along.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    thread::{Builder, scope},
};

/// Enough for the deepest expression that is let in, several times over. Only what is used is ever taken.
const STACK: usize = 128 << 20;

/// Does the work where there is room for it, and waits for it. `None` if it broke off.
pub(super) fn with_room<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    scope(|threads| {
        let thread = Builder::new().stack_size(STACK).spawn_scoped(threads, work).ok()?;
        thread.join().ok()
    })
}

/// Does the work, and says if it broke off: this CEL breaks off at what it does not know.
pub(super) fn unless_it_breaks<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}
