//! Decides what a log holds: which records count, and whether what is missing was ever promised.
//!
//! Evidence is the highest record known to have been on disk: the watermark of every valid line,
//! `first - 1` of headers, `last` of seals, the hint. Bad bytes at or below it are corruption and
//! are refused; bad bytes above it are a torn end, which is the normal result of a crash.

use crate::garden::planted;
use crate::marks::Header;
use crate::scan::{Item, Place};
use crate::segments::{split, Segment};

/// One file of the log, scanned.
pub struct FileScan {
    /// Its name, for messages.
    pub name: String,
    /// Its length in bytes.
    pub size: u64,
    /// What is in it.
    pub items: Vec<Item>,
    /// Whether it is in an archive, where everything was durable once.
    pub is_archived: bool,
}

/// An effective record: the file it is read from, and the place there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effective {
    /// Index of the file.
    pub file: u32,
    /// Where it lies.
    pub place: Place,
}

/// How the log ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Sealed, nothing bad.
    Clean,
    /// Not sealed; all is there.
    Unclean,
    /// The end was never acknowledged and cannot be read.
    Torn(Torn),
}

/// The torn end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// Index of the file.
    pub file: u32,
    /// Its first bad byte.
    pub offset: u64,
    /// Bytes from there to the end of the file.
    pub bytes: u64,
    /// Valid records after it, which are left out too.
    pub dropped: u64,
}

/// What a log holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Analysis {
    /// The records that count, in order.
    pub records: Vec<Effective>,
    /// The first record that the log's own files hold: 1, but for forks and pruned logs.
    pub base: u64,
    /// The last record that was not looked at, because a seal vouches for it; 0 if all were.
    pub vouched: u64,
    /// The number of the next record.
    pub next: u64,
    /// The last record known to be durable.
    pub evidence: u64,
    /// How it ended.
    pub verdict: Verdict,
    /// Files left behind by interrupted openings.
    pub void_segments: u64,
    /// Lines after a takeover: of a fenced writer, or never acknowledged.
    pub void_lines: u64,
    /// Lines met a second time, as copies.
    pub copies: u64,
}

/// Acknowledged records are damaged or missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Index of the file.
    pub file: u32,
    /// First record affected.
    pub seq: u64,
    /// Byte in that file.
    pub offset: u64,
    /// What was found and what was expected.
    pub what: String,
}

/// Judges the files of one log, given in order. *hint* is the record that the lock file names.
///
/// # Errors: [`Damage`], if records that were acknowledged cannot be read.
pub fn analyze(files: &[FileScan], hint: u64) -> Result<Analysis, Damage> {
    let segments = split(files)?;
    let mut walk = Walk::new(&segments, hint);
    for index in 0..segments.len() {
        walk.segment(index)?;
    }
    walk.finish(files)
}

struct Walk<'a> {
    segments: &'a [Segment<'a>],
    evidence: u64,
    base: u64,
    vouched: u64,
    /// The next record of the log, `w` of the recovery table.
    next: u64,
    records: Vec<Effective>,
    torn: Option<Torn>,
    untidy: bool,
    void_segments: u64,
    void_lines: u64,
    copies: u64,
}

/// What the rest of a segment is, after a place where the expected record is not.
enum Gap {
    TakenOver,
    Torn,
}

