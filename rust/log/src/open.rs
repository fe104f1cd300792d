//! Opens a log for appending: fence first, then read, then take over, then tidy.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use crate::blobs;
use crate::chain::{self, Fork};
use crate::checksum::LogId;
use crate::failure::Failure;
use crate::garden::planted;
use crate::integrity::{self, Walk, PLAIN};
use crate::lock::{read_holder, Hint, Holder, Lock};
use crate::marks::{Header, Kept, FORMAT};
use crate::rare::Rare;
use crate::reader::{Found, Reader};
use crate::record::SEQ_MAX;
use crate::recover::Verdict;
use crate::reserve::reserve;
use crate::sign::Key;
use crate::tidying::tidy;
use crate::vfs::{append_all, ordinals, segment_name, OpenFile, Vfs};
use crate::writer::{Heads, Writer};

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
    /// Of the header of a log that is created: what [`Header::kept`] gave of another.
    pub more: Vec<Kept>,
    /// Where a log that is created leaves its parent; an existing one must have left there.
    pub fork: Option<Fork>,
    /// Integrity level of a log that is created, `crc` if not given; an existing one must have
    /// it, if given.
    pub level: Option<String>,
    /// Signs the seals, at level `signed`.
    pub key: Option<Key>,
    /// Goes on although records were lost and the log was repaired.
    pub accepts_loss: bool,
    /// The library that writes.
    pub by: Cow<'static, str>,
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
}

/// Opens the log in the folder of *vfs*, or creates it.
///
/// # Errors: `Owned`, `Corrupt` (nothing was changed but for one empty file), `Version`,
/// `Failed`, `Invalid` if the log has another id than the one asked for.
pub fn open(vfs: Arc<dyn Vfs>, options: &OpenOptions) -> Result<(Writer, Recovered), Failure> {
    open_since(vfs, options, 0).map(|(writer, recovered, _)| (writer, recovered))
}

