//! Cleans up after an opening: what the new segment stands for leaves the older ones.

use std::io;

use crate::reader::Reader;
use crate::scan::Item;
use crate::vfs::append_all;
use crate::writer::Writer;

/// Moves what the new segment has copies of, or what was torn, out of older unsealed segments,
/// so that `cat` shows each record once. What the new segment says is durable: safe at any moment,
/// and not needed, hence errors do not matter.
pub(crate) fn tidy(writer: &Writer, reader: &Reader, first: u64) {
    let mut void_above = writer.header.tail;
    for file in reader.files.iter().rev() {
        // Void lines too, which an interrupted tidying or a fenced writer left: should the header
        // that voids them be damaged one day, they would count again.
        let kept_last = void_above;
        for item in &file.items {
            if let Item::Header(header, _) = item {
                void_above = void_above.min(header.tail);
            }
        }
        let has = |wanted: fn(&Item) -> bool| file.items.iter().any(wanted);
        let is_void = !has(|item| matches!(item, Item::Header(..)));
        if is_void || has(|item| matches!(item, Item::Seal(..))) {
            continue;
        }
        // Whatever has a lower number stays, copy or not: it may be the only one on disk.
        let stays = |item: &Item| match item {
            Item::Header(..) => true,
            Item::Record(place) => place.seq < first && place.seq <= kept_last,
            _ => false,
        };
        let kept = file.items.iter().rposition(stays);
        let cut = kept.and_then(|index| file.items.get(index + 1));
        if let Some(cut) = cut {
            let _ = set_aside(writer, &file.name, cut.offset());
        }
    }
}

fn set_aside(writer: &Writer, name: &str, cut: u64) -> io::Result<()> {
    let vfs = writer.vfs.as_ref();
    let bytes = vfs.read(name)?;
    let tail = format!("{}.tail-{}", &name[..name.len() - 6], writer.header.epoch);
    let mut aside = vfs.create_new(&tail)?;
    let rest = bytes.get(cut as usize..).unwrap_or_default();
    append_all(&mut *aside, rest).map_err(|(_, error)| error)?;
    aside.sync()?;
    vfs.sync_folder("")?;
    let mut file = vfs.open(name)?;
    file.truncate(cut)?;
    file.sync()
}
