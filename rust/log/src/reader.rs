//! Reads a log: a folder of segments, or one packed file. Changes nothing.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use memchr::memmem;

use crate::archive::{self, File, ARCHIVE_BYTES_MAX};
use crate::blobs;
use crate::checksum::LogId;
use crate::failure::{is_refused, Failure};
use crate::folder::read_segments;
use crate::lock::{read_hint, LOCK};
use crate::marks::{Header, CREATION_BYTES_MAX};
use crate::record::{crc_detail, is_sound};
use crate::recover::{analyze, Analysis, Damage, FileScan};
use crate::scan::{find_id, Item};
use crate::sealed::scan_since;
use crate::segments::refuse_lost_header;
use crate::vfs::Vfs;

/// Segments up to this many bytes together are kept in memory after the scan.
pub const KEEP_BYTES_MAX: usize = 64 << 20;

type Bytes = Arc<Vec<u8>>;

/// A log that was scanned and judged.
pub struct Reader {
    vfs: Arc<dyn Vfs>,
    blob_folder: String,
    /// The first valid header: what the log is.
    pub header: Header,
    /// The largest epoch met.
    pub epoch: u64,
    /// What it holds.
    pub analysis: Analysis,
    /// The files, in order.
    pub files: Vec<FileScan>,
    /// Where each lies in what it is in: in itself, or in an archive.
    starts: Vec<usize>,
    kept: Vec<Option<Bytes>>,
    current: Option<(String, Arc<Vec<u8>>)>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            out,
            "Reader({}, {:?})",
            self.header.log, self.analysis.verdict
        )
    }
}

/// What was found where a log should be.
pub enum Found {
    /// A log.
    Log(Box<Reader>),
    /// Nothing but what an interrupted creation leaves behind.
    Nothing,
}

impl Reader {
    /// Scans the folder; segments from *below* on are left out (the one that is being created).
    ///
    /// # Errors: `NotFound`, `Version`, `Corrupt`, `Failed`.
    pub fn folder(vfs: Arc<dyn Vfs>, below: u64) -> Result<Found, Failure> {
        Reader::folder_since(vfs, below, 0)
    }

    /// The same; records before *since* that a seal vouches for are not looked at, nor read.
    pub(crate) fn folder_since(
        vfs: Arc<dyn Vfs>,
        below: u64,
        since: u64,
    ) -> Result<Found, Failure> {
        // Another process may be writing: what was read first must not promise more than what is
        // read later holds. Hence the hint first, then the segments from the newest back. One
        // thing still looks like damage, a segment that is moved while we look: so look again.
        let first = Reader::folder_once(vfs.clone(), below, since);
        if matches!(first, Err(Failure::Corrupt(..))) {
            return Reader::folder_once(vfs, below, 0);
        }
        first
    }

    fn folder_once(vfs: Arc<dyn Vfs>, below: u64, since: u64) -> Result<Found, Failure> {
        let lock = vfs.read(LOCK).unwrap_or_default();
        let named = read_segments(vfs.as_ref(), below)?;
        Reader::judge(vfs, "blobs", named, &lock, since)
    }

