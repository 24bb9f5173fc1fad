//! Takes chance out of the program that is linked to this: what the system would give as random bytes is always the same.
//!
//! Hash maps of the standard library are seeded by it, and the order in which they are walked through decides which of two
//! futures that are ready is asked first.

/// Has to be called by the program, else the linker leaves all of this out.
pub fn link() {}

/// Stands in for the function of the same name in libc.
///
/// # Safety
/// As there: `buffer` is good for `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut u8, length: usize, _flags: u32) -> isize {
    // SAFETY: the caller's promise.
    unsafe { buffer.write_bytes(0x5a, length) };
    length.cast_signed()
}
