//! Opens a log for appending: fence first, then read, then take over, then tidy.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use crate::blobs;
use crate::checksum::LogId;
use crate::failure::Failure;
use crate::garden::planted;
use crate::lock::{read_holder, Hint, Holder, Lock};
use crate::marks::{Header, FORMAT};
use crate::reader::{Found, Reader};
use crate::record::SEQ_MAX;
use crate::recover::Verdict;
use crate::scan::Item;
use crate::vfs::{append_all, ordinals, segment_name, Vfs, VfsFile};
use crate::writer::{Writer, RESERVE, RESERVE_BYTES};

/// A larger torn end is refused: a person decides.
pub const TORN_BYTES_MAX: u64 = 8 << 20;

/// What the caller says about the log.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// The id of a log that is created; an existing one must have it, if given.
    pub log: Option<LogId>,
    /// Used for a new log if `log` is `None`.
    pub fresh: LogId,
    /// A label, for a new log.
    pub name: Option<String>,
    /// Set for an imported log, when it is created.
    pub origin: Option<String>,
    /// The library that writes.
    pub by: String,
    /// Now, in microseconds since 1970 UTC.
    pub at: u64,
    /// Who writes.
    pub holder: Holder,
}

/// What was found on opening, for the record `log.recovered`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Bytes that were never acknowledged and could not be read.
    pub torn_bytes: u64,
    /// Whole records after them, left out.
    pub dropped: u64,
    /// Records that were copied because they were not known to be durable.
    pub copied: u64,
    /// The segment that took them over.
    pub segment: u64,
    /// The last one was not closed in order.
    pub is_unclean: bool,
}

/// Opens the log in the folder of *vfs*, or creates it.
///
/// # Errors: `Owned`, `Corrupt` (nothing was changed but for one empty file), `Version`,
/// `Failed`, `Invalid` if the log has another id than the one asked for.
pub fn open(vfs: Arc<dyn Vfs>, options: &OpenOptions) -> Result<(Writer, Recovered), Failure> {
    let failed = |doing: &'static str| {
        let path = vfs.path("");
        move |error: io::Error| Failure::io(doing, &path, &error, 0)
    };
    vfs.create_root().map_err(failed("creating the folder"))?;
    let Some(lock) = Lock::take(vfs.as_ref()).map_err(failed("locking"))? else {
        return Err(owned(vfs.as_ref()));
    };
    let epoch_before = read_holder(vfs.as_ref()).map_or(0, |holder| holder.epoch);
    let (ordinal, file) = fence(vfs.as_ref()).map_err(failed("creating the next segment"))?;
    let found = Reader::folder(vfs.clone(), ordinal);
    let reader = match found.map_err(|failure| overtaken(vfs.as_ref(), ordinal, failure))? {
        Found::Log(reader) => Some(*reader),
        Found::Nothing => None,
    };
    let header = header(
        vfs.as_ref(),
        reader.as_ref(),
        options,
        ordinal,
        epoch_before,
    )?;
    let opening = Opening {
        vfs,
        lock,
        file,
        header,
    };
    match reader {
        Some(reader) => opening.take_over(reader, options),
        None => opening.start(options),
    }
}

fn owned(vfs: &dyn Vfs) -> Failure {
    let path = vfs.path("");
    match read_holder(vfs) {
        Some(holder) => Failure::Owned(format!(
            "{path}: process {} on {} is writing this log since {} µs (epoch {}); \
             wait for it to close, or read and fork the log meanwhile",
            holder.pid, holder.host, holder.since, holder.epoch
        )),
        None => Failure::Owned(format!(
            "{path}: another process is opening this log; try again, or read it meanwhile"
        )),
    }
}