impl<'a> Walk<'a> {
    fn new(segments: &'a [Segment<'a>], hint: u64) -> Self {
        let witnesses = segments.iter().map(|segment| segment.evidence);
        let first = segments.iter().find_map(|segment| segment.header);
        // Only a log whose beginning was shared or removed on purpose starts later.
        let base = first.map_or(1, Header::base);
        Walk {
            segments,
            evidence: witnesses.chain([hint]).max().unwrap_or(0),
            base,
            vouched: 0,
            next: base,
            records: Vec::new(),
            torn: None,
            untidy: false,
            void_segments: 0,
            void_lines: 0,
            copies: 0,
        }
    }

    fn segment(&mut self, index: usize) -> Result<(), Damage> {
        let segment = &self.segments[index];
        let Some(header) = segment.header else {
            // `split` has refused those that are not void.
            self.void_segments += 1;
            self.untidy |= segment.end > segment.start;
            return Ok(());
        };
        if header.first > self.next {
            let (missing, last) = (self.next, header.first - 1);
            return Err(segment.damage(
                missing,
                segment.start,
                format!("records {missing}..{last} are missing, which lay before this segment"),
            ));
        }
        let mut expected = header.first;
        let mut bad: Option<u64> = None;
        for item in segment.items {
            match item {
                Item::Header(..) => {}
                Item::Vouched(last, _) => {
                    expected = last + 1;
                    (self.vouched, self.next) = (*last, self.next.max(expected));
                }
                Item::Bad(range) => bad = bad.or(Some(range.start)),
                Item::Seal(seal, offset) => self.sealed(segment, seal.last, *offset)?,
                Item::Record(place) if place.seq > segment.void_above => {
                    self.void(segment, place)?;
                }
                Item::Record(place) => {
                    let is_next = place.seq == expected || place.stands_for(expected);
                    if bad.is_some() || !is_next {
                        let at = bad.unwrap_or(place.offset);
                        match self.gap(segment, expected, at, bad.is_some(), place.seq)? {
                            Gap::TakenOver => self.untidy = true,
                            Gap::Torn => self.tear(segment, at),
                        }
                        self.rest_is_void(segment, place.offset)?;
                        return Ok(());
                    }
                    self.take(segment, place)?;
                    expected = place.seq + 1;
                }
            }
        }
        if let Some(at) = bad {
            self.untidy = true;
            let is_void = expected > segment.void_above;
            if !is_void && matches!(self.gap(segment, expected, at, true, 0)?, Gap::Torn) {
                self.tear(segment, at);
            }
        }
        Ok(())
    }

    /// A seal says that all up to *last* was durable.
    fn sealed(&self, segment: &Segment<'_>, last: u64, offset: u64) -> Result<(), Damage> {
        if last <= segment.void_above {
            return Ok(());
        }
        let kept = segment.void_above;
        let what = format!(
            "the seal says that record {last} was durable, but a later opening went on after \
             {kept}: two writers"
        );
        Err(segment.damage(kept + 1, offset, what))
    }

    fn take(&mut self, segment: &Segment<'_>, place: &Place) -> Result<(), Damage> {
        let record = Effective {
            file: segment.file,
            place: *place,
        };
        if place.seq >= self.next {
            self.records.push(record);
            self.next = place.seq + 1;
            return Ok(());
        }
        let known = self.find(place.seq);
        let same = known.is_some_and(|k| k.place.crc == place.crc && k.place.len == place.len);
        if !same {
            return Err(segment.damage(
                place.seq,
                place.offset,
                format!(
                    "record {} is there twice, with different bytes: two writers",
                    place.seq
                ),
            ));
        }
        self.copies += 1;
        Ok(())
    }

    fn find(&self, seq: u64) -> Option<&Effective> {
        let at = self.records.partition_point(|r| r.place.seq < seq);
        self.records.get(at).filter(|r| r.place.seq == seq)
    }

    fn void(&mut self, segment: &Segment<'_>, place: &Place) -> Result<(), Damage> {
        self.void_lines += 1;
        if place.d > segment.void_above {
            return Err(segment.damage(
                segment.void_above + 1,
                place.offset,
                format!(
                    "record {} says that {} was durable, but a later opening went on after {}: \
                     two writers",
                    place.seq, place.d, segment.void_above
                ),
            ));
        }
        Ok(())
    }

    /// After a takeover or a torn place, lines of this segment do not count; but one that says
    /// that voided records were durable still convicts.
    fn rest_is_void(&mut self, segment: &Segment<'_>, from: u64) -> Result<(), Damage> {
        for item in segment.items {
            if let Item::Record(place) = item {
                if place.offset >= from {
                    self.void(segment, place)?;
                }
            }
        }
        Ok(())
    }

    fn gap(
        &self,
        segment: &Segment<'_>,
        expected: u64,
        at: u64,
        is_bad: bool,
        found: u64,
    ) -> Result<Gap, Damage> {
        if segment.taken_from <= expected {
            return Ok(Gap::TakenOver);
        }
        // A bad copy costs nothing while the older segment still holds the record.
        let in_hand = expected.max(self.next);
        if is_bad && (self.evidence < in_hand || planted("corrupt_cut_as_torn")) {
            return Ok(Gap::Torn);
        }
        let what = if is_bad {
            format!(
                "record {expected} is damaged, although record {} was durable",
                self.evidence
            )
        } else {
            // What is further on was not removed, and what was there before was doubled.
            let mut seqs = segment.items.iter().filter_map(Item::seq);
            let is_there = found < expected || seqs.any(|seq| seq == expected);
            let how = if is_there {
                "doubled or moved"
            } else {
                "removed"
            };
            format!("record {found} follows, expected {expected}: lines were {how}")
        };
        Err(segment.damage(expected, at, what))
    }

    fn tear(&mut self, segment: &Segment<'_>, at: u64) {
        let later = |item: &&Item| matches!(item, Item::Record(place) if place.offset >= at);
        self.torn = Some(Torn {
            file: segment.file,
            offset: at,
            bytes: segment.end - at,
            dropped: segment.items.iter().filter(later).count() as u64,
        });
    }

    fn finish(self, files: &[FileScan]) -> Result<Analysis, Damage> {
        if self.evidence >= self.next && !planted("corrupt_cut_as_torn") {
            let last = files.len().saturating_sub(1);
            return Err(Damage {
                file: last as u32,
                seq: self.next,
                offset: files.get(last).map_or(0, |file| file.size),
                what: format!(
                    "the log ends before record {}, although record {} was durable",
                    self.next, self.evidence
                ),
            });
        }
        let last = self.segments.iter().rfind(|s| s.header.is_some());
        let verdict = match self.torn {
            Some(torn) => Verdict::Torn(torn),
            None if last.is_some_and(|s| s.is_sealed) && !self.untidy => Verdict::Clean,
            None => Verdict::Unclean,
        };
        Ok(Analysis {
            records: self.records,
            base: self.base,
            vouched: self.vouched,
            next: self.next,
            evidence: self.evidence,
            verdict,
            void_segments: self.void_segments,
            void_lines: self.void_lines,
            copies: self.copies,
        })
    }
}

impl Analysis {
    /// Leaves out the records from the one at *index* on: a value of it cannot be read, and it
    /// was never acknowledged.
    pub fn cut_before(&mut self, index: usize, file_size: u64) {
        let at = self.records[index];
        self.verdict = Verdict::Torn(Torn {
            file: at.file,
            offset: at.place.offset,
            bytes: file_size.saturating_sub(at.place.offset),
            dropped: (self.records.len() - index) as u64,
        });
        self.next = at.place.from;
        self.records.truncate(index);
    }
}
