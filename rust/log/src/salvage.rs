//! What can still be read of a log, however it is damaged. Changes nothing.
//!
//! Of a log that can be judged, exactly what reading it gives. Of a corrupt one every whole line
//! that no later opening has voided, and the gaps between them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::archive::File;
use crate::blobs;
use crate::checksum::LogId;
use crate::failure::Failure;
use crate::folder::read_segments;
use crate::lock::{read_hint, LOCK};
use crate::marks::{Header, Kept};
use crate::reader::{Found, Reader};
use crate::scan::{find_id, last_seal, scan, Item, Place};
use crate::vfs::Vfs;

/// Records that are lost: acknowledged, or before others that were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// First of them.
    pub first: u64,
    /// Last of them.
    pub last: u64,
    /// Name of the file where they should be.
    pub segment: String,
    /// Where the first bad bytes start there.
    pub offset: u64,
    /// How many bad bytes; 0 if there is nothing at all.
    pub bytes: u64,
}

/// What was found, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Whole lines, numbered without gaps.
    Run(Vec<Vec<u8>>),
    /// What is missing before the next run.
    Gap(Gap),
}

/// What can be read of a log.
pub struct Salvage {
    vfs: Arc<dyn Vfs>,
    blob_folder: String,
    /// The first header that can be read; `None` if all are damaged.
    pub header: Option<Header>,
    /// The log's id.
    pub id: LogId,
    /// The last opening that is known.
    pub epoch: u64,
    /// What the last seal says in fields that are not known here.
    pub sealed: Vec<Kept>,
    /// Runs and gaps.
    pub parts: Vec<Part>,
    /// Why the log cannot be read as it is; `None` if it can.
    pub damage: Option<Failure>,
}

impl Salvage {
    /// Looks at the folder, or at the packed file *name* in it.
    ///
    /// # Errors: `NotFound`, `Version`, `Failed`; `Corrupt` if not even the log's id is known.
    pub fn of(vfs: Arc<dyn Vfs>, name: Option<&str>) -> Result<Salvage, Failure> {
        let found = match name {
            Some(name) => Reader::packed(vfs.clone(), name),
            None => Reader::folder(vfs.clone(), u64::MAX),
        };
        let damage = match found {
            Ok(Found::Log(reader)) => return Salvage::whole(vfs, name, *reader),
            Ok(Found::Nothing) => {
                let path = vfs.path(name.unwrap_or_default());
                return Err(Failure::NotFound(format!("{path}: there is no log here")));
            }
            Err(damage @ Failure::Corrupt(..)) => damage,
            Err(failure) => return Err(failure),
        };
        let (files, lock) = match name {
            Some(name) => {
                let bytes = vfs.read(name);
                let failed = |e| Failure::reading(&vfs.path(name), &e);
                let file = File::plain(1, name.to_owned(), bytes.map_err(failed)?);
                (vec![file], Vec::new())
            }
            None => (
                read_segments(vfs.as_ref(), u64::MAX)?,
                vfs.read(LOCK).unwrap_or_default(),
            ),
        };
        let Some(id) = files.iter().find_map(|file| find_id(file.bytes())) else {
            return Err(damage);
        };
        let hint = read_hint(&lock, &id).map_or(0, |hint| hint.seq);
        let wreck = Wreck::of(files, &id);
        let header = wreck.headers().next().cloned();
        Ok(Salvage {
            blob_folder: name.map_or("blobs".to_owned(), blobs::packed_folder),
            vfs,
            sealed: last_seal(wreck.items.iter().map(|(_, item)| item)),
            parts: wreck.parts(hint),
            epoch: wreck
                .headers()
                .map(|header| header.epoch)
                .max()
                .unwrap_or(1),
            header,
            id,
            damage: Some(damage),
        })
    }

    fn whole(vfs: Arc<dyn Vfs>, name: Option<&str>, mut reader: Reader) -> Result<Self, Failure> {
        let lines: Result<Vec<_>, _> = (0..reader.len()).map(|index| reader.line(index)).collect();
        let lines = lines?;
        let run = (!lines.is_empty()).then_some(Part::Run(lines));
        Ok(Salvage {
            vfs,
            blob_folder: name.map_or("blobs".to_owned(), blobs::packed_folder),
            id: reader.header.log,
            epoch: reader.epoch,
            sealed: last_seal(reader.files.iter().flat_map(|file| &file.items)),
            header: Some(reader.header),
            parts: run.into_iter().collect(),
            damage: None,
        })
    }

