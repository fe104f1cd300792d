//! The file that is given up when the disk is full.

use std::io;

use crate::vfs::{append_all, Vfs};

/// Name of the file.
pub const RESERVE: &str = "RESERVE";
/// Its size: enough for the longest line and a seal. In tests, which open logs by the million and
/// write short lines, less.
const RESERVE_BYTES: usize = if cfg!(test) { 4 << 10 } else { 1 << 20 };

/// Makes it, if it is not there; whole or not at all.
pub(crate) fn reserve(vfs: &dyn Vfs) -> io::Result<()> {
    if vfs.exists(RESERVE)? {
        return Ok(());
    }
    let mut file = vfs.create_new(RESERVE)?;
    let made = match file.reserve(RESERVE_BYTES as u64) {
        Ok(false) => append_all(&mut *file, &vec![0; RESERVE_BYTES]).map_err(|(_, error)| error),
        made => made.map(drop),
    };
    if made.is_err() {
        // The next opening may find more room.
        let _ = vfs.remove(RESERVE);
    }
    made
}