    /// Scans one packed file *name*; its blobs lie beside it.
    ///
    /// # Errors: `NotFound`, `Version`, `Corrupt`, `Failed`.
    pub fn packed(vfs: Arc<dyn Vfs>, name: &str) -> Result<Found, Failure> {
        let bytes = vfs.read(name).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Failure::NotFound(format!(
                "{}: there is no log here; check the path",
                vfs.path(name)
            )),
            _ => Failure::reading(&vfs.path(name), &error),
        })?;
        let folder = blobs::packed_folder(name);
        Reader::judge(
            vfs,
            &folder,
            vec![File::plain(1, name.to_owned(), bytes)],
            b"",
            0,
        )
    }

    fn judge(
        vfs: Arc<dyn Vfs>,
        blob_folder: &str,
        named: Vec<File>,
        lock: &[u8],
        since: u64,
    ) -> Result<Found, Failure> {
        let Some(id) = named.iter().find_map(|file| find_id(file.bytes())) else {
            return nothing(vfs.as_ref(), &named);
        };
        let (mut files, mut kept, mut starts) = (Vec::new(), Vec::new(), Vec::new());
        let mut room = KEEP_BYTES_MAX;
        for file in named {
            let size = file.range.len();
            files.push(FileScan {
                size: size as u64,
                items: scan_own(vfs.as_ref(), &file, &id, since)?,
                name: file.name,
                is_archived: file.is_archived,
            });
            let keep = size <= room;
            room -= if keep { size } else { 0 };
            starts.push(file.range.start);
            kept.push(keep.then_some(file.whole));
        }
        let header = |item: &Item| match item {
            Item::Header(header, _) => Some(header.as_ref().clone()),
            _ => None,
        };
        let found = files.iter().flat_map(|file| &file.items).filter_map(header);
        let found: Vec<Header> = found.collect();
        for header in &found {
            if let Some(objection) = header.objection() {
                let path = vfs.path(&files[0].name);
                return Err(Failure::Version(format!(
                    "{path}: {objection}; upgrade tinyagent to read it"
                )));
            }
        }
        let hint = read_hint(lock, &id).unwrap_or_default();
        let analysis = refuse_lost_header(&files, hint)
            .and_then(|()| analyze(&files, hint.seq))
            .map_err(|damage| corrupt(vfs.as_ref(), &files, &damage, (&kept, &starts), &id))?;
        let Some(header) = found.first().cloned() else {
            return Err(headless(vfs.as_ref(), &files[0].name));
        };
        let mut reader = Reader {
            vfs,
            blob_folder: blob_folder.to_owned(),
            header,
            epoch: found.iter().map(|header| header.epoch).max().unwrap_or(0),
            analysis,
            files,
            starts,
            kept,
            current: None,
        };
        reader.check_blobs()?;
        Ok(Found::Log(Box::new(reader)))
    }

    /// A record above the evidence whose values are missing was never acknowledged.
    fn check_blobs(&mut self) -> Result<(), Failure> {
        let evidence = self.analysis.evidence;
        for index in 0..self.analysis.records.len() {
            let place = self.analysis.records[index].place;
            if !place.has_blob || place.seq <= evidence {
                continue;
            }
            let line = self.line(index)?;
            let there = blobs::all_there(self.vfs.as_ref(), &self.blob_folder, &line);
            let path = self.vfs.path(&self.blob_folder);
            if !there.map_err(|error| Failure::reading(&path, &error))? {
                let size = self.files[self.analysis.records[index].file as usize].size;
                self.analysis.cut_before(index, size);
                return Ok(());
            }
        }
        Ok(())
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.analysis.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.analysis.records.is_empty()
    }

    /// The index of record *seq*, or of the first one after it.
    pub fn index_of(&self, seq: u64) -> usize {
        let records = &self.analysis.records;
        records.partition_point(|record| record.place.seq < seq)
    }

    /// The line of a record, newline included.
    ///
    /// # Errors: as `bytes`.
    pub fn line(&mut self, index: usize) -> Result<Vec<u8>, Failure> {
        let (whole, range) = self.bytes(index)?;
        Ok(whole[range].to_vec())
    }

    /// The same as a part of its file, which is read and checked again if it was not kept.
    ///
    /// # Errors: `Failed`, or `Corrupt` if the file changed since the scan.
    pub fn bytes(&mut self, index: usize) -> Result<(Arc<Vec<u8>>, Range<usize>), Failure> {
        let record = self.analysis.records[index];
        let place = record.place;
        let whole = self.file(record.file)?;
        let was_kept = self.kept[record.file as usize].is_some();
        let start = self.starts[record.file as usize] + place.offset as usize;
        let range = start..start + place.len as usize;
        let line = whole.get(range.clone());
        if line.is_some_and(|line| was_kept || is_sound(line, &self.header.log)) {
            return Ok((whole, range));
        }
        let path = self.vfs.path(&self.files[record.file as usize].name);
        Err(Failure::Corrupt(
            format!(
                "{path}: record {} at byte {start} changed while it was read; read again",
                place.seq
            ),
            path,
            place.seq,
            place.offset,
        ))
    }

    fn file(&mut self, file: u32) -> Result<Arc<Vec<u8>>, Failure> {
        if let Some(bytes) = &self.kept[file as usize] {
            return Ok(bytes.clone());
        }
        let name = archive::source(&self.files[file as usize].name);
        if let Some((current, bytes)) = &self.current {
            if current == name {
                return Ok(bytes.clone());
            }
        }
        let bytes = self.vfs.read(name);
        let mut bytes = bytes.map_err(|error| Failure::reading(&self.vfs.path(name), &error))?;
        if self.files[file as usize].is_archived {
            bytes = archive::unpack(&bytes, ARCHIVE_BYTES_MAX);
        }
        let bytes = Arc::new(bytes);
        self.current = Some((name.to_owned(), bytes.clone()));
        Ok(bytes)
    }

    /// Puts the values of *payload* back that lie in blobs; the digests of those that are lost.
    pub fn resolve(&self, payload: &[u8]) -> (Vec<u8>, Vec<String>) {
        blobs::put_back(self.vfs.as_ref(), &self.blob_folder, payload)
    }

    /// Looks whether the blobs *digests*, which seem to be lost, are there.
    ///
    /// # Errors: `Failed`, if we may not read one.
    pub fn check_access(&self, digests: &[String]) -> Result<(), Failure> {
        for digest in digests {
            let name = blobs::blob_name(&self.blob_folder, digest);
            if let Err(error) = self.vfs.read(&name) {
                if is_refused(&error) {
                    return Err(Failure::reading(&self.vfs.path(&name), &error));
                }
            }
        }
        Ok(())
    }

    /// The bytes of a blob; `None` if it is missing or damaged.
    pub fn blob(&self, digest: &str) -> Option<Vec<u8>> {
        blobs::read(self.vfs.as_ref(), &self.blob_folder, digest)
    }

    /// Path of a file of this log, for messages.
    pub fn path(&self, file: u32) -> String {
        self.vfs.path(&self.files[file as usize].name)
    }
}