    /// Puts the values of *payload* back that lie in blobs; the digests of those that are lost.
    pub fn resolve(&self, payload: &[u8]) -> (Vec<u8>, Vec<String>) {
        blobs::put_back(self.vfs.as_ref(), &self.blob_folder, payload)
    }

    /// How many records can be read.
    pub fn records(&self) -> u64 {
        let lines = self.parts.iter().map(|part| match part {
            Part::Gap(_) => 0,
            Part::Run(run) => run.len(),
        });
        lines.sum::<usize>() as u64
    }

    /// The gaps.
    pub fn gaps(&self) -> impl Iterator<Item = &Gap> {
        self.parts.iter().filter_map(|part| match part {
            Part::Gap(gap) => Some(gap),
            Part::Run(_) => None,
        })
    }
}

/// The files of a corrupt log.
struct Wreck {
    files: Vec<File>,
    items: Vec<(usize, Item)>,
}

impl Wreck {
    fn of(files: Vec<File>, id: &LogId) -> Wreck {
        let items = files
            .iter()
            .enumerate()
            .flat_map(|(at, file)| scan(file.bytes(), id).into_iter().map(move |i| (at, i)))
            .collect();
        Wreck { files, items }
    }

    fn headers(&self) -> impl Iterator<Item = &Header> {
        self.items.iter().filter_map(|(_, item)| match item {
            Item::Header(header, _) => Some(header.as_ref()),
            _ => None,
        })
    }

    /// Whole lines by number, where they lie among the items, and the last record that anything
    /// knows to be durable.
    fn lines(&self, hint: u64) -> (BTreeMap<u64, (usize, Place)>, u64) {
        let mut void_above = u64::MAX;
        let mut evidence = hint;
        let mut lines = BTreeMap::new();
        for (index, (_, item)) in self.items.iter().enumerate().rev() {
            match item {
                Item::Record(place) if place.seq <= void_above => {
                    evidence = evidence.max(place.d);
                    // Of two writers the later one was the owner.
                    lines.entry(place.seq).or_insert((index, *place));
                }
                Item::Header(header, _) => {
                    evidence = evidence.max(header.first - 1);
                    void_above = void_above.min(header.tail);
                }
                Item::Seal(seal, _) if seal.last <= void_above => {
                    evidence = evidence.max(seal.last);
                }
                _ => {}
            }
        }
        (lines, evidence)
    }

    fn parts(&self, hint: u64) -> Vec<Part> {
        let (lines, evidence) = self.lines(hint);
        let mut parts = Vec::new();
        let mut run: Vec<Vec<u8>> = Vec::new();
        let mut expected = self.headers().next().map_or(1, Header::base);
        // Among the items, where the search for the bad bytes of a gap starts.
        let mut after = 0;
        for (seq, (index, place)) in lines {
            if place.from > expected {
                if !run.is_empty() {
                    parts.push(Part::Run(std::mem::take(&mut run)));
                }
                parts.push(Part::Gap(self.gap(expected, place.from - 1, after)));
            }
            let (file, _) = self.items[index];
            let start = place.offset as usize;
            run.push(self.files[file].bytes()[start..start + place.len as usize].to_vec());
            (expected, after) = (seq + 1, index + 1);
        }
        if !run.is_empty() {
            parts.push(Part::Run(run));
        }
        if evidence >= expected {
            parts.push(Part::Gap(self.gap(expected, evidence, after)));
        }
        parts
    }

    fn gap(&self, first: u64, last: u64, after: usize) -> Gap {
        let rest = self.items.get(after..).unwrap_or_default();
        let bad = rest.iter().find_map(|(file, item)| match item {
            Item::Bad(range) => Some((*file, range.start, range.end - range.start)),
            _ => None,
        });
        // Nothing bad: lines were removed, here or at the end.
        let (file, offset, bytes) = bad.unwrap_or_else(|| match rest.first() {
            Some((file, item)) => (*file, item.offset(), 0),
            None => {
                let file = self.files.len() - 1;
                (file, self.files[file].range.len() as u64, 0)
            }
        });
        Gap {
            first,
            last,
            segment: self.files[file].name.clone(),
            offset,
            bytes,
        }
    }
}