/// While we opened, another did too, and wrote on: what it made durable lies beyond what we read,
/// and looks like damage.
fn overtaken(vfs: &dyn Vfs, ordinal: u64, failure: Failure) -> Failure {
    let (next, path) = (segment_name(ordinal + 1), vfs.path(""));
    if !matches!(failure, Failure::Corrupt(..)) {
        return failure;
    }
    match vfs.exists(&next) {
        Ok(false) => failure,
        Ok(true) => Failure::Fenced(format!(
            "{path}: {next} exists: another process opened this log at the same moment and owns \
             it; read it, or wait for it to close"
        )),
        Err(error) => Failure::io("looking for a newer segment", &path, &error, 0),
    }
}

/// Creates the next segment: from here on, whoever wrote before cannot acknowledge any more.
fn fence(vfs: &dyn Vfs) -> io::Result<(u64, Box<dyn VfsFile>)> {
    loop {
        let ordinal = ordinals(vfs)?.last().map_or(1, |last| last + 1);
        match vfs.create_new(&segment_name(ordinal)) {
            Ok(file) => {
                if !planted("folder_not_synced") {
                    vfs.sync_folder("")?;
                }
                return Ok((ordinal, file));
            }
            // Another one opens at this moment, and the lock lies: one of us wins the next.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

/// The header of the new segment, but for what it takes over.
fn header(
    vfs: &dyn Vfs,
    reader: Option<&Reader>,
    options: &OpenOptions,
    ordinal: u64,
    epoch_before: u64,
) -> Result<Header, Failure> {
    let known = reader.map(|reader| &reader.header);
    if let (Some(known), Some(wanted)) = (known, options.log) {
        if known.log != wanted {
            let found = known.log;
            return Err(Failure::Invalid(format!(
                "{}: the log here has the id {found}, not {wanted}; open another folder",
                vfs.path("")
            )));
        }
    }
    if let Some(level) = known
        .map(|known| &known.level)
        .filter(|level| *level != "crc")
    {
        return Err(Failure::Version(format!(
            "{}: the log is of integrity level {level}, which this version reads but does not \
             write; upgrade tinyagent to go on with it",
            vfs.path("")
        )));
    }
    Ok(Header {
        format: FORMAT,
        log: known.map_or(options.log.unwrap_or(options.fresh), |known| known.log),
        seg: ordinal,
        epoch: reader.map_or(0, |reader| reader.epoch).max(epoch_before) + 1,
        first: 1,
        tail: 0,
        level: "crc".to_owned(),
        fork: known.and_then(|known| known.fork.clone()),
        pruned: known.and_then(|known| known.pruned.clone()),
        need: None,
        name: known.map_or(options.name.clone(), |known| known.name.clone()),
        origin: known.map_or(options.origin.clone(), |known| known.origin.clone()),
        at: options.at,
        by: options.by.clone(),
    })
}

struct Opening {
    vfs: Arc<dyn Vfs>,
    lock: Lock,
    file: Box<dyn VfsFile>,
    header: Header,
}

impl Opening {
    fn start(self, options: &OpenOptions) -> Result<(Writer, Recovered), Failure> {
        let recovered = Recovered {
            segment: self.header.seg,
            ..Recovered::default()
        };
        Ok((self.begin(b"", options)?, recovered))
    }

    fn take_over(
        mut self,
        mut reader: Reader,
        options: &OpenOptions,
    ) -> Result<(Writer, Recovered), Failure> {
        let mut recovered = self.judge(&reader)?;
        let last = reader.analysis.next - 1;
        let first = match planted("cached_lines_trusted_at_open") {
            true => last + 1,
            false => reader.analysis.evidence + 1,
        };
        if last >= SEQ_MAX {
            let path = self.vfs.path("");
            return Err(Failure::Limit(format!(
                "{path}: the log holds 2^53-1 records; fork it"
            )));
        }
        (self.header.first, self.header.tail) = (first, last);
        // Lines that read back fine are not trusted: the last process may have died before its
        // fsync, or after one that failed.
        let mut copies = Vec::new();
        for index in reader.index_of(first)..reader.len() {
            copies.extend_from_slice(&reader.line(index)?);
            recovered.copied += 1;
        }
        // The same holds for the names of their values.
        blobs::sync_folders_of(self.vfs.as_ref(), &copies).map_err(|error| {
            let path = self.vfs.path("blobs");
            Failure::io("syncing the folders of blobs", &path, &error, first - 1)
        })?;
        let writer = self.begin(&copies, options)?;
        tidy(&writer, &reader, first);
        Ok((writer, recovered))
    }

    fn judge(&self, reader: &Reader) -> Result<Recovered, Failure> {
        let mut recovered = Recovered {
            segment: self.header.seg,
            is_unclean: reader.analysis.verdict != Verdict::Clean,
            ..Recovered::default()
        };
        if let Verdict::Torn(torn) = &reader.analysis.verdict {
            let path = reader.path(torn.file);
            if torn.bytes > TORN_BYTES_MAX {
                return Err(Failure::Corrupt(
                    format!(
                        "{path}: {} bytes from byte {} on cannot be read, more than the \
                         {TORN_BYTES_MAX} that a crash explains; nothing was changed; \
                         look at the file, cut it there yourself if it is torn",
                        torn.bytes, torn.offset
                    ),
                    path,
                    reader.analysis.next,
                    torn.offset,
                ));
            }
            recovered.torn_bytes = torn.bytes;
            recovered.dropped = torn.dropped;
        }
        Ok(recovered)
    }

    /// Writes header and copies, durably. Appends are accepted from then on.
    fn begin(mut self, copies: &[u8], options: &OpenOptions) -> Result<Writer, Failure> {
        let path = self.vfs.path(&segment_name(self.header.seg));
        let mut bytes = Vec::with_capacity(copies.len() + 512);
        self.header.push_line(&mut bytes);
        bytes.extend_from_slice(copies);
        append_all(self.file.as_mut(), &bytes)
            .map_err(|(_, error)| error)
            .and_then(|()| self.file.sync())
            .map_err(|error| Failure::io("starting a segment", &path, &error, 0))?;
        let holder = Holder {
            epoch: self.header.epoch,
            since: options.at,
            ..options.holder.clone()
        };
        let hint = Hint {
            seg: self.header.seg,
            seq: self.header.tail,
            bytes: bytes.len() as u64,
        };
        self.lock
            .write_holder(&self.header.log, &holder)
            .and_then(|()| self.lock.write_hint(&self.header.log, hint))
            .map_err(|error| Failure::io("writing LOCK", &path, &error, 0))?;
        // Without a reserve a full disk is found out about a line later, that is all.
        let _ = reserve(self.vfs.as_ref());
        Ok(Writer {
            vfs: self.vfs,
            lock: self.lock,
            file: self.file,
            size: bytes.len() as u64,
            written: self.header.tail,
            durable: self.header.tail,
            unsynced: Vec::new(),
            dirty_folders: BTreeSet::new(),
            at: options.at,
            takeovers: 0,
            header: self.header,
        })
    }
}

fn reserve(vfs: &dyn Vfs) -> io::Result<()> {
    if !vfs.exists(RESERVE)? {
        let mut file = vfs.create_new(RESERVE)?;
        append_all(file.as_mut(), &vec![0; RESERVE_BYTES]).map_err(|(_, error)| error)?;
    }
    Ok(())
}

/// Moves what the new segment has copies of, or what was torn, out of older unsealed segments,
/// so that `cat` shows each record once. What the new segment says is durable: safe at any moment,
/// and not needed, hence errors do not matter.
fn tidy(writer: &Writer, reader: &Reader, first: u64) {
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
    append_all(aside.as_mut(), rest).map_err(|(_, error)| error)?;
    aside.sync()?;
    vfs.sync_folder("")?;
    let mut file = vfs.open(name)?;
    file.truncate(cut)?;
    file.sync()
}