/// The same, and what was read. Records before *since* that a seal vouches for are not.
///
/// # Errors: as `open`.
pub fn open_since(
    vfs: Arc<dyn Vfs>,
    options: &OpenOptions,
    since: u64,
) -> Result<(Writer, Recovered, Option<Reader>), Failure> {
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
    let found = Reader::folder_since(vfs.clone(), ordinal, since);
    let mut reader = match found.map_err(|failure| overtaken(vfs.as_ref(), ordinal, failure))? {
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
    let (writer, recovered) = match &mut reader {
        Some(reader) => opening.take_over(reader, options)?,
        None => opening.start(options)?,
    };
    Ok((writer, recovered, reader))
}

pub(crate) fn owned(vfs: &dyn Vfs) -> Failure {
    let path = vfs.path("");
    match read_holder(vfs) {
        Some(holder) => Failure::Owned(format!(
            "{path}: process {} on {} is writing this log (epoch {}); \
             wait for it to close, or read and fork the log meanwhile",
            holder.pid, holder.host, holder.epoch
        )),
        None => Failure::Owned(format!(
            "{path}: another process is opening this log; try again, or read it meanwhile"
        )),
    }
}

/// While we opened, another did too, and wrote on: what it made durable lies beyond what we read,
/// and looks like damage.
fn overtaken(vfs: &dyn Vfs, ordinal: u64, failure: Failure) -> Failure {
    let path = vfs.path("");
    if !matches!(failure, Failure::Corrupt(..)) {
        return failure;
    }
    // The next one may be pruned by now.
    match ordinals(vfs).map(|there| there.last().copied()) {
        Ok(Some(newest)) if newest > ordinal => Failure::Fenced(format!(
            "{path}: {} exists: another process opened this log at the same moment and owns it; \
             read it, or wait for it to close",
            segment_name(newest)
        )),
        Ok(_) => failure,
        Err(error) => Failure::io("looking for a newer segment", &path, &error, 0),
    }
}

/// Creates the next segment: from here on, whoever wrote before cannot acknowledge any more.
fn fence(vfs: &dyn Vfs) -> io::Result<(u64, OpenFile)> {
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
    if let (Some(known), Some(wanted)) = (known, &options.fork) {
        if known.forked().as_ref() != Some(wanted) {
            let found = known.rare().fork.as_deref().unwrap_or("no fork");
            return Err(Failure::Invalid(format!(
                "{}: the log here is {found}, not {}; open another folder for the fork",
                vfs.path(""),
                wanted.json()
            )));
        }
    }
    let level = integrity::level_to_write(&vfs.path(""), known, options)?;
    let rare = match known.map(Header::rare) {
        Some(known) => Rare {
            fork: known.fork.clone(),
            name: known.name.clone(),
            origin: known.origin.clone(),
            ..Rare::default()
        },
        None => Rare {
            fork: options.fork.as_ref().map(Fork::json),
            name: options.name.clone(),
            origin: options.origin.clone(),
            ..Rare::default()
        },
    };
    // Of a log that is there, `take_over` says where it goes on.
    let shared = options.fork.as_ref().map_or(0, |fork| fork.at);
    let mut header = Header {
        format: FORMAT,
        log: known.map_or(options.log.unwrap_or(options.fresh), |known| known.log),
        seg: ordinal,
        epoch: reader.map_or(0, |reader| reader.epoch).max(epoch_before) + 1,
        first: shared + 1,
        tail: shared,
        level,
        at: options.at,
        by: options.by.clone(),
        // `begin` knows the hash before it.
        rare: rare.boxed(),
    };
    header.keep(known.map_or(options.more.clone(), Header::kept));
    Ok(header)
}

struct Opening {
    vfs: Arc<dyn Vfs>,
    lock: Lock,
    file: OpenFile,
    header: Header,
}

impl Opening {
    fn start(self, options: &OpenOptions) -> Result<(Writer, Recovered), Failure> {
        self.header
            .check_size(&self.vfs.path(&segment_name(self.header.seg)))?;
        let recovered = Recovered {
            segment: self.header.seg,
            ..Recovered::default()
        };
        let hash = Walk::start(&self.header).hash;
        let heads = (self.header.level != PLAIN).then_some(Heads {
            durable: hash,
            written: hash,
        });
        Ok((self.begin(b"", heads, options)?, recovered))
    }

    fn take_over(
        mut self,
        reader: &mut Reader,
        options: &OpenOptions,
    ) -> Result<(Writer, Recovered), Failure> {
        let mut recovered = self.judge(reader)?;
        self.check_losses(reader, options)?;
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
        let heads = integrity::check(reader)?;
        let heads = heads.map(|(durable, written)| Heads { durable, written });
        let writer = self.begin(&copies, heads, options)?;
        tidy(&writer, reader, first);
        Ok((writer, recovered))
    }

    /// A repaired log is not gone on with by accident.
    fn check_losses(&self, reader: &Reader, options: &OpenOptions) -> Result<(), Failure> {
        let mut records = reader.analysis.records.iter();
        let lost = records.find(|found| found.place.is_lost);
        let Some(found) = lost.filter(|_| !options.accepts_loss) else {
            return Ok(());
        };
        let (first, last) = (found.place.from, found.place.seq);
        let path = reader.path(found.file);
        Err(Failure::Corrupt(
            format!(
                "{path}: records {first}..{last} are lost, the log was repaired; it can be read; \
                 to go on without them, open it with accept_loss=True"
            ),
            path,
            first,
            found.place.offset,
        ))
    }

    fn judge(&self, reader: &Reader) -> Result<Recovered, Failure> {
        let mut recovered = Recovered {
            segment: self.header.seg,
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
    fn begin(
        mut self,
        copies: &[u8],
        heads: Option<Heads>,
        options: &OpenOptions,
    ) -> Result<Writer, Failure> {
        // Before the first record of all there is nothing to name.
        if let Some(heads) = heads.filter(|_| self.header.first > 1) {
            self.header.rare_mut().prev = Some(chain::show(&heads.durable));
        }
        let path = self.vfs.path(&segment_name(self.header.seg));
        let mut bytes = Vec::with_capacity(copies.len() + 512);
        self.header.push_line(&mut bytes);
        bytes.extend_from_slice(copies);
        append_all(&mut *self.file, &bytes)
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
            heads: heads.map(|heads| {
                Box::new(Heads {
                    durable: heads.written,
                    ..heads
                })
            }),
            key: options.key.clone(),
            takeover: None,
            header: Arc::new(self.header),
        })
    }
}