/// What is in *file*. One of another log is no interrupted opening: somebody put it there.
fn scan_own(vfs: &dyn Vfs, file: &File, id: &LogId, since: u64) -> Result<Vec<Item>, Failure> {
    let items = scan_since(file.bytes(), id, since);
    let is_void = items.iter().all(|item| matches!(item, Item::Bad(..)));
    let other = if is_void { find_id(file.bytes()) } else { None };
    let Some(other) = other.filter(|other| other != id) else {
        return Ok(items);
    };
    let path = vfs.path(&file.name);
    Err(Failure::Corrupt(
        format!(
            "{path}: a segment of log {other}, among those of log {id}: files of two logs were \
             mixed; nothing was changed; put back the file that was here, or move this one away"
        ),
        path,
        0,
        0,
    ))
}

/// No log id anywhere: an interrupted creation, or no log at all, or a log with damaged headers.
///
/// A creation ends with the holder's line in LOCK; records come after it. So without that line,
/// and without anything like a record, nothing was ever accepted here.
fn nothing(vfs: &dyn Vfs, named: &[File]) -> Result<Found, Failure> {
    let was_opened = crate::lock::read_holder(vfs).is_some();
    if was_opened && named.is_empty() {
        let path = vfs.path("");
        return Err(Failure::Corrupt(
            format!(
                "{path}: LOCK says that a log was written here, but there is no segment: they \
                 were removed or renamed; nothing was changed; put them back, or delete the folder"
            ),
            path,
            1,
            0,
        ));
    }
    let interrupted = |file: &File| {
        let bytes = file.bytes();
        let is_zero = bytes.iter().all(|&b| b == 0);
        let has_record = memmem::find(bytes, b"{\"seq\":").is_some();
        !was_opened
            && !file.is_archived
            && (is_zero || (!has_record && bytes.len() <= CREATION_BYTES_MAX))
    };
    match named.iter().find(|file| !interrupted(file)) {
        None => Ok(Found::Nothing),
        Some(file) => Err(headless(vfs, &file.name)),
    }
}

fn headless(vfs: &dyn Vfs, name: &str) -> Failure {
    let path = vfs.path(name);
    Failure::Corrupt(
        format!(
            "{path}: byte 0 starts no valid header, expected {{\"tinyagent_log\":...}}: \
             not a tinyagent log, or its header is damaged; nothing was changed"
        ),
        path,
        0,
        0,
    )
}

fn corrupt(
    vfs: &dyn Vfs,
    files: &[FileScan],
    damage: &Damage,
    (kept, starts): (&[Option<Bytes>], &[usize]),
    id: &LogId,
) -> Failure {
    let file = &files[damage.file as usize];
    let path = vfs.path(&file.name);
    let bytes = kept[damage.file as usize].as_deref();
    let detail = bytes
        .map(|bytes| {
            let start = starts[damage.file as usize] + damage.offset as usize;
            crc_detail(bytes.get(start..).unwrap_or_default(), id)
        })
        .unwrap_or_default();
    Failure::Corrupt(
        format!(
            "{path}: byte {}: {}{detail}; nothing was changed; restore a copy, \
             or keep the records before {}",
            damage.offset, damage.what, damage.seq
        ),
        path,
        damage.seq,
        damage.offset,
    )
}
